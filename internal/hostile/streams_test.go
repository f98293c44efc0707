package hostile_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// holdKey finds the channel that the path never waits for.
type holdKey struct{}

// registerStreams adds the paths that stream, and those that call the client.
func registerStreams(app *ape.Server) {
	app.Handle("count", ape.Stream(func(_ context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := 1; (n < 0 || i <= n) && yield(i, nil); i++ {
			}
		}
	}))
	app.Handle("blob", ape.Stream(func(_ context.Context, n int) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for yield(make([]byte, min(max(n, 0), 64<<10)), nil) {
			}
		}
	}))
	app.Handle("sum", ape.Collect(func(_ context.Context, items iter.Seq2[int, error]) (sum int, _ error) {
		for n, err := range items {
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}))
	app.Handle("double", ape.Duplex(func(_ context.Context, items iter.Seq2[int, error]) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for n, err := range items {
				if !yield(2*n, err) {
					return
				}
			}
		}
	}))
	app.Handle("ask", ape.Get(func(ctx context.Context) (any, error) {
		return ape.Invoke[any](ctx, ape.From(ctx).Client(), "confirm", nil, ape.Timeout(0))
	}))
	app.Handle("ask/count", ape.Get(func(ctx context.Context) (n int, _ error) {
		for _, err := range ape.InvokeStream[any](ctx, ape.From(ctx).Client(), "count", nil) {
			if err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	}))
	app.Handle("ask/sum", ape.Get(func(ctx context.Context) (any, error) {
		return ape.Invoke[any](ctx, ape.From(ctx).Client(), "sum", func(yield func(int, error) bool) {
			for i := 1; i <= 3 && yield(i, nil); i++ {
			}
		})
	}))
	app.Handle("never", ape.Get(func(ctx context.Context) (string, error) {
		if hold, ok := ctx.Value(holdKey{}).(chan struct{}); ok {
			<-hold // whatever becomes of ctx
		}
		return "at last", nil
	}))
}

// heard reads the counted lines that are there, of e lines only the code.
func (p *peer) heard() (lines []string) {
	synctest.Wait()
	p.SetReadDeadline(time.Now().Add(time.Millisecond))
	defer p.SetReadDeadline(time.Time{})
	for {
		op, payload, err := p.next()
		if err != nil || op == opClose {
			return lines
		}
		if op != opText {
			continue
		}
		for l := range strings.Lines(string(payload)) {
			l = strings.TrimSuffix(l, "\n")
			if l == "" || strings.ContainsAny(l[:1], "hwapq") {
				continue
			}
			lines = append(lines, brief(l))
		}
	}
}

// brief is a line; of an e line only its code.
func brief(l string) string {
	if head, rest, ok := strings.Cut(l, ` {"code":"`); ok && l[0] == 'e' {
		code, _, _ := strings.Cut(rest, `"`)
		return head + " " + code
	}
	return l
}

// talk is a conversation about streams, of both ends' making. Each line is sent
// when the server stands still.
var talk = []string{
	"c 1 count;g=3 -1", "c 3 sum;i", "g 1 2", "n 3 20", "c 5 double;g=9;i", "n 5 4", "n 3 22", "c 7 ask", "c 9 ask/count",
	"c 11 ask/sum", "g 6 2", "n 4 1", "r 2 true", "n 5 5", "n 4 2", "z 3", "x 1", "z 4", "g 6 5", "r 6 6", "z 5", "c 13 count;g=2 2", "c 15 echo 15",
}

