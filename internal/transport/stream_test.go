package transport_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/memnet"
	"github.com/goape/ape/internal/transport"
)

// streaming runs f in a bubble with a server whose requests are streams. The
// handler returns when the stream is done or its client has gone.
func streaming(t *testing.T, server *http.Server, o transport.StreamOptions, buffer int, f func(t *testing.T, ln *memnet.Listener, streams chan *transport.Stream)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := memnet.Listen()
		ln.Buffer(buffer)
		streams := make(chan *transport.Stream, 10)
		var group sync.WaitGroup
		o.Group = &group
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				return
			}
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			s, err := transport.NewStream(w, r, o)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Finish()
			streams <- s
			select {
			case <-s.Writer().Done():
			case <-r.Context().Done():
			}
		})
		served := make(chan struct{})
		go func() { defer close(served); server.Serve(ln) }()
		f(t, ln, streams)
		server.Close()
		<-served
		group.Wait()
	})
}

func response(t *testing.T, nc *memnet.Conn) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func dial(t *testing.T, ln *memnet.Listener) *memnet.Conn {
	t.Helper()
	nc, err := ln.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

func TestStreamOutlivesTheServersTimeouts(t *testing.T) {
	server := &http.Server{WriteTimeout: time.Second, ReadTimeout: time.Second, IdleTimeout: time.Hour}
	streaming(t, server, transport.StreamOptions{Form: transport.StreamLines}, 0, func(t *testing.T, ln *memnet.Listener, streams chan *transport.Stream) {
		nc := dial(t, ln)
		defer nc.Close()
		nc.Write([]byte("GET / HTTP/1.1\r\nHost: test\r\n\r\n"))
		s := <-streams
		s.Writer().Control([]byte("\n"))
		res := response(t, nc)
		if got := res.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("content type %q", got)
		}
		o := transport.NewOutbox(1000, true, nil)
		o.Attach(s.Writer(), 0)
		lines := bufio.NewReader(res.Body)
		if line, err := lines.ReadString('\n'); line != "\n" || err != nil {
			t.Fatal(line, err)
		}
		for range 5 {
			time.Sleep(time.Hour)
			sent := time.Now()
			appendAll(t, o, "x\n")
			if line, err := lines.ReadString('\n'); line != "x\n" || err != nil || time.Since(sent) != 0 {
				t.Fatalf("%q, %v after %s", line, err, time.Since(sent))
			}
		}
		s.Writer().End(0, "", []byte("q\n"), false)
		rest, err := io.ReadAll(lines)
		if string(rest) != "q\n" || err != nil {
			t.Errorf("the end: %q, %v", rest, err)
		}
		// The connection serves on, with the server's own timeouts.
		time.Sleep(time.Minute)
		nc.Write([]byte("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"))
		if res := response(t, nc); res.StatusCode != 200 {
			t.Errorf("the next request: %d", res.StatusCode)
		}
	})
}

func TestStreamLeavesNoDeadlineBehind(t *testing.T) {
	streaming(t, &http.Server{}, transport.StreamOptions{Form: transport.StreamLines}, 0, func(t *testing.T, ln *memnet.Listener, streams chan *transport.Stream) {
		nc := dial(t, ln)
		defer nc.Close()
		for range 3 {
			nc.Write([]byte("GET / HTTP/1.1\r\nHost: test\r\n\r\n"))
			s := <-streams
			s.Writer().Control([]byte("w {}\n"))
			s.Writer().End(0, "", nil, false)
			if b, err := io.ReadAll(response(t, nc).Body); string(b) != "w {}\n" || err != nil {
				t.Fatalf("%q, %v", b, err)
			}
			time.Sleep(time.Hour)
		}
	})
}

