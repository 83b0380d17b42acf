package main

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckText(t *testing.T) {
	long := strings.Repeat("a ", 61)
	for _, test := range []struct {
		name, file, text string
		lines            []string
	}{
		{"plain", "docs/a.md", "The dispatcher retries the delivery.", nil},
		{"a word", "docs/a.md", "Fine.\nNobody reads it.", []string{"docs/a.md:2"}},
		{"a phrase in a comment", "a.go", "// It is told.", []string{"a.go:1"}},
		{"part of a word", "a.go", "func TestNobodyElse() { amended := recommend }", nil},
		{"a value", "a.go", `CancelCommand{Agent: "nobody"}, "nobody-yet"`, nil},
		{"a long line", "docs/a.md", long, []string{"docs/a.md:1"}},
		{"a long comment", "a.go", "\t// " + long, []string{"a.go:1"}},
		{"a table and code", "docs/a.md", "| " + long + "\n```\n" + long + "\n```", nil},
		{"code", "a.go", "x := `" + long + "`", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var lines []string
			for _, message := range checkText(test.file, test.text) {
				place, _, _ := strings.Cut(message, ": ")
				lines = append(lines, place)
			}
			if !slices.Equal(lines, test.lines) {
				t.Errorf("found %v, not %v", lines, test.lines)
			}
		})
	}
}
