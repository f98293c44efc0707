package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape"
)

// start runs the program on a free port and returns its address. Its end is
// part of the test.
func start(t *testing.T, keep time.Duration) (host string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", keep, w) }()
	first, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, host, ok := strings.Cut(strings.TrimSpace(first), "cursors: http://")
	if !ok {
		t.Fatalf("printed %q, want the address", first)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error("run:", err)
		}
	})
	return host
}

// visitor is a page's client, written in Go.
type visitor struct {
	t     *testing.T
	ctx   context.Context
	conn  *ape.Conn
	line  *phoneLine
	moves chan moved
	lists chan []entry
}

func visit(t *testing.T, host string) *visitor {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // a guard
	v := &visitor{t: t, ctx: ctx, line: &phoneLine{}, moves: make(chan moved, 100), lists: make(chan []entry, 100)}
	conn, err := ape.Dial(ctx, "http://"+host+"/api/ape", &ape.DialOptions{DialContext: v.line.dial})
	if err != nil {
		t.Fatal(err)
	}
	v.conn = conn
	ape.On(conn, "cursor/moved", func(m moved) { v.moves <- m })
	var listening sync.WaitGroup
	listening.Go(func() {
		for list, err := range ape.Subscribe[[]entry](ctx, conn, "people") {
			if err != nil {
				return
			}
			v.lists <- list
		}
	})
	t.Cleanup(func() {
		conn.Close()
		cancel()
		listening.Wait()
	})
	return v
}

func (v *visitor) enter(name string) entry {
	v.t.Helper()
	me, err := ape.Invoke[entry](v.ctx, v.conn, "people/enter", map[string]any{"name": name})
	if err != nil {
		v.t.Fatal(err)
	}
	return me
}

// sees waits until the list of people is this: names, with a star behind those
// who are away.
func (v *visitor) sees(want ...string) {
	v.t.Helper()
	last := ""
	for {
		select {
		case list := <-v.lists:
			var got []string
			for _, e := range list {
				if e.Away {
					e.Name += "*"
				}
				got = append(got, e.Name)
			}
			if last = strings.Join(got, " "); last == strings.Join(want, " ") {
				return
			}
		case <-v.ctx.Done():
			v.t.Fatalf("sees %q, want %q", last, want)
		}
	}
}

// move moves its cursor as pages do: without waiting.
func (v *visitor) move(at *point) {
	v.t.Helper()
	if err := v.conn.Send("cursor/move", at); err != nil {
		v.t.Fatal(err)
	}
}

// moveNow waits until the server has moved it there.
func (v *visitor) moveNow(at *point) {
	v.t.Helper()
	if _, err := ape.Invoke[struct{}](v.ctx, v.conn, "cursor/move", at); err != nil {
		v.t.Fatal(err)
	}
}

// wants waits for the next move that it is told of.
func (v *visitor) wants(id string, at *point) {
	v.t.Helper()
	select {
	case m := <-v.moves:
		if m.ID != id || (m.At == nil) != (at == nil) || at != nil && *m.At != *at {
			v.t.Fatalf("%s is at %v, want %s at %v", m.ID, m.At, id, at)
		}
	case <-v.ctx.Done():
		v.t.Fatal("waited in vain for a move")
	}
}

// phoneLine dials, and can be cut.
type phoneLine struct {
	mu    sync.Mutex
	isCut bool
	conns []net.Conn
}

func (l *phoneLine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return nil, errors.New("the line is cut")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

// cut breaks the connections, and refuses others until mend.
func (l *phoneLine) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for _, conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}

func (l *phoneLine) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}

