package codec_test

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"math/big"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/goape/ape/codec"
)

// The vectors were made by running api-ape's published codec.
type vectorFile struct {
	Encode []vector `json:"encode"`
	Decode []vector `json:"decode"`
}

type vector struct {
	Name        string  `json:"name"`
	JS          string  `json:"js"`
	Input       *typed  `json:"input"`
	JSS         *string `json:"jss"`
	Decoded     *typed  `json:"decoded"`
	EncodeError string  `json:"encodeError"`
	DecodeError string  `json:"decodeError"`
}

// typed is the file's own description of a value.
type typed struct {
	T       string            `json:"t"`
	V       json.RawMessage   `json:"v"`
	Special string            `json:"special"`
	Props   []json.RawMessage `json:"props"`
	Entries []json.RawMessage `json:"entries"`
	Items   []typed           `json:"items"`
	Values  []typed           `json:"values"`
	MS      int64             `json:"ms"`
	Invalid bool              `json:"invalid"`
	Source  string            `json:"source"`
	Flags   string            `json:"flags"`
	Name    string            `json:"name"`
	Message string            `json:"message"`
	Stack   string            `json:"stack"`
	Base64  string            `json:"base64"`
	Path    []any             `json:"path"`
}

// A differs says why a vector's result is not ours, and what ours is: text, a
// Go value, or an error that contains the text.
type differs struct {
	reason string
	jss    string // for encoding, else ""
	value  any    // for decoding, else nil
	err    string
}

const (
	rootReason   = "the reference makes an object of every root, and so loses arrays, dates and maps there"
	sharedReason = "the reference writes a pointer for a value that is merely shared; ape does so for cycles only"
	noGoReason   = "Go has no such value; what is nearest is refused instead of being dropped silently"
	rawReason    = "the reference writes {} for a Set in a Map and so loses it"
	keyReason    = "the reference cannot represent keys that look tagged: it reads another key, or another value"
	protoReason  = "the reference loses the key __proto__, or follows it"
	objectReason = "the reference calls methods of Object.prototype for a tag of that name; here the tag is unknown and dropped"
)

var encodeDiffers = map[string]differs{
	"shared (non-circular) reference also becomes pointer": {reason: sharedReason, jss: `{"p":{"v":1},"q":{"v":1}}`},
	"shared empty array":   {reason: sharedReason, jss: `{"p":[],"q":[]}`},
	"array element shared": {reason: sharedReason, jss: `{"l":[{"v":1},{"v":1}]}`},
	"mutual references": {reason: sharedReason,
		jss: `{"a":{"n":"a","o":{"n":"b","o<!P>":["a"]}},"b":{"n":"b","o":{"n":"a","o<!P>":["b"]}}}`},
	"Map containing Set: inner becomes {}":      {reason: rawReason, jss: `{"m<!M>":{"s":[1]}}`},
	"root array becomes object with index keys": {reason: rootReason, jss: `[1,2,3]`},
	"root array with Date":                      {reason: rootReason, jss: `{"<![D,]>":[1,"x"]}`},
	"root array with undefined (dropped)":       {reason: rootReason, jss: `{"<![,U,]>":[1,null,3]}`},
	"root empty array":                          {reason: rootReason, jss: `[]`},
	"root string becomes index object":          {reason: rootReason, jss: `"hi"`},
	"root number becomes {}":                    {reason: rootReason, jss: `5`},
	"root boolean becomes {}":                   {reason: rootReason, jss: `true`},
	"root null throws":                          {reason: rootReason, jss: `null`},
	"root undefined throws":                     {reason: rootReason, jss: `{"<!U>":null}`},
	"root Date becomes {} (own keys only)":      {reason: rootReason, jss: `{"<!D>":1}`},
	"root Map becomes {}":                       {reason: rootReason, jss: `{"<!M>":{"a":1}}`},
	"function property dropped by JSON":         {reason: noGoReason, err: "a func() cannot be written"},
	"function in array becomes null":            {reason: noGoReason, err: "a func() cannot be written"},
	"symbol property value dropped":             {reason: noGoReason, err: "a chan int cannot be written"},
	"BigInt throws":                             {reason: "the reference throws where JSON can hold the number", jss: `{"a":10}`},
	"toJSON is NOT honoured before encoding (own keys copied), then JSON.stringify sees copied function": {
		reason: noGoReason, err: "a func() cannot be written"},
	"key already containing a tag suffix":   {reason: keyReason, jss: `{"x<!D><!_>":5}`},
	"key containing tag text in the middle": {reason: keyReason, jss: `{"a<!D>b<!_>":5}`},
	"key \"<!D>\" only (name part empty)":   {reason: "a bare tag is how ape writes a root with a tag", jss: `{"<!D><!_>":5}`},
	"key with unknown tag suffix":           {reason: keyReason, jss: `{"x<!Q><!_>":5}`},
	"key with binary tag suffix":            {reason: keyReason, jss: `{"file<!A><!_>":"abc"}`},
	"key ending with <!>":                   {reason: keyReason, jss: `{"x<!><!_>":5}`},
	"key __proto__ (own)":                   {reason: protoReason, jss: `{"__proto__":{"x":1}}`},
}

