package ape_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goape/ape"
)

func TestDeclareRefusesMistakes(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		name string
		list []ape.Declaration
		want string
	}{
		{"an empty declaration", []ape.Declaration{{}}, "make one with Event, Channel or Handler"},
		{"an empty name", []ape.Declaration{ape.Event[int]("")}, `ape: declare event "": the name is empty`},
		{"a long name", []ape.Declaration{ape.Channel[int](long)}, "at most 255"},
		{"a control character", []ape.Declaration{ape.Handler[int, int]("a\nb")}, "control character"},
		{"an event of two types", []ape.Declaration{ape.Event[int]("x"), ape.Event[string]("x")},
			`ape: declare event "x": it is declared as int already, and now as string`},
		{"a channel of two types", []ape.Declaration{ape.Channel[int]("/x"), ape.Channel[string]("x")}, "declared as int already"},
		{"a handler of two results", []ape.Declaration{ape.Handler[int, int]("x"), ape.Handler[int, string]("x")},
			"declared as int with the result int already, and now as int with the result string"},
		{"half a segment", []ape.Declaration{ape.Channel[int]("ticker*")}, `* stands only as a whole segment, as in "ticker/*"`},
		{"a handler's pattern", []ape.Declaration{ape.Handler[int, int]("a/*")}, "declare each path"},
		{"a handler's empty segment", []ape.Declaration{ape.Handler[int, int]("a//b")}, "a segment is empty"},
	} {
		got := panicOf(func() { ape.New(nil).Declare(c.list...) })
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: panic %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDeclareTakesTheSameTwice(t *testing.T) {
	app := ape.New(nil)
	app.Declare(ape.Event[int]("x"), ape.Channel[string]("x"), ape.Handler[string, bool]("x"))
	app.Declare(ape.Event[int]("x"), ape.Channel[string]("/x"), ape.Handler[string, bool]("x"))
	app.Declare(ape.Event[int]("a * of its own"))
	text := typesOf(t, app)
	for _, want := range []string{"  x: number;", "  x: string;", "  x: { in: string; out: boolean };"} {
		if n := strings.Count(text, want); n != 1 {
			t.Errorf("%q stands there %d times, want once in:\n%s", want, n, text)
		}
	}
}

// panicOf returns the text that f panics with.
func panicOf(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}
