// Package cli is what all commands share: the environment of a run, connections to Temporal and the desk, flags,
// tables and names.
//
// Must not import: the packages with commands.
package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/term"

	"github.com/baton-transfers/baton/conversation"
)

// Env is what one run of the command line gets from outside: output, environment and the flags of every command.
type Env struct {
	Getenv         func(string) string
	Stdout, Stderr io.Writer

	// Flags of every command.
	JSON      bool
	Temporal  string
	Namespace string
	Data      string
	Timeout   time.Duration

	// path is the path of the running command, such as "baton keys account". It is set when flags and arguments
	// have been accepted.
	Path string
}

// UsageError is wrong usage of a command. The exit code of the program is then 2.
type UsageError struct{ error }

// WrongUsage returns an error for wrong usage. Its text says what is correct.
func WrongUsage(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// Print prints the value as JSON if --json is set, else with human.
func (c *Env) Print(value any, human func(w io.Writer)) error {
	if c.JSON {
		return c.printJSON(value)
	}
	var b bytes.Buffer
	human(&b)
	fmt.Fprint(c.Stdout, Printable(b.String()))
	return nil
}

// printJSON prints any value as indented JSON.
func (c *Env) printJSON(value any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	var escaped strings.Builder // encoding/json escapes only ASCII control characters
	for _, r := range b.String() {
		if r != '\n' && conversation.Hidden(r) {
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&escaped, `\u%04x`, unit)
			}
			continue
		}
		escaped.WriteRune(r)
	}
	if _, err := io.WriteString(c.Stdout, escaped.String()); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
