package main_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// newModule copies the app of testdata into a module of its own that uses the
// working tree. Everything that it needs is in the module cache already.
func newModule(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/app")); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, requires, _ := strings.Cut(string(mod), "\ngo ")
	text := "module example.org/app\n\ngo " + requires +
		"\nrequire github.com/goape/ape v0.0.0\nreplace github.com/goape/ape => " + root + "\ntool github.com/goape/ape/cmd/ape-types\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a command in the module, without the network.
func run(t *testing.T, dir, goflags string, command ...string) (out string, err error) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS="+goflags, "GOPROXY=off", "GOSUMDB=off", "GOWORK=off")
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err = cmd.Run()
	return text.String(), err
}

// types runs the command as its users do.
func types(t *testing.T, dir string, args ...string) (out string, err error) {
	t.Helper()
	return run(t, dir, "-mod=mod", append([]string{"go", "run", "github.com/goape/ape/cmd/ape-types"}, args...)...)
}

// files lists the files of a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		list = append(list, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func golden(t *testing.T, name, file string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is written; look at the difference that go test -update makes. Got:\n%s", name, got)
	}
}

func TestTypesOfAProgramAreWrittenAndChecked(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	dir := newModule(t)
	file := filepath.Join(dir, "api.d.ts")
	if out, err := types(t, dir, "-o", "api.d.ts", "./internal/api.New"); err != nil || out != "" {
		t.Fatalf("%v\n%s", err, out)
	}
	golden(t, "testdata/api.d.ts", file)

	if out, err := types(t, dir, "-o", "api.d.ts", "-check", "./internal/api.New"); err != nil {
		t.Errorf("-check of an up-to-date file: %v\n%s", err, out)
	}
	if err := os.WriteFile(file, []byte("// old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := types(t, dir, "-o", "api.d.ts", "-check", "./internal/api.New")
	if err == nil || !strings.Contains(out, "api.d.ts is out of date") {
		t.Errorf("-check of an old file: %v\n%s", err, out)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "// old\n" {
		t.Errorf("-check wrote the file: %q, %v", text, err)
	}
}

func TestTypesOfPackageMainAreWritten(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	dir := newModule(t)
	before := files(t, dir)
	if out, err := types(t, dir, "-o", "main.d.ts", ".newServer"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(dir, "main.d.ts")
	golden(t, "testdata/main.d.ts", file)
	after := slices.DeleteFunc(files(t, dir), func(path string) bool { return path == file })
	if !slices.Equal(before, after) {
		t.Errorf("something was left behind: %q before, %q after", before, after)
	}
}

func TestVendoredToolWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	dir := newModule(t)
	if out, err := run(t, dir, "-mod=mod", "go", "mod", "tidy"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := run(t, dir, "", "go", "mod", "vendor"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := run(t, dir, "-mod=vendor", "go", "tool", "ape-types", "-o", "api.d.ts", "example.org/app/internal/api.New"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	golden(t, "testdata/api.d.ts", filepath.Join(dir, "api.d.ts"))
}

func TestMistakesAreExplained(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	dir := newModule(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "usage: ape-types"},
		{[]string{"./internal/api"}, "names no func"},
		{[]string{"./internal/none.New"}, "directory not found"},
		{[]string{"./internal/api.hidden"}, "hidden is not exported by package example.org/app/internal/api"},
		{[]string{"./internal/api.None"}, "undefined: api.None"},
		{[]string{"./internal/api.With"}, "func(int) *ape.Server does not satisfy"},
		{[]string{"./internal/api.Broken"}, "ape-types: no database"},
		{[]string{"./internal/api.Nothing"}, "the func returned no server"},
		{[]string{"-check", "./internal/api.New"}, "name it with -o"},
	} {
		out, err := types(t, dir, c.args...)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%q: error %v, want %q in:\n%s", c.args, err, c.want, out)
		}
	}
}