func TestCursorsReachTheOthers(t *testing.T) {
	host := start(t, time.Minute)
	ann := visit(t, host)
	ann.moveNow(&point{0.1, 0.1}) // nobody yet: not shown
	a := ann.enter("Ann")
	ann.sees("Ann")
	ann.moveNow(&point{0.25, 0.5})
	ann.enter(" Ann \t of  York")
	bob := visit(t, host)
	b := bob.enter("Bob")
	bob.sees("Ann of York", "Bob")
	bob.wants(a.ID, &point{0.25, 0.5}) // where it was before bob came
	for i := range 50 {
		ann.move(&point{float64(i) / 50, 1})
	}
	for i := range 50 {
		bob.wants(a.ID, &point{float64(i) / 50, 1})
	}
	ann.move(nil)
	bob.wants(a.ID, nil)
	bob.move(&point{1, 0})
	ann.wants(b.ID, &point{1, 0}) // the first that ann hears: not her own
	if a.ID == b.ID || a.Hue == b.Hue {
		t.Errorf("ann is %v, bob is %v", a, b)
	}

	bob.conn.Close()
	ann.sees("Ann of York")
}

func TestAwayComesBackAsTheSame(t *testing.T) {
	host := start(t, time.Minute)
	ann, bob := visit(t, host), visit(t, host)
	a := ann.enter("Ann")
	b := bob.enter("Bob")
	bob.wants(a.ID, nil)
	ann.sees("Ann", "Bob")
	bob.line.cut()
	ann.sees("Ann", "Bob*")
	for i := range 10 {
		ann.move(&point{0, float64(i) / 10})
	}
	ann.moveNow(&point{0, 1})
	bob.line.mend()
	ann.sees("Ann", "Bob")
	bob.wants(a.ID, &point{0, 1}) // not the way there
	bob.move(&point{1, 1})
	ann.wants(b.ID, &point{1, 1})
	if bob.conn.ID() != b.ID {
		t.Error("bob has another id")
	}
}

func TestWhoStaysAwayHasLeft(t *testing.T) {
	host := start(t, 500*time.Millisecond)
	ann, bob := visit(t, host), visit(t, host)
	ann.enter("Ann")
	b := bob.enter("Bob")
	ann.sees("Ann", "Bob")
	bob.line.cut()
	ann.sees("Ann")
	bob.line.mend()
	if again := bob.enter("Bob"); again.ID == b.ID {
		t.Error("bob has the session that had ended")
	}
	ann.sees("Ann", "Bob")
}

func TestRefused(t *testing.T) {
	v := visit(t, start(t, time.Minute))
	for name, in := range map[string]struct {
		path string
		in   any
	}{
		"long name": {"people/enter", map[string]any{"name": strings.Repeat("é", maxName+1)}},
		"hue":       {"people/enter", map[string]any{"hue": 360}},
		"outside":   {"cursor/move", point{0, 1.1}},
		"text":      {"cursor/move", "left"},
	} {
		if _, err := ape.Invoke[any](v.ctx, v.conn, in.path, in.in); ape.CodeOf(err) != ape.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if me := v.enter(""); me.Name == "" {
		t.Error("who has no name gets none")
	}
}

func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	host := start(t, time.Minute)
	for path, want := range map[string]string{"/": "text/html", "/cursors.css": "text/css", "/cursors.js": "text/javascript", "/api/ape.js": "text/javascript"} {
		res, err := http.Get("http://" + host + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), want) {
			t.Errorf("%s: %d %s %v", path, res.StatusCode, res.Header.Get("Content-Type"), err)
		}
		if path == "/api/ape.js" {
			continue
		}
		if !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s has no Content-Security-Policy", path)
		}
		if found := regexp.MustCompile(`(?:src|href|url|import|@import)\s*[=(]?\s*["']?(?:https?:)?//|innerHTML|insertAdjacentHTML|outerHTML|document\.write`).Find(body); found != nil {
			t.Errorf("%s holds %q", path, found)
		}
	}
}

func TestEndWithVisitors(t *testing.T) {
	host := start(t, time.Minute)
	for i := range 3 {
		visit(t, host).enter(fmt.Sprint("v", i))
	}
}
