package ape_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
)

// as is invoke with a result of a type.
func as[Out any]() func(to ape.Target) <-chan string {
	return func(to ape.Target) <-chan string { return invoke[Out](context.Background(), to, "ask", 1) }
}

func TestInvokeGetsWhatTheClientAnswers(t *testing.T) {
	type call = func(to ape.Target) <-chan string
	for name, x := range map[string]struct {
		answer string // $ is the id
		call   call
		want   string
	}{
		"text":                  {`r $ "yes"`, as[string](), "yes"},
		"struct":                {`r $ {"x":1,"y":2}`, as[point](), "{1 2}"},
		"pointer":               {`r $ null`, as[*point](), "<nil>"},
		"tagged":                {`r $ {"<!D>":7}`, as[time.Time](), time.UnixMilli(7).UTC().String()},
		"octets":                {`r $ =AAEC`, as[[]byte](), "[0 1 2]"},
		"octets as any":         {`r $ =AAEC`, as[any](), "[0 1 2]"},
		"octets for text":       {`r $ =AAEC`, as[string](), "invalid"},
		"text for octets":       {`r $ "!"`, as[[]byte](), "invalid"},
		"nothing":               {`r $`, as[int](), "0"},
		"nothing as any":        {`r $`, as[any](), fmt.Sprint(codec.Undefined)},
		"null as any":           {`r $ null`, as[any](), "<nil>"},
		"any":                   {`r $ [1,{"a":"b"}]`, as[any](), "[1 map[a:b]]"},
		"whatever":              {`r $ [1,{"a":"b"}]`, as[struct{}](), "{}"},
		"whatever, unreadable":  {`r $ {broken`, as[struct{}](), "{}"},
		"unreadable":            {`r $ {broken`, as[any](), "invalid"},
		"misfit":                {`r $ "text"`, as[int](), "invalid"},
		"an end":                {`z $`, as[int](), "0"},
		"failure":               {`e $ {"code":"busy","message":"not now"}`, as[int](), "busy"},
		"its own failure":       {`e $ {"code":"my.own"}`, as[int](), "my.own"},
		"no handler":            {`e $ {"code":"not_found","message":"no such client"}`, as[int](), "not_found"},
		"closed by its word":    {`e $ {"code":"closed","message":"the client's session has ended"}`, as[int](), "closed"},
		"failure without code":  {`e $ {"message":"no code"}`, as[int](), "malformed"},
		"failure of wrong type": {`e $ {"code":7}`, as[int](), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			eachLine(t, func(t *testing.T, w way) {
				s := newSite(t, nil)
				p := s.pen(w, "")
				for i, to := range []ape.Target{p.client(), s.app.To(p.welcome.ID)} {
					id := fmt.Sprint(2*i + 2)
					got := x.call(to)
					p.wants("c " + id + " ask;t=10000 1")
					p.write(strings.ReplaceAll(x.answer, "$", id))
					want(t, soon(got), x.want)
				}
			})
		})
	}
}

func TestInvokeSendsWhatItIsGiven(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p := s.pen(w, "")
		bytes := "=AAEC"
		if w == lineSocket {
			bytes = "=3 + 000102"
		}
		for i, x := range []struct {
			path string
			in   any
			want string
		}{
			{"ask", nil, "ask;t=10000 null"},
			{"ask", codec.Undefined, "ask;t=10000"},
			{"ask", "text", `ask;t=10000 "text"`},
			{"ask", point{X: 1}, `ask;t=10000 {"x":1}`},
			{"ask", []byte{0, 1, 2}, "ask;t=10000 " + bytes},
			{"ask", time.UnixMilli(7), `ask;t=10000 {"<!D>":7}`},
			{"ask", struct{ At time.Time }{time.UnixMilli(7)}, `ask;t=10000 {"At<!D>":7}`},
			{"say hi; 100%/ü", 1, "say%20hi%3B%20100%25/ü;t=10000 1"},
		} {
			got := invoke[int](t.Context(), p.client(), x.path, x.in)
			id := 2*i + 2
			p.asks("m nothing", fmt.Sprintf("c %d %s", id, x.want))
			p.write(fmt.Sprintf("r %d 7", id))
			want(t, soon(got), "7")
		}
		got := invoke[int](t.Context(), p.client(), "ask", 1, ape.Key("a key;"))
		p.wants("c 18 ask;t=10000;k=a%20key%3B 1")
		p.write("r 18 7")
		want(t, soon(got), "7")
	})
}

