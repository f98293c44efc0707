package hostile_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

const (
	opMore   = 0x0
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa

	fin = 0x80
)

// peer is a connection whose bytes are written by hand.
type peer struct {
	net.Conn
	t        testing.TB
	br       *bufio.Reader
	response *http.Response // to the upgrade, or to the request
	isLine   bool
	rest     []string // lines read and not yet looked at
	id       string   // from the welcome
	token    string

	write sync.Mutex
}

// head are header fields that are added to a request; "" takes one out.
type head map[string]string

const host = "ape.test"

// line1 asks for ape.1 at an upgrade.
var line1 = head{"Sec-WebSocket-Protocol": "ape.1"}

// raw returns a new connection.
func (w *world) raw() *peer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), w.guard)
	defer cancel()
	c, err := w.listen(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &peer{Conn: c, t: w.t, br: bufio.NewReader(c)}
	p.alive(w.guard)
	w.peers = append(w.peers, p)
	return p
}

// alive sets how long reads and writes may take from now on.
func (p *peer) alive(guard time.Duration) { p.SetDeadline(time.Now().Add(guard)) }

// request is the text of a request without body.
func request(method, path string, more ...head) string {
	fields := head{"Host": host}
	if path == "/api/ape" {
		fields["Upgrade"], fields["Connection"] = "websocket", "Upgrade"
		fields["Sec-WebSocket-Version"], fields["Sec-WebSocket-Key"] = "13", "dGhlIHNhbXBsZSBub25jZQ=="
	}
	for _, h := range more {
		for k, v := range h {
			fields[k] = v
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, path)
	for k, v := range fields {
		if v != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", k, v)
		}
	}
	return b.String() + "\r\n"
}

// get sends a request on a new connection and reads the head of the response.
func (w *world) get(text string) *peer {
	w.t.Helper()
	p := w.raw()
	p.send([]byte(text))
	p.readResponse(text)
	return p
}

func (p *peer) readResponse(request string) {
	p.t.Helper()
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(p.br, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("no response: %v", err)
	}
	p.response = resp
}

// body reads the rest of a response.
func (p *peer) body() string {
	p.t.Helper()
	b, err := io.ReadAll(p.response.Body)
	if err != nil {
		p.t.Errorf("reading the body: %v", err)
	}
	return string(b)
}

// status fails unless the response has that one.
func (p *peer) status(want int) *peer {
	p.t.Helper()
	if got := p.response.StatusCode; got != want {
		p.t.Errorf("status %d, want %d", got, want)
	}
	return p
}

// upgrade opens a WebSocket.
func (w *world) upgrade(more ...head) *peer {
	w.t.Helper()
	p := w.get(request("GET", "/api/ape", more...))
	if p.response.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatalf("upgrade: %s: %s", p.response.Status, p.body())
	}
	p.isLine = p.response.Header.Get("Sec-WebSocket-Protocol") == "ape.1"
	return p
}

// hello opens a WebSocket of ape.1, and says hello.
func (w *world) hello(json string, more head) *peer {
	w.t.Helper()
	p := w.upgrade(line1, more)
	p.lines("h " + json)
	p.welcome()
	return p
}

// classic opens a WebSocket of the classic dialect.
func (w *world) classic(more head) *peer {
	w.t.Helper()
	p := w.upgrade(more)
	if _, b, err := p.next(); err != nil || !strings.Contains(string(b), `"__connected__"`) {
		w.t.Fatalf("the first message is %q, %v", b, err)
	}
	return p
}

// welcome reads the w line.
func (p *peer) welcome() (w welcome) {
	p.t.Helper()
	l := p.line()
	if !strings.HasPrefix(l, "w ") || json.Unmarshal([]byte(l[2:]), &w) != nil {
		p.t.Fatalf("got %q, want a welcome", l)
	}
	p.id, p.token = w.ID, w.Resume
	return w
}

type welcome struct {
	ID, Resume, Gap string
	Recovered, Got  *uint64
}

// send writes bytes. An error is the server's right: it may have closed.
func (p *peer) send(b []byte) error {
	p.write.Lock()
	defer p.write.Unlock()
	_, err := p.Conn.Write(b)
	return err
}

// lines sends lines of ape.1 as one message.
func (p *peer) lines(lines ...string) error {
	return p.send(text(strings.Join(lines, "\n") + "\n"))
}

// text is a whole text message.
func text(s string) []byte { return frame(fin|opText, []byte(s)) }

// frame is a masked frame. first holds fin, the reserved bits and the opcode.
func frame(first byte, payload []byte) []byte {
	key := []byte{0x1d, 0xe7, 0x3a, 0x95}
	b := append(sized(first, 0x80, uint64(len(payload))), key...)
	masked := bytes.Repeat(key, len(payload)/4+1)[:len(payload)]
	subtle.XORBytes(masked, masked, payload)
	return append(b, masked...)
}