// TestCutsAtEveryLineOfATalkAboutStreams: the connection is cut behind each line
// and inside of it; the session resumes, goes on with the next line, and says in
// the end what it says without any cut.
func TestCutsAtEveryLineOfATalkAboutStreams(t *testing.T) {
	rnd := dice(t)
	var whole []string
	run := func(w *world, cut, inside int) (said []string) {
		p := w.hello(`{}`, nil)
		for i, l := range talk {
			if i != cut {
				p.lines(l)
				said = append(said, p.heard()...)
				continue
			}
			f := text(l + "\n")
			p.send(f[:inside*len(f)/8])
			if rnd.IntN(2) == 0 {
				said = append(said, p.heard()...)
			}
			if rnd.IntN(2) == 0 {
				p.reset()
			} else {
				p.Close()
			}
			synctest.Wait()
			q := w.upgrade(line1)
			q.lines(fmt.Sprintf(`h {"resume":%q,"try":1,"seen":%d}`, p.token, len(said)))
			got := q.welcome()
			if got.Gap != "" || got.Got == nil || int(*got.Got) != i && !(inside == 8 && int(*got.Got) == i+1) {
				w.t.Fatalf("cut at line %d, %d/8 of it: the welcome is %+v", i, inside, got)
			}
			p = q
			if int(*got.Got) == i {
				p.lines(l)
			}
			for _, l := range restOf(p) {
				said = append(said, brief(l))
			}
		}
		slices.Sort(said)
		p.lines(`q {"code":"bye"}`)
		p.wantClose(4102)
		w.peers = w.peers[:0]
		return said
	}
	inside(t, setup{}, func(t *testing.T, w *world) {
		whole = run(w, -1, 0)
		for _, end := range []string{"e 1 cancelled", "r 3 42", "z 5", "r 7 true", "r 9 2", "r 11 6", "z 13", "r 15 15"} {
			if !slices.Contains(whole, end) {
				t.Errorf("without any cut there is no %q: %q", end, whole)
			}
		}
	})
	for in := range 9 {
		t.Run(fmt.Sprint(in), func(t *testing.T) {
			inside(t, setup{}, func(t *testing.T, w *world) {
				for cut := range talk {
					if got := run(w, cut, in); !slices.Equal(got, whole) {
						t.Errorf("cut at line %d, %d/8 of it:\ngot  %q\nwant %q", cut, in, got, whole)
					}
				}
			})
		})
	}
}

// restOf is heard, with what came beside the welcome.
func restOf(p *peer) (lines []string) {
	for _, l := range p.rest {
		if l != "" && l != "p" && !strings.HasPrefix(l, "a ") {
			lines = append(lines, l)
		}
	}
	p.rest = nil
	return append(lines, p.heard()...)
}

// TestTheEndOfASessionEndsItsStreams: whatever was open, nothing of it is left.
func TestTheEndOfASessionEndsItsStreams(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		for cut := range talk {
			for _, bye := range []bool{true, false} {
				p := w.hello(`{}`, nil)
				for _, l := range talk[:cut] {
					p.lines(l)
					synctest.Wait()
				}
				if bye {
					p.lines(`q {"code":"bye"}`)
				}
				p.Close()
			}
		}
		w.peers = w.peers[:0]
		time.Sleep(61 * time.Second)
		w.online(0)
	})
}

// TestEndlessStreamsToAPeerThatDoesNotRead: however much credit it gives, what
// is kept for it is bounded, and it can go on reading.
func TestEndlessStreamsToAPeerThatDoesNotRead(t *testing.T) {
	inside(t, setup{Options: ape.Options{WriteTimeout: time.Hour, Heartbeat: time.Hour}}, func(t *testing.T, w *world) {
		before := heap()
		p := w.hello(`{}`, nil)
		for i := range 64 {
			p.lines(fmt.Sprintf("c %d blob;g=9007199254740991 16384", 2*i+1))
		}
		for range 20 {
			p.lines(strings.TrimSuffix(strings.Repeat("g 1 9007199254740991\ng 3 9007199254740991\n", 50), "\n"))
			time.Sleep(time.Second)
			w.served()
		}
		bounded(t, before, 8<<20)
		p.alive(w.guard)
		got := map[string]int{}
		for len(got) < 64 { // nobody starves
			op, payload, err := p.next()
			if err != nil {
				t.Fatal(err)
			}
			if op == opBinary {
				head, _, _ := strings.Cut(string(payload), " =")
				got[head]++
			}
		}
		p.Close()
		time.Sleep(61 * time.Second)
		w.online(0)
	})
}

