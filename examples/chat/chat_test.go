package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// start runs the program on a free port and returns its address. Its end is
// part of the test.
func start(t *testing.T) (host string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", w) }()
	first, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, url, ok := strings.Cut(strings.TrimSpace(first), "http://")
	if !ok {
		t.Fatalf("printed %q, want the address", first)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error("run:", err)
		}
	}
	t.Cleanup(stop)
	return url, stop
}

// visitor is a client that speaks ape.1 by hand.
type visitor struct {
	t      *testing.T
	socket *websocket.Conn
	lines  []string
	id     int
}

func visit(t *testing.T, host string) *visitor {
	t.Helper()
	socket, _, err := websocket.Dial(t.Context(), "ws://"+host+"/api/ape", &websocket.DialOptions{Subprotocols: []string{"ape.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.CloseNow() })
	v := &visitor{t: t, socket: socket, id: -1}
	v.say("h {}")
	v.wait("w {")
	return v
}

func (v *visitor) say(line string) {
	v.t.Helper()
	if err := v.socket.Write(v.t.Context(), websocket.MessageText, []byte(line+"\n")); err != nil {
		v.t.Fatal(err)
	}
}

// wait returns what follows prefix on the next line that begins with it, and
// drops the lines before.
func (v *visitor) wait(prefix string) string {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second) // a guard
	defer cancel()
	for {
		for len(v.lines) > 0 {
			line := v.lines[0]
			v.lines = v.lines[1:]
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return rest
			}
		}
		_, text, err := v.socket.Read(ctx)
		if err != nil {
			v.t.Fatalf("waiting for %q: %v", prefix, err)
		}
		v.lines = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
}

// call returns the answer's line: "r …" or "e …", without the id.
func (v *visitor) call(path, input string) string {
	v.t.Helper()
	v.id += 2
	v.say(fmt.Sprintf("c %d %s %s", v.id, path, input))
	for {
		if op := v.wait(""); strings.HasPrefix(op, fmt.Sprintf("r %d", v.id)) || strings.HasPrefix(op, fmt.Sprintf("e %d", v.id)) {
			return strings.Replace(op, fmt.Sprint(v.id), "", 1)
		}
	}
}

func (v *visitor) join(name string) []message {
	v.t.Helper()
	answer := v.call("chat/join", fmt.Sprintf(`{"name":%q}`, name))
	at := strings.Index(answer, "{")
	if answer[0] != 'r' || at < 0 {
		v.t.Fatalf("join as %s: %s", name, answer)
	}
	var in struct{ History []map[string]any }
	if err := json.Unmarshal([]byte(answer[at:]), &in); err != nil {
		v.t.Fatal(err)
	}
	history := make([]message, len(in.History))
	for i, m := range in.History {
		history[i] = message{Name: m["name"].(string), Text: m["text"].(string), ID: int64(m["id"].(float64))}
	}
	return history
}

func TestTalk(t *testing.T) {
	host, _ := start(t)
	ann, bob := visit(t, host), visit(t, host)
	ann.say("s 1001 chat/online;l")
	ann.wait(`b chat/online;l {"names":[],"guests":2}`)
	ann.join("Ann")
	bob.join("  Bob \t the   Builder ")
	ann.wait(`b chat/online {"names":["Ann","Bob the Builder"],"guests":0}`)

	bob.say("m chat/typing")
	ann.wait(`m chat/typing "Bob the Builder"`)

	for i := range 3 {
		if answer := bob.call("chat/send", fmt.Sprintf(`{"text":" <b>%d</b> "}`, i)); !strings.Contains(answer, fmt.Sprintf(`"text":"<b>%d</b>"`, i)) {
			t.Fatalf("send: %s", answer)
		}
	}
	for i := range 3 {
		if m := ann.wait("m chat/message "); !strings.Contains(m, fmt.Sprintf(`"name":"Bob the Builder","text":"<b>%d</b>"`, i)) {
			t.Errorf("message %d is %s", i, m)
		}
	}

	bob.socket.Close(websocket.StatusNormalClosure, "")
	ann.wait(`b chat/online {"names":["Ann"],"guests":0}`)
	cid := visit(t, host)
	history := cid.join("Cid")
	if len(history) != 3 || history[0].ID >= history[1].ID || history[2].Text != "<b>2</b>" {
		t.Errorf("a newcomer gets %v", history)
	}
}

func TestRefused(t *testing.T) {
	host, _ := start(t)
	ann, bob := visit(t, host), visit(t, host)
	refused := func(v *visitor, code, path, input string) {
		t.Helper()
		if answer := v.call(path, input); !strings.HasPrefix(answer, "e ") || !strings.Contains(answer, `"code":"`+code+`"`) {
			t.Errorf("%s %.60s: %s, want %s", path, input, answer, code)
		}
	}
	refused(ann, "unauthenticated", "chat/send", `{"text":"before a name"}`)
	refused(ann, "invalid", "chat/join", `{"name":"   "}`)
	refused(ann, "invalid", "chat/join", `{"name":"`+strings.Repeat("é", maxName+1)+`"}`)
	refused(ann, "invalid", "chat/join", `{"name":7}`)
	ann.join(strings.Repeat("é", maxName))
	ann.join("Ann")
	refused(bob, "exists", "chat/join", `{"name":"ANN"}`)
	refused(ann, "invalid", "chat/send", `{"text":" \n "}`)
	refused(ann, "invalid", "chat/send", `{"text":"`+strings.Repeat("é", maxText+1)+`"}`)
	refused(ann, "too_large", "chat/send", `{"text":"`+strings.Repeat("x", 17<<10)+`"}`)
	bob.join("Bob")
	bob.say("m chat/typing")
	if got := ann.wait("m "); got != `chat/typing "Bob"` {
		t.Errorf("ann hears %q, want nothing of what was refused", got)
	}
}

func TestFloodIsRefused(t *testing.T) {
	host, _ := start(t)
	ann := visit(t, host)
	ann.join("Ann")
	busy := false
	for range 100 {
		busy = busy || strings.Contains(ann.call("chat/send", `{"text":"x"}`), `"code":"busy"`)
	}
	if !busy {
		t.Error("100 messages at once were all taken")
	}
}

func TestHistoryIsBounded(t *testing.T) {
	host, _ := start(t)
	for i := 0; i*15 < maxHistory+15; i++ {
		v := visit(t, host) // each has a rate of its own
		v.join(fmt.Sprint("v", i))
		for range 15 {
			if answer := v.call("chat/send", `{"text":"x"}`); answer[0] != 'r' {
				t.Fatal(answer)
			}
		}
	}
	if got := len(visit(t, host).join("Zoe")); got != maxHistory {
		t.Errorf("a newcomer gets %d messages, want %d", got, maxHistory)
	}
}

func TestEndClosesConnections(t *testing.T) {
	host, stop := start(t)
	ann := visit(t, host)
	ann.join("Ann")
	left := make(chan struct{})
	go func() {
		defer close(left)
		for {
			if _, _, err := ann.socket.Read(t.Context()); err != nil {
				return
			}
		}
	}()
	stop()
	<-left
	if _, err := http.Get("http://" + host); err == nil {
		t.Error("the program still answers")
	}
}

func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	host, _ := start(t)
	for path, want := range map[string]string{"/": "text/html", "/chat.css": "text/css", "/chat.js": "text/javascript", "/api/ape.js": "text/javascript"} {
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
