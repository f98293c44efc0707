package hostile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// TestBrokenLines: every op with broken fields gets the answer that
// docs/protocol.md names, or none, and counts or not as its first field says.
func TestBrokenLines(t *testing.T) {
	const (
		none        = ""
		malformed   = `e 0 {"code":"malformed"`
		unsupported = `e 0 {"code":"unsupported"`
	)
	cases := []struct{ line, answer string }{
		{"c", malformed}, {"c ", malformed}, {"c 1", `e 1 {"code":"malformed"`}, {"c 1 ", `e 1 {"code":"malformed"`}, {"c echo", malformed},
		{"c 1x echo", malformed}, {"c -1 echo", malformed}, {"c 01 echo", malformed}, {"c +1 echo", malformed}, {"c 1e3 echo", malformed},
		{"c 9007199254740993 echo", malformed}, {"c 99999999999999999999999 echo", malformed}, {"c  1 echo", malformed}, {"c\t1 echo", malformed},
		{"c 0 echo", malformed}, {"c 2 echo", malformed}, {"c 9007199254740990 echo", malformed}, {"c 1 %zz", `e 1 {"code":"malformed"`},
		{"c 1 %ff", `e 1 {"code":"malformed"`}, {"c 1 %2", `e 1 {"code":"malformed"`}, {"c 1 a\tb", `e 1 {"code":"malformed"`}, {"c 1 a\x7fb", `e 1 {"code":"malformed"`},
		{"c 1 " + strings.Repeat("a", 256), `e 1 {"code":"malformed"`}, {"c 1 " + strings.Repeat("%41", 256), `e 1 {"code":"malformed"`},
		{"c 1 echo;", `e 1 {"code":"malformed"`}, {"c 1 echo;=1", `e 1 {"code":"malformed"`}, {"c 1 echo;a=1;a=2 1", `e 1 {"code":"malformed"`},
		{"c 1 echo;1=1", `e 1 {"code":"malformed"`}, {"c 1 echo;aaaaaaaaaaaaaaaaa", `e 1 {"code":"malformed"`}, {"c 1 echo;t=x", `e 1 {"code":"malformed"`},
		{"c 1 echo;t=-5 1", `e 1 {"code":"malformed"`}, {"c 1 echo;t=99999999999999999999 1", `e 1 {"code":"malformed"`}, {"c 1 echo;a=%0", `e 1 {"code":"malformed"`},
		{"c 1 echo  1", `r 1 1`}, {"c 1 echo =AAA", `e 1 {"code":"malformed"`}, {"c 1 echo =A\rAA=", `e 1 {"code":"malformed"`}, {"c 1 echo ==", `e 1 {"code":"malformed"`},
		{"c 1 echo;Must 1", `e 1 {"code":"unsupported"`}, {"c 1 echo;may 1", "r 1 1"}, {"c 1 echo;t=0 1", "r 1 1"}, {"c 1 echo;t=9007199254740991 1", "r 1 1"},
		{"c 1 echo {", `e 1 {"code":"invalid"`}, {"c 1 echo nul", `e 1 {"code":"invalid"`}, {"c 1 echo 1 2", `e 1 {"code":"invalid"`}, {"c 1 echo \x01", `e 1 {"code":"invalid"`},
		{"c 1 ../../etc/passwd", `e 1 {"code":"not_found"`}, {"c 1 toString", `e 1 {"code":"not_found"`}, {"c 1 __proto__", `e 1 {"code":"not_found"`}, {"c 1 /echo", `e 1 {"code":"not_found"`},
		{"c 1 " + strings.Repeat("%00", 255), `e 1 {"code":"not_found"`}, {"c 1 x" + strings.Repeat("€", 84), `e 1 {"code":"not_found"`}, {"c 1 a%0ab%0dc", `e 1 {"code":"not_found"`},
		{"c 1 files/a%00b", `r 1 "files/a`}, {"c 1 files/%2e%2e/x", `r 1 "files/../x"`}, {"c 1 files/" + strings.Repeat("/", 249), `r 1 "files//`},
		{"s 1", `e 1 {"code":"malformed"`}, {"s 1 ", `e 1 {"code":"malformed"`}, {"s x news", malformed}, {"s 2 news", malformed}, {"s 1 private/x", `e 1 {"code":"denied"`},
		{"s 1 private", `e 1 {"code":"denied"`}, {"s 1 /private/x", `e 1 {"code":"denied"`}, {"s 1 a%00b", `e 1 {"code":"invalid"`}, {"s 1 /", `e 1 {"code":"invalid"`},
		{"s 1 a%0ab", `e 1 {"code":"invalid"`}, {"s 1 " + strings.Repeat("a", 256), `e 1 {"code":"malformed"`}, {"s 1 news;Must", `e 1 {"code":"unsupported"`},
		{"u 1", `e 1 {"code":"malformed"`}, {"u 1 never/subscribed", "r 1"}, {"u 4 news", malformed}, {"u 1 a%00b", `e 1 {"code":"invalid"`},
		{"m", malformed}, {"m ", malformed}, {"m echo =x", malformed}, {"m nope 1", none}, {"m echo {", none}, {"m echo;Must 1", unsupported},
		{"r", none}, {"r x", none}, {"r 2 1", none}, {"r 1 1", none}, {"e", none}, {"e 1", none}, {"e 1 []", none}, {`e 0 {"code":"x"}`, none}, {"e 1 {", none},
		{"x", none}, {"x y", none}, {"x 1", none}, {"x 0", none}, {"n 1 1", none}, {"n", none}, {"z 1", none}, {"z 1 1", none}, {"g 1 5", none}, {"g 1", none}, {"g 1 x", none},
		{"b news 1", unsupported}, {"b", malformed}, {"y", unsupported}, {"y 13", `e 13 {"code":"unsupported"`}, {"yyyyyyyyyyyyyyyyy", malformed},
		{"1", malformed}, {" c 1 echo", malformed}, {"{}", malformed}, {`{"type":"/echo"}`, malformed}, {"\x00", malformed}, {"€", malformed}, {";", malformed}, {"-", malformed},
	}
	uncounted := []string{"a", "a x", "a -1", "a 9007199254740991", "a 99999999999999999999", "a 1 1", "p 1", "p;x", "q", "q []", `q {"code":5}`, "q {", "h", "h {}", "w", "w {}", "X", "X-Y z", "C 1 echo 1"}
	inside(t, setup{}, func(t *testing.T, w *world) {
		for _, c := range cases {
			p := w.hello(`{}`, nil)
			p.lines(c.line, "p")
			synctest.Wait()
			p.lines(append(uncounted, "c 4095 echo 1")...)
			for _, answer := range []string{c.answer, "r 4095 1"} {
				if answer == none {
					continue
				}
				if got := p.line(); !strings.HasPrefix(got, answer) {
					t.Errorf("%.60q: got %.200q, want %q", c.line, got, answer)
				}
			}
			p.lines("p")
			if got := p.acknowledged(); got != 2 {
				t.Errorf("%.60q: acknowledged up to %d, want 2", c.line, got)
			}
			p.Close()
		}
	})
}

