// Command ape-types writes the TypeScript declarations of a program's API.
//
//	go run github.com/goape/ape/cmd/ape-types [-o file] [-check] package.Func
//
// Func makes the program's server: it takes nothing and returns *ape.Server, or
// *ape.Server and an error. It may be one of package main, and need not be
// exported there.
//
//	go run github.com/goape/ape/cmd/ape-types -o web/api.d.ts ./internal/api.New
//	go run github.com/goape/ape/cmd/ape-types -o web/api.d.ts .newServer
//
//	-o file   write there; standard output if not given
//	-check    write nothing; exit with 1 when the file is not up to date, for CI
//
// As a line for go generate, and for the tools of go.mod:
//
//	//go:generate go run github.com/goape/ape/cmd/ape-types -o ../../web/api.d.ts .New
//	go get -tool github.com/goape/ape/cmd/ape-types
//
// The command builds a program that calls Func and runs it; nothing is written
// to the source tree but the file. Build flags, such as tags, come from GOFLAGS.
// A func of package main runs behind the initialization of its package's
// variables, in place of main. Package apetypes says what is read from the text
// of the program beside its types.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	// What is built needs it, also where dependencies are vendored.
	_ "github.com/goape/ape/apetypes"
)

func main() {
	flags := flag.NewFlagSet("ape-types", flag.ExitOnError)
	file := flags.String("o", "", "the `file` to write; standard output if not given")
	check := flags.Bool("check", false, "write nothing, and exit with 1 when the file is not up to date")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: ape-types [-o file] [-check] package.Func\nFunc takes nothing and returns *ape.Server, or that and an error.")
		flags.PrintDefaults()
	}
	flags.Parse(os.Args[1:]) //nolint:errcheck // exits by itself
	if flags.NArg() != 1 {
		flags.Usage()
		os.Exit(2)
	}
	err := generate(flags.Arg(0), *file, *check)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(1, exit.ExitCode())) // it has printed why
	case err != nil:
		fmt.Fprintln(os.Stderr, "ape-types:", err)
		os.Exit(1)
	}
}

// generate builds a program that calls the func, and runs it.
func generate(target, file string, check bool) error {
	path, name, err := split(target)
	if err != nil {
		return err
	}
	p, err := find(path)
	if err != nil {
		return err
	}
	if p.Name != "main" && !token.IsExported(name) {
		return fmt.Errorf("%s is not exported by package %s", name, p.ImportPath)
	}
	scratch, err := os.MkdirTemp("", "ape-types")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	program := filepath.Join(scratch, "program.exe")
	if err := build(p, name, scratch, program); err != nil {
		return err
	}
	cmd := exec.Command(program, "-o", file, fmt.Sprintf("-check=%t", check))
	if p.Name == "main" {
		cmd.Args = append(cmd.Args, "-main", p.Dir)
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// split splits ./internal/api.New into package and func.
func split(target string) (path, name string, err error) {
	dot := strings.LastIndexByte(target, '.')
	if dot < 0 || !token.IsIdentifier(target[dot+1:]) {
		return "", "", fmt.Errorf("%q names no func: write the package, a dot and the func, as in ./internal/api.New, or .New for one of this directory", target)
	}
	path, name = target[:dot], target[dot+1:]
	if path == "" {
		path = "."
	}
	return path, name, nil
}

// pkg is what go list says of a package.
type pkg struct{ Dir, ImportPath, Name string }

func find(path string) (*pkg, error) {
	cmd := exec.Command("go", "list", "-find", "-json=Dir,ImportPath,Name", "--", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	p := new(pkg)
	if err := json.Unmarshal(out, p); err != nil {
		return nil, fmt.Errorf("%s is not one package", path)
	}
	return p, nil
}

// added is the name of what is added to the program while it is built. It comes
// last, so that the other files of package main are initialized before it.
const added = "zz_ape_types"

// build builds the program. The go command is told of a file that is not there:
// in package main one that takes over before main begins, else a package main
// below the func's package, from where internal packages can be imported.
func build(p *pkg, name, scratch, program string) error {
	target := p.ImportPath
	place := filepath.Join(p.Dir, added+".go")
	text := fmt.Sprintf("package main\n\nimport \"github.com/goape/ape/apetypes\"\n\nfunc init() { apetypes.Main(%s) }\n", name)
	if p.Name != "main" {
		target += "/" + added
		place = filepath.Join(p.Dir, added, "main.go")
		text = fmt.Sprintf("package main\n\nimport (\n\tapi %q\n\n\t\"github.com/goape/ape/apetypes\"\n)\n\nfunc main() { apetypes.Main(api.%s) }\n", p.ImportPath, name)
	}
	source := filepath.Join(scratch, "main.go")
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{place: source}})
	if err != nil {
		return err
	}
	list := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-overlay", list, "-o", program, target)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}