// sized is the beginning of a frame, up to the length.
func sized(first, mask byte, n uint64) []byte {
	switch {
	case n < 126:
		return []byte{first, mask | byte(n)}
	case n < 1<<16:
		return []byte{first, mask | 126, byte(n >> 8), byte(n)}
	}
	return binary.BigEndian.AppendUint64([]byte{first, mask | 127}, n)
}

// closing is the payload of a close frame.
func closing(code uint16, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, code), reason...)
}

// next reads a frame. What a server must not send fails the test.
func (p *peer) next() (op byte, payload []byte, err error) {
	var h [8]byte
	if _, err := io.ReadFull(p.br, h[:2]); err != nil {
		return 0, nil, err
	}
	op, size := h[0]&0xf, uint64(h[1]&0x7f)
	if h[0]&0xf0 != fin || h[1]&0x80 != 0 {
		p.t.Errorf("the server sent a frame that begins % x", h[:2])
	}
	least := uint64(0)
	switch size {
	case 126:
		_, err = io.ReadFull(p.br, h[:2])
		size, least = uint64(binary.BigEndian.Uint16(h[:2])), 126
	case 127:
		_, err = io.ReadFull(p.br, h[:8])
		size, least = binary.BigEndian.Uint64(h[:8]), 1<<16
	}
	if err != nil {
		return 0, nil, err
	}
	if size < least || size > 4<<20 || op >= opClose && size > 125 {
		p.t.Errorf("the server sent a frame of opcode %d and length %d", op, size)
		return 0, nil, errors.New("bad length")
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(p.br, payload); err != nil {
		return 0, nil, err
	}
	p.check(op, payload)
	return op, payload, nil
}

// check looks at what a frame holds.
func (p *peer) check(op byte, payload []byte) {
	switch op {
	case opText:
		if !utf8.Valid(payload) {
			p.t.Errorf("the server sent text that is not UTF-8: %.200q", payload)
		}
		if p.isLine && !strings.HasSuffix(string(payload), "\n") {
			p.t.Errorf("the server sent half a line: %.200q", payload)
		}
		if !p.isLine && !json.Valid(payload) {
			p.t.Errorf("the server sent what is not JSON: %.200q", payload)
		}
	case opClose:
		if len(payload) == 1 {
			p.t.Error("the server sent a close frame of one byte")
		}
	case opBinary, opPing, opPong:
	default:
		p.t.Errorf("the server sent opcode %d", op)
	}
}

// line reads the next line of ape.1 that is not quiet; close frames and the end
// fail the test.
func (p *peer) line() string {
	p.t.Helper()
	for {
		for len(p.rest) > 0 {
			l := p.rest[0]
			p.rest = p.rest[1:]
			if l != "" && l != "p" && !strings.HasPrefix(l, "a ") {
				return l
			}
		}
		op, payload, err := p.next()
		if err != nil || op == opClose {
			p.t.Fatalf("want a line, got % x %q, %v", op, payload, err)
		}
		if op == opText {
			p.rest = strings.Split(strings.TrimSuffix(string(payload), "\n"), "\n")
		}
	}
}

// want reads lines, each of which must begin as wanted.
func (p *peer) want(prefixes ...string) {
	p.t.Helper()
	for _, want := range prefixes {
		if got := p.line(); !strings.HasPrefix(got, want) {
			p.t.Errorf("got %.300q, want %q", got, want)
		}
	}
}

// message reads the next text message.
func (p *peer) message() string {
	p.t.Helper()
	for {
		op, payload, err := p.next()
		if err != nil || op == opClose {
			p.t.Fatalf("want a message, got %d %q, %v", op, payload, err)
		}
		if op == opText {
			return string(payload)
		}
	}
}

// wantClose reads up to the close frame, which must have one of the codes, and
// behind which nothing may come. It returns what came before.
func (p *peer) wantClose(codes ...int) (before []string) {
	p.t.Helper()
	for {
		op, payload, err := p.next()
		if err != nil {
			p.t.Errorf("the connection ended with %v, want a close frame of %v", err, codes)
			return before
		}
		if op == opText {
			before = append(before, strings.Split(strings.TrimSuffix(string(payload), "\n"), "\n")...)
		}
		if op != opClose {
			continue
		}
		code := 1005
		if len(payload) >= 2 {
			code = int(binary.BigEndian.Uint16(payload))
		}
		if !slices.Contains(codes, code) {
			p.t.Errorf("closed with %d %q, want %v; before: %q", code, payload[min(2, len(payload)):], codes, before)
		}
		p.send(frame(fin|opClose, payload))
		if b, err := p.br.ReadByte(); err == nil {
			p.t.Errorf("behind the close frame came %#x", b)
		} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
			p.t.Error("the connection stays open behind the close frame")
		}
		return before
	}
}

// reset breaks the connection as a crashed peer does.
func (p *peer) reset() {
	switch c := p.Conn.(type) {
	case *net.TCPConn:
		c.SetLinger(0)
	case interface{ Reset() }:
		c.Reset()
	}
	p.Close()
}
