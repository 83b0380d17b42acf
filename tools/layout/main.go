// Command layout prints the size of each package of a module: lines of Go without tests, and the type with the most
// methods. It marks packages and types above the bounds of AGENTS.md.
//
// The argument is the module's folder, by default the current one. Folders with a go.mod of their own are left out.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

const (
	// mostLines is how many lines a package may have without its tests, mostMethods how many methods a type may have.
	mostLines, mostMethods = 3500, 30
)

// pkg is a package's size.
type pkg struct {
	folder string
	lines  int
	// methods counts the methods of each type.
	methods map[string]int
}

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	packages, err := read(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	show(packages)
}

// read returns the packages of a module, the largest first.
func read(root string) ([]*pkg, error) {
	found := map[string]*pkg{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || hasModule(path)):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		folder := filepath.Dir(path)
		if found[folder] == nil {
			found[folder] = &pkg{folder: folder, methods: map[string]int{}}
		}
		return found[folder].add(path)
	})
	if err != nil {
		return nil, fmt.Errorf("read the packages in %s: %w", root, err)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *pkg) int {
		return cmp.Or(b.lines-a.lines, strings.Compare(a.folder, b.folder))
	}), nil
}

func hasModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

// add counts the lines and methods of a file.
func (p *pkg) add(path string) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	p.lines += bytes.Count(source, []byte("\n"))
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv != nil {
			p.methods[receiver(f.Recv.List[0].Type)]++
		}
	}
	return nil
}

// receiver returns the name of a receiver's type.
func receiver(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// show prints a line for each package, and below it each type with too many methods.
func show(packages []*pkg) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LINES\tPACKAGE\tMOST METHODS\tABOVE THE BOUNDS")
	total := 0
	for _, p := range packages {
		total += p.lines
		var above []string
		if p.lines > mostLines {
			above = append(above, fmt.Sprintf("more than %d lines", mostLines))
		}
		names := slices.SortedFunc(maps.Keys(p.methods), func(a, b string) int {
			return cmp.Or(p.methods[b]-p.methods[a], strings.Compare(a, b))
		})
		most := "-"
		for i, name := range names {
			if i == 0 {
				most = fmt.Sprintf("%s: %d", name, p.methods[name])
			}
			if p.methods[name] > mostMethods {
				above = append(above, fmt.Sprintf("%s has more than %d methods", name, mostMethods))
			}
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", p.lines, p.folder, most, strings.Join(above, "; "))
	}
	fmt.Fprintf(w, "%d\ttotal\t\t\n", total)
	_ = w.Flush() // a terminal that is gone gets nothing
}