var decodeDiffers = map[string]differs{
	"invalid Date becomes null":       {reason: "the reference reads an invalid Date as 1970", value: map[string]any{"when": time.Time{}}},
	"tag D with null":                 {reason: "the reference reads an invalid Date as 1970", value: map[string]any{"a": time.Time{}}},
	"RegExp with newer flags d and v": {reason: "the reference reads an expression with newer flags as all source", value: map[string]any{"re": codec.RegExp{Source: "a", Flags: "d"}}},
	"tag R unknown flag d":            {reason: "the reference reads an expression with newer flags as all source", value: map[string]any{"a": codec.RegExp{Source: "a", Flags: "d"}}},
	"tag R invalid pattern":           {reason: "the reference refuses the whole message; here the expression is kept, and compiled on demand", value: map[string]any{"a": codec.RegExp{Source: "("}}},
	"nested array one level, plain outer elements": {reason: "the reference splits tags at the commas of inner arrays and loses their types",
		value: map[string]any{"d": []any{1.0, []any{time.UnixMilli(2).UTC(), 3.0}}}},
	"tag E with non-array value":                     {reason: "the reference takes the letters of text for the parts of an error", err: "a: want an error as [name, message, stack], got a string"},
	"tag S on a string":                              {reason: "the reference takes the letters of text for the values of a Set", err: "a: want an array for a Set, got a string"},
	"tag M on array":                                 {reason: "the reference takes the indexes of an array for the keys of a Map", err: "a: want an object for a Map, got an array"},
	"pointer to missing last segment":                {reason: "the reference hides a broken pointer as undefined", err: `a: want a pointer to a value of the message, got the path ["b"], where there is none`},
	"pointer to __proto__":                           {reason: protoReason, err: "where there is none"},
	"pointer to constructor":                         {reason: protoReason, err: "where there is none"},
	"tag names from Object.prototype (\"toString\")": {reason: objectReason, value: map[string]any{"a": 5.0}},
	"tag \"constructor\"":                            {reason: objectReason, value: map[string]any{"a": 5.0}},
	"tag \"__proto__\"":                              {reason: objectReason, value: map[string]any{"a": 5.0}},
	"__proto__ key":                                  {reason: protoReason, value: map[string]any{"__proto__": map[string]any{"polluted": true}}},
	"key with newline before the tag (regex . does not match \\n)": {reason: "the reference loses what stands before a line feed in a key",
		value: map[string]any{"a\nb": time.UnixMilli(5).UTC()}},
	"key \"<!D>\" (needs at least one name char)": {reason: "a bare tag is how ape writes a root with a tag", value: time.UnixMilli(5).UTC()},
	"key \"<!D>\" only (name part empty)":         {reason: "a bare tag is how ape writes a root with a tag", value: time.UnixMilli(5).UTC()},
}

