package archtest

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/perezvon/perezvon/"

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath, Dir, Name              string
	GoFiles, TestGoFiles, XTestGoFiles []string
	IgnoredGoFiles                     []string
	Imports                            []string
	Error                              *struct{ Err string }
}

type packages []pkg

// load lists every package of the module.
func load(t *testing.T) packages {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,Name,GoFiles,TestGoFiles,XTestGoFiles,IgnoredGoFiles,Imports,Error", "../../...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all packages
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Error != nil && len(p.GoFiles)+len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
			continue // a folder being made
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages", len(all))
	}
	return all
}

// path is the package's place in the tree.
func (p pkg) path() string { return strings.TrimPrefix(p.ImportPath, module) }

// ours are the imports within the module, by their place.
func (p pkg) ours(imports []string) []string {
	var ours []string
	for _, i := range imports {
		if path, ok := strings.CutPrefix(i, module); ok {
			ours = append(ours, path)
		}
	}
	return ours
}

// graph maps each package of ours to its imports, outside of tests.
func (all packages) graph() map[string][]string {
	g := make(map[string][]string)
	for _, p := range all {
		for _, i := range p.Imports {
			g[p.path()] = append(g[p.path()], strings.TrimPrefix(i, module))
		}
	}
	return g
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func TestEveryPackageHasOneComment(t *testing.T) {
	for _, p := range load(t) {
		if p.Name == "" || len(p.GoFiles) == 0 {
			continue
		}
		var commented []string
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Errorf("%v", err)
				continue
			}
			if f.Doc != nil && !isGenerated(name) {
				commented = append(commented, name)
			}
		}
		if len(commented) != 1 {
			t.Errorf("%s has %d package comments %v, want one", p.path(), len(commented), commented)
		}
	}
}

func TestTestsNeitherSleepNorSkip(t *testing.T) {
	reasons := map[string]string{
		"time.Sleep": "wait for a condition or use virtual time (testing/synctest); a sleep is slow where it is long enough and wrong where it is not",
		"Skip":       "a test that may skip proves nothing; what it needs is installed by make test",
		"SkipNow":    "a test that may skip proves nothing",
		"Skipf":      "a test that may skip proves nothing",
	}
	for _, p := range load(t) {
		var files []*ast.File
		set := token.NewFileSet()
		for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			f, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Errorf("%v", err)
				continue
			}
			files = append(files, f)
		}
		// In a bubble of synctest a sleep takes no time and is how one waits.
		virtual := slices.ContainsFunc(files, func(f *ast.File) bool { return importsPath(f, "testing/synctest") })
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				what := called(call)
				if reason, bad := reasons[what]; bad && !(virtual && what == "time.Sleep") {
					at := set.Position(call.Pos())
					t.Errorf("%s/%s:%d calls %s: %s", p.path(), filepath.Base(at.Filename), at.Line, what, reason)
				}
				return true
			})
		}
	}
}

// called is "time.Sleep" for that function and "Skip" for a method of the
// usual test variables.
func called(call *ast.CallExpr) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	receiver, ok := selector.X.(*ast.Ident)
	if !ok {
		return ""
	}
	switch receiver.Name {
	case "t", "b", "f", "tb":
		return selector.Sel.Name
	}
	return receiver.Name + "." + selector.Sel.Name
}

func importsPath(f *ast.File, path string) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"`+path+`"` })
}

// longFile is where a reader starts to look for a second subject, in lines.
const longFile = 400

func TestLongFilesAreReported(t *testing.T) {
	for _, p := range load(t) {
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			if isGenerated(name) {
				continue
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Errorf("%v", err)
				continue
			}
			if lines := set.Position(f.FileEnd).Line; lines > longFile {
				t.Logf("%s/%s has %d lines; has it one subject?", p.path(), name, lines)
			}
		}
	}
}

func isGenerated(name string) bool { return strings.HasSuffix(name, "_templ.go") }
