package ape_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/goape/ape"
)

// eachPage runs f for every Markdown page of the project.
func eachPage(t *testing.T, f func(t *testing.T, path, text string)) {
	t.Helper()
	pages := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pages++
		t.Run(path, func(t *testing.T) { f(t, path, string(text)) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 5 {
		t.Errorf("%d pages were found, want at least 5", pages)
	}
}

var (
	fencePattern = regexp.MustCompile("(?ms)^```.*?^```")
	spanPattern  = regexp.MustCompile("`[^`\n]*`")
	linkPattern  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// TestPageLinks fails for a link between pages that leads nowhere.
func TestPageLinks(t *testing.T) {
	eachPage(t, func(t *testing.T, path, text string) {
		prose := spanPattern.ReplaceAllString(fencePattern.ReplaceAllString(text, ""), "")
		for _, m := range linkPattern.FindAllStringSubmatch(prose, -1) {
			if regexp.MustCompile(`^[a-z]+:`).MatchString(m[1]) {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("the link %s: %v", m[1], err)
				continue
			}
			if anchor != "" && !anchors(t, target)[anchor] {
				t.Errorf("the link %s: %s has no such heading", m[1], target)
			}
		}
	})
}

// anchors are the names by which a page's headings are linked.
func anchors(t *testing.T, path string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(fencePattern.ReplaceAllString(string(text), ""), -1) {
		all[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])] = true
	}
	return all
}

// TestPageNames fails when a page speaks of an option, func, type or method that
// the package does not have.
func TestPageNames(t *testing.T) {
	exported := exportedNames(t)
	members := map[string]reflect.Type{
		"Options": reflect.TypeFor[ape.Options](), "Server": reflect.TypeFor[*ape.Server](), "app": reflect.TypeFor[*ape.Server](),
		"Client": reflect.TypeFor[*ape.Client](), "Call": reflect.TypeFor[*ape.Call](), "Stats": reflect.TypeFor[ape.Stats](),
		"DialOptions": reflect.TypeFor[ape.DialOptions](), "Conn": reflect.TypeFor[*ape.Conn](), "StateChange": reflect.TypeFor[ape.StateChange](),
	}
	// What stands before the type's name, if it is a package, and the rest.
	name := regexp.MustCompile(`(?:\b(\w+)\.)?\b(ape|app|Options|Server|Client|Call|Stats|DialOptions|Conn|StateChange)\.([A-Z]\w*)`)
	eachPage(t, func(t *testing.T, path, text string) {
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			in, member := m[2], m[3]
			switch {
			case m[1] != "" && m[1] != "ape":
				continue // of another package
			case in == "ape":
				if !exported[member] {
					t.Errorf("ape.%s does not exist", member)
				}
			case !hasMember(members[in], member):
				t.Errorf("%s.%s does not exist", in, member)
			}
		}
	})
}

func hasMember(t reflect.Type, name string) bool {
	if _, ok := t.MethodByName(name); ok {
		return true
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, ok := t.FieldByName(name)
	return ok
}

// rootPackage is the package's documentation, made from its source.
func rootPackage(t *testing.T) *doc.Package {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(set, files, "github.com/goape/ape")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func exportedNames(t *testing.T) map[string]bool {
	t.Helper()
	p := rootPackage(t)
	all := map[string]bool{}
	funcs := func(list []*doc.Func) {
		for _, f := range list {
			all[f.Name] = true
		}
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, name := range v.Names {
				all[name] = true
			}
		}
	}
	funcs(p.Funcs)
	values(p.Consts)
	values(p.Vars)
	for _, typ := range p.Types {
		all[typ.Name] = true
		funcs(typ.Funcs)
		values(typ.Consts)
		values(typ.Vars)
	}
	return all
}

// TestPageCommands fails when a page for people who work on ape names a command
// whose file or directory is not there.
func TestPageCommands(t *testing.T) {
	command := regexp.MustCompile("(?m)(?:^|[ `])(?:go [a-z]+ (?:-\\S+ )*)?(-C [\\w/]+|\\./[\\w./-]+|\\.ci/\\w+)")
	eachPage(t, func(t *testing.T, path, text string) {
		if path != "README.md" && path != "CONTRIBUTING.md" && path != "AGENTS.md" {
			return
		}
		found := command.FindAllStringSubmatch(text, -1)
		if len(found) == 0 {
			t.Error("no command was found")
		}
		for _, m := range found {
			target := strings.TrimSuffix(strings.TrimPrefix(m[1], "-C "), "...")
			info, err := os.Stat(filepath.FromSlash(target))
			switch {
			case err != nil:
				t.Errorf("%s: %v", strings.TrimSpace(m[0]), err)
			case !info.IsDir() && info.Mode()&0o111 == 0:
				t.Errorf("%s: the file is not executable", strings.TrimSpace(m[0]))
			case strings.Contains(m[0], "go run ./") && !isProgram(t, target):
				t.Errorf("%s: the directory holds no program", strings.TrimSpace(m[0]))
			}
		}
	})
}

func isProgram(t *testing.T, dir string) bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly)
		if err == nil && f.Name.Name == "main" {
			return true
		}
	}
	return false
}

// TestMapIsComplete fails when AGENTS.md leaves out a source file of the root, or
// names one that is gone.
func TestMapIsComplete(t *testing.T) {
	text, err := os.ReadFile("AGENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`(\\w+\\.go)`").FindAllStringSubmatch(string(text), -1) {
		named[m[1]] = true
		if _, err := os.Stat(m[1]); err != nil {
			t.Error(err)
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !named[file] && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("AGENTS.md does not say what %s is", file)
		}
	}
}

// TestSecurityDefaults fails when SECURITY.md leaves out a limit, or names
// another default than the option's own documentation.
func TestSecurityDefaults(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `Options\\.(\\w+)` \\| ([^|]+) \\|").FindAllStringSubmatch(string(text), -1) {
		listed[row[1]] = strings.TrimSpace(row[2])
	}
	comments := fieldComments(t, "Options")
	for field := range reflect.TypeFor[ape.Options]().Fields() {
		switch kind := field.Type.Kind(); {
		case kind == reflect.Int, kind == reflect.Int64, field.Type == reflect.TypeFor[ape.Rate]():
		default:
			continue
		}
		switch listed[field.Name] {
		case "":
			t.Errorf("Options.%s is not listed", field.Name)
		default:
			if !strings.Contains(comments[field.Name], listed[field.Name]) {
				t.Errorf("Options.%s: the default %q is not in its documentation: %s", field.Name, listed[field.Name], comments[field.Name])
			}
		}
		delete(listed, field.Name)
	}
	for name := range listed {
		t.Errorf("Options.%s is listed but is no limit", name)
	}
}

// fieldComments are the comments of a struct's fields, as one line each.
func fieldComments(t *testing.T, name string) map[string]string {
	t.Helper()
	comments := map[string]string{}
	for _, typ := range rootPackage(t).Types {
		if typ.Name != name {
			continue
		}
		for _, field := range typ.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType).Fields.List {
			for _, id := range field.Names {
				comments[id.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
			}
		}
	}
	return comments
}
