// Package contract pins the names that other programs, stored data and recorded histories depend on. Each package
// that defines such names has a test that compares them with its testdata/contract.txt. Only tests use this
// package.
//
// Two kinds of names are pinned elsewhere. The names of the HTTP API are in internal/httpapi/openapi.json, which
// `make drift` compares with the routes. The names of tables and columns are in internal/desk/migrations.
//
// Must not import: other packages of Baton.
package contract

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const golden = "testdata/contract.txt"

var update = flag.Bool("update", false, "rewrite "+golden)

// Check compares the lines with the golden file of the package under test. Order and repetitions do not matter.
// With the flag -update it rewrites the file.
func Check(t *testing.T, lines []string) {
	t.Helper()
	lines = slices.Compact(slices.Sorted(slices.Values(lines)))
	if *update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v: run the test with -update to write the file", err)
	}
	if changed := difference(strings.Split(strings.TrimSuffix(string(content), "\n"), "\n"), lines); len(changed) > 0 {
		t.Errorf("the contract has changed (- %s, + the code):\n%s\nother programs, stored data and recorded histories depend on "+
			"these names: keep them, or rewrite the file with\n\tgo test -run '^%s$' . -update", golden, strings.Join(changed, "\n"), t.Name())
	}
}

// difference returns the lines that only one of the two lists has, in order.
func difference(want, got []string) []string {
	var changed []string
	for _, line := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(want, got)))) {
		switch {
		case !slices.Contains(got, line):
			changed = append(changed, "- "+line)
		case !slices.Contains(want, line):
			changed = append(changed, "+ "+line)
		}
	}
	return changed
}

// Fields returns a line for the type and for each JSON field below it, such as "transfer.to.agent string,
// optional". Elements of arrays have the path "[]", values of maps "*".
func Fields(path string, of reflect.Type) []string { return fields(path, "", of) }

func fields(path, note string, of reflect.Type) []string {
	leaf := func(kind string) []string { return []string{path + " " + kind + note} }
	switch of {
	case reflect.TypeFor[time.Time]():
		return leaf("time")
	case reflect.TypeFor[json.RawMessage]():
		return leaf("any")
	case reflect.TypeFor[[]byte]():
		return leaf("base64")
	}
	switch of.Kind() { //nolint:exhaustive // the other kinds are no JSON
	case reflect.Pointer:
		return fields(path, note, of.Elem())
	case reflect.Slice:
		return append(leaf("array"), fields(path+"[]", "", of.Elem())...)
	case reflect.Map:
		return append(leaf("object"), fields(path+".*", "", of.Elem())...)
	case reflect.Struct:
		return append(leaf("object"), members(path, of)...)
	case reflect.Int, reflect.Int64:
		return leaf("integer")
	case reflect.Float64:
		return leaf("number")
	case reflect.Bool:
		return leaf("boolean")
	case reflect.String:
		return leaf("string")
	default:
		panic("contract: " + path + " is of a type that is not described yet: " + of.String())
	}
}

// members returns the lines of a struct's fields. The fields of an embedded struct are those of the struct around it.
func members(path string, of reflect.Type) []string {
	var lines []string
	for field := range of.Fields() {
		tag := field.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case field.Anonymous && tag == "":
			lines = append(lines, members(path, field.Type)...)
			continue
		case !field.IsExported() || tag == "-":
			continue
		case name == "":
			name = field.Name
		}
		note := ""
		if options != "" {
			note = ", optional"
		}
		lines = append(lines, fields(path+"."+name, note, field.Type)...)
	}
	return lines
}

// Sources returns the parsed Go files of a folder, without tests.
func Sources(t *testing.T, folder string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}
