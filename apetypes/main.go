package apetypes

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/goape/ape"
	"github.com/goape/ape/internal/typescript"
)

// Maker is a func that makes a program's server, with all that is registered.
type Maker interface {
	func() *ape.Server | func() (*ape.Server, error)
}

// Main is the whole of a program that writes the types of the server that f
// makes. It reads the flags of the command ape-types,
//
//	-o file    write there; standard output if not given
//	-check     write nothing; exit with 1 when the file is not up to date
//	-main dir  where the text of package main is
//
// and ends the process: with 0, with 1 after an error, which it prints, or with
// 2 for wrong flags.
func Main[F Maker](f F) {
	err := run(f, os.Args[1:], os.Stdout)
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, flag.ErrHelp), errors.Is(err, errFlags):
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "ape-types:", err)
	os.Exit(1)
}

// errFlags has been printed by the flag set.
var errFlags = errors.New("wrong flags")

func run[F Maker](f F, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("ape-types", flag.ContinueOnError)
	file := flags.String("o", "", "the `file` to write; standard output if not given")
	check := flags.Bool("check", false, "write nothing, and fail when the file is not up to date")
	mainDir := flags.String("main", "", "`directory` of package main's text")
	if err := flags.Parse(args); err != nil {
		return errors.Join(errFlags, err)
	}
	if *check && *file == "" {
		return errors.New("-check compares with a file: name it with -o")
	}
	server, err := call(f)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := write(&text, server, *mainDir); err != nil {
		return err
	}
	if *file == "" {
		_, err := stdout.Write(text.Bytes())
		return err
	}
	old, err := os.ReadFile(*file)
	switch {
	case err == nil && bytes.Equal(old, text.Bytes()):
		return nil
	case !*check:
		return os.WriteFile(*file, text.Bytes(), 0o644)
	case err != nil:
		return err
	}
	return fmt.Errorf("%s is out of date; write it anew, without -check", *file)
}

func call(f any) (*ape.Server, error) {
	var server *ape.Server
	switch f := f.(type) {
	case func() *ape.Server:
		server = f()
	case func() (*ape.Server, error):
		var err error
		if server, err = f(); err != nil {
			return nil, err
		}
	}
	if server == nil {
		return nil, errors.New("the func returned no server")
	}
	return server, nil
}

// write writes the types with what the text of the program adds.
func write(w io.Writer, server *ape.Server, mainDir string) error {
	src := &source{mainDir: mainDir, packages: map[string]*pkg{}}
	if err := server.WriteTypes(typescript.Annotated{Writer: w, Source: src}); err != nil {
		return err
	}
	return src.err
}
