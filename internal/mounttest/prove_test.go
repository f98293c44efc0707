package mounttest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/goape/ape/internal/classic"
)

// outcome is what a mounting does to the transports: "" lets one work, anything
// else is the status and text with which it is refused.
type outcome struct{ socket, stream string }

// prove goes through everything that ape serves.
func (p *place) prove(t *testing.T, want outcome) {
	t.Helper()
	if want.socket != "" {
		t.Run("a WebSocket is refused by name", func(t *testing.T) {
			if got := p.refusedSocket(t); got != want.socket {
				t.Errorf("got  %s\nwant %s", got, want.socket)
			}
		})
	} else {
		t.Run("WebSocket ape.1", p.socketLines)
		t.Run("WebSocket classic", p.socketClassic)
	}
	if want.stream != "" {
		t.Run("a stream is refused by name", func(t *testing.T) {
			for _, header := range [][]string{{"Ape-Protocol", "ape.1", "Ape-Hello", "{}"}, nil} {
				status, body := p.get(t, "/ape/poll", header...)
				if got := fmt.Sprintf("%d %s", status, strings.TrimSpace(body)); got != want.stream {
					t.Errorf("got  %s\nwant %s", got, want.stream)
				}
			}
		})
	} else {
		t.Run("streaming ape.1", p.streamLines)
		t.Run("streaming classic", p.streamClassic)
	}
	t.Run("files and ping", p.files)
	t.Run("foreign paths", p.foreign)
}

// socket is a WebSocket of a client.
type socket struct {
	t    *testing.T
	ctx  context.Context
	conn *websocket.Conn
	text []string // lines or messages that were read and not yet asked for
}

// dial opens a WebSocket.
func (p *place) dial(t *testing.T, protocols []string, header ...string) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h := http.Header{"Accept-Encoding": {"gzip, deflate, br"}} // as browsers do; compressing middleware wakes up
	set(h, header)
	return websocket.Dial(ctx, p.url+p.base+"/ape", &websocket.DialOptions{
		HTTPClient: p.socket, HTTPHeader: h, Host: h.Get("Host"), Subprotocols: protocols,
	})
}

