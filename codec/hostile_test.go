package codec_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape/codec"
)

// The sizes here take a blink in linear time, and minutes in quadratic time.

func TestLongKeys(t *testing.T) {
	const n = 40 << 10
	for name, key := range map[string]string{
		"opened":           strings.Repeat("<!", n/2),
		"closed":           strings.Repeat(">", n),
		"tags":             strings.Repeat("<!D>", n/4),
		"almost tags":      strings.Repeat("<!a", n/3) + ">",
		"brackets":         "a<!" + strings.Repeat("[", n) + ">",
		"closed lists":     "a<!" + strings.Repeat("[", n/2) + strings.Repeat("]", n/2) + ">",
		"commas":           "a<![" + strings.Repeat(",", n) + "]>",
		"escapes":          strings.Repeat(`\u003c\u0021`, n/12) + ">",
		"letters":          strings.Repeat("É", n/2) + "<!D>",
		"pointer brackets": "a<!" + strings.Repeat("[P,", n/3) + ">",
	} {
		t.Run(name, func(t *testing.T) {
			for _, value := range []string{"5", "[]", "[[[[5]]]]", "{}", strings.Repeat("[", 60) + strings.Repeat("]", 60)} {
				text := []byte(`{"` + key + `":` + value + `,"x<!D>":1}`)
				var v any
				var typed struct{ X time.Time }
				anyErr := codec.Unmarshal(text, &v)
				if _, ok := v.(map[string]any); anyErr == nil && !ok {
					t.Errorf("got %T, want an object", v)
				}
				checkError(t, codec.Unmarshal(text, &typed), "")
				if typed.X.UnixMilli() != 1 {
					t.Errorf("got %v after the key", typed.X)
				}
			}
			text, err := codec.Marshal(map[string]any{key: time.UnixMilli(1)})
			checkError(t, err, "")
			if back := read[map[string]any](t, string(text)); len(back) != 1 {
				t.Errorf("got %d members, want 1", len(back))
			}
		})
	}
}

func TestLongErrorsAreCut(t *testing.T) {
	key := strings.Repeat("k", 40<<10)
	var v map[string]map[string]int
	err := codec.Unmarshal([]byte(`{"`+key+`<!_>":{"`+key+`":"x"}}`), &v)
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("got an error of %d bytes", len(fmt.Sprint(err)))
	}
}

func TestManyTags(t *testing.T) {
	const n = 100_000
	dates := make([]any, n)
	object := make(map[string]any, n)
	for i := range dates {
		dates[i] = time.UnixMilli(int64(i)).UTC()
		object[fmt.Sprint(i)] = dates[i]
	}
	text, err := codec.Marshal(map[string]any{"list": dates, "object": object})
	checkError(t, err, "")
	back := read[map[string]any](t, string(text))
	if list := back["list"].([]any); len(list) != n || list[n-1] != dates[n-1] {
		t.Error("the list came back otherwise")
	}
	if object := back["object"].(map[string]any); len(object) != n || object["9"] != dates[9] {
		t.Error("the object came back otherwise")
	}
}

func TestManyPointers(t *testing.T) {
	const n = 100_000
	var b strings.Builder
	b.WriteString(`{"items":[{}`)
	b.WriteString(strings.Repeat(`,{}`, n))
	b.WriteString(`],"members":{"0":{}`)
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":{}`, i)
	}
	b.WriteString(`},"a<![P` + strings.Repeat(`,P`, n-1) + `]>":[["items",0]`)
	for i := range n - 1 {
		fmt.Fprintf(&b, `,["items",%d]`, i+1)
	}
	b.WriteString(`]`)
	for i := range n {
		fmt.Fprintf(&b, `,"b%d<!P>":["members","k%d"]`, i, i)
	}
	b.WriteString(`}`)
	v := read[map[string]any](t, b.String())
	list, items := v["a"].([]any), v["items"].([]any)
	list[n-1].(map[string]any)["mark"] = 1
	if len(list) != n || items[n-1].(map[string]any)["mark"] != 1 || len(v) != n+3 {
		t.Error("the pointers lead elsewhere")
	}
	typed := read[struct {
		A  []struct{}
		B5 *struct{}
	}](t, b.String())
	if len(typed.A) != n || typed.B5 == nil {
		t.Error("the pointers do not fill types")
	}
}

// bomb has levels that hold the one before ten times over.
func bomb(levels int) string {
	var b strings.Builder
	b.WriteString(`{"l0":"0123456789"`)
	for i := range levels {
		fmt.Fprintf(&b, `,"l%d<![%sP]>":[%s["l%d"]]`, i+1, strings.Repeat("P,", 9), strings.Repeat(fmt.Sprintf(`["l%d"],`, i), 9), i)
	}
	b.WriteString(`}`)
	return b.String()
}

