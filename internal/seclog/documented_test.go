package seclog_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEventsAreDocumented compares the events with the table of docs/security.md.
func TestEventsAreDocumented(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("seclog.go")
	require.NoError(t, err)
	var events []string
	for _, event := range regexp.MustCompile(`Event\s+= "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		events = append(events, event[1])
	}
	require.Greater(t, len(events), 10)
	page, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "\n| event | when |")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var documented []string
	for line := range strings.Lines(table) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, event := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(first, -1) {
			documented = append(documented, event[1])
		}
	}
	require.ElementsMatch(t, events, documented)
}