func loadVectors(t *testing.T) vectorFile {
	t.Helper()
	data, err := os.ReadFile("testdata/jss_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Encode) != 89 || len(file.Decode) != 58 {
		t.Fatalf("got %d + %d vectors, want 89 + 58", len(file.Encode), len(file.Decode))
	}
	return file
}

func TestEncodeVectors(t *testing.T) {
	listed := map[string]bool{}
	for _, v := range loadVectors(t).Encode {
		t.Run(v.Name, func(t *testing.T) {
			got, err := codec.Marshal(build(t, v.Input))
			matches := err != nil && v.EncodeError != "" ||
				err == nil && v.JSS != nil && sameJSON(t, string(got), *v.JSS)
			d, differ := encodeDiffers[v.Name]
			listed[v.Name] = differ
			switch {
			case differ && matches:
				t.Errorf("%s: now equals the vector, but is listed: %s", v.JS, d.reason)
			case !differ && !matches:
				t.Errorf("%s: got %s, %v; want %s%s", v.JS, got, err, str(v.JSS), v.EncodeError)
			case differ:
				checkError(t, err, d.err)
				if d.err == "" && string(got) != d.jss {
					t.Errorf("%s: got %s, want %s", v.JS, got, d.jss)
				}
			}
		})
	}
	for name := range encodeDiffers {
		if !listed[name] {
			t.Errorf("no encode vector has the name %q", name)
		}
	}
}

func TestDecodeVectors(t *testing.T) {
	file := loadVectors(t)
	listed := map[string]bool{}
	for _, v := range append(file.Decode, file.Encode...) {
		if v.JSS == nil {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			var got any
			err := codec.Unmarshal([]byte(*v.JSS), &got)
			matches := err != nil && v.DecodeError != "" ||
				err == nil && v.Decoded != nil && same(got, build(t, v.Decoded), nil)
			d, differ := decodeDiffers[v.Name]
			listed[v.Name] = differ
			switch {
			case differ && matches:
				t.Errorf("%s: now equals the vector, but is listed: %s", *v.JSS, d.reason)
			case !differ && !matches:
				t.Errorf("%s: got %#v, %v; want %+v %s", *v.JSS, got, err, v.Decoded, v.DecodeError)
			case differ:
				checkError(t, err, d.err)
				if d.err == "" && !same(got, d.value, nil) {
					t.Errorf("%s: got %#v, want %#v", *v.JSS, got, d.value)
				}
			}
		})
	}
	for name := range decodeDiffers {
		if !listed[name] {
			t.Errorf("no decode vector has the name %q", name)
		}
	}
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var va, vb any
	if err := json.Unmarshal([]byte(a), &va); err != nil {
		t.Fatalf("not JSON: %s: %v", a, err)
	}
	if err := json.Unmarshal([]byte(b), &vb); err != nil {
		t.Fatalf("not JSON: %s: %v", b, err)
	}
	return reflect.DeepEqual(va, vb)
}

// build makes the Go value that a description describes.
func build(t *testing.T, d *typed) any {
	t.Helper()
	b := &builder{t: t}
	root := b.value(d, nil)
	for _, put := range b.later {
		put(root)
	}
	return root
}

type builder struct {
	t     *testing.T
	later []func(root any)
}