// acknowledged reads up to the next a line.
func (p *peer) acknowledged() (n int) {
	p.t.Helper()
	for {
		op, payload, err := p.next()
		if err != nil || op == opClose {
			p.t.Fatalf("want an acknowledgement, got %q, %v", payload, err)
		}
		for l := range strings.Lines(string(payload)) {
			if _, err := fmt.Sscanf(l, "a %d\n", &n); err == nil {
				return n
			}
		}
	}
}

// TestAcknowledgementsFromTheFuture: what was never written is not let go of.
func TestAcknowledgementsFromTheFuture(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		p.lines("a 1", "a 9007199254740991", "c 1 echo 1", "a 9007199254740991")
		p.want("r 1 1")
		q := w.upgrade(line1)
		q.lines(`h {"resume":"` + p.token + `","try":1,"seen":0}`)
		if got := q.welcome(); got.Recovered == nil || *got.Recovered != 1 {
			t.Errorf("the welcome is %+v", got)
		}
		q.want("r 1 1")
		q.lines("a 1", "a 0", "c 3 echo 3")
		q.want("r 3 3")
	})
}

// TestIdsInUse: an id that is open is not opened again, and what is open under
// it goes on.
func TestIdsInUse(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		p.lines("c 1 wait", "c 1 echo 1", "s 1 news", "u 1 news", "c 1", "y 1", "x 1", "x 1", "x 3")
		p.want(`e 0 {"code":"malformed"`, `e 0 {"code":"malformed"`, `e 0 {"code":"malformed"`, `e 0 {"code":"malformed"`, "e ")
		p.want(`e 1 {"code":"cancelled"`)
		p.lines("c 3 echo 3")
		p.want("r 3 3")
	})
}

