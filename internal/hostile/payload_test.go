package hostile_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// bombs are payloads made to cost more than they weigh. The code that answers
// is "" for a result.
func bombs() map[string]struct{ text, code string } {
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + "1" + strings.Repeat(end, n) }
	const mega = 1 << 20
	return map[string]struct{ text, code string }{
		"depth 100,000":               {deep("[", "]", 100_000), "invalid"},
		"depth 100,000 of objects":    {deep(`{"a":`, "}", 100_000), "invalid"},
		"depth 100,000 below a tag":   {`{"x<!D>":1,"y":` + deep("[", "]", 100_000) + `}`, "invalid"},
		"a megabyte of brackets":      {strings.Repeat("[", mega-200), "invalid"},
		"a megabyte of closing ones":  {strings.Repeat("]", mega-200), "invalid"},
		"a megabyte of empty arrays":  {"[" + strings.Repeat("[],", (mega-200)/3) + "[]]", ""},
		"a megabyte of commas":        {"[" + strings.Repeat(",", mega-200) + "]", "invalid"},
		"a megabyte of one key":       {`{"` + strings.Repeat("k", mega-200) + `":1}`, ""},
		"a hundred thousand same key": {"{" + strings.Repeat(`"a":1,`, 100_000) + `"a":2}`, ""},
		"a megabyte of digits":        {strings.Repeat("9", mega-200), "invalid"},
		"a huge exponent":             {"1e999999999", "invalid"},
		"a tiny exponent":             {"1e-999999999", ""},
		"a fraction without end":      {"0." + strings.Repeat("3", mega-200), ""},
		"a key of 4 KB of <!":         {`{"` + strings.Repeat("<!", 2048) + `>":1}`, ""},
		"a key of 4 KB of >":          {`{"a<!` + strings.Repeat(">", 4096) + `":1}`, ""},
		"a key of 4 KB of tags":       {`{"a` + strings.Repeat("<!D>", 1024) + `":1}`, ""},
		"a key of 1 MB of <!":         {`{"a` + strings.Repeat("<!", 500_000) + `":1}`, ""},
		"a tag of 400 KB of brackets": {`{"a<!` + strings.Repeat("[", 400_000) + `>":[1]}`, ""},
		"a tag of 400 KB of commas":   {`{"a<![` + strings.Repeat(",", 400_000) + `]>":[1]}`, ""},
		"many keys of tags":           {"{" + strings.Repeat(`"a<!b<!c>":1,`, 50_000) + `"z":1}`, ""},
		"escapes that spell a tag":    {`{"a\u003c\u0021D\u003e":1}`, ""},
		"pointers that double":        {doubling(), "invalid"},
		"a pointer to itself":         {`{"a<!P>":["a"]}`, "invalid"},
		"a pointer to __proto__":      {`{"a<!P>":["__proto__"],"a":{"polluted":1}}`, "invalid"},
		"__proto__":                   {`{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}`, ""},
		"a tag named constructor":     {`{"a<!constructor>":1,"b<!toString>":1,"c<!__proto__>":1}`, ""},
		"a pattern made to backtrack": {`{"r<!R>":"/(a+)+` + strings.Repeat("(", 5000) + `/"}`, ""},
		"a date far away":             {`{"d<!D>":1e300}`, "invalid"},
		"a set of sets":               {`{"s<!S>":` + deep("[", "]", 60) + `}`, ""},
		"half a surrogate":            {`"\ud800\ud800\udc00"`, ""},
		"bytes that are none":         {`{"b<!I>":"????"}`, "invalid"},
		"an error without fields":     {`{"e<!E>":[]}`, ""},
	}
}

// doubling is a document in which each member points twice to the one before.
func doubling() string {
	var b strings.Builder
	b.WriteString(`{"k0":["x","x"]`)
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&b, `,"k%d<![P,P]>":[["k%d"],["k%d"]]`, i, i-1, i-1)
	}
	return b.String() + "}"
}

