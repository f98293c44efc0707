package ape_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/goape/ape"
	"github.com/goape/ape/internal/memnet"
)

type benchInput struct {
	Text  string `json:"text"`
	Count int    `json:"count"`
}

type benchOutput struct {
	Text string `json:"text"`
	Next int    `json:"next"`
}

// benchServer serves echo and returns a way to connect.
func benchServer(b *testing.B) (*ape.Server, *memnet.Listener) {
	app := ape.New(&ape.Options{Rate: ape.Rate{PerSecond: -1}, Logger: slog.New(slog.DiscardHandler)})
	app.Handle("echo", ape.Func(func(_ context.Context, in benchInput) (benchOutput, error) {
		return benchOutput{in.Text, in.Count + 1}, nil
	}))
	ln := memnet.Listen()
	srv := &http.Server{Handler: app}
	go srv.Serve(ln)
	b.Cleanup(func() {
		srv.Close()
		now, cancel := context.WithCancel(context.Background())
		cancel()
		app.Shutdown(now)
		app.Shutdown(context.Background())
	})
	return app, ln
}

// benchConn is a client that allocates nothing per message.
type benchConn struct {
	net.Conn
	br    *bufio.Reader
	frame []byte
	taken int
}

func benchDial(b *testing.B, ln *memnet.Listener, protocol string) *benchConn {
	nc, err := ln.Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	c := &benchConn{Conn: nc, br: bufio.NewReaderSize(nc, 8<<10)}
	head := "GET /api/ape HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if protocol != "" {
		head += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	io.WriteString(nc, head+"\r\n")
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		b.Fatalf("upgrade: %v %v", resp, err)
	}
	if protocol != "" {
		c.send([]byte("h {}\n"))
		c.until(b, "w {")
	} else {
		c.until(b, `__connected__`)
	}
	b.Cleanup(func() { nc.Close() })
	return c
}

// send writes a masked text frame.
func (c *benchConn) send(text []byte) {
	f := append(c.frame[:0], 0x81)
	if n := len(text); n < 126 {
		f = append(f, 0x80|byte(n))
	} else {
		f = append(f, 0x80|126, byte(n>>8), byte(n))
	}
	f = append(f, 0, 0, 0, 0) // a mask of zeros
	c.frame = append(f, text...)
	c.Write(c.frame)
}

// message returns the next text message, valid until the next call.
func (c *benchConn) message(b *testing.B) []byte {
	head, err := c.br.Peek(2)
	if err != nil {
		b.Fatal(err)
	}
	n, size := int(head[1]), 2
	if n == 126 {
		head, _ = c.br.Peek(4)
		n, size = int(binary.BigEndian.Uint16(head[2:])), 4
	}
	c.br.Discard(size)
	text, err := c.br.Peek(n)
	if err != nil {
		b.Fatal(err)
	}
	c.br.Discard(n)
	return text
}

func (c *benchConn) until(b *testing.B, part string) {
	for !bytes.Contains(c.message(b), []byte(part)) {
	}
}

