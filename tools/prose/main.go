// Command prose finds words and phrases that the house style of AGENTS.md avoids, and lines of documentation and comments
// that are too long. It reads the files that Git tracks or would add, in the folder of its argument or the current one.
//
// A word alone in quotes, or joined to another by a hyphen, a colon or an equals sign, is a value and not prose.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// mostRunes is how long a line of documentation or a comment may be. Tables and code are exempt.
const mostRunes = 120

// avoided are the words and phrases, as regular expressions, each with what to write.
var avoided = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{phrase(`nobody|somebody`), `name who does it: "no agent", "another client"`},
	{phrase(`whoever`), `name who does it: "the agent who", "the process that"`},
	{phrase(`whatever`), `"any", "regardless of", or the thing's name`},
	{phrase(`mend(s|ed|ing)?`), `"fix"`},
	{phrase(`dear(er|est|ly)?`), `"expensive"`},
	{phrase(`besides`), `"in addition to", "except"`},
	{phrase(`by hand`), `"manually"`},
	{phrase(`read over`), `"ignored"`},
	{phrase(`where there is none`), `"if it is missing"`},
	{phrase(`(is|are|be|been|was|were|has|have) (not )?told`), `say who tells whom`},
	{phrase(`stands`), `"is"`},
	{phrase(`goes on`), `"continues"`},
}

// phrase compiles alternatives that match whole words of a text.
func phrase(alternatives string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(` + strings.ReplaceAll(alternatives, " ", `\s+`) + `)\b`)
}

// find returns the first match that is prose, "" for none.
func find(pattern *regexp.Regexp, line string) string {
	for _, m := range pattern.FindAllStringIndex(line, -1) {
		before, _ := utf8.DecodeLastRuneInString(line[:m[0]])
		after, _ := utf8.DecodeRuneInString(line[m[1]:])
		quoted := strings.ContainsRune("\"'`", before) && before == after
		if !quoted && !strings.ContainsRune("-:=", before) && after != '-' {
			return line[m[0]:m[1]]
		}
	}
	return ""
}

// exempt matches files whose text has another source, or is data.
var exempt = regexp.MustCompile(`(^|/)(testdata|assets/(js|css|dist|npm)|prose)/|^docs/licences\.md$|\.(json|svg|png|sum|sql|lock)$`)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	found, err := check(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if len(found) > 0 {
		fmt.Println(strings.Join(found, "\n"))
		os.Exit(1)
	}
}

func check(root string) (found []string, err error) {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", root, err)
	}
	files := slices.Compact(strings.Split(strings.TrimRight(string(names), "\x00"), "\x00"))
	for _, name := range files {
		if exempt.MatchString(name) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			return nil, err
		}
		if !bytes.ContainsRune(content, 0) && utf8.Valid(content) {
			found = append(found, checkText(name, string(content))...)
		}
	}
	return found, nil
}

// checkText returns what is wrong with the text of a file, as FILE:LINE: MESSAGE.
func checkText(name, text string) (found []string) {
	fenced := false
	for i, line := range strings.Split(text, "\n") {
		report := func(format string, args ...any) {
			found = append(found, fmt.Sprintf("%s:%d: %s", name, i+1, fmt.Sprintf(format, args...)))
		}
		start := strings.TrimSpace(line)
		if strings.HasPrefix(start, "```") {
			fenced = !fenced
		}
		for _, a := range avoided {
			if text := find(a.pattern, line); text != "" {
				report("avoid %q: write %s", text, a.instead)
			}
		}
		code := fenced || strings.HasPrefix(line, "    ")
		document := strings.HasSuffix(name, ".md") && !code && !strings.HasPrefix(start, "|")
		comment := strings.HasSuffix(name, ".go") && strings.HasPrefix(start, "// ")
		if n := utf8.RuneCountInString(line); n > mostRunes && (document || comment) {
			report("%d characters: wrap the line at %d", n, mostRunes)
		}
	}
	return found
}