// unmarshalable panics where others return an error.
type unmarshalable struct{}

func (unmarshalable) MarshalJSON() ([]byte, error) { panic("no") }

func TestWhatCannotBeSentIsRefusedBeforeAnythingIsSent(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p := s.pen(w, `"limits":{"line":2000}`)
		c := p.client()
		var noClient *ape.Client
		for name, x := range map[string]struct {
			to   ape.Target
			path string
			in   any
			want string
		}{
			"channel":           {c, "ask", make(chan int), "invalid"},
			"func":              {c, "ask", func() {}, "invalid"},
			"func of one":       {c, "ask", func(func(int) bool) {}, "invalid"},
			"func of two":       {c, "ask", func(func(int, string) bool) {}, "invalid"},
			"func with result":  {c, "ask", func(func(int, error) bool) int { return 0 }, "invalid"},
			"yield of nothing":  {c, "ask", func(func(int, error)) {}, "invalid"},
			"nested func":       {c, "ask", map[string]any{"f": func() {}}, "invalid"},
			"panicking encoder": {c, "ask", unmarshalable{}, "invalid"},
			"too long":          {c, "ask", strings.Repeat("x", 2000), "too_large"},
			"too many bytes":    {c, "ask", make([]byte, 2000), "too_large"},
			"no path":           {c, "", 1, "invalid"},
			"long path":         {c, strings.Repeat("p", 256), 1, "invalid"},
			"odd path":          {c, "a\nb", 1, "invalid"},
			"no text":           {c, "a\xff", 1, "invalid"},
			"nil":               {nil, "ask", 1, "ErrNoTarget"},
			"nil client":        {noClient, "ask", 1, "ErrNoTarget"},
			"nobody":            {s.app.To("nobody"), "ask", 1, "ErrNoTarget"},
			"empty":             {s.app.To(""), "ask", 1, "ErrNoTarget"},
			"its token":         {s.app.To(p.welcome.Resume), "ask", 1, "ErrNoTarget"},
		} {
			if got := soon(invoke[any](t.Context(), x.to, x.path, x.in)); got != x.want {
				t.Errorf("%s: got %s, want %s", name, got, x.want)
			}
			for _, err := range ape.InvokeStream[any](t.Context(), x.to, x.path, x.in) {
				if got := told(nil, err); got != x.want {
					t.Errorf("%s: the stream yields %s, want %s", name, got, x.want)
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		want(t, soon(invoke[any](ctx, c, "ask", 1)), "cancelled")
		p.none()
		got := invoke[any](t.Context(), c, "ask", 1)
		p.asks("m nothing", "c *")
		p.write("r 2 1", "r 4 1", "r 6 1", "r 8 1", "r 10 1", "r 12 1", "r 14 1", "r 16 1", "r 18 1", "r 20 1")
		want(t, soon(got), "1")
	})
}

func TestClassicClientsCannotBeCalled(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.join(w)
		_, err := ape.Invoke[any](t.Context(), s.client(u), "ask", 1)
		want(t, told(nil, err), "unsupported")
		for _, err := range ape.InvokeStream[any](t.Context(), s.app.To(u.id()), "ask", 1) {
			want(t, told(nil, err), "unsupported")
		}
		u.none()
	}, classicSocket, classicStream)
}

