package apetest_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goape/ape"
	"github.com/goape/ape/apetest"
)

// TestHello is the program of the package's documentation.
func TestHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := ape.New(nil)
		app.Handle("hello", ape.Func(func(_ context.Context, name string) (string, error) {
			return "Hello, " + name + "!", nil
		}))
		server := apetest.New(t, app)
		conn := server.Dial(t, nil)

		server.Cut() // the call goes over the next connection, and nobody notices
		got, err := ape.Invoke[string](t.Context(), conn, "hello", "Ann")
		if got != "Hello, Ann!" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestTheDocumentationShowsTestHello(t *testing.T) {
	page, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("doc_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(source), "documentation.\n")
	program, _, _ = strings.Cut(program, "\n}\n")
	var want strings.Builder
	for line := range strings.Lines(program) {
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			want.WriteString("//\n")
			continue
		}
		want.WriteString("//\t" + line + "\n")
	}
	if !strings.Contains(string(page), want.String()) {
		t.Errorf("doc.go does not show\n%s", &want)
	}
}
