package ape_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape"
)

// TestTranscripts replays the transcripts of docs/protocol.md against a server.
func TestTranscripts(t *testing.T) {
	doc, err := os.ReadFile("docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	played := 0
	for _, block := range regexp.MustCompile("(?s)```ape\n(.*?)```").FindAllSubmatch(doc, -1) {
		for _, one := range strings.Split("\n"+string(block[1]), "\n# ")[1:] {
			title, script, _ := strings.Cut(one, "\n")
			played++
			t.Run(title, func(t *testing.T) { replay(t, script) })
		}
	}
	if played < 10 {
		t.Errorf("%d transcripts were found in docs/protocol.md, want at least 10", played)
	}
}

// peer is a connection of a transcript.
type peer struct {
	ws     *websocket.Conn
	raw    net.Conn
	lines  []string // read and not yet expected; octets as " + hex"
	body   *bufio.Reader
	cancel func()
	ended  chan struct{} // GET: the server has noticed that the client is gone
}

type stage struct {
	t     *testing.T
	url   string
	peers map[string]*peer
	vars  map[string]string
	gone  chan struct{}
}

func replay(t *testing.T, script string) {
	app := ape.New(transcriptOptions())
	transcriptPaths(app)
	s := &stage{t: t, peers: map[string]*peer{}, vars: map[string]string{}, gone: make(chan struct{}, 16)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app.ServeHTTP(w, r)
		if r.Method == http.MethodGet && r.Header.Get("Upgrade") == "" {
			s.gone <- struct{}{}
		}
	}))
	s.url = srv.URL + "/api/ape"
	defer func() {
		for _, p := range s.peers {
			p.close()
		}
		stop(t, app)
		srv.Close()
	}()
	for _, step := range regexp.MustCompile(`\n|   +`).Split(script, -1) {
		if step = strings.TrimSpace(step); step == "" {
			continue
		}
		s.step(step)
		if t.Failed() {
			t.Fatalf("at step: %s", step)
		}
	}
}

// stop ends a server without waiting for its calls, and then fails unless every
// goroutine of it ends.
func stop(t *testing.T, app *ape.Server) {
	t.Helper()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	app.Shutdown(now)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := app.Shutdown(ctx); err != nil {
		t.Errorf("goroutines of the server are left over: %v", err)
	}
}

func (p *peer) close() {
	if p.ws != nil {
		p.ws.CloseNow()
	} else {
		p.cancel()
	}
}

func (s *stage) step(step string) {
	f := strings.SplitN(step, " ", 3)
	switch {
	case strings.HasPrefix(step, "post "):
		head, body, _ := strings.Cut(step, ": ")
		s.post(strings.Fields(s.expand(head)), strings.Split(body, " | "))
	case len(step) > 2 && step[1] == '>':
		s.write(step[:1], strings.Split(step[3:], " | "))
	case f[0] == "ws":
		s.dial(f[1])
	case f[0] == "get":
		s.get(f[1], f[2])
	case f[0] == "cut":
		s.cut(s.peers[f[1]])
	case strings.HasSuffix(f[0], "!"):
		s.wantEnd(s.peers[f[0][:1]], f[1])
	case strings.HasSuffix(f[0], "<"):
		for _, want := range strings.Split(step[3:], " | ") {
			s.want(s.peers[f[0][:1]], want)
		}
	default:
		s.t.Fatalf("no such step: %q", step)
	}
}

var repeated = regexp.MustCompile(`\{(.)\*(\d+)\}`)

// expand puts in repetitions and bound variables.
func (s *stage) expand(text string) string {
	text = repeated.ReplaceAllStringFunc(text, func(m string) string {
		p := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(p[2])
		return strings.Repeat(p[1], n)
	})
	for k, v := range s.vars {
		text = strings.ReplaceAll(text, "$"+k, v)
	}
	return text
}

