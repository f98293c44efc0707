package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape/codec"
)

var noon = time.UnixMilli(1795168201198).UTC()

type event struct {
	Name   string         `json:"name"`
	At     time.Time      `json:"at"`
	Ended  *time.Time     `json:"ended,omitempty"`
	Match  *regexp.Regexp `json:"match,omitempty"`
	Tags   codec.Set      `json:"tags,omitempty"`
	Meta   codec.Map      `json:"meta,omitempty"`
	Data   []byte         `json:"data,omitempty"`
	Err    error          `json:"err,omitempty"`
	Days   []time.Time    `json:"days,omitempty"`
	Any    any            `json:"any,omitempty"`
	Parent *event         `json:"parent,omitempty"`
}

func TestStructRoundTrip(t *testing.T) {
	in := event{
		Name: "start", At: noon, Ended: &noon, Match: regexp.MustCompile(`(?i)ab+/c`),
		Tags: codec.Set{"a", 1.0}, Meta: codec.Map{"k": true}, Data: []byte{1, 2, 3},
		Err: &codec.Error{Name: "TypeError", Message: "bad"}, Days: []time.Time{noon, noon},
		Any: []any{noon, codec.Undefined, []byte("x")}, Parent: &event{Name: "up", At: noon},
	}
	text, err := codec.Marshal(in)
	checkError(t, err, "")
	const want = `{"name":"start","at<!D>":1795168201198,"ended<!D>":1795168201198,"match<!R>":"/ab+/c/i",` +
		`"tags<!S>":["a",1],"meta<!M>":{"k":true},"data<!I>":"AQID","err<!E>":["TypeError","bad"],` +
		`"days<![D,D]>":[1795168201198,1795168201198],"any<![D,U,I]>":[1795168201198,null,"eA=="],` +
		`"parent":{"name":"up","at<!D>":1795168201198}}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	var out event
	checkError(t, codec.Unmarshal(text, &out), "")
	if out.Match == nil || out.Match.String() != in.Match.String() {
		t.Errorf("got expression %v, want %v", out.Match, in.Match)
	}
	out.Match, in.Match = nil, nil
	if !reflect.DeepEqual(out, in) {
		t.Errorf("got  %+v\nwant %+v", out, in)
	}
}

func TestWrite(t *testing.T) {
	type named struct {
		X int `json:"x<!D>"`
	}
	type optional struct {
		A any                 `json:"a"`
		B codec.UndefinedType `json:"b"`
		C any                 `json:"c,omitempty"`
	}
	tests := []struct {
		name string
		in   any
		want string
	}{
		{"plain array at the root", []int{1, 2}, `[1,2]`},
		{"date at the root", noon, `{"<!D>":1795168201198}`},
		{"tagged array at the root", []any{time.UnixMilli(7), 1}, `{"<![D,]>":[7,1]}`},
		{"undefined at the root", codec.Undefined, `{"<!U>":null}`},
		{"nil", nil, `null`},
		{"bytes at the root", []byte("hi"), `{"<!I>":"aGk="}`},
		{"key that looks tagged", map[string]any{"x<!D>": 1}, `{"x<!D><!_>":1}`},
		{"the same in a type without tags", map[string]int{"x<!D>": 1}, `{"x<!D><!_>":1}`},
		{"the same in a struct", named{1}, `{"x<!D><!_>":1}`},
		{"key that looks tagged, of a date", map[string]any{"x<!D>": time.UnixMilli(1)}, `{"x<!D><!D>":1}`},
		{"key that is a tag", map[string]int{"<!D>": 1}, `{"<!D><!_>":1}`},
		{"empty key of a date", map[string]any{"": time.UnixMilli(1)}, `{"<!_><!D>":1}`},
		{"empty key", map[string]any{"": 1}, `{"":1}`},
		{"key that is the dummy tag", map[string]any{"<!_>": 1}, `{"<!_><!_>":1}`},
		{"key that is the dummy tag, of a date", map[string]any{"<!_>": time.UnixMilli(1)}, `{"<!_><!_><!D>":1}`},
		{"text that looks tagged", map[string]string{"a": "x<!D>&"}, `{"a":"x<!D>&"}`},
		{"undefined members", optional{A: codec.Undefined, C: codec.Undefined}, `{}`},
		{"undefined first and last", map[string]any{"a": codec.Undefined, "b": 1, "c": codec.Undefined}, `{"b":1}`},
		{"undefined in a Map", map[string]any{"m": codec.Map{"a": codec.Undefined, "b": 1}}, `{"m<!M>":{"b":1}}`},
		{"nil pointers have no tag", struct {
			T *time.Time
			E error
			R *regexp.Regexp
			B []byte
		}{}, `{"T":null,"E":null,"R":null,"B":null}`},
		{"nil Set and Map are empty", map[string]any{"m": codec.Map(nil), "s": codec.Set(nil)}, `{"m<!M>":{},"s<!S>":[]}`},
		{"numbers as JavaScript has them", []float64{math.NaN(), math.Inf(-1), math.Copysign(0, -1), 1e21, 1e-7}, `[null,null,0,1e+21,1e-7]`},
		{"all digits of large integers", []int64{math.MaxInt64}, `[9223372036854775807]`},
		{"time that no Date holds", map[string]any{"t": time.Unix(1<<60, 0)}, `{"t<!D>":null}`},
		{"nested tagged arrays", map[string]any{"d": []any{1, []any{noon, []any{}, 2}}}, `{"d<![,[D,,]]>":[1,[1795168201198,[],2]]}`},
		{"keys inside a Map are as they are", codec.Map{"x<!D>": 1}, `{"<!M>":{"x<!D>":1}}`},
		{"values inside a Set have no tags", codec.Set{[]byte{1}, codec.Set{codec.Undefined}, time.UnixMilli(5)}, `{"<!S>":["AQ==",[null],"1970-01-01T00:00:00.005Z"]}`},
		{"any Go error", map[string]any{"e": fmt.Errorf("read: %w", io.EOF)}, `{"e<!E>":["Error","read: EOF"]}`},
		{"error value with a stack", codec.Error{Name: "RangeError", Message: "m", Stack: "s"}, `{"<!E>":["RangeError","m","s"]}`},
		{"expression without text", regexp.MustCompile(""), `{"<!R>":"/(?:)/"}`},
		{"expression by value", *regexp.MustCompile("a"), `{"<!R>":"/a/"}`},
		{"text of a Marshaler as it is", map[string]any{"r": json.RawMessage("{\n \"x<!D>\" : 1 }")}, `{"r":{"x<!D>":1}}`},
		{"option string", struct {
			A int     `json:",string"`
			B *string `json:",string"`
			T time.Time
		}{A: 5, T: noon}, `{"A":"5","B":null,"T<!D>":1795168201198}`},
		{"map with integer keys", map[int]time.Time{2: noon, 10: noon}, `{"10<!D>":1795168201198,"2<!D>":1795168201198}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := codec.Append([]byte("before "), test.in)
			checkError(t, err, "")
			if string(got) != "before "+test.want {
				t.Errorf("got %s, want before %s", got, test.want)
			}
		})
	}
}

