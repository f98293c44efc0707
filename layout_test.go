package ape_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is longer belongs cut into parts that have a name.
const (
	maxFileLines = 600
	maxFuncLines = 120
)

func TestFilesAndFuncsAreShortEnoughToRead(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == "dist" || name == "testdata" || name == "node_modules" || path != "." && strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		files++
		checkLength(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("%d Go files were found: is this the root of the repository?", files)
	}
}

func checkLength(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n > maxFileLines {
		t.Errorf("%s has %d lines, at most %d are allowed", path, n, maxFileLines)
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		name := "a func literal"
		switch f := n.(type) {
		case *ast.FuncDecl:
			name = f.Name.Name
		case *ast.FuncLit:
		default:
			return true
		}
		if lines := set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1; lines > maxFuncLines {
			t.Errorf("%s: %s has %d lines, at most %d are allowed", set.Position(n.Pos()), name, lines, maxFuncLines)
		}
		return true
	})
}