func (s *stage) dial(name string) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	p := &peer{}
	dial := func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		p.raw, err = new(net.Dialer).DialContext(ctx, network, addr)
		return p.raw, err
	}
	ws, _, err := websocket.Dial(ctx, s.url, &websocket.DialOptions{
		Subprotocols: []string{"ape.1"}, HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	p.ws = ws
	s.peers[name] = p
}

func (s *stage) get(name, rest string) {
	hello, status, ok := strings.Cut(rest, " = ")
	if !ok {
		status = "200"
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", s.url+"/poll", nil)
	req.Header.Set("Ape-Protocol", "ape.1")
	req.Header.Set("Ape-Hello", s.expand(hello))
	resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if fmt.Sprint(resp.StatusCode) != status {
		s.t.Errorf("status %s, want %s", resp.Status, status)
	}
	s.peers[name] = &peer{body: bufio.NewReader(resp.Body), cancel: cancel}
}

// cut ends a TCP connection and, for a GET, waits until the server knows.
func (s *stage) cut(p *peer) {
	if p.ws != nil {
		p.raw.Close()
		return
	}
	p.cancel()
	<-s.gone
}

func (s *stage) write(name string, lines []string) {
	var b bytes.Buffer
	kind := websocket.MessageText
	for _, l := range lines {
		text, octets, binary := strings.Cut(s.expand(l), " + ")
		if cut, torn := strings.CutSuffix(text, `\`); torn {
			b.WriteString(cut)
			continue
		}
		b.WriteString(text + "\n")
		if binary {
			kind = websocket.MessageBinary
			raw, err := hex.DecodeString(strings.ReplaceAll(octets, " ", ""))
			if err != nil {
				s.t.Fatal(err)
			}
			b.Write(raw)
		}
	}
	if err := s.peers[name].ws.Write(s.t.Context(), kind, b.Bytes()); err != nil {
		s.t.Fatal(err)
	}
}

// post is "post TOKEN SEQ STATUS [GOT]".
func (s *stage) post(f, lines []string) {
	var b strings.Builder
	for _, l := range lines {
		l = s.expand(l)
		if cut, torn := strings.CutSuffix(l, `\`); torn {
			b.WriteString(cut)
		} else {
			b.WriteString(l + "\n")
		}
	}
	req, _ := http.NewRequestWithContext(s.t.Context(), "POST", s.url+"/poll", strings.NewReader(b.String()))
	req.Header.Set("Ape-Protocol", "ape.1")
	req.Header.Set("Ape-Session", f[1])
	if f[2] != "-" {
		req.Header.Set("Ape-Seq", f[2])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	got := strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Ape-Got")))
	if want := strings.Join(f[3:], " "); got != want {
		s.t.Errorf("got %q, want %q", got, want)
	}
}

// next returns the next line of a connection, with its octets as " + hex".
func (s *stage) next(p *peer) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	for p.ws != nil && len(p.lines) == 0 {
		kind, b, err := p.ws.Read(ctx)
		if err != nil {
			return "", err
		}
		if p.lines, err = cutLines(b, kind == websocket.MessageBinary); err != nil {
			return "", err
		}
	}
	if p.ws != nil {
		l := p.lines[0]
		p.lines = p.lines[1:]
		return l, nil
	}
	stop := context.AfterFunc(ctx, p.cancel)
	defer stop()
	l, err := p.body.ReadString('\n')
	if err == io.EOF && l != "" {
		err = io.ErrUnexpectedEOF
	}
	return strings.TrimSuffix(l, "\n"), err
}

// cutLines cuts a message into lines.
func cutLines(b []byte, binary bool) (lines []string, err error) {
	for len(b) > 0 {
		head, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("a message ends inside a line: %q", b)
		}
		l := string(head)
		if i := strings.LastIndex(l, " ="); binary && i >= 0 {
			n, err := strconv.Atoi(l[i+2:])
			if err != nil || n > len(rest) {
				return nil, fmt.Errorf("octets are missing behind %q", l)
			}
			l += " + " + hex.EncodeToString(rest[:n])
			rest = rest[n:]
		}
		lines, b = append(lines, l), rest
	}
	return lines, nil
}

// quiet lines may stand anywhere.
func quiet(l string) bool { return l == "" || l == "p" || strings.HasPrefix(l, "a ") }

func (s *stage) want(p *peer, want string) {
	for {
		got, err := s.next(p)
		if err != nil {
			s.t.Errorf("want %q, got %v", want, err)
			return
		}
		if quiet(got) && (got == "" || want[0] != got[0]) {
			continue
		}
		s.match(got, want)
		return
	}
}

// match compares a line with the script's: JSON objects member by member as far
// as written, all else exactly.
func (s *stage) match(got, want string) {
	if head, octets, ok := strings.Cut(want, " + "); ok {
		want = head + " + " + strings.ReplaceAll(octets, " ", "")
	}
	full := repeated.ReplaceAllStringFunc(want, s.expand)
	i := strings.IndexByte(full, '{')
	if i < 0 {
		if want = s.expand(want); got != want {
			s.t.Errorf("got %q, want %q", got, want)
		}
		return
	}
	var w, g any
	if err := json.Unmarshal([]byte(full[i:]), &w); err != nil {
		s.t.Fatalf("script: %q: %v", want, err)
	}
	if len(got) < i || got[:i] != full[:i] || json.Unmarshal([]byte(got[i:]), &g) != nil || !s.within(w, g) {
		s.t.Errorf("got %q, want %q", got, full)
	}
}

// within reports whether g has what w has. "$x" binds, then must be equal.
func (s *stage) within(w, g any) bool {
	switch w := w.(type) {
	case map[string]any:
		g, ok := g.(map[string]any)
		for k, v := range w {
			if !ok || !s.within(v, g[k]) {
				return false
			}
		}
		return ok
	case string:
		if name, ok := strings.CutPrefix(w, "$"); ok {
			v, isText := g.(string)
			if old, bound := s.vars[name]; bound {
				return v == old
			}
			s.vars[name] = v
			return isText
		}
	}
	return fmt.Sprint(w) == fmt.Sprint(g)
}

// wantEnd wants a close code, or the end of a GET's body.
func (s *stage) wantEnd(p *peer, want string) {
	for {
		l, err := s.next(p)
		switch {
		case err == nil && (p.ws != nil || quiet(l)):
			continue // lines that the script does not name
		case err == nil:
			s.t.Errorf("got %q, want the end", l)
		case p.ws != nil:
			if got := strconv.Itoa(int(websocket.CloseStatus(err))); got != want {
				s.t.Errorf("closed with %s (%v), want %s", got, err, want)
			}
		case !errors.Is(err, io.EOF):
			s.t.Errorf("the body ended with %v", err)
		}
		return
	}
}