// BenchmarkCall is a call of a small struct and its answer, with everything
// that is between: frame, envelope, dispatch, codec, queue.
func BenchmarkCall(b *testing.B) {
	b.Run("websocket/ape.1", func(b *testing.B) {
		_, ln := benchServer(b)
		c := benchDial(b, ln, "ape.1")
		var line []byte
		id, taken := 1, 0
		b.ReportAllocs()
		for b.Loop() {
			line = fmt.Appendf(line[:0], "c %d echo {\"text\":\"hello, benchmark\",\"count\":7}\n", id)
			if taken++; taken%64 == 0 {
				line = fmt.Appendf(line, "a %d\n", taken-1)
			}
			id += 2
			c.send(line)
			for !bytes.Contains(c.message(b), []byte("r ")) {
			}
		}
	})
	b.Run("websocket/classic", func(b *testing.B) {
		_, ln := benchServer(b)
		c := benchDial(b, ln, "")
		var text []byte
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			n++
			text = fmt.Appendf(text[:0], `{"type":"/echo","data":{"text":"hello, benchmark","count":%d}}`, n)
			c.send(text)
			c.message(b)
		}
	})
	b.Run("streaming/ape.1", func(b *testing.B) {
		_, ln := benchServer(b)
		s := benchStream(b, ln)
		id, seq := 1, 1
		b.ReportAllocs()
		for b.Loop() {
			s.post(b, seq, fmt.Sprintf("c %d echo {\"text\":\"hello, benchmark\",\"count\":7}\n", id))
			id += 2
			seq++
			s.until(b, "r ")
		}
	})
	b.Run("streaming/classic", func(b *testing.B) {
		_, ln := benchServer(b)
		client := ln.HTTPClient()
		cookie := strings.Repeat("A", 26)
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			n++
			req, _ := http.NewRequest("POST", "http://bench/api/ape/poll", strings.NewReader(
				fmt.Sprintf(`{"type":"/echo","data":{"text":"hello, benchmark","count":%d}}`, n)))
			req.Header.Set("Cookie", "apeClientId="+cookie)
			resp, err := client.Do(req)
			if err != nil || resp.StatusCode != 200 {
				b.Fatal(resp, err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}

// benchStreaming is a streaming client of ape.1.
type benchStreaming struct {
	client *http.Client
	token  string
	body   *bufio.Reader
}

func benchStream(b *testing.B, ln *memnet.Listener) *benchStreaming {
	s := &benchStreaming{client: ln.HTTPClient()}
	req, _ := http.NewRequestWithContext(b.Context(), "GET", "http://bench/api/ape/poll", nil)
	req.Header.Set("Ape-Protocol", "ape.1")
	req.Header.Set("Ape-Hello", "{}")
	resp, err := s.client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { resp.Body.Close() })
	s.body = bufio.NewReader(resp.Body)
	w := s.until(b, "w ")
	_, w, _ = strings.Cut(w, `"resume":"`)
	s.token, _, _ = strings.Cut(w, `"`)
	return s
}

func (s *benchStreaming) until(b *testing.B, part string) string {
	for {
		l, err := s.body.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		if strings.HasPrefix(l, part) {
			return l
		}
	}
}

func (s *benchStreaming) post(b *testing.B, seq int, lines string) {
	req, _ := http.NewRequest("POST", "http://bench/api/ape/poll", strings.NewReader(lines))
	req.Header.Set("Ape-Protocol", "ape.1")
	req.Header.Set("Ape-Session", s.token)
	req.Header.Set("Ape-Seq", fmt.Sprint(seq))
	resp, err := s.client.Do(req)
	if err != nil || resp.StatusCode != 204 {
		b.Fatal(resp, err)
	}
	resp.Body.Close()
}

// BenchmarkBroadcast is one event to 1,000 clients, until the last one has it.
// The metrics are for each delivery, the reading of it included.
func BenchmarkBroadcast(b *testing.B) {
	for _, way := range []struct{ name, transport, protocol string }{
		{"websocket/ape.1", "websocket", "ape.1"}, {"websocket/classic", "websocket", ""},
		{"streaming/ape.1", "streaming", "ape.1"}, {"streaming/classic", "streaming", ""},
	} {
		b.Run("1000/"+way.name, func(b *testing.B) {
			const clients = 1000
			app, ln := benchServer(b)
			got := make(chan struct{}, clients)
			for i := range clients {
				if way.transport == "websocket" {
					go benchFrames(benchDial(b, ln, way.protocol), way.protocol, got)
				} else {
					go benchLines(benchGet(b, ln, way.protocol, i), got)
				}
			}
			data := benchInput{"hello, everybody", 1}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n := 0
			for b.Loop() {
				n++
				if err := app.Broadcast("news", data); err != nil {
					b.Fatal(err)
				}
				for range clients {
					<-got
				}
			}
			runtime.ReadMemStats(&after)
			deliveries := float64(n * clients)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/deliveries, "allocs/delivery")
		})
	}
}

// benchFrames tells of every short frame, and acknowledges as clients do.
func benchFrames(c *benchConn, protocol string, got chan<- struct{}) {
	for i := 0; ; i++ {
		head, err := c.br.Peek(2)
		if err != nil {
			return
		}
		c.br.Discard(2 + int(head[1]))
		if protocol != "" && i%64 == 63 {
			c.send(fmt.Appendf(nil, "a %d\n", i+1))
		}
		got <- struct{}{}
	}
}

// benchGet opens a stream and reads the first line of it that is not empty.
func benchGet(b *testing.B, ln *memnet.Listener, protocol string, i int) *bufio.Reader {
	nc, err := ln.Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	head := fmt.Sprintf("GET /api/ape/poll HTTP/1.1\r\nHost: bench\r\nCookie: apeClientId=AAAAAAAAAAAAAAAAAAAA%06s\r\n",
		strings.NewReplacer("0", "A", "1", "B", "8", "C", "9", "D").Replace(fmt.Sprintf("%06d", i)))
	if protocol != "" {
		head += "Ape-Protocol: ape.1\r\nApe-Hello: {}\r\n"
	}
	io.WriteString(nc, head+"\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("GET: %v %v", resp, err)
	}
	body := bufio.NewReaderSize(resp.Body, 1<<10)
	for {
		l, err := body.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if len(l) > 1 {
			return body
		}
	}
}

// benchLines tells of every line that is an event.
func benchLines(body *bufio.Reader, got chan<- struct{}) {
	for {
		l, err := body.ReadSlice('\n')
		if err != nil {
			return
		}
		if bytes.Contains(l, []byte("news")) {
			got <- struct{}{}
		}
	}
}

// BenchmarkIdle reports what a connection costs that does nothing: bytes of heap
// and stack on the server's side and the client's together.
func BenchmarkIdle(b *testing.B) {
	for _, protocol := range []string{"ape.1", ""} {
		name := protocol
		if name == "" {
			name = "classic"
		}
		b.Run(name, func(b *testing.B) {
			const clients = 1000
			for b.Loop() {
				_, ln := benchServer(b)
				before := inUse()
				for range clients {
					benchDial(b, ln, protocol).br = nil
				}
				b.ReportMetric((inUse()-before)/clients, "B/conn")
			}
		})
	}
}

func inUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
