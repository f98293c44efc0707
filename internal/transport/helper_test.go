package transport_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/memnet"
	"github.com/goape/ape/internal/transport"
)

// session is one accepted WebSocket with its outbox.
type session struct {
	*transport.Socket
	w      *transport.Writer
	out    *transport.Outbox
	budget *transport.Budget
	err    error         // why Next stopped; set before gone is closed
	gone   chan struct{} // Finish has returned
}

// setup of a test server; zero values are defaults.
type setup struct {
	options transport.SocketOptions
	limit   int // of the outbox; 1 MiB
	most    int // bytes of a message that its reader takes; all
	buffer  int // of the network; 64 KiB
	wrap    func(*memnet.Conn) net.Conn
	middle  func(http.Handler) http.Handler
	code    func(error) int        // what End gets when Next fails; 0: not ended
	handle  func(*session, []byte) // of a message; it is echoed by default
}

// world is a server in the bubble of a test, and the clients that dialled it.
type world struct {
	t        *testing.T
	ln       *memnet.Listener
	sessions chan *session
	group    sync.WaitGroup
	clients  []*client
}

// inside runs f in a bubble with a server, whose end it waits for: a goroutine
// that is left over fails the test.
func inside(t *testing.T, o setup, f func(t *testing.T, v *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := &world{t: t, ln: memnet.Listen(), sessions: make(chan *session, 100)}
		v.ln.Buffer(o.buffer)
		if o.wrap != nil {
			v.ln.Wrap(o.wrap)
		}
		o.options.Group = &v.group
		var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { v.accept(o, w, r) })
		if o.middle != nil {
			handler = o.middle(handler)
		}
		hs := &http.Server{Handler: handler}
		served := make(chan struct{})
		go func() { defer close(served); hs.Serve(v.ln) }()
		f(t, v)
		for _, c := range v.clients {
			c.Close()
		}
		v.group.Wait()
		hs.Close()
		<-served
		v.ln.Close()
	})
}

func (v *world) accept(o setup, w http.ResponseWriter, r *http.Request) {
	socket, err := transport.Accept(w, r, o.options)
	if err != nil {
		return
	}
	s := &session{Socket: socket, w: socket.Writer(), budget: transport.NewBudget(1 << 30), gone: make(chan struct{})}
	limit := o.limit
	if limit == 0 {
		limit = 1 << 20
	}
	s.out = transport.NewOutbox(limit, true, s.budget)
	s.out.Attach(s.w, 0)
	v.sessions <- s
	v.group.Add(1)
	go func() {
		defer v.group.Done()
		s.serve(o)
	}()
}

func (s *session) serve(o setup) {
	defer close(s.gone)
	for s.err == nil {
		_, m, err := s.Next()
		var b []byte
		if err == nil {
			b, err = readAll(m, o.most)
		}
		switch {
		case err != nil:
			s.err = err
		case o.handle != nil:
			o.handle(s, b)
		default:
			s.out.Append(text(string(b)), false)
		}
	}
	if o.code != nil {
		if code := o.code(s.err); code != 0 {
			s.w.End(code, "", nil, false)
		}
	}
	s.Finish()
	s.out.End()
}

// readAll reads a message, unless it is longer than most bytes.
func readAll(m io.Reader, most int) ([]byte, error) {
	if most == 0 {
		return io.ReadAll(m)
	}
	b, err := io.ReadAll(io.LimitReader(m, int64(most)+1))
	if err == nil && len(b) > most {
		err = transport.ErrTooBig
	}
	return b, err
}

// dial connects a client and returns it with the server's side of it.
func (v *world) dial(headers string, glued ...byte) (*client, *session) {
	v.t.Helper()
	nc, err := v.ln.Dial(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	c, err := handshake(nc, headers, glued...)
	if err != nil {
		v.t.Fatal(err)
	}
	v.clients = append(v.clients, c)
	if c.status != http.StatusSwitchingProtocols {
		return c, nil
	}
	s := <-v.sessions
	synctest.Wait() // its reader waits
	return c, s
}

// client is a WebSocket client by hand: it can send what no library would.
type client struct {
	*memnet.Conn
	br     *bufio.Reader
	header http.Header // of the handshake's answer
	status int
}

const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

const upgrade = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// handshake sends the request, header lines (each with its CRLF) and glued
// bytes in one write.
func handshake(nc *memnet.Conn, headers string, glued ...byte) (*client, error) {
	c := &client{Conn: nc, br: bufio.NewReaderSize(nc, 4096)}
	if _, err := nc.Write(append([]byte(upgrade+headers+"\r\n"), glued...)); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return nil, err
	}
	c.header, c.status = res.Header, res.StatusCode
	return c, nil
}

