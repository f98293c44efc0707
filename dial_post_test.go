package ape_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// posts sees every POST, and may answer it in the server's place.
type posts struct {
	p    *place
	mu   sync.Mutex
	seen []string // Ape-Seq of each, "-" for none
	// answer gets the body and what the server would do with it.
	answer func(n int, w http.ResponseWriter, body []byte, pass func() *httptest.ResponseRecorder)
}

func watchPosts(p *place) *posts {
	o := &posts{p: p}
	p.front.blocks(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return true
		}
		o.mu.Lock()
		n := len(o.seen)
		seq := r.Header.Get("Ape-Seq")
		if seq == "" {
			seq = "-"
		}
		o.seen = append(o.seen, seq)
		answer := o.answer
		o.mu.Unlock()
		pass := func() *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			again := r.Clone(r.Context())
			again.Body = io.NopCloser(bytes.NewReader(body))
			p.app().ServeHTTP(rec, again)
			return rec
		}
		if answer != nil {
			answer(n, w, body, pass)
			return true
		}
		copyTo(w, pass())
		return true
	})
	return o
}

func (o *posts) then(f func(n int, w http.ResponseWriter, body []byte, pass func() *httptest.ResponseRecorder)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen, o.answer = nil, f
}

func (o *posts) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.seen, " ")
}

func copyTo(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes())
}

// ape1 begins an answer as of the server's own.
func ape1(w http.ResponseWriter, status int, got int) {
	w.Header().Set("Ape-Protocol", "ape.1")
	if got >= 0 {
		w.Header().Set("Ape-Got", strconv.Itoa(got))
	}
	w.WriteHeader(status)
}

// postFault is what becomes of the first POSTs.
type postFault struct {
	answer func(n int, w http.ResponseWriter, body []byte, pass func() *httptest.ResponseRecorder)
	least  time.Duration // that it takes
	lost   bool          // the connection does not survive
}

var postFaults = map[string]postFault{
	"answer lost": {answer: func(n int, w http.ResponseWriter, _ []byte, pass func() *httptest.ResponseRecorder) {
		if rec := pass(); n%3 == 2 {
			copyTo(w, rec)
			return
		}
		panic(http.ErrAbortHandler)
	}},
	"a proxy's page": {answer: func(n int, w http.ResponseWriter, _ []byte, pass func() *httptest.ResponseRecorder) {
		if rec := pass(); n%2 == 1 {
			copyTo(w, rec)
			return
		}
		w.WriteHeader(http.StatusOK)
	}},
	"no answer": {least: 10 * time.Second, answer: func(n int, w http.ResponseWriter, _ []byte, pass func() *httptest.ResponseRecorder) {
		rec := pass()
		if n == 0 {
			time.Sleep(11 * time.Second)
			return
		}
		copyTo(w, rec)
	}},
	"429": {least: 7 * time.Second, answer: func(n int, w http.ResponseWriter, _ []byte, pass func() *httptest.ResponseRecorder) {
		if n == 0 {
			w.Header().Set("Retry-After", "7")
			ape1(w, 429, -1)
			return
		}
		copyTo(w, pass())
	}},
	"503 of a proxy": {least: 7 * time.Second, answer: func(n int, w http.ResponseWriter, _ []byte, pass func() *httptest.ResponseRecorder) {
		if n == 0 {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(503)
			return
		}
		copyTo(w, pass())
	}},
	"half is taken": {answer: func(n int, w http.ResponseWriter, body []byte, pass func() *httptest.ResponseRecorder) {
		rec := pass()
		if n == 0 { // says less than was taken: what comes again counts once
			ape1(w, 400, 1)
			return
		}
		copyTo(w, rec)
	}},
	"409": {answer: func(n int, w http.ResponseWriter, _ []byte, pass func() *httptest.ResponseRecorder) {
		if n == 0 {
			ape1(w, 409, 1)
			return
		}
		copyTo(w, pass())
	}},
	"410": {lost: true, answer: func(n int, w http.ResponseWriter, _ []byte, pass func() *httptest.ResponseRecorder) {
		if n == 0 {
			ape1(w, 410, -1)
			return
		}
		copyTo(w, pass())
	}},
	"three times nothing": {lost: true, answer: func(n int, w http.ResponseWriter, _ []byte, pass func() *httptest.ResponseRecorder) {
		if n < 3 {
			w.WriteHeader(502)
			return
		}
		copyTo(w, pass())
	}},
	"got from the future": {lost: true, answer: func(n int, w http.ResponseWriter, _ []byte, pass func() *httptest.ResponseRecorder) {
		if n == 0 {
			ape1(w, 204, 99)
			return
		}
		copyTo(w, pass())
	}},
}

