package typescript

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape/codec"
)

type inner struct {
	A    int `json:"a"`
	Both int
	Deep
}

type Deep struct {
	D    string `json:"d,omitempty"`
	Both int
}

type Other struct {
	Both int
	O    []int
	Won  int `json:"won"`
}

type zeroNil []int

func (z zeroNil) IsZero() bool { return len(z) == 7 }

type everything struct {
	inner
	*Other
	Time     time.Time `json:",omitempty"`
	Bytes    []byte
	Pointer  *int
	Empty    *int           `json:",omitempty"`
	Zero     map[string]int `json:",omitzero"`
	Own      zeroNil        `json:"own,omitzero"`
	None     [0]int         `json:",omitempty"`
	Two      [2]int         `json:",omitempty"`
	Quoted   *int           `json:",string"`
	Both2    string         `json:"won"`
	Bad      string         `json:"quote\"d"`
	Ünicode  bool
	Iface    any             `json:",omitempty"`
	Struct   struct{ X int } `json:",omitempty,omitzero"`
	Undef    codec.UndefinedType
	Dash     int `json:"-"`
	lower    int //nolint:unused // is there to be left out
	Embedded `json:"named"`
	Number   json.Number `json:",omitempty"`
}

type Embedded struct{ E int }

// What the codec writes of a zero value and of a full one must be what the
// members say: those without ? are there, and null is only where it may be.
func TestMembersAreThoseThatTheCodecWrites(t *testing.T) {
	typ := reflect.TypeFor[everything]()
	p := newPrinter(noSource{})
	members := map[string]string{}
	list, err := p.members(typ)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		members[strings.Trim(m.key, `"`)] = m.text
	}

	zero := written(t, reflect.New(typ).Elem())
	full := reflect.New(typ).Elem()
	fill(full)
	all := written(t, full)
	for key, text := range members {
		name, optional := strings.CutSuffix(key, "?")
		value, there := zero[name]
		switch {
		case !there && !optional:
			t.Errorf("%s is required and not written of a zero value", name)
		case there && value == nil && text != "any" && !strings.HasSuffix(text, "| null"):
			t.Errorf("%s is null in a zero value, and declared as %s", name, text)
		case there && value != nil && strings.HasSuffix(text, "| null"):
			t.Errorf("%s is declared as %s, and a zero value has %v", name, text, value)
		}
		if _, there := all[name]; !there && text != "undefined" && name != "None" {
			t.Errorf("%s is declared, and not written of a full value", name)
		}
		delete(all, name)
	}
	for name := range all {
		t.Errorf("%s is written and not declared", name)
	}
	if !slices.ContainsFunc(list, func(m member) bool {
		return m.key == "own?" && m.text == "number[] | null" || m.key == "own?" && strings.HasSuffix(m.text, "| null")
	}) {
		t.Errorf("a slice with an IsZero of its own may be null: %v", members)
	}
}

// written returns the members of what the codec writes, under their names.
func written(t *testing.T, v reflect.Value) map[string]any {
	t.Helper()
	text, err := codec.Marshal(v.Addr().Interface())
	if err != nil {
		t.Fatal(err)
	}
	var tagged map[string]any
	if err := json.Unmarshal(text, &tagged); err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	for key, value := range tagged {
		name, _, _ := strings.Cut(key, "<!")
		members[name] = value
	}
	return members
}

// fill makes a value that has nothing empty.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0)))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() || v.Type().Field(i).Anonymous {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k"), reflect.Zero(v.Type().Elem()))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("1")
	case reflect.Int:
		v.SetInt(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Interface:
		v.Set(reflect.ValueOf("x"))
	}
}

func TestTemplatesCoverWhatTheyTake(t *testing.T) {
	for _, c := range []struct {
		pattern, other string
		want           bool
	}{
		{"room/*", "room/*/typing", true},
		{"room/*/typing", "room/*", false},
		{"*", "a/*", true},
		{"a/*/b", "a/b", false},
		{"a/*/b/*", "a/*/b/c/*", true},
		{"a/*", "b/*", false},
		{"ab*", "a*b", false},
		{"*/a/*/b", "*/x/a/*/y/b", true},
		{"*/a/*/b", "*/a/b", false},
	} {
		if got := covers(c.pattern, c.other); got != c.want {
			t.Errorf("covers(%q, %q) = %t", c.pattern, c.other, got)
		}
	}
}

func TestNamesOfInstancesAreIdentifiers(t *testing.T) {
	for text, want := range map[string]string{
		"int":                              "Int",
		"example.org/app.User,[]string":    "UserAndStringList",
		"map[string]*example.org/app.User": "UserByString",
		"example.org/app.Pair[int,map[string][]example.org/x%2ev2.T]": "PairOfIntAndTListByString",
		"[4]example.org/app.user_id":                                  "UserIdList",
		"example.org/app.Local·1":                                     "Local",
		"struct { A int; B []string }":                                "Struct",
		"interface {}":                                                "Any",
		"map[struct { A [2]int }]bool":                                "BoolByStruct",
	} {
		if got := argumentNames(text, 0); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	if got := argumentNames("example.org/shop/v2.User,int", 1); got != "ShopUserAndInt" {
		t.Errorf("behind one element: got %s", got)
	}
}
