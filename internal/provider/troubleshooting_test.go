package provider_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestTroubleshooting_complete: the guide has every summary of an error or warning
// that stands in the code, up to its first variable part.
func TestTroubleshooting_complete(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../templates/guides/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, folder := range []string{".", "../registryaccess", "../registrycoverage", "../registrycredentials", "../arguments"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, summary := range summariesIn(t, file) {
				n++
				if !strings.Contains(string(guide), "**"+summary) {
					t.Errorf("%s: the guide does not have %q", file, summary)
				}
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d summaries were found", n)
	}
}

// summariesIn lists the fixed beginnings of summaries in a file.
func summariesIn(t *testing.T, file string) (summaries []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]int{"AddError": 0, "AddWarning": 0, "AddAttributeError": 1, "AddAttributeWarning": 1}
	ast.Inspect(parsed, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := ""
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			name = f.Sel.Name
		case *ast.Ident:
			name = f.Name
		}
		at, ok := places[name]
		if ident, isFunc := call.Fun.(*ast.Ident); isFunc && ident.Name == "AddError" {
			at = 1
		}
		if ok && at < len(call.Args) {
			if text := beginning(call.Args[at]); text != "" {
				summaries = append(summaries, text)
			}
		}
		return true
	})
	return summaries
}

// beginning is the text of a literal, or of the format or sum that begins with one.
func beginning(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		text, _, _ = strings.Cut(text, "%")
		return strings.TrimSpace(text)
	case *ast.BinaryExpr:
		return beginning(e.X)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
			return beginning(e.Args[0])
		}
	}
	return ""
}
