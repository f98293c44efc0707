package codec

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/netip"
	"reflect"
	"testing"
)

type inner struct {
	A int `json:"a"`
	B *string
	C []inner `json:",omitempty"`
}

type hidden struct {
	Promoted int
	Twice    int
}

type other struct{ Twice int }

// level writes itself, as a number.
type level int

func (l level) MarshalJSON() ([]byte, error) { return []byte{'0' + byte(l&7)}, nil }

// zoo has what encoding/json has rules for, and nothing that has a tag here.
type zoo struct {
	Int     int8            `json:"int"`
	Uint    uint16          `json:"uint,omitempty"`
	Float   float64         `json:"float,omitzero"`
	Float32 float32         `json:"float32"`
	Bool    bool            `json:"bool,string"`
	Quoted  int             `json:"quoted,string"`
	QPtr    *float64        `json:"qptr,string"`
	QStr    string          `json:"qstr,string"`
	Level   level           `json:"level,string"`
	Str     string          `json:"str"`
	Ptr     **int           `json:"ptr"`
	Slice   []string        `json:"slice"`
	Array   [2]int          `json:"array"`
	Map     map[string]int  `json:"map"`
	IntMap  map[int8]bool   `json:"intmap"`
	Any     any             `json:"any"`
	Raw     json.RawMessage `json:"raw"`
	Num     json.Number     `json:"num"`
	Big     *big.Int        `json:"big"`
	Addr    netip.Addr      `json:"addr,omitzero"`
	AddrMap map[netip.Addr]int
	Inner   inner
	InnerP  *inner `json:"innerP,omitempty"`
	Skip    int    `json:"-"`
	Dash    int    `json:"-,"`
	Ünïcode int
	hidden
	other
	*inner
}

var zooTexts = []string{
	`{}`, `null`, `[]`, `1`, `"x"`, `true`,
	`{"int":5,"INT":6,"uint":7,"float":1.5,"float32":0.1,"bool":"true","quoted":"12","qptr":"1e3","qstr":"\"x\""}`,
	`{"level":"5"}`, `{"level":5}`, `{"int":128}`, `{"int":1.0}`, `{"uint":-1}`, `{"float":1e999}`, `{"float32":1e39}`, `{"bool":true}`, `{"bool":"no"}`,
	`{"quoted":12}`, `{"quoted":"x"}`, `{"quoted":null}`, `{"quoted":"null"}`, `{"qstr":"x"}`, `{"qstr":"12"}`, `{"qptr":null}`, `{"quoted":" 1"}`, `{"quoted":"00"}`, `{"quoted":""}`, `{"quoted":"1,"}`, `{"qptr":"0x1p4"}`, `{"quoted":"{}"}`,
	`{"ptr":5}`, `{"ptr":null}`, `{"slice":["a",null,"b"]}`, `{"slice":[]}`, `{"slice":null}`, `{"slice":{}}`, `{"array":[1,2,3]}`, `{"array":[1]}`,
	`{"map":{"a":1,"b":null,"a":2}}`, `{"intmap":{"1":true,"-128":false}}`, `{"intmap":{"x":true}}`, `{"intmap":{"200":true}}`,
	`{"any":[1,"a",{"b":[null,true,1e5]}],"raw": [ 1 , {"a" : 2} ] ,"num":12.50,"big":123456789012345678901234567890}`,
	`{"num":"12"}`, `{"num":"x"}`, `{"addr":"10.0.0.1","AddrMap":{"10.0.0.2":3}}`, `{"addr":5}`, `{"addr":"x"}`, `{"addr":null}`, `{"addr":{}}`,
	`{"Inner":{"a":1,"b":"x","C":[{"a":2}]},"innerP":{"a":3},"a":9,"B":"z"}`, `{"innerP":null,"C":[{}]}`,
	`{"Promoted":4,"Twice":5,"-":6,"Skip":7,"ünïcode":8,"ÜNÏCODE":9}`,
	`{"str":"\u00e9\ud83e\udd8d\ud83e\n\/\\"}`, "{\"str\":\"\xff\xfe\"}", "{\"str\":\"\u2028\u2029\x7f\"}", `{"str":"<script>&</script>"}`,
	`{"map":{"<!D>":1,"x<!":2}}`, `{"any":-0,"float":-0.0}`, `{"any":1e21,"float":1e-7,"float32":1.2345679e10}`, `{"float":123456789012345680000}`,
	`{"a":1,}`, `{"a"}`, `[1,]`, `01`, `-`, `1.`, `1e`, `"\x"`, `tru`, `{"a":1}x`, ` { } `, `"a` + "\n" + `b"`, ``, ` `, `{"int":{"a":1}}`,
}

// FuzzLikeJSON holds the package's own way of reading and writing against
// encoding/json, for values without tags, for which both must be the same.
func FuzzLikeJSON(f *testing.F) {
	for _, text := range zooTexts {
		f.Add([]byte(text))
	}
	o := Options{}.filled()
	f.Fuzz(func(t *testing.T, text []byte) {
		if mayHoldTags(text) || tooDeep(text, o.MaxDepth) {
			return
		}
		for _, target := range []any{new(zoo), new(any), new([]any), new(map[string]any), new([]zoo), new(map[string]*inner)} {
			want := reflect.New(reflect.TypeOf(target).Elem())
			wantErr := json.Unmarshal(text, want.Interface())
			got := reflect.New(reflect.TypeOf(target).Elem())
			d, gotErr := o.decoder(text)
			if gotErr == nil {
				_, gotErr = d.into(skipSpace(text, 0), "", got.Elem())
			}
			if (gotErr == nil) != (wantErr == nil) {
				t.Fatalf("%T from %q: got error %v, encoding/json has %v", target, text, gotErr, wantErr)
			}
			if wantErr != nil {
				continue
			}
			if !reflect.DeepEqual(got.Interface(), want.Interface()) {
				t.Fatalf("%T from %q: got %+v, encoding/json has %+v", target, text, got.Elem(), want.Elem())
			}
			compareWritten(t, o, want.Interface())
		}
	})
}

func compareWritten(t *testing.T, o Options, v any) {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	wantErr := enc.Encode(v)
	want := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if hasNegativeZero(want) {
		return
	}
	got, gotErr := o.once(nil, nil, func(e *encoder) error { return e.root(v) })
	if (gotErr == nil) != (wantErr == nil) || gotErr == nil && !bytes.Equal(got, want) {
		t.Fatalf("%T: got %s, %v; encoding/json has %s, %v", v, got, gotErr, want, wantErr)
	}
}
