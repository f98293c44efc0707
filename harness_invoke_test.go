package ape_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape"
)

// pen is a client of ape.1 whose lines a test writes and reads itself, over
// either transport. Its inbox holds every line that came but a and p, in order;
// of e and q lines only the code is kept. It answers pings, and acknowledges
// nothing else by itself.
type pen struct {
	*inbox
	site  *site
	hello string // members
	posts *http.Client

	state   sync.Mutex
	link    *link
	welcome greeting
	sent    int // counted lines
	got     int
	tries   int
	sink    func(line string) // takes the lines instead of the inbox
	gate    chan struct{}     // closed while it reads
}

// greeting is a w line.
type greeting struct {
	ID, Resume, Gap, Keeper string
	Recovered, Got          *uint64
	Limits                  struct{ Keys *int }
}

// eachLine runs a behaviour over both transports of ape.1.
func eachLine(t *testing.T, f func(t *testing.T, w way)) { overWays(t, f, lineSocket, lineStream) }

// other is the other transport of ape.1.
func (w way) other() way {
	if w == lineSocket {
		return lineStream
	}
	return lineSocket
}

// pen connects a client whose hello has these members, such as `"auth":"ann"`.
func (s *site) pen(w way, hello string) *pen {
	s.t.Helper()
	p := &pen{inbox: newInbox(s.t), site: s, hello: hello, posts: s.ln.HTTPClient(), gate: make(chan struct{})}
	close(p.gate)
	p.posts.Timeout = time.Minute
	s.t.Cleanup(func() {
		p.listen()
		p.cut()
		p.posts.CloseIdleConnections()
	})
	p.connect(w)
	return p
}

// client is the server's side of it.
func (p *pen) client() *ape.Client {
	p.t.Helper()
	c := p.site.app.Client(p.welcome.ID)
	if c == nil {
		p.t.Fatalf("the server has no client %q", p.welcome.ID)
	}
	return c
}

// connect opens a connection: of a new session, or of the one that p has.
func (p *pen) connect(w way) {
	p.t.Helper()
	l := &link{hello: make(chan struct{}), done: make(chan struct{})}
	p.state.Lock()
	p.link = l
	hello := []string{p.hello}
	if p.hello == "" {
		hello = nil
	}
	if p.welcome.Resume != "" {
		p.tries++
		hello = append(hello, fmt.Sprintf(`"resume":%q,"seen":%d,"try":%d`, p.welcome.Resume, p.got, p.tries))
	}
	p.state.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	hc, raw := p.site.dialer()
	l.raw = func() io.Closer { return raw() }
	l.cancel = func() { cancel(); hc.CloseIdleConnections() }
	open := p.openStream
	if w.transport == ape.WebSocket {
		open = p.openSocket
	}
	if err := open(ctx, l, hc, "{"+strings.Join(hello, ",")+"}"); err != nil {
		close(l.done)
		p.t.Fatal(err)
	}
	select {
	case <-l.hello:
	case <-l.done:
		p.t.Fatalf("no welcome came: %s", l.code())
	}
}

func (p *pen) openSocket(ctx context.Context, l *link, hc *http.Client, hello string) error {
	ws, _, err := websocket.Dial(ctx, "http://memnet/api/ape", &websocket.DialOptions{Subprotocols: []string{"ape.1"}, HTTPClient: hc})
	if err != nil {
		return err
	}
	ws.SetReadLimit(-1)
	cancel := l.cancel
	l.ws, l.cancel = ws, func() { ws.CloseNow(); cancel() }
	go func() {
		defer close(l.done)
		for {
			kind, b, err := ws.Read(ctx)
			if err != nil {
				l.status = int(websocket.CloseStatus(err))
				return
			}
			lines, err := cutLines(b, kind == websocket.MessageBinary)
			if err != nil {
				p.t.Error(err)
			}
			for _, line := range lines {
				p.take(l, line)
			}
			p.pause(l)
		}
	}()
	return ws.Write(ctx, websocket.MessageText, []byte("h "+hello+"\n"))
}

func (p *pen) openStream(ctx context.Context, l *link, hc *http.Client, hello string) error {
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://memnet/api/ape/poll", nil)
	req.Header.Set("Ape-Protocol", "ape.1")
	req.Header.Set("Ape-Hello", hello)
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	go func() {
		defer close(l.done)
		for body := bufio.NewReader(resp.Body); ; p.pause(l) {
			line, err := body.ReadString('\n')
			if err != nil {
				return
			}
			p.take(l, strings.TrimSuffix(line, "\n"))
		}
	}()
	return nil
}

// pause keeps a reader that has seen the welcome from reading on while p is
// deaf.
func (p *pen) pause(l *link) {
	select {
	case <-l.hello:
	default:
		return
	}
	p.state.Lock()
	gate := p.gate
	p.state.Unlock()
	<-gate
}

// stop makes it read nothing until listen. Only one event comes before.
func (p *pen) stop() {
	p.t.Helper()
	synctest.Wait() // it has looked at the gate behind what came before
	p.state.Lock()
	p.gate = make(chan struct{})
	p.state.Unlock()
	p.client().Send("stop", nil) // the reader looks at the gate behind it
	p.wants("m stop null")
	synctest.Wait()
}