// Whatever becomes of a POST, each call runs once, in order, and is answered.
func TestPostsAreRepeatedUntilTheyAreTaken(t *testing.T) {
	for name, test := range postFaults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, nil)
				runs := &trail{}
				p.app().Handle("note", ape.Serial(ape.Func(func(_ context.Context, in int) (int, error) { runs.add("%d", in); return in, nil })))
				s := &states{}
				o := watchPosts(p)
				c := p.dial(byStream, &ape.DialOptions{OnState: s.note})
				ask(t, c, "note", 0, "0")
				o.then(nil)
				want(t, s, "connecting|connected streaming")
				o.then(test.answer)
				began := time.Now()
				var calls []<-chan outcome
				for n := range 6 {
					calls = append(calls, begin(t, c, "note", n+1))
				}
				lost := 0
				for n, call := range calls {
					out := <-call
					if ape.CodeOf(out.err) == ape.Lost && name == "got from the future" {
						lost++
						continue
					}
					want(t, out, n+1)
				}
				if took := time.Since(began); took < test.least || took > 2*time.Minute {
					t.Errorf("took %s", took)
				}
				if lost == 0 {
					want(t, runs, "0 1 2 3 4 5 6")
				}
				if got := s.String(); (got != "") != test.lost {
					t.Errorf("states %q", got)
				}
				if !strings.HasPrefix(o.String(), "2 ") {
					t.Errorf("numbers %s", o)
				}
			})
		})
	}
}

// A proxy that lets only so many bytes pass.
func TestPostsAboveAProxysLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, nil)
		runs := &trail{}
		p.app().Handle("note", ape.Serial(ape.Func(func(_ context.Context, in string) (int, error) { runs.add("%.2s", in); return len(in), nil })))
		p.app().Handle("sum", ape.Collect(func(_ context.Context, items iter.Seq2[string, error]) (n int, _ error) {
			for v, err := range items {
				if err != nil {
					return 0, err
				}
				n += len(v)
			}
			return n, nil
		}))
		p.app().Handle("big", ape.Func(func(ctx context.Context, _ struct{}) (any, error) {
			_, err := ape.Invoke[string](ctx, ape.From(ctx).Client(), "big", nil)
			return ape.CodeOf(err), nil
		}))
		p.app().Handle("bigs", ape.Func(func(ctx context.Context, _ struct{}) (any, error) {
			for _, err := range ape.InvokeStream[string](ctx, ape.From(ctx).Client(), "bigs", nil) {
				if err != nil {
					return ape.CodeOf(err), nil
				}
			}
			return "all", nil
		}))
		const limit = 5000
		s := &states{}
		large := strings.Repeat("x", 2*limit)
		o := watchPosts(p)
		c := p.dial(byStream, &ape.DialOptions{OnState: s.note, Handlers: map[string]ape.Controller{
			"big": ape.Func(func(context.Context, struct{}) (string, error) { return large, nil }),
			"bigs": ape.Stream(func(context.Context, struct{}) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) { _ = yield("small", nil) && yield(large, nil) }
			}),
		}})
		var refused atomic.Int64
		o.then(func(_ int, w http.ResponseWriter, body []byte, pass func() *httptest.ResponseRecorder) {
			if len(body) > limit {
				refused.Add(1)
				http.Error(w, "too large", http.StatusRequestEntityTooLarge)
				return
			}
			copyTo(w, pass())
		})
		var calls []<-chan outcome
		var expected []string
		for n := range 40 {
			calls = append(calls, begin(t, c, "note", fmt.Sprintf("%02d%s", n, strings.Repeat("x", 998))))
			expected = append(expected, fmt.Sprintf("%02d", n))
		}
		for _, call := range calls {
			want(t, <-call, 1000)
		}
		want(t, runs, strings.Join(expected, " "))
		// One line that is too long fails alone.
		first, long, last := begin(t, c, "note", "a"), begin(t, c, "note", large), begin(t, c, "note", "b")
		want(t, ape.CodeOf((<-long).err), ape.TooLarge)
		want(t, <-first, 1)
		want(t, <-last, 1)
		want(t, runs, "a b")
		items := func(yield func(string, error) bool) { _ = yield("ab", nil) && yield(large, nil) && yield("cd", nil) }
		_, err := ape.Invoke[int](t.Context(), c, "sum", items, ape.Timeout(time.Minute))
		want(t, ape.CodeOf(err), ape.TooLarge)
		ask(t, c, "big", nil, "too_large")
		ask(t, c, "bigs", nil, "too_large")
		c.Send("note", large)
		ask(t, c, "echo", 1, "1")
		want(t, s, "connecting|connected streaming")
		want(t, refused.Load() > 0, true)
		// What did not get through does not run later, by another connection.
		p.Cut()
		ask(t, c, "echo", 2, "2")
		want(t, runs, "")
	})
}