// masked makes a client's frame, with a mask of zeros.
func masked(fin bool, op byte, payload string) []byte {
	b := []byte{op}
	if fin {
		b[0] |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func message(payload string) []byte { return masked(true, opText, payload) }

// next reads a frame of the server's.
func (c *client) next(wait time.Duration) (op byte, payload string, err error) {
	c.SetReadDeadline(time.Now().Add(wait))
	return readFrame(c.br)
}

func readFrame(r io.Reader) (op byte, payload string, err error) {
	var h [8]byte
	if _, err = io.ReadFull(r, h[:2]); err != nil {
		return
	}
	op = h[0] & 15
	n := uint64(h[1])
	switch n {
	case 126:
		_, err = io.ReadFull(r, h[:2])
		n = uint64(binary.BigEndian.Uint16(h[:]))
	case 127:
		_, err = io.ReadFull(r, h[:8])
		n = binary.BigEndian.Uint64(h[:])
	}
	if err != nil {
		return
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return op, string(b), err
}

// say reads a frame and puts it into words.
func (c *client) say(wait time.Duration) string {
	op, p, err := c.next(wait)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "silence"
	case err == io.EOF:
		return "end"
	case err != nil:
		return "error: " + err.Error()
	case op == opClose && len(p) < 2:
		return "close"
	case op == opClose:
		return strings.TrimSpace(fmt.Sprint("close ", binary.BigEndian.Uint16([]byte(p)), " ", p[2:]))
	case op == opPing:
		return "ping" + p
	case op == opPong:
		return "pong " + p
	case len(p) > 100:
		return fmt.Sprintf("%d bytes", len(p))
	}
	return p
}

// wants reads frames and compares what they say.
func (c *client) wants(t *testing.T, frames ...string) {
	t.Helper()
	for _, want := range frames {
		if got := c.say(5 * time.Second); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func text(payload string) transport.Frame {
	return transport.Text(append(transport.Begin(nil), payload...))
}

func octets(line, raw string) transport.Frame {
	b := append(transport.Begin(nil), line...)
	return transport.Binary(append(b, raw...), len(raw))
}

// recorder is a Sink that keeps what is written. While it is blocked, a Write
// waits until it is let go or closed.
type recorder struct {
	mu     sync.Mutex
	writes [][]byte
	block  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newRecorder() *recorder { return &recorder{closed: make(chan struct{})} }

func (r *recorder) hold() func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	block := make(chan struct{})
	r.block = block
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.block = nil
		close(block)
	}
}

func (r *recorder) Write(p []byte) error {
	r.mu.Lock()
	r.writes = append(r.writes, bytes.Clone(p))
	block := r.block
	r.mu.Unlock()
	select {
	case <-r.closed:
		return net.ErrClosed
	default:
	}
	if block == nil {
		return nil
	}
	select {
	case <-block:
		return nil
	case <-r.closed:
		return net.ErrClosed
	}
}

func (r *recorder) Close() { r.once.Do(func() { close(r.closed) }) }

// take returns the writes and forgets them.
func (r *recorder) take() (writes [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	writes, r.writes = r.writes, nil
	return writes
}

// frames waits for the bubble to rest and puts into words what was written.
func (r *recorder) frames() (got []string) {
	synctest.Wait()
	br := bytes.NewReader(bytes.Join(r.take(), nil))
	for {
		op, p, err := readFrame(br)
		switch {
		case err != nil:
			return got
		case op == opClose:
			got = append(got, fmt.Sprint("close ", binary.BigEndian.Uint16([]byte(p)), " ", p[2:]))
		case op == opPing:
			got = append(got, "ping")
		case op == opPong:
			got = append(got, "pong "+p)
		default:
			got = append(got, p)
		}
	}
}

// unwritten reports whether there is a frame that no writer has taken.
func unwritten(o *transport.Outbox) bool {
	_, n := o.Bytes()
	return n > 0
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