// connect opens a WebSocket that must work.
func (p *place) connect(t *testing.T, protocols []string, header ...string) *socket {
	t.Helper()
	c, res, err := p.dial(t, protocols, header...)
	if err != nil {
		text := ""
		if res != nil {
			b, _ := io.ReadAll(res.Body)
			text = string(b)
		}
		t.Fatalf("WebSocket: %v %s\n%s", err, text, p.http)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	t.Cleanup(func() { c.CloseNow() })
	return &socket{t: t, ctx: ctx, conn: c}
}

func (s *socket) write(text string) {
	s.t.Helper()
	if err := s.conn.Write(s.ctx, websocket.MessageText, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// next returns the next message of a classic connection, or the next line.
func (s *socket) next() string {
	s.t.Helper()
	for len(s.text) == 0 {
		_, b, err := s.conn.Read(s.ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		s.text = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	}
	text := s.text[0]
	s.text = s.text[1:]
	return text
}

// want reads lines until one begins as wanted, and returns it. Lines that are
// not counted may come between.
func (s *socket) want(begin string) string {
	s.t.Helper()
	return wantLine(s.t, begin, s.next)
}

func wantLine(t *testing.T, begin string, next func() string) string {
	t.Helper()
	for {
		l := next()
		if strings.HasPrefix(l, begin) {
			return l
		}
		if l != "" && l != "p" && !strings.HasPrefix(l, "a ") {
			t.Fatalf("got line %q, want %q", l, begin)
		}
	}
}

func (p *place) socketLines(t *testing.T) {
	s := p.connect(t, []string{"ape.1"})
	if got := s.conn.Subprotocol(); got != "ape.1" {
		t.Errorf("subprotocol %q", got)
	}
	s.write("h {}\nc 1 hello \"Ann\"\n")
	s.want("w {")
	s.want(`r 1 "Hello, Ann!"`)
	p.returned(t, http.MethodGet, "/ape") // with all that the middleware does behind it
	s.write("c 3 notify \"late\"\n")
	s.want(`m note "late"`)
	s.want("r 3")
	s.conn.Close(websocket.StatusNormalClosure, "")
}

func (p *place) socketClassic(t *testing.T) {
	s := p.connect(t, nil)
	if first := s.next(); !strings.Contains(first, `"type":"__connected__"`) {
		t.Fatalf("first message %s", first)
	}
	p.returned(t, http.MethodGet, "/ape")
	call := `{"type":"/hello","data":"Ann"}`
	s.write(call)
	wantReply(t, s.next(), call, "Hello, Ann!")
	s.write(`{"type":"/notify","data":"late"}`)
	if push := s.next(); !strings.Contains(push, `"type":"note"`) || !strings.Contains(push, `"data":"late"`) {
		t.Errorf("push %s", push)
	}
	s.conn.Close(websocket.StatusNormalClosure, "")
}

// wantReply checks the reply to a classic call.
func wantReply(t *testing.T, reply, call, data string) {
	t.Helper()
	var got struct {
		QueryID string `json:"queryId"`
		Data    string
	}
	if err := json.Unmarshal([]byte(reply), &got); err != nil {
		t.Fatalf("%v: %s", err, reply)
	}
	if got.Data != data || got.QueryID != classic.QueryID([]byte(call)) {
		t.Errorf("reply %s", reply)
	}
}

func (p *place) refusedSocket(t *testing.T) string {
	t.Helper()
	c, res, err := p.dial(t, []string{"ape.1"})
	if err == nil {
		c.CloseNow()
		return "open"
	}
	if res == nil {
		t.Fatal(err)
	}
	status, body := read(t, res)
	return fmt.Sprintf("%d %s", status, strings.TrimSpace(body))
}

// stream is an open GET.
type stream struct {
	t      *testing.T
	body   *bufio.Reader
	res    *http.Response
	token  string
	cancel context.CancelFunc
}

// listen opens a streaming GET that must work.
func (p *place) listen(t *testing.T, header ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	res := p.request(t, ctx, http.MethodGet, "/ape/poll", "", header...)
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		t.Fatalf("streaming: %d %s", res.StatusCode, b)
	}
	return &stream{t: t, body: bufio.NewReader(res.Body), res: res, cancel: cancel}
}

func (s *stream) next() string {
	s.t.Helper()
	l, err := s.body.ReadString('\n')
	if err != nil {
		s.t.Fatalf("the stream: %v", err)
	}
	return strings.TrimSuffix(l, "\n")
}

func (s *stream) want(begin string) string {
	s.t.Helper()
	return wantLine(s.t, begin, s.next)
}

// listenLines opens a stream of ape.1 and reads its welcome.
func (p *place) listenLines(t *testing.T, hello string) *stream {
	t.Helper()
	s := p.listen(t, "Ape-Protocol", "ape.1", "Ape-Hello", hello)
	var welcome struct{ Resume string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(s.want("w {"), "w ")), &welcome); err != nil {
		t.Fatal(err)
	}
	s.token = welcome.Resume
	return s
}

// post sends lines to a session, which must take them.
func (p *place) post(t *testing.T, s *stream, seq, lines string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res := p.request(t, ctx, http.MethodPost, "/ape/poll", lines, "Ape-Protocol", "ape.1",
		"Ape-Session", s.token, "Ape-Seq", seq, "Content-Type", "text/plain;charset=utf-8")
	status, body := read(t, res)
	if status != http.StatusNoContent || res.Header.Get("Ape-Got") == "" {
		t.Fatalf("POST: %d %s", status, body)
	}
}

func (p *place) streamLines(t *testing.T) {
	s := p.listenLines(t, "{}")
	if s.res.Uncompressed != p.gzip { // by net/http's client, which undoes gzip as a browser does
		t.Errorf("the stream was compressed: %t, want %t", s.res.Uncompressed, p.gzip)
	}
	p.post(t, s, "1", "c 1 hello \"Ann\"\n")
	s.want(`r 1 "Hello, Ann!"`)
	p.post(t, s, "2", "c 3 notify \"now\"\n")
	s.want(`m note "now"`) // while the response goes on: nothing held it back
	s.want("r 3")
	s.leave(p)
}

// streamClassic proves the classic stream in both framings: what the pages ask
// for, and events.
func (p *place) streamClassic(t *testing.T) {
	for _, accept := range []string{"application/json", "text/event-stream"} {
		p.streamFramed(t, accept)
	}
}

func (p *place) streamFramed(t *testing.T, accept string) {
	s := p.listen(t, "Accept", accept)
	s.wantEvent("__connected__")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	call := `{"type":"/hello","data":"Ann"}`
	status, reply := read(t, p.request(t, ctx, http.MethodPost, "/ape/poll", call, "Content-Type", "application/json"))
	if status != http.StatusOK {
		t.Fatalf("POST: %d %s", status, reply)
	}
	wantReply(t, reply, call, "Hello, Ann!")
	if status, body := read(t, p.request(t, ctx, http.MethodPost, "/ape/poll", `{"type":"/notify","data":"now"}`)); status != http.StatusOK {
		t.Fatalf("POST: %d %s", status, body)
	}
	if event := s.wantEvent("note"); !strings.Contains(event, `"data":"now"`) {
		t.Errorf("event %s", event)
	}
	s.leave(p)
}

// wantEvent reads a message of the classic stream.
func (s *stream) wantEvent(name string) string {
	s.t.Helper()
	for {
		switch l := s.next(); {
		case l == "" || strings.Contains(l, "__heartbeat__"):
		case strings.HasPrefix(strings.TrimPrefix(l, "data: "), "{") && strings.Contains(l, `"type":"`+name+`"`):
			return l
		default:
			s.t.Fatalf("got event %s, want %s", l, name)
		}
	}
}

// leave ends the stream from the client's side; the server must notice.
func (s *stream) leave(p *place) {
	s.t.Helper()
	for { // none of the POSTs before
		select {
		case one := <-p.ended:
			if one == "GET "+p.base+"/ape/poll" {
				s.t.Errorf("the response ended before the client left")
			}
			continue
		default:
		}
		break
	}
	s.cancel()
	p.returned(s.t, http.MethodGet, "/ape/poll")
}

func (p *place) files(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res := p.request(t, ctx, http.MethodGet, "/ape.js", "")
	etag, kind := res.Header.Get("ETag"), res.Header.Get("Content-Type")
	if status, body := read(t, res); status != http.StatusOK || len(body) < 100 || etag == "" || !strings.Contains(kind, "javascript") {
		t.Errorf("ape.js: %d, %d bytes, %q, ETag %q", status, len(body), kind, etag)
	} else if status, _ := p.get(t, "/ape.js", "If-None-Match", etag); status != http.StatusNotModified {
		t.Errorf("ape.js with its ETag: %d", status)
	}
	if status, body := p.get(t, "/ape/ping"); status != http.StatusOK || !strings.Contains(body, `"ok":true`) {
		t.Errorf("ping: %d %s", status, body)
	}
	if status, body := p.get(t, "/ape"); status != http.StatusUpgradeRequired || !strings.Contains(body, "no Upgrade header") {
		t.Errorf("a plain GET of the WebSocket's address: %d %s", status, body)
	}
}

func (p *place) foreign(t *testing.T) {
	res, err := p.client.Get(p.url + p.users)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := read(t, res); status != http.StatusOK || body != "all users" {
		t.Errorf("the program's own route: %d %s", status, body)
	}
	if status, _ := p.get(t, "/other"); status != http.StatusNotFound {
		t.Errorf("a path of nobody: %d", status)
	}
}