// TestALineAboveTheLimit: it is answered for itself; only far above it the
// connection ends.
func TestALineAboveTheLimit(t *testing.T) {
	inside(t, setup{Options: ape.Options{MaxMessage: 1 << 16}}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		long := strings.Repeat("x", 1<<17)
		p.lines(`c 1 echo "`+long+`"`, `s 3 `+long, `m `+long, `c 5 echo 5`)
		p.want(`e 1 {"code":"too_large"`, `e 3 {"code":"too_large"`, `e 0 {"code":"too_large"`, "r 5 5")
		p.send(frame(fin|opBinary, []byte("c 7 echo =200000\n"+strings.Repeat("\n", 200_000)+"c 9 echo 9\n")))
		p.want(`e 7 {"code":"too_large"`, "r 9 9")
		before := heap()
		go p.send(text("c 11 echo \"" + strings.Repeat("y", 17<<16)))
		p.wantClose(4102)
		bounded(t, before, 4<<20)
		w.online(0)
	})
}

// TestOctetsThatAreNotThere: a size is not believed.
func TestOctetsThatAreNotThere(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		for _, c := range []struct {
			line  string
			codes []int
		}{{"c 1 echo =5\n\x00", []int{4005}}, {"c 1 echo =9007199254740991\n", []int{4102}}, {"c 1 echo =1000000\n", []int{4005}}, {"c 1 echo", []int{4005}}} {
			before := heap()
			p := w.hello(`{}`, nil)
			p.send(frame(fin|opBinary, []byte(c.line)))
			p.wantClose(c.codes...)
			bounded(t, before, 1<<20)
		}
	})
}

// TestParamsBomb: a megabyte of params is read in linear time, and refused or
// not as its keys say.
func TestParamsBomb(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		var distinct strings.Builder
		for i := range 100_000 {
			fmt.Fprintf(&distinct, ";%s=", key(i))
		}
		p.lines("c 1 echo"+distinct.String()+" 1", "c 3 echo"+strings.Repeat(";a", 500_000)+" 1", "c 5 echo"+strings.Repeat(";", 1_000_000),
			"c 7 echo;a="+strings.Repeat("%41", 300_000)+" 7", "c 9 echo 9")
		p.unordered("r 1 1", `e 3 {"code":"malformed"`, `e 5 {"code":"malformed"`, "r 7 7", "r 9 9")
	})
}

// key is a distinct key of letters.
func key(i int) string {
	b := []byte("kaaaaa")
	for j := len(b) - 1; i > 0; j-- {
		b[j] += byte(i % 26)
		i /= 26
	}
	return string(b)
}

// TestSubscriptionChurn: 100,000 names come and go, and the hub forgets them.
func TestSubscriptionChurn(t *testing.T) {
	const names = 100_000
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		p.alive(time.Hour)
		channels, before := w.app.Stats().Channels, heap()
		for i := 0; i < names; i += 100 {
			var b strings.Builder
			for j := i; j < i+100; j++ {
				fmt.Fprintf(&b, "s %d churn/%d\nu %d churn/%d\n", 4*j+1, j, 4*j+3, j)
			}
			p.send(text(b.String()))
			for range 200 {
				if l := p.line(); !strings.HasPrefix(l, "r ") {
					t.Fatalf("got %q", l)
				}
			}
			p.lines(fmt.Sprint("a ", 2*i+200))
		}
		if got := w.app.Stats().Channels; got != channels {
			t.Errorf("%d channels, want %d", got, channels)
		}
		bounded(t, before, 8<<20)
		for i := range 300 {
			p.lines(fmt.Sprintf("s %d kept/%d", 4*(names+i)+1, i))
			want := "r "
			if i >= 256 {
				want = "e "
			}
			if l := p.line(); !strings.HasPrefix(l, want) || want == "e " && !strings.Contains(l, `"busy"`) {
				t.Errorf("subscription %d: %q", i, l)
			}
		}
		p.Close()
		time.Sleep(61 * time.Second)
		if got := w.app.Stats().Channels; got != channels {
			t.Errorf("%d channels when the client is gone, want %d", got, channels)
		}
	})
}

// TestClassicSubscriptionsOfAnyLength: names above the limit are refused before
// they are kept.
func TestClassicSubscriptionsOfAnyLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		var o setup
		o.AuthorizeSubscribe = func(_ context.Context, c *ape.Client, channel string) error {
			if c.Dialect() == "classic" {
				<-block
			}
			return nil
		}
		w := start(t, o)
		p := w.classic(nil)
		p.send(text(`{"subscribe":"first"}`))
		before := heap()
		name, _ := json.Marshal(strings.Repeat("n", 1<<20-100))
		subscribe := text(`{"subscribe":` + string(name) + `}`)
		for range 24 {
			p.send(subscribe)
		}
		synctest.Wait()
		bounded(t, before, 8<<20)
		w.served()
		close(block)
	})
}
