package ape_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

func TestACallTellsItsDeadlineAndKeepsIt(t *testing.T) {
	within := func(d time.Duration) func(*testing.T) context.Context {
		return func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
	}
	forever := func(t *testing.T) context.Context { return t.Context() }
	for name, x := range map[string]struct {
		usual time.Duration
		ctx   func(*testing.T) context.Context
		opts  []ape.CallOption
		param string
		ends  time.Duration
	}{
		"usual":                  {0, forever, nil, ";t=10000", 10 * time.Second},
		"of the server":          {3 * time.Second, forever, nil, ";t=3000", 3 * time.Second},
		"none by the server":     {-1, forever, nil, "", 0},
		"of the context":         {0, within(90 * time.Second), nil, ";t=90000", 90 * time.Second},
		"short context":          {0, within(1500 * time.Microsecond), nil, ";t=2", 1500 * time.Microsecond},
		"option":                 {0, forever, []ape.CallOption{ape.Timeout(time.Minute)}, ";t=60000", time.Minute},
		"option above context":   {0, within(time.Second), []ape.CallOption{ape.Timeout(time.Minute)}, ";t=1000", time.Second},
		"option below context":   {0, within(time.Minute), []ape.CallOption{ape.Timeout(time.Second)}, ";t=1000", time.Second},
		"no limit":               {0, forever, []ape.CallOption{ape.Timeout(0)}, "", 0},
		"negative":               {0, forever, []ape.CallOption{ape.Timeout(-1)}, "", 0},
		"no limit but a context": {0, within(time.Second), []ape.CallOption{ape.Timeout(0)}, ";t=1000", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			eachLine(t, func(t *testing.T, w way) {
				s := newSite(t, &ape.Options{Timeout: x.usual})
				p := s.pen(w, "")
				begin := time.Now()
				got := invoke[int](x.ctx(t), p.client(), "ask", nil, x.opts...)
				p.wants("c 2 ask" + x.param + " null")
				if x.ends == 0 {
					time.Sleep(10 * time.Minute)
					want(t, soon(got), "(nothing yet)")
					p.write("r 2 7")
					want(t, await(got), "7")
					return
				}
				want(t, await(got), "deadline")
				want(t, time.Since(begin), x.ends)
				p.wants("x 2")
				p.write("r 2 7")
				synctest.Wait()
				want(t, s.app.Stats().Late, 1)
			})
		})
	}
}

func TestACancelledCallIsCancelledAtTheClient(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p := s.pen(w, `"limits":{"calls":2}`)
		for i := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			got := invoke[int](ctx, p.client(), "ask", nil)
			id := 2*i + 2
			p.wants(fmt.Sprintf("c %d ask;t=10000 null", id))
			cancel()
			want(t, soon(got), "cancelled")
			p.wants(fmt.Sprint("x ", id))
			if i == 1 {
				break
			}
			p.write(fmt.Sprintf(`e %d {"code":"cancelled"}`, id))
		}
		// The id is only free behind the terminal line.
		other := invoke[int](t.Context(), p.client(), "ask", nil)
		p.wants("c 6 *")
		want(t, soon(invoke[int](t.Context(), p.client(), "ask", nil)), "busy")
		p.write("n 4 5", "r 4 late", "r 4 twice", "r 6 1")
		want(t, soon(other), "1")
		want(t, s.app.Stats().Late, 2)
		p.none()
	})
}

func TestAClientIsAskedNoMoreThanItTakes(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p := s.pen(w, `"limits":{"calls":3}`)
		var open []<-chan string
		for i := range 3 {
			open = append(open, invoke[int](t.Context(), p.client(), "ask", nil))
			p.wants(fmt.Sprintf("c %d *", 2*i+2))
		}
		want(t, soon(invoke[int](t.Context(), p.client(), "ask", nil)), "busy")
		for _, err := range ape.InvokeStream[int](t.Context(), p.client(), "ask", nil) {
			want(t, told(0, err), "busy")
		}
		p.none()
		p.write("r 4 1")
		want(t, soon(open[1]), "1")
		fourth := invoke[int](t.Context(), p.client(), "ask", nil)
		p.wants("c 8 *")
		p.write("r 2 1", "r 6 1", "r 8 4")
		want(t, soon(fourth), "4")
	})
}