func TestStreamToAStuckPeerEnds(t *testing.T) {
	long := strings.Repeat("x", 100_000) + "\n"
	t.Run("at the write timeout", func(t *testing.T) {
		streaming(t, &http.Server{}, transport.StreamOptions{}, 1000, func(t *testing.T, ln *memnet.Listener, streams chan *transport.Stream) {
			nc := dial(t, ln)
			nc.Write([]byte("GET / HTTP/1.1\r\nHost: test\r\n\r\n"))
			s := <-streams
			start := time.Now()
			s.Writer().Control([]byte(long))
			<-s.Writer().Done()
			if d := time.Since(start); d != 10*time.Second || s.Writer().Err() == nil {
				t.Errorf("gone after %s: %v", d, s.Writer().Err())
			}
			nc.Close()
		})
	})
	t.Run("at the close timeout", func(t *testing.T) {
		streaming(t, &http.Server{}, transport.StreamOptions{}, 1000, func(t *testing.T, ln *memnet.Listener, streams chan *transport.Stream) {
			nc := dial(t, ln)
			nc.Write([]byte("GET / HTTP/1.1\r\nHost: test\r\n\r\n"))
			s := <-streams
			start := time.Now()
			s.Writer().Control([]byte(long))
			synctest.Wait()
			s.Writer().End(4101, "", []byte("q\n"), true)
			<-s.Writer().Done()
			if d := time.Since(start); d != 2*time.Second {
				t.Errorf("gone after %s", d)
			}
			nc.Close()
		})
	})
	t.Run("when it leaves", func(t *testing.T) {
		streaming(t, &http.Server{}, transport.StreamOptions{}, 1000, func(t *testing.T, ln *memnet.Listener, streams chan *transport.Stream) {
			nc := dial(t, ln)
			nc.Write([]byte("GET / HTTP/1.1\r\nHost: test\r\n\r\n"))
			s := <-streams
			start := time.Now()
			s.Writer().Control([]byte(long))
			synctest.Wait()
			nc.Close()
			<-s.Writer().Done()
			if d := time.Since(start); d != 0 {
				t.Errorf("gone after %s", d)
			}
			s.Writer().Abort() // the handler may have returned
			s.Finish()
		})
	})
}

func TestStreamServesASlowPeerThatReads(t *testing.T) {
	streaming(t, &http.Server{}, transport.StreamOptions{Form: transport.StreamLines}, 1000, func(t *testing.T, ln *memnet.Listener, streams chan *transport.Stream) {
		nc := dial(t, ln)
		defer nc.Close()
		nc.Write([]byte("GET / HTTP/1.1\r\nHost: test\r\n\r\n"))
		s := <-streams
		o := transport.NewOutbox(1<<20, true, nil)
		o.Attach(s.Writer(), 0)
		line := strings.Repeat("x", 900<<10) + "\n"
		appendAll(t, o, line)
		s.Writer().Control([]byte("q\n"))
		body := response(t, nc).Body
		b, got := make([]byte, 16<<10), 0
		for got < len(line) {
			n, err := io.ReadFull(body, b[:min(len(b), len(line)-got)])
			if got += n; err != nil {
				t.Fatalf("%d of %d bytes: %v", got, len(line), err)
			}
			time.Sleep(time.Second)
		}
	})
}

// bare hides all but the methods of http.ResponseWriter.
type bare struct{ http.ResponseWriter }

// unwrapping is what a wrapper should be.
type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// flushing hides deadlines, but not Flush.
type flushing struct{ http.ResponseWriter }

func (flushing) Flush() {}

func TestStreamNamesTheWriterThatHidesTheConnection(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	for _, tt := range []struct {
		w    http.ResponseWriter
		want []string
	}{
		{bare{httptest.NewRecorder()}, []string{"transport_test.bare cannot flush", "Unwrap() http.ResponseWriter"}},
		{unwrapping{bare{httptest.NewRecorder()}}, []string{"transport_test.bare cannot flush"}},
		{flushing{httptest.NewRecorder()}, []string{"transport_test.flushing cannot set deadlines", "Unwrap() http.ResponseWriter"}},
	} {
		_, err := transport.NewStream(tt.w, r, transport.StreamOptions{})
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%T: %v does not say %q", tt.w, err, want)
			}
		}
	}
	var err error
	h := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err = transport.NewStream(unwrapping{w}, r, transport.StreamOptions{})
	}), time.Minute, "")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if err == nil || !strings.Contains(err.Error(), "outside of http.TimeoutHandler") {
		t.Errorf("http.TimeoutHandler: %v", err)
	}
}

