// Package layout has no code. Its tests hold the structure that docs/architecture.md draws: which package may import
// which, and that the pure ones stay pure.
package layout

import (
	"bufio"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module  = "overlayd"
	root    = "../.."
	diagram = root + "/docs/architecture.md"
	marker  = "<!-- rows: read by internal/layout -->"
)

// row is a line of the diagram; the first one is the top.
type row struct {
	name     string
	packages []string
}

// rows reads the diagram: after the marker a block between fences, each line a name and packages.
func rows(t testing.TB) []row {
	t.Helper()
	text, err := os.ReadFile(diagram)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), marker)
	parts := strings.SplitN(after, "```", 3)
	if !found || len(parts) < 3 {
		t.Fatalf("%s has no block of rows after %q", diagram, marker)
	}
	var list []row
	for line := range strings.Lines(parts[1]) {
		if words := strings.Fields(line); len(words) > 0 {
			list = append(list, row{name: words[0], packages: words[1:]})
		}
	}
	return list
}

// pkg is what go list tells.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func packages(t testing.TB) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var list []pkg
	for d := json.NewDecoder(bufio.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return list
}

// short is an import path within the module, or empty for one outside.
func short(path string) string {
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return ""
	}
	return rest
}

func TestImportsGoDownOnly(t *testing.T) {
	rank := map[string]int{}
	names := map[int]string{}
	for i, r := range rows(t) {
		names[i] = r.name
		for _, p := range r.packages {
			if _, twice := rank[p]; twice {
				t.Errorf("%s stands in two rows of %s", p, diagram)
			}
			rank[p] = i
		}
	}
	for _, p := range packages(t) {
		from := short(p.ImportPath)
		upper, known := rank[from]
		if !known {
			t.Errorf("%s stands in no row: add it to %s, where its imports allow", from, diagram)
			continue
		}
		for _, imported := range p.Imports {
			to := short(imported)
			if to == "" {
				continue
			}
			if lower, ok := rank[to]; ok && lower <= upper {
				t.Errorf("%s (row %s) imports %s (row %s): imports go down only", from, names[upper], to, names[lower])
			}
		}
	}
}

// forbidden are the packages that a pure one does without.
func forbidden(importPath string) bool {
	switch importPath {
	case "net/http", "os", "os/exec", "os/signal", "syscall", "log", "sync", "unsafe", "golang.org/x/sys/unix":
		return true
	}
	return false
}

// allowed are the exceptions, and why.
func allowed(from, importPath string) bool {
	return from == "config" && importPath == "os" // it reads its file
}

// TestPurePackagesHaveNoClockGoroutineLockOrSocket looks at row 0 and the rows 1 (D11 of the design).
func TestPurePackagesHaveNoClockGoroutineLockOrSocket(t *testing.T) {
	var pure []string
	for _, r := range rows(t) {
		if r.name == "0" || strings.HasPrefix(r.name, "1") {
			pure = append(pure, r.packages...)
		}
	}
	if len(pure) == 0 {
		t.Fatal("no row is called 0 or 1")
	}
	for _, p := range packages(t) {
		from := short(p.ImportPath)
		if !slices.Contains(pure, from) {
			continue
		}
		for _, imported := range p.Imports {
			if forbidden(imported) && !allowed(from, imported) {
				t.Errorf("%s is pure and imports %s", from, imported)
			}
		}
		for _, file := range p.GoFiles {
			for _, fault := range impurities(t, filepath.Join(p.Dir, file)) {
				t.Errorf("%s is pure: %s", from, fault)
			}
		}
	}
}

// impurities are uses of the clock, the network and goroutines in one file.
func impurities(t testing.TB, path string) []string {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var faults []string
	found := func(n ast.Node, what string) {
		at := files.Position(n.Pos())
		faults = append(faults, fmt.Sprintf("%s:%d has %s", filepath.Base(at.Filename), at.Line, what))
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found(n, "a goroutine")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && (x.Name == "time" && readsClock(n.Sel.Name) || x.Name == "net" && !onlyFormats(n.Sel.Name)) {
				found(n, x.Name+"."+n.Sel.Name)
			}
		}
		return true
	})
	return faults
}

func readsClock(name string) bool {
	return slices.Contains([]string{
		"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker",
	}, name)
}

func TestPackagesAreDocumented(t *testing.T) {
	cmd := exec.Command("go", "list", "-f", "{{if not .Doc}}{{.ImportPath}}{{end}}", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if path != module+"/internal/layout" { // it has only tests
			t.Errorf("%s has no package comment", path)
		}
	}
}

// onlyFormats are the names of package net that open nothing.
func onlyFormats(name string) bool {
	return slices.Contains([]string{"SplitHostPort", "JoinHostPort", "IP"}, name)
}