func TestAnswersThatFitNoCallAreIgnored(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("echo", ape.Func(func(_ context.Context, in any) (any, error) { return in, nil }))
		s.app.Handle("wait", ape.Get(func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() }))
		p := s.pen(w, "")
		p.write("c 1 wait")
		p.write("r 2 1", "e 2 {}", "z 2", "n 2 1", "g 2 5", "x 2", "r 0 1", "z 0", "n 0 1", "g 0 1", "x 0", "r 9007199254740990 1",
			"r 1 1", "e 1 {}", "r 3 1", "n 3", "z 3", "g 3 1", "x 3")
		p.none()
		got := invoke[int](t.Context(), p.client(), "ask", nil)
		p.wants("c 2 *")
		p.write("r 4 4", "r 1 1", "g 2 9", "z 4", "x 2", "r 2 7", "r 2 8", "e 2 {}", "n 2 1", "z 2")
		want(t, soon(got), "7")
		p.none()
		next := invoke[int](t.Context(), p.client(), "ask", nil)
		p.wants("c 4 *")
		p.write("r 2 1", `e 4 {"code":"failed"}`, "r 4 1")
		want(t, soon(next), "failed")
		p.asks("c 2 echo 1", "e 0 malformed")
		p.asks("c 5 echo 1", "r 5 1")
		p.asks("x 1", "e 1 cancelled")
		want(t, s.app.Stats().Late, 0)
	})
}

// slow is encoded when on is closed.
type slow struct{ begun, on chan struct{} }

func (s slow) MarshalJSON() ([]byte, error) {
	close(s.begun)
	<-s.on
	return []byte(`"slow"`), nil
}

func TestAnAnswerThatIsGuessedAheadIsNone(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxMessage: 2000})
		p := s.pen(w, "")
		in := slow{make(chan struct{}), make(chan struct{})}
		got := invoke[int](t.Context(), p.client(), "ask", in)
		<-in.begun
		p.write("r 2 1", "n 2 1", "z 2", `e 2 {"code":"failed"}`, "g 2 1", "r 2 "+strings.Repeat("1", 3000))
		p.none()
		close(in.on)
		p.wants(`c 2 ask;t=10000 "slow"`)
		p.write("r 2 7")
		want(t, soon(got), "7")
		p.none()
	})
}

func TestAnAnswerAboveTheLimitEndsItsCall(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxMessage: 2000})
		p := s.pen(w, "")
		for i, line := range []string{"r %d ", `e %d {"code":"failed","message":`, "n %d "} {
			got := invoke[int](t.Context(), p.client(), "ask", nil)
			id := 2*i + 2
			p.wants(fmt.Sprintf("c %d *", id))
			p.write(fmt.Sprintf(line, id) + `"` + strings.Repeat("x", 3000) + `"`)
			want(t, soon(got), "too_large")
			p.wants(fmt.Sprint("x ", id))
		}
	})
}

func TestACallReturnsInTimeWhileItsClientReadsNothing(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxMessage: 1 << 20, WriteTimeout: time.Hour, Heartbeat: time.Hour})
		p := s.pen(w, "")
		p.stop()
		begin := time.Now()
		got := invoke[int](t.Context(), p.client(), "ask", strings.Repeat("x", 900<<10), ape.Timeout(time.Second))
		want(t, await(got), "deadline")
		want(t, time.Since(begin), time.Second)
		// No room: the call waits for some.
		got = invoke[int](t.Context(), p.client(), "ask", strings.Repeat("y", 900<<10), ape.Timeout(time.Second))
		want(t, await(got), "deadline")
		got = invoke[int](t.Context(), p.client(), "ask", strings.Repeat("z", 900<<10), ape.Timeout(time.Hour))
		want(t, soon(got), "(nothing yet)")
		p.listen()
		p.wants("c 2 *")
		p.write("r 2 1")
		for line := p.next(); !strings.HasPrefix(line, "c "); line = p.next() {
			if line != "x 2" && line != "x 0" {
				t.Errorf("got %.20s", line)
			}
		}
		p.write("r 6 3")
		want(t, await(got), "3")
		want(t, s.app.Stats().Slow, 0)
	})
}
