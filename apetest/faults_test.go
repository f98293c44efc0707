package apetest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/apetest"
)

// feed is a handler that writes what it is given, until its request ends.
type feed struct {
	lines chan string
	ended chan error // why the request did
}

func newFeed() *feed { return &feed{lines: make(chan string, 100), ended: make(chan error, 10)} }

func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(w).Flush
	flush()
	for {
		select {
		case line := <-f.lines:
			io.WriteString(w, line)
			flush()
		case <-r.Context().Done():
			f.ended <- r.Context().Err()
			return
		}
	}
}

func TestCutWhileAResponseIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		s := apetest.New(t, f)
		resp, err := s.Client().Get(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		f.lines <- "hello"
		if b, err := io.ReadAll(io.LimitReader(resp.Body, 5)); string(b) != "hello" || err != nil {
			t.Fatalf("read %q, %v", b, err)
		}
		want(t, s.Conns(), 1)
		s.Cut()
		want(t, s.Conns(), 0)
		_, err = resp.Body.Read(make([]byte, 1))
		wantError(t, err, syscall.ECONNRESET)
		wantError(t, <-f.ended, context.Canceled)
	})
}

func TestCutOfAWriterThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrote := make(chan error, 1)
		s := apetest.New(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 1<<20))
			wrote <- err
		}))
		c := dial(t, s)
		io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		synctest.Wait()
		want(t, len(wrote), 0)
		s.Cut()
		wantError(t, <-wrote, syscall.ECONNRESET)
		_, err := c.Read(make([]byte, 1))
		wantError(t, err, syscall.ECONNRESET)
	})
}

func TestCutAfterIsExact(t *testing.T) {
	const whole = "a\r\n0123456789\r\n3\r\nabc\r\n" // in chunks, as net/http writes
	for n := 1; n <= len(whole); n++ {
		for _, delay := range []time.Duration{0, time.Second} {
			synctest.Test(t, func(t *testing.T) {
				f := newFeed()
				s := apetest.New(t, f)
				c := dial(t, s)
				body := startResponse(t, c)
				s.Delay(delay)
				s.CutAfter(int64(n))
				f.lines <- "0123456789"
				synctest.Wait()
				f.lines <- "abc"
				got, err := io.ReadAll(body)
				want(t, string(got), whole[:n])
				wantError(t, err, syscall.ECONNRESET)
				_, err = io.WriteString(c, "x")
				wantError(t, err, syscall.ECONNRESET)
				wantError(t, <-f.ended, context.Canceled)
				want(t, s.Conns(), 0)
			})
		}
	}
}

// startResponse asks for a response and returns it behind its headers.
func startResponse(t *testing.T, c net.Conn) *bufio.Reader {
	t.Helper()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: ape.test\r\n\r\n")
	b := bufio.NewReader(c)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = b.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestCutAfterHoldsForConnectionsToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apetest.New(t, echo)
		s.CutAfter(10)
		for range 2 {
			c := dial(t, s)
			n, err := io.WriteString(c, "GET /a/long/path HTTP/1.0\r\n\r\n")
			want(t, n, 10)
			wantError(t, err, syscall.ECONNRESET)
		}
		s.CutAfter(0)
		want(t, get(s, "/"), "/ ")
	})
}

func TestDelayKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		s := apetest.New(t, f)
		start := time.Now()
		s.Delay(time.Second)
		resp, err := s.Client().Get(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		want(t, time.Since(start), 4*time.Second) // dial, request and response

		var all strings.Builder
		for i, d := range []time.Duration{5 * time.Second, time.Millisecond, 0, 3 * time.Second, time.Second} {
			s.Delay(d)
			line := fmt.Sprintf("%d,", i)
			all.WriteString(line)
			f.lines <- line
			synctest.Wait()
		}
		start = time.Now()
		got, err := io.ReadAll(io.LimitReader(resp.Body, int64(all.Len())))
		want(t, string(got), all.String())
		want(t, err, nil)
		want(t, time.Since(start), 5*time.Second)
	})
}

func TestASilentNetworkEndsADialWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apetest.New(t, echo)
		s.Delay(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := s.DialContext(ctx, "", "")
		wantError(t, err, context.DeadlineExceeded)
		s.Delay(0)
		_, err = s.DialContext(ctx, "", "")
		wantError(t, err, context.DeadlineExceeded)
		want(t, s.Conns(), 0)
	})
}

func TestLimitPacesResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apetest.New(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 200_000)) }))
		s.Limit(10_000)
		start := time.Now()
		want(t, len(get(s, "/")), 200_000)
		if d := time.Since(start); d < 20*time.Second || d > 21*time.Second {
			t.Errorf("200 kB at 10 kB/s took %s", d)
		}
		s.Limit(0)
		start = time.Now()
		get(s, "/")
		want(t, time.Since(start), time.Duration(0))
	})
}

func TestDropTellsNeitherEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		s := apetest.New(t, f)
		c := dial(t, s)
		startResponse(t, c)
		s.Drop()
		f.lines <- "lost"
		c.SetReadDeadline(time.Now().Add(time.Hour))
		_, err := c.Read(make([]byte, 1))
		wantError(t, err, os.ErrDeadlineExceeded)
		want(t, len(f.lines), 0)
		c.Close()
		synctest.Wait()
		want(t, len(f.ended), 0)
		want(t, s.Conns(), 1)

		resp, err := s.Client().Get(s.URL())
		if err != nil {
			t.Fatal("a new connection: ", err)
		}
		resp.Body.Close()
		s.Cut()
		wantError(t, <-f.ended, context.Canceled)
		wantError(t, <-f.ended, context.Canceled)
		want(t, s.Conns(), 0)
	})
}

// TestDroppedReadersEndWithTheTest ends in the bubble's deadlock when an end is
// forgotten because the other one has closed in silence.
func TestDroppedReadersEndWithTheTest(t *testing.T) {
	for _, who := range []string{"client", "server"} {
		t.Run("the "+who+" closes", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hijacked := make(chan net.Conn, 1)
				inner := newTest(t)
				s := apetest.New(inner, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					c, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
					}
					hijacked <- c
				}))
				reads, closes := dial(t, s), net.Conn(nil)
				io.WriteString(reads, "GET / HTTP/1.0\r\n\r\n")
				closes = <-hijacked
				if who == "client" {
					reads, closes = closes, reads
				}
				failed := make(chan error, 1)
				go func() {
					_, err := reads.Read(make([]byte, 1))
					failed <- err
				}()
				s.Drop()
				closes.Close()
				for range 300 { // enough that ended ones are taken out
					dial(t, s).Close()
				}
				want(t, len(failed), 0)
				inner.end()
				wantError(t, <-failed, syscall.ECONNRESET)
				want(t, inner.failures, []string{})
			})
		})
	}
}

func TestRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apetest.New(t, echo)
		want(t, get(s, "/"), "/ ")
		s.Refuse(true)
		want(t, get(s, "/living"), "/living ")
		_, err := s.DialContext(t.Context(), "tcp", "ape.test:80")
		wantError(t, err, syscall.ECONNREFUSED)
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("got %#v, want a *net.OpError of a dial", err)
		}
		s.Cut()
		if got := get(s, "/"); !strings.Contains(got, "connection refused") {
			t.Errorf("got %q", got)
		}
		s.Refuse(false)
		want(t, get(s, "/again"), "/again ")
		want(t, s.Dials(), 4)
	})
}
