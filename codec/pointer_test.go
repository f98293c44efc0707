package codec_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/goape/ape/codec"
)

type node struct {
	Name string
	Next *node
	Kids []*node
	Any  any
	At   time.Time
}

func TestCyclesAreWrittenAsPointers(t *testing.T) {
	ring := &node{Name: "a", At: time.UnixMilli(1)}
	ring.Next = &node{Name: "b", Next: ring, At: time.UnixMilli(2)}
	object := map[string]any{"n": 1}
	object["self"] = object
	list := []any{1, nil}
	list[1] = list
	kids := &node{At: time.UnixMilli(1)}
	kids.Kids = []*node{kids, {Name: "k", Any: kids, At: time.UnixMilli(1)}}
	type ints []ints
	deep := ints{nil}
	deep[0] = deep
	tests := []struct {
		name string
		in   any
		want string
	}{
		{"struct", ring, `{"Name":"a","Next":{"Name":"b","Next<!P>":[],"Kids":null,"Any":null,"At<!D>":2},"Kids":null,"Any":null,"At<!D>":1}`},
		{"map", object, `{"n":1,"self<!P>":[]}`},
		{"map below", map[string]any{"o": object}, `{"o":{"n":1,"self<!P>":["o"]}}`},
		{"slice at the root", list, `{"<![,P]>":[1,[]]}`},
		{"slice", map[string]any{"l": list}, `{"l<![,P]>":[1,["l"]]}`},
		{"slice of slices", map[string]any{"x<!D>": deep}, `{"x<!D><![P]>":[["x<!D>"]]}`},
		{"pointers in a slice", kids, `{"Name":"","Next":null,"Kids<![P,]>":[[],{"Name":"k","Next":null,"Kids":null,"Any<!P>":[],"At<!D>":1}],"Any":null,"At<!D>":1}`},
		{"interface to itself below", []any{map[string]any{"l": &list}}, `[{"l<![,P]>":[1,[0,"l"]]}]`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := codec.Marshal(test.in)
			checkError(t, err, "")
			if string(got) != test.want {
				t.Fatalf("got  %s\nwant %s", got, test.want)
			}
			var back any
			checkError(t, codec.Unmarshal(got, &back), "")
			again, err := codec.Marshal(back)
			checkError(t, err, "")
			var third any
			checkError(t, codec.Unmarshal(again, &third), "")
			if !same(back, third, nil) {
				t.Errorf("got %s, want what %s means", again, got)
			}
		})
	}
}

func TestCyclesThatCannotBeWritten(t *testing.T) {
	set := codec.Set{nil}
	set[0] = map[string]any{"s": set}
	type loop *loop
	var self loop
	self = &self
	var any1 any
	any1 = &any1
	m := codec.Map{}
	m["m"] = m
	for _, test := range []struct {
		name string
		in   any
		want string
	}{
		{"inside a Set", set, "a cycle inside a Set or Map"},
		{"inside a Map", m, "a cycle inside a Set or Map"},
		{"pointer to itself", self, "a pointer that leads to itself"},
		{"interface that holds itself", any1, "a pointer that leads to itself"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dst := []byte("kept")
			got, err := codec.Append(dst, test.in)
			checkError(t, err, test.want)
			if string(got) != "kept" {
				t.Errorf("got %q, want dst as it was", got)
			}
		})
	}
}

func TestPointerIntoAnyIsTheSameValue(t *testing.T) {
	v := read[map[string]any](t, `{"b<!P>":["a"],"a":{"x":[1,{"y":2}],"up<!P>":[]},"x<!P>":["a","x"],"y<![P,P]>":[["a","x",1],["s"]],"s<!S>":[1]}`)
	a := v["a"].(map[string]any)
	a["new"] = true
	if b := v["b"].(map[string]any); b["new"] != true {
		t.Error("a pointer ahead of its object is another object")
	}
	x := a["x"].([]any)
	x[0] = 5.0
	if got := v["x"].([]any); got[0] != 5.0 {
		t.Error("a pointer to an array is another array")
	}
	y := v["y"].([]any)
	x[1].(map[string]any)["new"] = true
	if y[0].(map[string]any)["new"] != true {
		t.Error("a pointer to an element is another object")
	}
	if set, ok := y[1].(codec.Set); !ok || len(set) != 1 {
		t.Errorf("a pointer to a Set: got %#v", y[1])
	}

	var root any
	checkError(t, codec.Unmarshal([]byte(`{"self<!P>":[],"l<![P,P]>":[["l"],[]]}`), &root), "")
	object := root.(map[string]any)
	if reflect.ValueOf(object["self"]).Pointer() != reflect.ValueOf(object).Pointer() {
		t.Error("a pointer to the root is another object")
	}
	l := object["l"].([]any)
	if reflect.ValueOf(l[0]).Pointer() != reflect.ValueOf(l).Pointer() {
		t.Error("an array inside itself is another array")
	}
}

