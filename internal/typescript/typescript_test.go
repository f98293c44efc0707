package typescript_test

import (
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goape/ape/internal/typescript"
)

var update = flag.Bool("update", false, "write the golden files anew")

func write(t *testing.T, s *typescript.Schema) string {
	t.Helper()
	var out strings.Builder
	if err := typescript.Write(&out, s); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestShopIsDeclaredAsInTheGoldenFile(t *testing.T) {
	const name = "testdata/shop.d.ts"
	got := write(t, shop())
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what Write writes; look at the difference that go test -update makes. Got:\n%s", name, got)
	}
}

func TestOrderOfTheSchemaDoesNotMatter(t *testing.T) {
	s := shop()
	want := write(t, s)
	slices.Reverse(s.Paths)
	slices.Reverse(s.Events)
	slices.Reverse(s.Channels)
	slices.Reverse(s.Handlers)
	if got := write(t, s); got != want {
		t.Errorf("the reversed schema gives another file:\n%s", got)
	}
}

type broken struct{}

func (broken) Values() []broken { panic("not today") }

type withFunc struct {
	Inner struct{ Callback func() }
}

func TestTypesThatCannotBeWrittenAreNamed(t *testing.T) {
	for _, c := range []struct {
		typ  reflect.Type
		want string
	}{
		{typeFor[withFunc](), "path \"x\": result: typescript_test.withFunc.Inner.Callback: a func() cannot be written: give the field the tag `json:\"-\"`"},
		{typeFor[struct{ C chan int }](), "a chan int cannot be written"},
		{typeFor[[]complex64](), "a complex64 cannot be written"},
		{typeFor[map[bool]int](), "a map[bool]int cannot be written: its keys"},
		{typeFor[broken](), "the method Values of the zero typescript_test.broken panicked: not today"},
	} {
		var out strings.Builder
		err := typescript.Write(&out, &typescript.Schema{Paths: []typescript.Path{{Name: "x", Out: c.typ}}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want one with %q", c.typ, err, c.want)
		}
		if out.Len() > 0 {
			t.Errorf("%v: something was written beside the error", c.typ)
		}
	}
}

func TestTypesDeclaredInsideOfFuncsGetNumbers(t *testing.T) {
	one, other := localType(), otherLocalType()
	got := write(t, &typescript.Schema{Events: []typescript.Message{{"a", one}, {"b", other}}})
	for _, want := range []string{"interface Local {\n  A: ", "interface Local2 {\n  B: ", "  a: Local;", "  b: Local2;"} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q in:\n%s", want, got)
		}
	}
}

func localType() reflect.Type {
	type Local struct{ A int }
	return reflect.TypeFor[Local]()
}

func otherLocalType() reflect.Type {
	type Local struct{ B int }
	return reflect.TypeFor[Local]()
}