func TestANotFoundOfTheClientIsNoMissingClient(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p := s.pen(w, "")
		failed := make(chan error, 1)
		go func() {
			_, err := ape.Invoke[any](t.Context(), p.client(), "ask", 1)
			failed <- err
		}()
		p.wants("c *")
		p.write(`e 2 {"code":"not_found","message":"no such client","data":{"at<!D>":5}}`)
		err := <-failed
		if errors.Is(err, ape.ErrNoTarget) || !errors.Is(err, &ape.Error{Code: ape.NotFound}) {
			t.Errorf("got %v", err)
		}
		if _, missing := ape.Invoke[any](t.Context(), s.app.To("x"), "ask", 1); !errors.Is(missing, ape.ErrNoTarget) || errors.Is(missing, err) {
			t.Errorf("got %v", missing)
		}
		var e *ape.Error
		if !errors.As(err, &e) || fmt.Sprint(e.Data) != fmt.Sprint(map[string]any{"at": time.UnixMilli(5).UTC()}) {
			t.Errorf("the data is %v", e.Data)
		}
	})
}

func TestAnEndedSessionIsGoneAtOnce(t *testing.T) {
	ends := map[string]func(p *pen){
		"bye":    func(p *pen) { p.leave() },
		"closed": func(p *pen) { p.client().Close(ape.CloseKicked, "") },
		"detached, then closed": func(p *pen) {
			p.cut()
			time.Sleep(5 * time.Second)
			p.client().Close(ape.CloseEnded, "")
		},
		"detached for too long": func(p *pen) {
			p.cut()
			time.Sleep(61 * time.Second)
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			eachLine(t, func(t *testing.T, w way) {
				s := newSite(t, nil)
				p := s.pen(w, "")
				c := p.client()
				var stream []string
				over := make(chan string, 1)
				go func() {
					for n, err := range ape.InvokeStream[int](t.Context(), c, "count", nil) {
						stream = append(stream, told(n, err))
					}
					over <- fmt.Sprint(stream)
				}()
				p.wants("c 2 *")
				p.write("n 2 1")
				waiting := invoke[any](t.Context(), c, "ask", nil, ape.Timeout(0))
				sending := invoke[any](t.Context(), c, "sum", func(yield func(int, error) bool) {
					for yield(1, nil) {
					}
				})
				synctest.Wait()
				end(p)
				want(t, soon(waiting), "ErrGone")
				want(t, soon(sending), "ErrGone")
				want(t, soon(over), "[1 ErrGone]")
				want(t, soon(invoke[any](t.Context(), c, "ask", nil)), "ErrGone")
				want(t, soon(invoke[any](t.Context(), s.app.To(c.ID()), "ask", nil)), "ErrNoTarget")
			})
		})
	}
}

func TestADetachedClientIsWaitedFor(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p := s.pen(w, "")
		c := p.client()
		before := invoke[string](t.Context(), c, "ask", "before", ape.Timeout(time.Minute))
		p.wants(`c 2 ask;t=60000 "before"`)
		p.cut()
		while := invoke[string](t.Context(), c, "ask", "while", ape.Timeout(time.Minute))
		synctest.Wait()
		late := invoke[string](t.Context(), c, "ask", "late", ape.Timeout(5*time.Second))
		time.Sleep(10 * time.Second)
		want(t, soon(late), "deadline")
		want(t, soon(while), "(nothing yet)")
		p.connect(w.other())
		p.wants(`c 4 ask;t=60000 "while"`)
		// What was cancelled before it was written is never sent: a line that says
		// nothing has its number.
		p.wants("x 0")
		p.write(`r 4 "yes"`, `r 2 "too"`)
		want(t, soon(while), "yes")
		want(t, soon(before), "too")
		p.none()
		want(t, s.app.Stats().Late, 0)
		after := invoke[string](t.Context(), c, "ask", "after")
		p.wants(`c 8 ask;t=10000 "after"`)
		p.write(`r 8 "end"`)
		want(t, soon(after), "end")
	})
}

func TestACallIsWrittenAgainWhenItsLineWasLost(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p := s.pen(w, "")
		p.stop()
		got := invoke[string](t.Context(), p.client(), "ask", 1)
		synctest.Wait()
		p.state.Lock()
		p.link = &link{raw: p.link.raw, ws: p.link.ws, cancel: p.link.cancel, done: p.link.done} // it reads no more
		p.state.Unlock()
		p.cut()
		p.connect(w.other())
		p.wants("c 2 ask;t=10000 1")
		p.write(`r 2 "yes"`)
		want(t, soon(got), "yes")
	})
}
