package web

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesAreIsolated reads the templates: a name that is written from right to left moves nothing beside it, and no
// field cuts what is pasted into it without a word.
func TestNamesAreIsolated(t *testing.T) {
	t.Parallel()
	bare := regexp.MustCompile(`<([a-z0-9]+)([^<>]*)>[^<>]*\{\{(?:or [$.A-Za-z]*Customer\.Name "[^"]*"|[$.A-Za-z]*\.?(?:FriendlyName|Author)|\$(?:\.N|n)ames\.(?:Agent|Queue) [.A-Za-z]+)\}\}`)
	entries, err := templates.ReadDir("templates")
	require.NoError(t, err)
	for _, entry := range entries {
		text, err := templates.ReadFile("templates/" + entry.Name())
		require.NoError(t, err)
		require.NotContains(t, string(text), "maxlength", "%s: it counts UTF-16 and cuts a paste silently", entry.Name())
		for _, found := range bare.FindAllStringSubmatch(string(text), -1) {
			if found[1] != "bdi" && found[1] != "option" && !strings.Contains(found[2], `dir="auto"`) {
				t.Errorf("%s: %s is not isolated", entry.Name(), found[0])
			}
		}
	}
}
