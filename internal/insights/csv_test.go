package insights

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCSVHasNoFormulas(t *testing.T) {
	t.Parallel()
	i := Report{Agents: []Group{
		{Name: "mallory", FriendlyName: `=HYPERLINK("http://example.com")`},
		{Name: "plus", FriendlyName: "+1"},
		{Name: "minus", FriendlyName: "-1"},
		{Name: "at", FriendlyName: "@SUM(1)"},
		{Name: "wide", FriendlyName: "＝1"},
		{Name: "hidden", FriendlyName: "\u200b\u202e=cmd|' /C calc'!A0"},
		{Name: "spaced", FriendlyName: " =1"},
		{Name: "tab", FriendlyName: "\t=1"},
		{Name: "line", FriendlyName: "\n=1"},
		{Name: "inner", FriendlyName: "a=1"},
		{Name: "ivan", FriendlyName: "Иван Петров"},
	}}
	rows := i.CSV()
	last := len(rows[0]) - 1
	require.Equal(t, "friendly_name", rows[0][last])
	var shown []string
	for _, row := range rows[2:] {
		require.Len(t, row, len(rows[0]))
		shown = append(shown, row[last])
	}
	require.Equal(t, []string{`'=HYPERLINK("http://example.com")`, "'+1", "'-1", "'@SUM(1)", "'＝1", "'\u200b\u202e=cmd|' /C calc'!A0", "' =1", "'\t=1", "'\n=1", "a=1", "Иван Петров"}, shown)
	require.Equal(t, "mallory", rows[2][1], "programs read the name")
}
