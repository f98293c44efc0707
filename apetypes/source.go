package apetypes

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
)

// source is the text of the packages whose types and funcs are declared. Each
// is read when it is first asked for.
type source struct {
	mainDir  string
	packages map[string]*pkg
	err      error // the first one
}

// pkg is what the text of a package says.
type pkg struct {
	types  map[string]string // docs
	fields map[string]string // docs of Type.Field
	funcs  map[string]string // docs of Func and Type.Method
	sets   map[string][]constantValue
}

// TypeDoc returns the doc comment of a type; that of a generic one is the
// comment of all its instances.
func (s *source) TypeDoc(t reflect.Type) string {
	return s.of(t.PkgPath()).types[baseName(t)]
}

// FieldDoc returns the doc comment of a field, or the comment behind it.
func (s *source) FieldDoc(owner reflect.Type, field string) string {
	if owner.Name() == "" {
		return ""
	}
	return s.of(owner.PkgPath()).fields[baseName(owner)+"."+field]
}

// FuncDoc returns the doc comment of a func or method by its name at run time,
// such as example.org/app.(*Users).List-fm.
func (s *source) FuncDoc(name string) string {
	slash := strings.LastIndexByte(name, '/') + 1
	dot := strings.IndexByte(name[slash:], '.')
	if dot < 0 {
		return ""
	}
	path := strings.ReplaceAll(name[:slash+dot], "%2e", ".")
	name = strings.TrimSuffix(name[slash+dot+1:], "-fm")
	name = strings.NewReplacer("(*", "", ")", "", "[...]", "").Replace(name)
	return s.of(path).funcs[name]
}

// Constants returns the constants of a type that look like all of its values.
func (s *source) Constants(t reflect.Type) []reflect.Value {
	var list []reflect.Value
	for _, c := range s.of(t.PkgPath()).sets[baseName(t)] {
		v := reflect.New(t).Elem()
		switch {
		case t.Kind() == reflect.String && c.isText:
			v.SetString(c.text)
		case v.CanInt() && !c.isText:
			v.SetInt(c.number)
		case v.CanUint() && !c.isText:
			v.SetUint(uint64(c.number))
		default:
			return nil // a type inside of a func that has the name of another one
		}
		list = append(list, v)
	}
	return list
}

func baseName(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return name
}

// of returns a package, an empty one when it cannot be read.
func (s *source) of(path string) *pkg {
	if p := s.packages[path]; p != nil {
		return p
	}
	p := &pkg{types: map[string]string{}, fields: map[string]string{}, funcs: map[string]string{}, sets: map[string][]constantValue{}}
	s.packages[path] = p
	if path == "" || path == "main" && s.mainDir == "" || s.err != nil {
		return p
	}
	if err := s.read(path, p); err != nil {
		s.err = fmt.Errorf("the text of package %s: %w", path, err)
	}
	return p
}

// listed is what go list says of a package.
type listed struct {
	Dir      string
	GoFiles  []string
	Standard bool
	Module   *struct{ Main bool }
}

func (s *source) read(path string, p *pkg) error {
	l, err := list(path, s.mainDir)
	if err != nil || l.Standard {
		return err
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range l.GoFiles {
		file, err := parser.ParseFile(set, filepath.Join(l.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	for _, file := range files {
		for _, d := range file.Decls {
			p.readDocs(d)
		}
	}
	if l.Module == nil || l.Module.Main {
		p.readSets(path, set, files)
	}
	return nil
}

func list(path, mainDir string) (*listed, error) {
	cmd := exec.Command("go", "list", "-find", "-json=Dir,GoFiles,Standard,Module", "--", path)
	if path == "main" {
		cmd.Args[len(cmd.Args)-1] = "."
		cmd.Dir = mainDir
	}
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, strings.TrimSpace(problem.String()))
	}
	l := new(listed)
	return l, json.Unmarshal(out, l)
}

// readDocs keeps the doc comments of a declaration.
func (p *pkg) readDocs(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil && len(d.Recv.List) > 0 {
			name = receiver(d.Recv.List[0].Type) + "." + name
		}
		p.funcs[name] = d.Doc.Text()
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			t, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			p.types[t.Name.Name] = t.Doc.Text()
			if t.Doc == nil && !d.Lparen.IsValid() {
				p.types[t.Name.Name] = d.Doc.Text()
			}
			if s, ok := t.Type.(*ast.StructType); ok {
				p.readFields(t.Name.Name, s)
			}
		}
	}
}

func (p *pkg) readFields(owner string, s *ast.StructType) {
	for _, f := range s.Fields.List {
		doc := f.Doc.Text()
		if doc == "" {
			doc = f.Comment.Text()
		}
		for _, name := range f.Names {
			p.fields[owner+"."+name.Name] = doc
		}
	}
}

// receiver returns the name of a method's type.
func receiver(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}