func TestMember(t *testing.T) {
	loop := map[string]any{}
	loop["up"] = []any{loop}
	tests := []struct {
		name, key string
		in        any
		want      string
	}{
		{"plain", "data", 7, `"data":7`},
		{"date", "data", time.UnixMilli(7), `"data<!D>":7`},
		{"array", "data", []any{time.UnixMilli(7), 1}, `"data<![D,]>":[7,1]`},
		{"undefined is no member", "data", codec.Undefined, ``},
		{"name that looks tagged", "x<!D>", 7, `"x<!D><!_>":7`},
		{"cycles count from the root", "data", loop, `"data":{"up<![P]>":[["data"]]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := codec.AppendMember([]byte("{"), test.key, test.in)
			checkError(t, err, "")
			if string(got) != "{"+test.want {
				t.Errorf("got %s, want {%s", got, test.want)
			}
		})
	}
}

func TestUnmarshalMember(t *testing.T) {
	doc := []byte(`{"type":"/x","data<!D>":7,"same":{"a":1},"data<![D]>":[8],"p<!P>":["same"],"none<!U>":null}`)
	var dates []time.Time
	checkError(t, codec.UnmarshalMember(doc, "data", &dates), "")
	if len(dates) != 1 || dates[0].UnixMilli() != 8 {
		t.Errorf("got %v, want the last of two members with the name", dates)
	}
	var p map[string]int
	checkError(t, codec.UnmarshalMember(doc, "p", &p), "")
	if p["a"] != 1 {
		t.Errorf("got %v, want what the pointer leads to from the root", p)
	}
	for _, name := range []string{"none", "absent"} {
		var v any
		n := 5
		checkError(t, codec.UnmarshalMember(doc, name, &v), "")
		checkError(t, codec.UnmarshalMember(doc, name, &n), "")
		if v != codec.Undefined || n != 5 {
			t.Errorf("%s: got %v and %v, want undefined and what was there", name, v, n)
		}
	}
	var n int
	checkError(t, codec.UnmarshalMember(doc, "type", &n), "codec: type: want a whole number (int), got a string")
	checkError(t, codec.UnmarshalMember([]byte(`[1]`), "type", &n), "codec: want an object, got an array")
}

func TestReadAny(t *testing.T) {
	tests := []struct {
		text string
		want any
	}{
		{`{"a":1}`, map[string]any{"a": 1.0}},
		{`{"<!D>":7}`, time.UnixMilli(7).UTC()},
		{`{"<![D,]>":[7,1]}`, []any{time.UnixMilli(7).UTC(), 1.0}},
		{` { "<!U>" : null } `, codec.Undefined},
		{`{"<!D>":7,"b":1}`, map[string]any{"<!D>": 7.0, "b": 1.0}},
		{`{"<!Q>":7}`, map[string]any{"<!Q>": 7.0}},
		{`{"<!>":7}`, map[string]any{"<!>": 7.0}},
		{`{"<!D><!_>":7}`, map[string]any{"<!D>": 7.0}},
		{`{"<!D><!>":7}`, map[string]any{"<!D>": 7.0}},
		{`{"<!_><!D>":7}`, map[string]any{"": time.UnixMilli(7).UTC()}},
		{`{"<!_><!_><!D>":7}`, map[string]any{"<!_>": time.UnixMilli(7).UTC()}},
		{`{"<!_><!_>":7,"":8}`, map[string]any{"<!_>": 7.0, "": 8.0}},
		{`{"x<!D><!_>":7}`, map[string]any{"x<!D>": 7.0}},
		{`{"a\u003c!D\u003e":7}`, map[string]any{"a": time.UnixMilli(7).UTC()}},
		{`{"a<!D>b<!c":7}`, map[string]any{"a": time.UnixMilli(7).UTC()}},
		{`{"a<!b":7,"c!D>":8,"<!":9}`, map[string]any{"a<!b": 7.0, "c!D>": 8.0, "<!": 9.0}},
		{`{"a<!R>":"/x\\/y/gi"}`, map[string]any{"a": codec.RegExp{Source: `x\/y`, Flags: "gi"}}},
		{`{"a<!I>":null}`, map[string]any{"a": nil}},
		{`{"a<![[D,[U]],,X]>":[[7,[1]],2,3]}`, map[string]any{"a": []any{[]any{time.UnixMilli(7).UTC(), []any{codec.Undefined}}, 2.0, 3.0}}},
		{`{"a<!M>":{"x<!D>":{"y<!S>":1}}}`, map[string]any{"a": codec.Map{"x<!D>": map[string]any{"y<!S>": 1.0}}}},
		{`{"a":"<!D>","b":[]}`, map[string]any{"a": "<!D>", "b": []any{}}},
		{`{"a<!D>":1,"a":2}`, map[string]any{"a": 2.0}},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			var got any
			checkError(t, codec.Unmarshal([]byte(test.text), &got), "")
			if !same(got, test.want, nil) {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
		})
	}
}

// read reads text into a new T.
func read[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	checkError(t, codec.Unmarshal([]byte(text), &v), "")
	return v
}

func TestReadTyped(t *testing.T) {
	if got := read[event](t, `{"AT":"2026-11-21T12:00:00+02:00"}`); got.At.UTC().Hour() != 10 {
		t.Errorf("RFC 3339 text: got %v", got.At)
	}
	if got := read[map[string]int64](t, `{"at<!D>":7}`); got["at"] != 7 {
		t.Errorf("date as a number: got %v", got)
	}
	if got := read[map[string]string](t, `{"r<!R>":"/a/g","b<!I>":"AQ==","l<!L>":"x"}`); got["r"] != "/a/g" || got["b"] != "AQ==" || got["l"] != "x" {
		t.Errorf("the text of a tagged value: got %v", got)
	}
	if got := read[map[string][]string](t, `{"s<!S>":["a","b"]}`); len(got["s"]) != 2 {
		t.Errorf("a Set as a slice: got %v", got)
	}
	if got := read[map[string]map[string]int](t, `{"m<!M>":{"a<!D>":1}}`); got["m"]["a<!D>"] != 1 {
		t.Errorf("a Map as a map keeps its keys: got %v", got)
	}
	if got := read[[]*int](t, `{"<![U,]>":[5,6]}`); got[0] != nil || *got[1] != 6 {
		t.Errorf("undefined in a slice: got %v", got)
	}
	if got := read[map[string]time.Time](t, `{"a<!D>":null,"b<!D>":"12","c<!D>":"2024-01-01","d<!D>":1.9}`); !got["a"].IsZero() ||
		got["b"].UnixMilli() != 12 || got["c"].Year() != 2024 || got["d"].UnixMilli() != 1 {
		t.Errorf("dates: got %v", got)
	}
	if got := read[map[string]json.RawMessage](t, `{"a<!D>":7,"b":{"c<!D>":1}}`); string(got["a"]) != "7" || string(got["b"]) != `{"c<!D>":1}` {
		t.Errorf("raw text: got %s", got)
	}
	if got := read[struct{ E *codec.Error }](t, `{"e<!E>":["A","b"]}`); got.E == nil || got.E.Error() != "A: b" {
		t.Errorf("error by type: got %v", got.E)
	}
	if got := read[map[string]*regexp.Regexp](t, `{"a<!R>":"/^A.b$/gims","b":"x+"}`); got["a"].String() != "(?ims)^A.b$" || got["b"].String() != "x+" {
		t.Errorf("expressions: got %v", got)
	}
	kept := struct{ A, B int }{1, 2}
	checkError(t, codec.Unmarshal([]byte(`{"a<!U>":null,"b<!Q>":3}`), &kept), "")
	if kept.A != 1 || kept.B != 3 {
		t.Errorf("undefined leaves a number alone: got %+v", kept)
	}
}

func TestErrorsNameTheField(t *testing.T) {
	type user struct {
		Age   int8 `json:"age"`
		Since time.Time
		Match *regexp.Regexp
		Err   error
		Mail  map[string]bool
	}
	type list struct {
		Users []user `json:"users"`
	}
	for _, test := range []struct{ text, want string }{
		{`{"users":[{},{},{"age":"x"}]}`, `codec: users[2].age: want a whole number (int8), got a string`},
		{`{"users":[{"age":300}]}`, `codec: users[0].age: want a whole number (int8), got the number 300`},
		{`{"users":[{"since":5}]}`, `codec: users[0].Since: want a date (a member tagged <!D>, or RFC 3339 text), got the number 5`},
		{`{"users":[{"since<!D>":true}]}`, `codec: users[0].Since: want a date, got true`},
		{`{"users":[{"since<!D>":"soon"}]}`, `codec: users[0].Since: want a date, got a string: a date is a number`},
		{`{"users":[{"match<!R>":"/(?=a)/"}]}`, `codec: users[0].Match: want a regular expression that Go can compile, got /(?=a)/: error parsing regexp`},
		{`{"users":[{"err":"x"}]}`, `codec: users[0].Err: want an error (a member tagged <!E>), got a string`},
		{`{"users":[{"err<!D>":5}]}`, `codec: users[0].Err: want an error (a member tagged <!E>), got the number 5`},
		{`{"users":[{"mail":{"a.b":[]}}]}`, `codec: users[0].Mail["a.b"]: want true or false, got an array`},
		{`{"users":[{"mail<!S>":[]}]}`, `codec: users[0].Mail: want an object, got an array`},
		{`{"users":{}}`, `codec: users: want an array, got an object`},
		{`[]`, `codec: want an object, got an array`},
		{`{"users":[{"age<!P>":["users",0]}]}`, `codec: users[0].age: want a whole number (int8), got an object`},
		{`{"users":[`, `codec: invalid text at byte 10: want a value, the text ends`},
		{`{"users<!S>":[}`, `codec: invalid text at byte 14: want a value, got '}'`},
	} {
		t.Run(test.text, func(t *testing.T) {
			var v list
			err := codec.Unmarshal([]byte(test.text), &v)
			checkError(t, err, test.want)
			var typeError *codec.TypeError
			var syntaxError *codec.SyntaxError
			if !errors.As(err, &typeError) && !errors.As(err, &syntaxError) {
				t.Errorf("got a %T", err)
			}
		})
	}
	checkError(t, codec.Unmarshal([]byte(`1`), nil), "pass a pointer that is not nil")
	checkError(t, codec.Unmarshal([]byte(`1`), 5), "pass a pointer that is not nil")
	_, err := codec.Marshal(map[string]any{"c": make(chan int)})
	checkError(t, err, "codec: a chan int cannot be written")
}

func TestOutputHasNoLineFeed(t *testing.T) {
	for _, v := range []any{
		"a\nb", map[string]any{"a\nb": noon}, json.RawMessage("[1,\n2]"), struct{ R json.RawMessage }{json.RawMessage("[\n]")},
		[]any{noon, json.RawMessage("{\n\"a\":\n1}")}, codec.Set{"x\n"}, errors.New("two\nlines"),
	} {
		text, err := codec.Marshal(v)
		checkError(t, err, "")
		if strings.Contains(string(text), "\n") {
			t.Errorf("%#v: got %q", v, text)
		}
	}
}