func TestPointerIntoTypesReadsAgain(t *testing.T) {
	type shared struct{ V int }
	got := read[struct {
		P *shared
		Q shared
		R map[string]int
		D time.Time
		L []time.Time
		M any
	}](t, `{"p":{"V":1},"q<!P>":["p"],"r<!P>":["p"],"x<!D>":7,"d<!P>":["x"],"l<![P,D]>":[["x"],8],"m<!P>":["x"]}`)
	if got.Q.V != 1 || got.R["V"] != 1 || got.D.UnixMilli() != 7 || got.L[0].UnixMilli() != 7 || got.M != time.UnixMilli(7).UTC() {
		t.Errorf("got %+v", got)
	}
	var n node
	err := codec.Unmarshal([]byte(`{"Name":"a","Next<!P>":[]}`), &n)
	if !errors.Is(err, codec.ErrTooDeep) {
		t.Errorf("a cycle into a struct: got %v, want ErrTooDeep", err)
	}
}

func TestPointersThatLeadNowhere(t *testing.T) {
	for _, text := range []string{
		`{"a<!P>":["b"]}`, `{"a<!P>":["b","c"]}`, `{"a<!P>":5}`, `{"a<!P>":"b","b":1}`, `{"a<!P>":[null]}`, `{"a<!P>":[["b"]],"b":1}`,
		`{"a<!P>":["__proto__"]}`, `{"a<!P>":["constructor","prototype"]}`, `{"a<!P>":["b","length"],"b":[1]}`, `{"a<!P>":["b",1],"b":[1]}`,
		`{"a<!P>":["b",-1],"b":[1]}`, `{"a<!P>":["b","00"],"b":[1]}`, `{"a<!P>":["b",0],"b":"text"}`, `{"a<!P>":["b",0],"b<!S>":[1]}`,
		`{"a<!P>":["b","x"],"b<!M>":{"x":1}}`, `{"a<!P>":["b",0],"b<!E>":["Error"]}`, `{"a<!P>":["a"]}`, `{"a<!P>":["b"],"b<!P>":["a"]}`,
		`{"a<!P>":["b","c"],"b<!P>":["d"],"d":{"c":1}}`, `{"a<!P>":[99999999999999999999]}`,
	} {
		t.Run(text, func(t *testing.T) {
			var v any
			checkError(t, codec.Unmarshal([]byte(text), &v), "codec: a: want a pointer to a value of the message")
			var typed struct{ A map[string]any }
			checkError(t, codec.Unmarshal([]byte(text), &typed), "codec: A: want a pointer to a value of the message")
		})
	}
}

func TestHoistArrays(t *testing.T) {
	o := codec.Options{HoistArrays: true}
	d := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	for _, test := range []struct {
		name string
		in   any
		want string
	}{
		{"one element stays", [][]time.Time{{d(1)}, {d(2)}}, `{"data<![[D],[D]]>":[[1],[2]]}`},
		{"two elements go", [][]time.Time{{d(1), d(2)}, {d(3)}}, `{"data<![P,[D]]>":[["data$1"],[3]],"data$1<![D,D]>":[1,2]}`},
		{"inside an object", map[string]any{"x": []any{[]any{d(1), 2}}, "y": []any{[]any{1, d(2)}}},
			`{"data":{"x<![P]>":[["data$1"]],"y<![P]>":[["data$2"]]},"data$1<![D,]>":[1,2],"data$2<![,D]>":[1,2]}`},
		{"two levels", []any{[]any{1, []any{d(1), d(2)}}, 5}, `{"data<![P,]>":[["data$1"],5],"data$1<![,P]>":[1,["data$2"]],"data$2<![D,D]>":[1,2]}`},
		{"plain arrays stay", [][]int{{1, 2}}, `{"data":[[1,2]]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := o.AppendMember([]byte("{"), "data", test.in)
			checkError(t, err, "")
			got = append(got, '}')
			if string(got) != test.want {
				t.Fatalf("got  %s\nwant %s", got, test.want)
			}
			plain, err := codec.AppendMember([]byte("{"), "data", test.in)
			checkError(t, err, "")
			var a, b any
			checkError(t, codec.UnmarshalMember(got, "data", &a), "")
			checkError(t, codec.UnmarshalMember(append(plain, '}'), "data", &b), "")
			if !same(a, b, nil) {
				t.Errorf("%s reads as %v, want %v", got, a, b)
			}
		})
	}
}
