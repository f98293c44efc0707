package codec_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/goape/ape/codec"
)

var seeds = []string{
	`{"a<!D>":1,"b<![D,[U,S],P]>":[1,[null,[2]],["a"]],"c<!M>":{"x<!D>":1}}`, `{"self<!P>":[],"l<![,P]>":[1,["l"]]}`,
	`{"<![D,]>":[7,1]}`, `{"<!P>":[]}`, `{"e<!E>":["A","b","c"],"r<!R>":"/a/gi","i<!I>":"AQID","u<!U>":null}`,
	`{"a<!P>":["b"],"b<!P>":["a"]}`, `{"a":{"b":{"up<!P>":["a"]}},"c<!P>":["a","b"]}`, `{"x<!D><!_>":1,"y<!L><!L>":"h"}`,
	`{"a\u003c!P>":["b"],"b":[1]}`, `[`, `{"a<![[[[":[[[]]]}`, `{"Name":"x","Kids<![P]>":[[]],"At<!D>":"2024-01-01"}`,
	`{"a<!S>":{},"b<!M>":[],"c<!D>":{},"d<!E>":5,"e<!I>":"!"}`, `{"Any<!P>":["Kids"],"Kids":[{"Any<!P>":["Kids"]}]}`,
}

// FuzzUnmarshal reads hostile text into anything: no panic, bounded values, and
// what was read into an any can be written and read again.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	o := codec.Options{MaxSize: 1 << 20}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, v := range []any{new(event), new(node), new([]node), new(map[string]time.Time), new(map[string][]*any), new(codec.Set), new(codec.Map), new(error), new(string)} {
			_ = o.Unmarshal(text, v)
		}
		var v any
		if o.Unmarshal(text, &v) != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q was read and is not JSON", text)
		}
		// The first writing drops what is undefined. From then on nothing changes.
		var values [2]any
		for i := range values {
			written, err := o.Marshal(v)
			if err != nil {
				return // a cycle in a Map, or text that grows
			}
			if !json.Valid(written) || bytes.ContainsRune(written, '\n') {
				t.Fatalf("%q was written as %q", text, written)
			}
			v = nil
			if err := codec.Unmarshal(written, &v); err != nil {
				t.Fatalf("%q was written as %q: %v", text, written, err)
			}
			values[i] = v
		}
		if !same(values[0], values[1], nil) {
			t.Fatalf("%q changes when it is written twice: %#v, %#v", text, values[0], values[1])
		}
	})
}

// FuzzMember puts members beside each other: each must come back, under any
// name.
func FuzzMember(f *testing.F) {
	f.Add("data", "type", uint64(1))
	f.Add("x<!D>", "<!D>", uint64(2))
	f.Add("a\nb<!_>", "", uint64(3))
	f.Add("data$1", "data", uint64(4))
	f.Fuzz(func(t *testing.T, name, second string, seed uint64) {
		if name == second || !utf8.ValidString(name) || !utf8.ValidString(second) {
			return
		}
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		a, b := g.value(4), g.value(4)
		for _, hoist := range []bool{false, name+"$1" != second && second+"$1" != name} {
			o := codec.Options{HoistArrays: hoist}
			doc, err := o.AppendMember([]byte("{"), name, a)
			checkError(t, err, "")
			if len(doc) > 1 && b != codec.Undefined {
				doc = append(doc, ',')
			}
			doc, err = o.AppendMember(doc, second, b)
			checkError(t, err, "")
			doc = append(doc, '}')
			for _, want := range []struct {
				name  string
				value any
			}{{name, a}, {second, b}} {
				var got any
				if err := codec.UnmarshalMember(doc, want.name, &got); err != nil || !same(got, want.value, nil) {
					t.Fatalf("%q of %s: got %#v, %v; want %#v", want.name, doc, got, err, want.value)
				}
			}
		}
	})
}

// FuzzRoundTrip writes generated values and reads them again.
func FuzzRoundTrip(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		v := generator{rand.New(rand.NewPCG(seed, 2))}.value(6)
		text, err := codec.Marshal(v)
		checkError(t, err, "")
		var got any
		if err := codec.Unmarshal(text, &got); err != nil || !same(got, v, nil) {
			t.Fatalf("%s: got %#v, %v; want %#v", text, got, err, v)
		}
	})
}

// A generator makes values that must come back as they were.
type generator struct{ *rand.Rand }

var strangeNames = []string{"a", "b", "", "x<!D>", "<!D>", "<!", ">", "a<!b", "<!_>", "a<![D,]>", "k<", "é\"\\\n", "__proto__", "🦍", "<!U>"}

func (g generator) name() string { return strangeNames[g.IntN(len(strangeNames))] }

func (g generator) value(depth int) any {
	if depth == 0 {
		return g.scalar()
	}
	switch g.IntN(8) {
	case 0, 1, 2:
		m := map[string]any{}
		for range g.IntN(4) {
			if v := g.value(depth - 1); v != codec.Undefined {
				m[g.name()] = v
			}
		}
		return m
	case 3, 4, 5:
		list := make([]any, g.IntN(4))
		for i := range list {
			list[i] = g.value(depth - 1)
		}
		return list
	}
	return g.scalar()
}

func (g generator) scalar() any {
	switch g.IntN(12) {
	case 0:
		return nil
	case 1:
		return codec.Undefined
	case 2:
		return time.UnixMilli(g.Int64N(1<<50) - 1<<49).UTC()
	case 3:
		return codec.RegExp{Source: regexp.QuoteMeta(g.name()) + "x", Flags: "gi"}
	case 4:
		return &codec.Error{Name: "E" + g.name(), Message: g.name()}
	case 5:
		return codec.Set{g.name(), 1.5, nil, map[string]any{g.name(): true}}
	case 6:
		return codec.Map{g.name(): []any{g.name()}}
	case 7:
		return []byte(g.name())
	case 8:
		return g.NormFloat64()
	case 9:
		return float64(g.IntN(1000))
	case 10:
		return g.IntN(2) == 0
	}
	return g.name()
}