// TestManyStreamsAtOnce: above the limit they are refused, one by one, and what
// ends makes room.
func TestManyStreamsAtOnce(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		var all []string
		for i := range 256 {
			all = append(all, fmt.Sprintf("c %d %s", 2*i+1, []string{"count;g=0 -1", "sum;i", "double;i;g=0", "ask/count;g=0"}[i%4]))
		}
		p.lines(all...)
		kinds := map[string]int{}
		for _, l := range p.heard() {
			op, rest, _ := strings.Cut(l, " ")
			_, rest, _ = strings.Cut(rest, " ")
			kinds[op+" "+strings.Fields(rest)[0]]++
		}
		if kinds["e busy"] != 192 || kinds["g 8"] != 32 || kinds["c count;g=8"] != 16 {
			t.Errorf("the server said %v", kinds)
		}
		for i := range 64 {
			p.lines(fmt.Sprintf("x %d", 2*i+1))
		}
		p.heard()
		p.lines("c 601 count;g=2 2")
		p.want("n 601 1", "n 601 2", "z 601")
	})
}

// TestAHandlerThatNeverReturns keeps its place and nothing else: its caller is
// answered in time, its session ends, and its late answer harms nobody.
func TestAHandlerThatNeverReturns(t *testing.T) {
	hold := make(chan struct{})
	var o setup
	o.MaxRunning, o.MaxCalls = 4, 8
	o.OnConnect = func(ctx context.Context, _ *ape.Client, _ *http.Request) (context.Context, error) {
		return context.WithValue(ctx, holdKey{}, hold), nil
	}
	synctest.Test(t, func(t *testing.T) {
		hold = make(chan struct{})
		w := start(t, o)
		p := w.hello(`{}`, nil)
		for i := range 12 {
			p.lines(fmt.Sprintf("c %d never;t=%d", 2*i+1, 1000+i))
		}
		var codes []string
		for range 12 {
			l := p.line()
			code, _, _ := strings.Cut(strings.SplitN(l, `"code":"`, 2)[1], `"`)
			codes = append(codes, code)
		}
		slices.Sort(codes)
		if got := strings.Join(slices.Compact(codes), " "); got != "busy deadline" {
			t.Errorf("the codes are %s", got)
		}
		p.lines("c 99 echo 1") // waits for a place
		p.Close()
		time.Sleep(61 * time.Second)
		w.online(0)
		w.served()
		close(hold)
		synctest.Wait()
		if late := w.app.Stats().Late; late != 4 {
			t.Errorf("%d answers came late, want 4", late)
		}
	})
}

// TestATornNetworkUnderStreams: the client loses what was written, comes back again and again, and every number arrives once and in order.
func TestATornNetworkUnderStreams(t *testing.T) {
	rnd := dice(t)
	inside(t, setup{}, func(t *testing.T, w *world) {
		const numbers = 2000
		p := w.hello(`{}`, nil)
		token, seen, try, next, credit := p.token, 0, 0, 1, 0
		p.lines(fmt.Sprintf("c 1 count;g=50 %d", numbers))
		sent := 1
		for next <= numbers+1 { // the end too
			lines := restOf(p)
			for _, l := range lines[:min(len(lines), rnd.IntN(60))] { // the rest is lost
				want := fmt.Sprintf("n 1 %d", next)
				if next > numbers {
					want = "z 1"
				}
				if seen++; l != want {
					t.Fatalf("got %q, want %q", l, want)
				}
				next++
				credit++
			}
			if credit > 0 && rnd.IntN(2) == 0 {
				p.lines(fmt.Sprintf("g 1 %d", credit))
				credit, sent = 0, sent+1
				synctest.Wait()
			}
			if rnd.IntN(2) == 0 {
				p.reset()
			}
			p.Close()
			w.peers = w.peers[:0]
			synctest.Wait()
			p = w.upgrade(line1)
			try++
			p.lines(fmt.Sprintf(`h {"resume":%q,"try":%d,"seen":%d}`, token, try, seen))
			if got := p.welcome(); got.Gap != "" || int(*got.Got) != sent {
				t.Fatalf("the welcome is %+v, %d lines were sent", got, sent)
			}
		}
		if rest := restOf(p); len(rest) > 0 {
			t.Errorf("behind the end came %q", rest)
		}
	})
}