// An answer to a POST that comes behind the hello of a WebSocket does not count:
// its welcome may be older, and goes on from there.
func TestPostsDoNotCountBehindAMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, nil)
		runs := &trail{}
		p.app().Handle("note", ape.Serial(ape.Func(func(_ context.Context, in int) (int, error) { runs.add("%d", in); return in, nil })))
		var open atomic.Bool
		p.front.blocks(func(w http.ResponseWriter, r *http.Request) bool {
			if isUpgrade(r) && !open.Load() {
				http.Error(w, "no", http.StatusBadRequest)
				return true
			}
			if r.Method == http.MethodPost && open.Load() {
				time.Sleep(500 * time.Millisecond) // on its way
			}
			return false
		})
		s := &states{}
		c := p.dial("", &ape.DialOptions{OnState: s.note, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := p.DialContext(ctx, network, address)
			return lateWelcome{c}, err
		}})
		want(t, s, "connecting|connected streaming")
		open.Store(true)
		var expected []string
		for n := range 400 {
			expected = append(expected, fmt.Sprint(n))
			begin(t, c, "note", n)
			time.Sleep(211 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		want(t, c.Transport(), ape.WebSocket)
		want(t, runs, strings.Join(expected, " "))
		if got := s.String(); !strings.HasPrefix(got, "connected websocket resumed ") || strings.Contains(got, "|") {
			t.Errorf("states %s", got)
		}
	})
}

// lateWelcome is slow for the welcomes of WebSockets, and for what tells streams
// that there is another connection.
type lateWelcome struct{ net.Conn }

func (c lateWelcome) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if b := p[:n]; bytes.Contains(b, []byte("w {")) && !bytes.Contains(b, []byte("HTTP/1.1")) || bytes.Contains(b, []byte(`"replaced"`)) {
		time.Sleep(2 * time.Second)
	}
	return n, err
}

// What was reported as too large must not run, even when the connection dies before
// the server has heard so, and the next one would let it pass.
func TestPostsThatAreTooLargeDoNotRunLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, nil)
		runs := &trail{}
		p.app().Handle("note", ape.Func(func(_ context.Context, in string) (int, error) { runs.add("%.2s", in); return len(in), nil }))
		o := watchPosts(p)
		c := p.dial(byStream, nil)
		var refused atomic.Bool
		o.then(func(_ int, w http.ResponseWriter, body []byte, _ func() *httptest.ResponseRecorder) {
			if len(body) < 5000 || refused.Swap(true) {
				panic(http.ErrAbortHandler)
			}
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		})
		call := begin(t, c, "note", strings.Repeat("x", 10_000))
		want(t, ape.CodeOf((<-call).err), ape.TooLarge)
		o.then(nil)
		p.Cut()
		ask(t, c, "note", "small", "5")
		want(t, runs, "sm")
	})
}
