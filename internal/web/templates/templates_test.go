package templates

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/baton-transfers/baton/internal/web/words"
)

// TestNamesAreIsolated checks the templates: a right-to-left name must not move the text beside it, and no field
// may cut pasted text silently.
func TestNamesAreIsolated(t *testing.T) {
	t.Parallel()
	bare := regexp.MustCompile(`<([a-z0-9]+)([^<>]*)>[^<>]*\{\{(?:or [$.A-Za-z]*Customer\.Name "[^"]*"|[$.A-Za-z]*\.?(?:FriendlyName|Author)|\$(?:\.N|n)ames\.(?:Agent|Queue) [.A-Za-z]+|[$.A-Za-z]*\.Choices\.(?:Agent|Queue) [.A-Za-z]+|\.(?:Shown|Choice))\}\}`)
	entries, err := files.ReadDir(".")
	require.NoError(t, err)
	for _, entry := range entries {
		text, err := files.ReadFile(entry.Name())
		require.NoError(t, err)
		require.NotContains(t, string(text), "maxlength", "%s: it counts UTF-16 and cuts a paste silently", entry.Name())
		for _, found := range bare.FindAllStringSubmatch(string(text), -1) {
			if found[1] != "bdi" && found[1] != "option" && !strings.Contains(found[2], `dir="auto"`) {
				t.Errorf("%s: %s is not isolated", entry.Name(), found[0])
			}
		}
	}
}

func TestSentencePartsAreIsolatedInPages(t *testing.T) {
	t.Parallel()
	shows := func(sentence string) string {
		t.Helper()
		var out strings.Builder
		require.NoError(t, Parse()["sorry"].ExecuteTemplate(&out, "sentence", sentence))
		return out.String()
	}
	require.Equal(t, "<bdi>דנה &lt;b&gt;</bdi> declined: ‘<bdi>מאוחר</bdi>’.", shows(words.Isolated("דנה <b>")+" declined: ‘"+words.Isolated("מאוחר")+"’."))
	require.Equal(t, "a<bdi>b</bdi>c", shows("\u2069a\u2068b\u2069c\u2069"))
	require.Equal(t, "a<bdi>b</bdi>", shows("a\u2068b"))
	require.Empty(t, shows(""))
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		within := words.Isolated(text)
		require.Equal(t, strings.Count(within, "\u2068"), strings.Count(within, "\u2069"))
		require.LessOrEqual(t, strings.Count(within, "\u2068"), 1)
		require.Equal(t, within, words.Isolated(strings.Trim(within, "\u2068\u2069")))
	})
}
