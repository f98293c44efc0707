package ape_test

import (
	"context"
	"iter"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape"
)

// The program of docs/typescript.md.

type Order struct {
	ID     int64     `json:"id"`
	Symbol string    `json:"symbol"`
	Note   string    `json:"note,omitempty"`
	At     time.Time `json:"at"`
}

type Orders struct{}

func (*Orders) Place(ctx context.Context, o Order) (int64, error) {
	return o.ID, nil
}

func (*Orders) Watch(ctx context.Context) iter.Seq2[Order, error] {
	return func(yield func(Order, error) bool) {}
}

func New() *ape.Server {
	app := ape.New(nil)
	app.Register("orders", &Orders{})
	app.Declare(
		ape.Event[Order]("order/placed"),
		ape.Channel[float64]("ticker/*"),
		ape.Handler[Order, bool]("confirm"),
	)
	return app
}

// TestTypescriptPage fails when docs/typescript.md shows another program than
// this file, or other declarations than it gets.
func TestTypescriptPage(t *testing.T) {
	page, err := os.ReadFile("docs/typescript.md")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("typescript_page_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if program := blocks(t, page, "go", 1)[0]; !strings.Contains(string(self), program) {
		t.Error("the page's program is not that of this test")
	}
	var b strings.Builder
	if err := New().WriteTypes(&b); err != nil {
		t.Fatal(err)
	}
	shown := blocks(t, page, "ts", 2)[0]
	if got := regexp.MustCompile(`(?m)^//.*\n`).ReplaceAllString(b.String(), ""); strings.TrimSpace(got) != strings.TrimSpace(shown) {
		t.Errorf("the declarations are\n%s\nthe page shows\n%s", got, shown)
	}
}
