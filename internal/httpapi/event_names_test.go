package httpapi_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
)

// TestEventNamesAreDocumented compares the names that EventsFilter takes with those that docs/http.md lists.
func TestEventNamesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/http.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n### Names of events\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for _, name := range regexp.MustCompile("`([a-z-]+(?:\\.[a-z-]+)+)`").FindAllStringSubmatch(section, -1) {
		documented = append(documented, name[1])
	}
	names := []string{"reservation.failed"}
	for _, name := range desk.EventNames() {
		names = append(names, string(name))
	}
	require.ElementsMatch(t, names, documented)
}