func TestPointerBombs(t *testing.T) {
	type list5 = [][][][][]string
	text := bomb(5)
	checkError(t, codec.Unmarshal([]byte(text), &struct{ L5 list5 }{}), "")
	err := codec.Options{MaxSize: 100 << 10}.Unmarshal([]byte(text), &struct{ L5 list5 }{})
	if !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("10^5 times 10 bytes: got %v, want ErrTooLarge", err)
	}
	type deep []deep
	var d struct{ L40 deep }
	err = codec.Unmarshal([]byte(strings.Replace(bomb(40), `"0123456789"`, `[]`, 1)), &d)
	if !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("10^40 arrays: got %v, want ErrTooLarge", err)
	}
	var v any // shares, and so needs no more than the text
	checkError(t, codec.Unmarshal([]byte(bomb(40)), &v), "")
	// The text of a long string many times over.
	long := `{"s":"` + strings.Repeat("x", 1<<20) + `","l<![` + strings.Repeat("P,", 100) + `]>":[["s"]` + strings.Repeat(`,["s"]`, 99) + `]}`
	if err := codec.Unmarshal([]byte(long), &v); !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("a long string 100 times: got %v, want ErrTooLarge", err)
	}
}

func TestManyPointersForward(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"o0":{}`)
	for i := range 100_000 {
		fmt.Fprintf(&b, `,"o%d":{"next<!P>":["o%d"]}`, i+1, i)
	}
	b.WriteString(`}`)
	v := read[map[string]any](t, b.String())
	if v["o7"].(map[string]any)["next"].(map[string]any)["next"] == nil {
		t.Error("the chain is broken")
	}
	forward := strings.ReplaceAll(b.String(), `"o`, `"p`)
	forward = `{"first<!P>":["p100000"],` + forward[1:]
	var w any
	if err := codec.Unmarshal([]byte(forward), &w); !errors.Is(err, codec.ErrTooDeep) {
		t.Errorf("a chain of pointers forward: got %v, want ErrTooDeep", err)
	}
}

func TestDepth(t *testing.T) {
	nest := func(n int, open, close string) []byte {
		return []byte(strings.Repeat(open, n) + "1" + strings.Repeat(close, n))
	}
	for _, test := range []struct {
		open, close string
		levels      int
	}{{"[", "]", 1}, {`{"a":`, "}", 1}, {`{"a<!_>":`, "}", 1}, {`{"a<![,D]>":[`, "]}", 2}} {
		var v any
		checkError(t, codec.Unmarshal(nest(64/test.levels, test.open, test.close), &v), "")
		_, err := codec.Marshal(v)
		checkError(t, err, "")
		for _, n := range []int{64/test.levels + 1, 10_000, 1_000_000} {
			if err := codec.Unmarshal(nest(n, test.open, test.close), &v); !errors.Is(err, codec.ErrTooDeep) {
				t.Errorf("%d times %s: got %v, want ErrTooDeep", n, test.open, err)
			}
		}
	}
	checkError(t, codec.Options{MaxDepth: 2}.Unmarshal([]byte(`[[[1]]]`), new(any)), "nested too deep: more than 2")
	checkError(t, codec.Options{MaxDepth: 2}.Unmarshal([]byte(`["[[[[{{{{", "\"[[["]`), new(any)), "")
}

func TestDeepValues(t *testing.T) {
	var chain *node
	for range 10_000 {
		chain = &node{Next: chain}
	}
	var list any
	for range 10_000 {
		list = []any{list}
	}
	type links struct{ Next *links }
	var plain *links
	for range 10_000 {
		plain = &links{plain}
	}
	raw := rawText(strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000))
	for name, v := range map[string]any{"pointers": chain, "any": list, "type without tags": plain, "own text": raw, "own text in any": []any{raw}} {
		if _, err := codec.Marshal(v); !errors.Is(err, codec.ErrTooDeep) {
			t.Errorf("%s: got %v, want ErrTooDeep", name, err)
		}
	}
}

type rawText string

func (r rawText) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func TestSize(t *testing.T) {
	o := codec.Options{MaxSize: 100}
	long := strings.Repeat("x", 100)
	// A value that doubles at each of 60 levels.
	var double any = noon
	for range 60 {
		double = []any{double, double}
	}
	for name, v := range map[string]any{"plain": long, "any": []any{long}, "tags": []any{noon, noon, noon, noon, noon, noon, noon, noon}, "shared": double} {
		if _, err := o.Marshal(v); !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("write %s: got %v, want ErrTooLarge", name, err)
		}
	}
	if _, err := codec.Marshal(double); !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("write shared: got %v, want ErrTooLarge", err)
	}
	for _, text := range []string{`"` + long + `"`, `{"a<!D>":"` + long + `"}`} {
		if err := o.Unmarshal([]byte(text), new(any)); !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("read: got %v, want ErrTooLarge", err)
		}
		if err := o.UnmarshalMember([]byte(text), "a", new(any)); !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("read member: got %v, want ErrTooLarge", err)
		}
	}
}

func TestKeysAreData(t *testing.T) {
	v := read[map[string]any](t, `{"__proto__":{"x":1},"constructor<!D>":1,"a":1,"a":2,"a<!_>":3}`)
	if len(v) != 3 || v["a"] != 3.0 || v["__proto__"] == nil {
		t.Errorf("got %v", v)
	}
	text, err := codec.Marshal(v)
	checkError(t, err, "")
	if want := `{"__proto__":{"x":1},"a":3,"constructor<!D>":1}`; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