// TestStreamOverHTTP2: its deadlines are timers that reset a stream even when
// nobody writes.
func TestStreamOverHTTP2(t *testing.T) {
	server := &http.Server{Protocols: new(http.Protocols), WriteTimeout: time.Second}
	server.Protocols.SetUnencryptedHTTP2(true)
	streaming(t, server, transport.StreamOptions{Form: transport.StreamLines}, 0, func(t *testing.T, ln *memnet.Listener, streams chan *transport.Stream) {
		client := ln.HTTPClient()
		client.Transport.(*http.Transport).Protocols = server.Protocols
		defer client.CloseIdleConnections()
		bodies := make(chan string, 1)
		go func() {
			res, err := client.Get("http://memnet/")
			if err != nil {
				bodies <- err.Error()
				return
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				b = append(b, err.Error()...)
			}
			bodies <- res.Proto + " " + string(b)
		}()
		s := <-streams
		time.Sleep(time.Hour)
		s.Writer().Control([]byte("one\n"))
		time.Sleep(time.Hour)
		s.Writer().End(0, "", []byte("two\n"), false)
		if got := <-bodies; got != "HTTP/2.0 one\ntwo\n" {
			t.Errorf("got %q", got)
		}
		s.Writer().Abort() // does not touch the response any more
		s.Writer().End(0, "", nil, false)
		s.Finish()
	})
}

func TestAcceptNamesTheWriterThatHidesTheConnection(t *testing.T) {
	accepted := func(middle func(http.Handler) http.Handler) error {
		result := make(chan error, 1)
		inside(t, setup{middle: func(http.Handler) http.Handler {
			return middle(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := transport.Accept(w, r, transport.SocketOptions{})
				result <- err
			}))
		}}, func(t *testing.T, v *world) {
			if c, _ := v.dial(""); c.status != http.StatusNotImplemented {
				t.Errorf("status %d", c.status)
			}
		})
		return <-result
	}
	err := accepted(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(bare{w}, r) })
	})
	if err == nil || !strings.Contains(err.Error(), "transport_test.bare cannot hand over its connection") {
		t.Errorf("got %v", err)
	}
	err = accepted(func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") })
	if err == nil || !strings.Contains(err.Error(), "outside of http.TimeoutHandler") {
		t.Errorf("got %v", err)
	}
}

// delaying is middleware that holds headers back, as compression does.
type delaying struct {
	http.ResponseWriter
	header http.Header
}

func (d delaying) Header() http.Header         { return d.header }
func (d delaying) WriteHeader(int)             {}
func (d delaying) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func TestAcceptSendsTheHeadersOfAWrapper(t *testing.T) {
	middle := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Outer", "1")
			d := delaying{unwrapping{w}, http.Header{"Set-Cookie": {"a=1", "b=2"}}}
			next.ServeHTTP(d, r)
		})
	}
	o := setup{middle: middle, options: transport.SocketOptions{Subprotocols: []string{"ape.1"}}}
	inside(t, o, func(t *testing.T, v *world) {
		c, _ := v.dial("Sec-WebSocket-Protocol: ape.2, ape.1\r\n")
		if got := c.header.Values("Set-Cookie"); len(got) != 2 || c.header.Get("X-Outer") != "1" {
			t.Errorf("headers %v", c.header)
		}
		if got := c.header.Get("Sec-WebSocket-Protocol"); got != "ape.1" {
			t.Errorf("subprotocol %q", got)
		}
		c.Write(message("hello\n"))
		c.wants(t, "hello\n")
	})
}

func TestAcceptRefusesWhatIsNoHandshake(t *testing.T) {
	recorder := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.ProtoMajor, r.Proto = 2, "HTTP/2.0"
	if _, err := transport.Accept(recorder, r, transport.SocketOptions{}); err == nil || recorder.Code != http.StatusUpgradeRequired {
		t.Errorf("status %d, %v", recorder.Code, err)
	}
}

func TestNextDropsWhatIsLeftOfAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := memnet.Listen()
		got := make(chan string, 10)
		hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := transport.Accept(w, r, transport.SocketOptions{Idle: time.Minute, WriteTimeout: time.Minute, CloseTimeout: time.Minute})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Finish()
			for {
				_, m, err := s.Next()
				if err != nil {
					got <- err.Error()
					return
				}
				p := make([]byte, 3)
				io.ReadFull(m, p)
				got <- string(p)
			}
		})}
		go hs.Serve(ln)
		c, err := handshake(dial(t, ln), "")
		if err != nil {
			t.Fatal(err)
		}
		c.Write(message("one and much more" + strings.Repeat("x", 10_000)))
		c.Write(message("two and more"))
		c.Write(masked(true, opClose, ""))
		equal(t, []string{<-got, <-got, <-got}, "one", "two", "transport: closed by the peer with code 1005")
		if got := c.say(time.Second); got != "close" {
			t.Errorf("got %q", got)
		}
		var lost net.Error
		if _, _, err := c.next(time.Second); errors.As(err, &lost) {
			t.Error("the connection is open still")
		}
		c.Close()
		hs.Close()
	})
}