// TestJSONBombs: each is answered, in both dialects and into each kind of
// input, and costs little beside its own weight.
func TestJSONBombs(t *testing.T) {
	for name, bomb := range bombs() {
		t.Run(name, func(t *testing.T) {
			inside(t, setup{}, func(t *testing.T, w *world) {
				p, q := w.hello(`{}`, nil), w.classic(nil)
				before := heap()
				p.lines("c 1 echo " + bomb.text)
				got := p.line()
				fits := strings.HasPrefix(got, "r 1") && bomb.code == "" || strings.HasPrefix(got, `e 1 {"code":"`+bomb.code+`"`) && bomb.code != ""
				if !fits && !strings.HasPrefix(got, `e 1 {"code":"too_large"`) && !strings.HasPrefix(got, `e 1 {"code":"invalid"`) {
					t.Errorf("got %.200q, want %q", got, bomb.code)
				}
				for i, path := range []string{"typed", "polluted", "nothing", "echo"} {
					id := 2*i + 3
					p.lines(fmt.Sprintf("c %d %s %s", id, path, bomb.text))
					got := p.line()
					if !strings.HasPrefix(got, fmt.Sprintf("r %d", id)) && !strings.HasPrefix(got, fmt.Sprintf("e %d", id)) {
						t.Errorf("%s: got %.200q", path, got)
					}
					if path == "polluted" && strings.HasPrefix(got, "r") && got != fmt.Sprintf("r %d false", id) {
						t.Errorf("another map has got a member: %q", got)
					}
				}
				q.send(text(`{"type":"/echo","data":` + bomb.text + `}`))
				q.send(text(bomb.text))
				q.send(text(`{"type":"/echo","data":"after"}`))
				for !strings.Contains(q.message(), `"after"`) {
				}
				synctest.Wait()
				bounded(t, before, 16<<20)
			})
		})
	}
}

// TestClassicMessagesThatAreNone: nothing answers them, as the old server did,
// and the connection goes on.
func TestClassicMessagesThatAreNone(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.classic(nil)
		for _, s := range []string{
			"", " ", "null", "5", `"x"`, "[]", "{}", "{", "not json", `{"type":5}`, `{"type":null}`, `{"type":["/echo"]}`, `{"type":{"a":1}}`,
			`{"subscribe":5}`, `{"subscribe":["a"]}`, `{"type":"/echo","createdAt":"now"}`, `{"type":"/echo","createdAt":1e400}`, `{"type":"/echo"}x`,
			strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000), `{"type":"/echo","data":01}`, `{"type":"/echo","data":"` + "\x01" + `"}`, "{\"type\":\"\\ud800",
		} {
			p.send(text(s))
		}
		p.send(text(`{"type":"/echo","data":"after"}`))
		if got := p.message(); !strings.Contains(got, `"after"`) {
			t.Errorf("got %q", got)
		}
		if got := w.app.Stats().Malformed; got != 22 {
			t.Errorf("%d messages were malformed, want 22", got)
		}
	})
}

// TestClassicPathsMadeToCost: a path of a megabyte is not found at once, also
// where there are wildcards above it.
func TestClassicPathsMadeToCost(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.classic(nil)
		for _, path := range []string{
			strings.Repeat("/", 1<<20-100), "/files" + strings.Repeat("/a", 500_000), strings.Repeat("A/", 500_000), "/" + strings.Repeat("€", 300_000),
			"/\u0000", "/toString", "/constructor", "/__proto__", "/valueOf", "//echo", "/../echo", "/echo/", "/echo\n", "",
		} {
			quoted, _ := json.Marshal(path)
			p.send(text(`{"type":` + string(quoted) + `}`))
			if got := p.message(); !strings.Contains(got, `"not_found"`) || len(got) > 1000 {
				t.Errorf("%.20q: got %.300q", path, got)
			}
		}
	})
}

// TestClassicReplays: a message runs once, however often it comes; one from
// another time does not run, with clocks that are far off.
func TestClassicReplays(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.classic(nil)
		before := w.app.Stats().Calls
		now := time.Now().UnixMilli()
		message := fmt.Sprintf(`{"type":"/echo","data":1,"createdAt":%d}`, now)
		for range 1000 {
			p.send(text(message))
		}
		p.message()
		synctest.Wait()
		if got := w.app.Stats().Calls - before; got != 1 {
			t.Errorf("the message ran %d times", got)
		}
		for _, at := range []string{"0", "-1", "9223372036854775807", "-9223372036854775808", "1e18", "-1e18", fmt.Sprint(now - 61_000), fmt.Sprint(now + 61_000)} {
			p.send(text(`{"type":"/echo","data":1,"createdAt":` + at + `}`))
			if got := p.message(); !strings.Contains(got, `"invalid"`) {
				t.Errorf("createdAt %s: got %q", at, got)
			}
		}
	})
}

// TestAMillionSmallLines: a flood of answers that the protocol itself makes
// ends, at the latest, the client that does not read them.
func TestAMillionSmallLines(t *testing.T) {
	inside(t, setup{Options: ape.Options{Heartbeat: time.Hour}}, func(t *testing.T, w *world) {
		for _, l := range []string{"y\n", "m\n", "c 2 echo\n", "c 1 nope\n", "s 1 private/x\n", "u 1 x\n", "m nothing\n", "x 1\n", "r 1\n", "\n"} {
			before := heap()
			p := w.hello(`{}`, nil)
			block := text(strings.Repeat(l, 1000))
			for range 100 {
				if p.send(block) != nil {
					break
				}
			}
			bounded(t, before, 16<<20)
			w.served()
			p.Close()
		}
	})
}
