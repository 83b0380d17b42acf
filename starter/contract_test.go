package main

import (
	"fmt"
	"go/ast"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/contract"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// computed lists the flags whose default depends on the day or on the machine.
var computed = []string{"baton keyring new --id", "baton replay --parallel"}

func TestContract(t *testing.T) {
	t.Parallel()
	lines := usage(rootCommand(&cli.Env{}))
	baton := starting(t, func(*desk.Desk) {})
	for ending, args := range map[string][]string{
		"done": {"agents"}, "refused": {"settings", "--reservation-timeout", "0s"}, "failed": {"replay", "missing.json"},
		"wrong usage, flag": {"agents", "--unknown"}, "wrong usage, command": {"unknown"}, "wrong usage, arguments": {"queues", "add"},
	} {
		code, _, _ := baton(args...)
		lines = append(lines, fmt.Sprintf("exit code %d %s", code, ending))
	}
	folders, err := filepath.Glob("internal/*")
	require.NoError(t, err)
	folders = append(folders, "..")
	for _, name := range []string{"access", "build", "desk", "deskload", "insights", "load", "outbox", "people", "records", "routes", "routing", "sqldb"} {
		folders = append(folders, "../internal/"+name)
	}
	for _, folder := range folders {
		lines = append(lines, printed(t, folder)...)
	}
	contract.Check(t, lines)
}

// printed returns a line with the JSON names of each struct in a folder that has some. The output of --json
// consists of these structs.
func printed(t *testing.T, folder string) []string {
	t.Helper()
	var lines []string
	for _, file := range contract.Sources(t, folder) {
		ast.Inspect(file, func(n ast.Node) bool {
			if of, ok := n.(*ast.StructType); ok {
				if names := jsonNames(t, of); len(names) > 0 {
					lines = append(lines, "JSON "+strings.Join(names, " "))
				}
			}
			return true
		})
	}
	return lines
}

func jsonNames(t *testing.T, of *ast.StructType) []string {
	t.Helper()
	var names []string
	for _, field := range of.Fields.List {
		if field.Tag == nil {
			continue
		}
		tag, err := strconv.Unquote(field.Tag.Value)
		require.NoError(t, err)
		names = append(names, reflect.StructTag(tag).Get("json"))
	}
	return names
}

// usage returns a line for the command with its arguments, for each of its flags with type and default, and for
// those of its subcommands.
func usage(cmd *cobra.Command) []string {
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	lines := []string{strings.TrimSpace("command " + cmd.CommandPath() + " " + arguments)}
	for _, alias := range cmd.Aliases {
		lines = append(lines, "alias "+cmd.CommandPath()+" "+alias)
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		flag := cmd.CommandPath() + " --" + f.Name
		line := "flag " + flag + " " + f.Value.Type()
		if f.Shorthand != "" {
			line += ", -" + f.Shorthand
		}
		if f.DefValue != "" && !slices.Contains(computed, flag) {
			line += ", default " + f.DefValue
		}
		lines = append(lines, line)
	})
	for _, sub := range cmd.Commands() {
		lines = append(lines, usage(sub)...)
	}
	return lines
}
