package apetypes

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goape/ape"
)

// Weekday has constants, and is declared in a package whose text can be read.
type Weekday int

const (
	Sunday Weekday = iota
	Monday
)

func newServer() *ape.Server {
	app := ape.New(nil)
	app.Handle("today", ape.Get(func(context.Context) (Weekday, error) { return Monday, nil }))
	return app
}

func TestWithoutAFileStandardOutputIsWritten(t *testing.T) {
	var out strings.Builder
	if err := run(newServer, nil, &out); err != nil {
		t.Fatal(err)
	}
	// Weekday is declared in a test file, which is no part of the package.
	if !strings.Contains(out.String(), "today: Call<void, number>;") {
		t.Errorf("got:\n%s", &out)
	}
}

func TestFilesAreWrittenOnlyWhenTheyDiffer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "api.d.ts")
	if err := run(newServer, []string{"-o", file, "-check"}, nil); err == nil {
		t.Error("-check found no file, and was content")
	}
	if err := run(newServer, []string{"-o", file}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o400); err != nil { // root may write it nevertheless: the time tells
		t.Fatal(err)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(newServer, []string{"-o", file}, nil); err != nil {
		t.Errorf("the file is up to date, and was written: %v", err)
	}
	if after, err := os.Stat(file); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the file is up to date, and was written: %v", err)
	}
	if err := run(newServer, []string{"-o", file, "-check"}, nil); err != nil {
		t.Errorf("-check of an up-to-date file: %v", err)
	}
}

func TestMistakesOfAProgramAreErrors(t *testing.T) {
	failed := errors.New("no database")
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no server":  {run(func() *ape.Server { return nil }, nil, nil), "returned no server"},
		"an error":   {run(func() (*ape.Server, error) { return nil, failed }, nil, nil), "no database"},
		"no file":    {run(newServer, []string{"-check"}, nil), "name it with -o"},
		"wrong flag": {run(newServer, []string{"-none"}, nil), errFlags.Error()},
		"help":       {run(newServer, []string{"-h"}, nil), flag.ErrHelp.Error()},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, c.err, c.want)
		}
	}
}
