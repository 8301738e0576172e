package contract_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// source are the parsed Go files of a folder.
type source struct {
	*testing.T

	files map[string]*ast.File
}

// parse reads the folder's files, those of tests or the others.
func parse(t *testing.T, folder string, tests bool) *source {
	t.Helper()
	names, err := filepath.Glob(folder + "/*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("no source in %s: %v", folder, err)
	}
	s := &source{T: t, files: map[string]*ast.File{}}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") != tests {
			continue
		}
		if s.files[filepath.Base(name)], err = parser.ParseFile(token.NewFileSet(), name, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *source) each(visit func(file string, n ast.Node)) {
	for name, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil {
				visit(name, n)
			}
			return true
		})
	}
}

// texts are the file's string literals.
func (s *source) texts(file string) map[string]bool {
	found := map[string]bool{}
	s.each(func(name string, n ast.Node) {
		if literal, is := n.(*ast.BasicLit); is && name == file && literal.Kind == token.STRING {
			if value, err := strconv.Unquote(literal.Value); err == nil {
				found[value] = true
			}
		}
	})
	return found
}

// operations are the requests that the client makes: "GET /projects/:id/deploy_tokens".
func (s *source) operations() map[string]bool {
	found := map[string]bool{}
	s.each(func(file string, n ast.Node) {
		call, is := n.(*ast.CallExpr)
		if !is {
			return
		}
		switch name := called(call); {
		case name == "request" && len(call.Args) > 2:
			// A helper's own parameter: its callers are looked at.
			if _, passedOn := call.Args[2].(*ast.Ident); !passedOn {
				found[s.method(call.Args[1])+" /"+s.path(file, call.Args[2])] = true
			}
		case name == "eachPage" && len(call.Args) > 2:
			found["GET /"+s.path(file, call.Args[2])] = true
		}
	})
	if s.texts("verify.go")["/jwt/auth"] {
		found["GET /jwt/auth"] = true
	}
	return found
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// method is http.MethodGet or a literal.
func (s *source) method(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.SelectorExpr:
		return strings.ToUpper(strings.TrimPrefix(e.Sel.Name, "Method"))
	case *ast.BasicLit:
		return strings.Trim(e.Value, `"`)
	}
	s.Fatalf("a method is neither a constant nor a literal: %T", expr)
	return ""
}

// path evaluates how a path is put together. What is not known is a variable of it.
func (s *source) path(file string, expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.BasicLit:
		value, err := strconv.Unquote(e.Value)
		if err != nil {
			s.Fatal(err)
		}
		return value
	case *ast.BinaryExpr:
		return s.path(file, e.X) + s.path(file, e.Y)
	case *ast.CallExpr:
		switch name := called(e); {
		case name == "Sprintf":
			format := s.path(file, e.Args[0])
			return strings.NewReplacer("%d", ":", "%s", ":").Replace(format)
		case strings.HasSuffix(name, "Path"):
			return s.path(file, s.returned(name))
		}
		return ":"
	}
	s.Fatalf("%s: cannot tell the path of a request: %T", file, expr)
	return ""
}

// returned is what the function of that name returns.
func (s *source) returned(function string) ast.Expr {
	for _, file := range s.files {
		for _, declared := range file.Decls {
			f, is := declared.(*ast.FuncDecl)
			if !is || f.Name.Name != function || len(f.Body.List) != 1 {
				continue
			}
			if r, is := f.Body.List[0].(*ast.ReturnStmt); is && len(r.Results) == 1 {
				return r.Results[0]
			}
		}
	}
	s.Fatalf("no function %s that only returns a path", function)
	return nil
}

// fields are the JSON fields by the structure that has them. Structures without a name
// of their own are called by the function that they are in.
func (s *source) fields() map[string][]string {
	found := map[string][]string{}
	for _, file := range s.files {
		for _, declared := range file.Decls {
			owner := ""
			ast.Inspect(declared, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					owner = n.Name.Name
				case *ast.TypeSpec:
					owner = n.Name.Name
				case *ast.Field:
					if n.Tag == nil {
						return true
					}
					tag := reflect.StructTag(strings.Trim(n.Tag.Value, "`")).Get("json")
					if name, _, _ := strings.Cut(tag, ","); name != "" && name != "-" {
						found[owner] = append(found[owner], name)
					}
				}
				return true
			})
		}
	}
	return found
}