func (p *pen) listen() {
	p.state.Lock()
	defer p.state.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// take reads one line.
func (p *pen) take(l *link, line string) {
	op, rest, _ := strings.Cut(line, " ")
	p.state.Lock()
	if p.link != l {
		p.state.Unlock()
		return // an older connection
	}
	if op != "" && !strings.Contains("w a p q", op) {
		p.got++
	}
	got, sink := p.got, p.sink
	p.state.Unlock()
	switch op {
	case "", "a":
		return
	case "p":
		p.write(fmt.Sprint("a ", got))
		return
	case "w":
		p.welcomed(rest)
		close(l.hello)
		return
	case "e", "q":
		line = short(line)
	}
	if sink != nil {
		sink(line)
	} else {
		p.push(line)
	}
}

func (p *pen) welcomed(text string) {
	var w greeting
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		p.t.Error(err)
	}
	p.state.Lock()
	defer p.state.Unlock()
	if w.Got == nil {
		p.got, p.sent, p.tries = 0, 0, 0
	} else if int(*w.Got) != p.sent {
		p.t.Errorf("the server has %d lines, %d were sent", *w.Got, p.sent)
	}
	p.welcome = w
}

// short leaves only the code of an object at the end of a line.
func short(line string) string {
	head, object, _ := strings.Cut(line, " {")
	var o struct{ Code string }
	if err := json.Unmarshal([]byte("{"+object), &o); err != nil {
		return "unreadable: " + line
	}
	return head + " " + o.Code
}

// write sends lines at once: as one message, or by one POST.
func (p *pen) write(lines ...string) {
	p.t.Helper()
	body := strings.Join(lines, "\n") + "\n"
	p.state.Lock()
	l, first := p.link, 0
	for line := range strings.Lines(body) {
		if op, _, _ := strings.Cut(line[:len(line)-1], " "); !strings.Contains("h w a p q", op) {
			if p.sent++; first == 0 {
				first = p.sent
			}
		}
	}
	token := p.welcome.Resume
	p.state.Unlock()
	if l.ws != nil {
		l.ws.Write(context.Background(), websocket.MessageText, []byte(body))
		return
	}
	req, _ := http.NewRequest("POST", "http://memnet/api/ape/poll", strings.NewReader(body))
	req.Header.Set("Ape-Protocol", "ape.1")
	req.Header.Set("Ape-Session", token)
	if first > 0 {
		req.Header.Set("Ape-Seq", strconv.Itoa(first))
	}
	resp, err := p.posts.Do(req)
	if err != nil {
		return // the server is gone
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// wants reads lines, which must be these. A "*" at the end stands for anything.
func (p *pen) wants(lines ...string) {
	p.t.Helper()
	for _, want := range lines {
		got := p.next()
		if prefix, open := strings.CutSuffix(want, "*"); got != want && !(open && strings.HasPrefix(got, prefix)) {
			p.t.Errorf("got line  %q\nwant line %q", got, want)
		}
	}
}

// more reports whether there is a line that nobody has read.
func (p *pen) more() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pushes) > 0
}

// unordered reads lines, which must be these in any order.
func (p *pen) unordered(lines ...string) {
	p.t.Helper()
	var got []string
	for range lines {
		got = append(got, p.next())
	}
	slices.Sort(got)
	slices.Sort(lines)
	want(p.t, strings.Join(got, "\n"), strings.Join(lines, "\n"))
}

// asks sends lines and reads what is said to them.
func (p *pen) asks(line string, answers ...string) {
	p.t.Helper()
	p.write(line)
	p.wants(answers...)
}

// cut breaks the connection.
func (p *pen) cut() {
	p.state.Lock()
	l := p.link
	p.state.Unlock()
	if c := l.raw(); c != nil && l.ws != nil {
		c.Close()
	}
	l.cancel()
	p.listen()
	<-l.done
	synctest.Wait()
}

// leave ends the session.
func (p *pen) leave() {
	p.write(`q {"code":"bye"}`)
	p.state.Lock()
	l := p.link
	p.state.Unlock()
	<-l.done
	l.cancel()
	synctest.Wait()
}

// told is what became of a call, in a word.
func told(value any, err error) string {
	var e *ape.Error
	switch {
	case err == ape.ErrGone:
		return "ErrGone"
	case err == ape.ErrNoTarget:
		return "ErrNoTarget"
	case errors.As(err, &e):
		return string(e.Code)
	case err != nil:
		return "error: " + err.Error()
	}
	return fmt.Sprint(value)
}

// invoke calls on a goroutine of its own.
func invoke[Out any](ctx context.Context, to ape.Target, path string, in any, opts ...ape.CallOption) <-chan string {
	c := make(chan string, 1)
	go func() {
		out, err := ape.Invoke[Out](ctx, to, path, in, opts...)
		c <- told(out, err)
	}()
	return c
}

// soon is what has come by now, without any time passing.
func soon(c <-chan string) string {
	synctest.Wait()
	select {
	case s := <-c:
		return s
	default:
		return "(nothing yet)"
	}
}

// await is what comes within ten minutes.
func await(c <-chan string) string {
	select {
	case s := <-c:
		return s
	case <-time.After(10 * time.Minute):
		return "(nothing came)"
	}
}