func (b *builder) value(d *typed, set func(any)) any {
	switch d.T {
	case "null":
		return nil
	case "undefined":
		return codec.Undefined
	case "number":
		return b.number(d)
	case "string":
		return plain[string](b.t, d.V)
	case "bool":
		return plain[bool](b.t, d.V)
	case "bigint":
		n, _ := new(big.Int).SetString(plain[string](b.t, d.V), 10)
		return n
	case "function":
		return func() {}
	case "symbol":
		return make(chan int)
	case "date":
		if d.Invalid {
			return time.UnixMilli(math.MaxInt64).UTC()
		}
		return time.UnixMilli(d.MS).UTC()
	case "regexp":
		return codec.RegExp{Source: d.Source, Flags: d.Flags}
	case "error":
		return &codec.Error{Name: d.Name, Message: d.Message, Stack: d.Stack}
	case "bytes":
		data, err := base64.StdEncoding.DecodeString(d.Base64)
		if err != nil {
			b.t.Fatal(err)
		}
		return data
	case "set":
		return codec.Set(b.list(d.Values))
	case "array":
		return b.list(d.Items)
	case "map":
		return codec.Map(b.pairs(d.Entries))
	case "object":
		return b.pairs(d.Props)
	case "ref":
		b.later = append(b.later, func(root any) { set(walk(root, d.Path)) })
		return nil
	}
	b.t.Fatalf("no type %q", d.T)
	return nil
}

func (b *builder) number(d *typed) float64 {
	switch d.Special {
	case "":
		return plain[float64](b.t, d.V)
	case "-0":
		return math.Copysign(0, -1)
	}
	f, err := strconv.ParseFloat(d.Special, 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

func (b *builder) list(items []typed) []any {
	list := make([]any, len(items))
	for i := range items {
		list[i] = b.value(&items[i], func(v any) { list[i] = v })
	}
	return list
}

func (b *builder) pairs(pairs []json.RawMessage) map[string]any {
	m := map[string]any{}
	for _, raw := range pairs {
		pair := plain[[]json.RawMessage](b.t, raw)
		name := string(pair[0])
		if pair[0][0] == '"' {
			name = plain[string](b.t, pair[0])
		} else if pair[0][0] == '{' { // the key of a Map
			key := plain[typed](b.t, pair[0])
			name = string(key.V)
			if key.T == "string" {
				name = plain[string](b.t, key.V)
			}
		}
		d := plain[typed](b.t, pair[1])
		m[name] = b.value(&d, func(v any) { m[name] = v })
	}
	return m
}

func plain[T any](t *testing.T, raw json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

func walk(v any, path []any) any {
	for _, s := range path {
		switch at := v.(type) {
		case map[string]any:
			name, ok := s.(string)
			if !ok {
				name = strconv.Itoa(int(s.(float64)))
			}
			v = at[name]
		case []any:
			v = at[int(s.(float64))]
		}
	}
	return v
}

// A pair of containers that same is comparing already.
type comparing struct{ a, b uintptr }

// same is reflect.DeepEqual for values that may hold themselves, with times
// compared as instants.
func same(a, b any, busy map[comparing]bool) bool {
	if busy == nil {
		busy = map[comparing]bool{}
	}
	if ta, ok := a.(time.Time); ok {
		tb, ok := b.(time.Time)
		return ok && ta.Equal(tb)
	}
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if !va.IsValid() || !vb.IsValid() || va.Type() != vb.Type() {
		return !va.IsValid() && !vb.IsValid()
	}
	k := va.Kind()
	if k != reflect.Map && (k != reflect.Slice || va.Type().Elem().Kind() == reflect.Uint8) {
		return reflect.DeepEqual(a, b)
	}
	if va.Len() != vb.Len() {
		return false
	}
	c := comparing{va.Pointer(), vb.Pointer()}
	if busy[c] {
		return true
	}
	busy[c] = va.Len() > 0
	if k == reflect.Slice {
		for i := range va.Len() {
			if !same(va.Index(i).Interface(), vb.Index(i).Interface(), busy) {
				return false
			}
		}
		return true
	}
	for it := va.MapRange(); it.Next(); {
		other := vb.MapIndex(it.Key())
		if !other.IsValid() || !same(it.Value().Interface(), other.Interface(), busy) {
			return false
		}
	}
	return true
}
