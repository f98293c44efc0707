package hostile_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestHellosThatAreNone get 4200 over a WebSocket and 400 over a stream.
func TestHellosThatAreNone(t *testing.T) {
	bad := []string{
		`h`, `h `, `h {`, `h []`, `h null`, `h "x"`, `h {} {}`, `h;x=1`, `hello {}`, `H {}`, `c 1 echo 1`, `p`, `a 1`, `w {}`, `q {}`, "\xef\xbb\xbfh {}",
		`h {"limits":{"line":1e99}}`, `h {"limits":{"line":"4"}}`, `h {"limits":[]}`, `h {"limits":{"line":99999999999999999999}}`,
		`h {"try":-1}`, `h {"try":1.5}`, `h {"try":18446744073709551616}`, `h {"seen":-1}`, `h {"seen":"1"}`, `h {"resume":5}`, `h {"resume":["x"]}`,
		`h {"poll":"yes"}`, `h {"client":{}}`, `h {"auth":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
		`h {"auth":"` + strings.Repeat("x", 100_000) + `"}`, `h {"auth":"` + strings.Repeat("x", 2<<20) + `"}`,
	}
	inside(t, setup{}, func(t *testing.T, w *world) {
		for _, l := range bad {
			p := w.upgrade(line1)
			p.lines(l)
			for _, before := range p.wantClose(4200) {
				if before != "" && !strings.HasPrefix(before, `q {"code":"hello","then":"final"`) {
					t.Errorf("%.60q: got %q", l, before)
				}
			}
			text, ok := strings.CutPrefix(l, "h ")
			if !ok || len(text) > 1<<19 {
				continue
			}
			w.get(request("GET", "/api/ape/poll", head{"Ape-Protocol": "ape.1", "Ape-Hello": text})).status(400)
		}
		w.served()
		w.online(0)
		if got := w.app.Stats().Sessions; got != 1 {
			t.Errorf("%d sessions were begun, want the bystander's", got)
		}
	})
}

// TestStrangeHellosThatAreGood: what is allowed, or unknown, is survived.
func TestStrangeHellosThatAreGood(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		for _, h := range []string{
			`{"limits":{"line":0}}`, `{"limits":{"line":-1}}`, `{"limits":{"line":1152921504606846976,"calls":-5}}`, `{"limits":null}`,
			`{"try":18446744073709551615,"seen":18446744073709551615}`, `{"resume":"","try":0}`, `{"resume":null}`,
			`{"__proto__":{"resume":"x"},"constructor":1,"":2}`, `{"auth":null,"auth":1,"auth":2}`, `{"auth":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`,
			`{"client":"` + strings.Repeat("x", 5000) + `"}`, ` { } `, `{"client":"\u0000\ud800"}`,
		} {
			p := w.hello(h, nil)
			p.lines(`c 1 echo "` + strings.Repeat("y", 500) + `"`)
			p.want(`r 1 "yyy`)
			p.Close()
		}
	})
}

// TestALimitOfZeroDoesNotMakeAnswersVanish: a client that takes next to nothing
// is told so in what it does take.
func TestALimitOfZeroDoesNotMakeAnswersVanish(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{"limits":{"line":1}}`, nil)
		p.lines(`c 1 big {"n":5000}`, `c 3 echo 1`)
		p.unordered(`e 1 {"code":"too_large"`, "r 3 1")
	})
}

// TestTryOverflow: the highest try ends only its own client's resumes; numbers
// that were never written are a gap.
func TestTryOverflow(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		q := w.upgrade(line1)
		q.lines(`h {"resume":"` + p.token + `","try":18446744073709551615,"seen":0}`)
		if got := q.welcome(); got.Recovered == nil || got.ID != p.id {
			t.Errorf("the welcome is %+v", got)
		}
		p.wantClose(4100)
		for _, try := range []string{"0", "1", "18446744073709551615"} {
			r := w.upgrade(line1)
			r.lines(`h {"resume":"` + p.token + `","try":` + try + `}`)
			r.wantClose(4002)
		}
		q.lines("c 1 echo 1")
		q.want("r 1 1")

		for _, seen := range []string{"1", "9007199254740992", "18446744073709551615"} {
			p := w.hello(`{}`, nil)
			q := w.upgrade(line1)
			q.lines(`h {"resume":"` + p.token + `","try":1,"seen":` + seen + `}`)
			if got := q.welcome(); got.Gap != "mismatch" {
				t.Errorf("seen %s: the welcome is %+v", seen, got)
			}
		}
	})
}

// TestTheSecondHelloIsIgnored: it neither renames nor ends the session.
func TestTheSecondHelloIsIgnored(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		p.lines(`h {"resume":"x.y","try":9,"auth":"admin"}`, `h`, `w {}`, "c 1 who")
		p.want(`r 1 "` + p.id + `"`)
	})
}

// TestLinesThatOvertakeOnConnect: what comes while OnConnect runs is kept in
// order, bounded, and nothing of it runs when the client is refused.
func TestLinesThatOvertakeOnConnect(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprint("refuse ", refuse), func(t *testing.T) {
			let := make(chan struct{})
			first := true
			var o setup
			o.OnConnect = connectGate(&first, &let, refuse)
			synctest.Test(t, func(t *testing.T) {
				let = make(chan struct{})
				w := start(t, o)
				p := w.upgrade(line1)
				before, calls := heap(), w.app.Stats().Calls
				done := make(chan struct{})
				go func() {
					defer close(done)
					p.lines("h {}")
					for i := range 200 {
						p.lines(fmt.Sprintf(`c %d nothing "%s"`, 2*i+1, strings.Repeat("x", 10_000)))
					}
				}()
				time.Sleep(time.Second)
				bounded(t, before, 2<<20)
				if got := w.app.Stats().Calls - calls; got != 0 {
					t.Errorf("%d calls were begun before OnConnect had returned", got)
				}
				w.served()
				close(let)
				if refuse {
					p.wantClose(4201)
				} else {
					p.welcome()
					for range 200 {
						if l := p.line(); !strings.HasPrefix(l, "r ") {
							t.Fatalf("got %q", l)
						}
					}
				}
				<-done
			})
		})
	}
}

// TestResetsDuringOnConnect: the context of the hook ends
// with the connection.
func TestResetsDuringOnConnect(t *testing.T) {
	var let chan struct{}
	first := true
	var o setup
	o.OnConnect = connectGate(&first, &let, false)
	synctest.Test(t, func(t *testing.T) {
		let = make(chan struct{})
		w := start(t, o)
		begin := time.Now()
		for range 20 {
			p := w.upgrade(line1)
			p.lines("h {}")
			synctest.Wait()
			p.reset()
			w.upgrade().reset()
		}
		w.get(request("POST", "/api/ape/poll", head{"Cookie": "apeClientId=" + cookieOf("A"), "Content-Length": "2"}) + "{}").status(503)
		if d := time.Since(begin); d > 11*time.Second {
			t.Errorf("given up after %v", d)
		}
		w.served()
		w.online(0)
		close(let)
	})
}
