package ape_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape"
	"github.com/goape/ape/internal/classic"
	"github.com/goape/ape/internal/memnet"
)

// classicUser is what a page with api-ape's own client looks like to a server.
type classicUser struct {
	*inbox
	site   *site
	b      browser
	ws     *websocket.Conn // nil: streaming
	raw    func() net.Conn
	http   *http.Client // for POSTs
	cancel func()
	public string
	hello  chan struct{}
	done   chan struct{}
	status int

	state sync.Mutex
	calls int // so that two calls of one instant differ
	ids   []string
	gate  chan struct{}
}

func joinClassic(s *site, w way, b browser) (user, string) {
	u := &classicUser{inbox: newInbox(s.t), site: s, b: b, http: s.ln.HTTPClient(),
		hello: make(chan struct{}), done: make(chan struct{}), gate: make(chan struct{})}
	if !b.deaf {
		close(u.gate)
	}
	ctx, cancel := context.WithCancel(context.Background())
	hc, raw := s.dialer()
	u.raw = raw
	u.cancel = func() { cancel(); hc.CloseIdleConnections() }
	u.http.Timeout = time.Minute
	s.t.Cleanup(func() {
		u.listen()
		u.cancel()
		<-u.done
		synctest.Wait()
		u.http.CloseIdleConnections()
	})
	open := u.openStream
	if w.transport == ape.WebSocket {
		open = u.openSocket
	}
	if refused := open(ctx, hc); refused != "" {
		close(u.done)
		return nil, refused
	}
	select {
	case <-u.hello:
		return u, ""
	case <-u.done:
		return nil, ape.CloseCode(u.status).String()
	}
}

func (u *classicUser) listen() {
	u.state.Lock()
	defer u.state.Unlock()
	select {
	case <-u.gate:
	default:
		close(u.gate)
	}
}

// vanish lets nothing that it writes arrive any more, not even answers to pings.
func (u *classicUser) vanish() { u.raw().(*memnet.Faulty).HalfOpen() }

func (u *classicUser) openSocket(ctx context.Context, hc *http.Client) string {
	ws, resp, err := websocket.Dial(ctx, "http://memnet/api/ape", &websocket.DialOptions{HTTPClient: hc, HTTPHeader: u.b.headers()})
	if err != nil {
		if resp != nil {
			return resp.Status
		}
		return err.Error()
	}
	ws.SetReadLimit(-1)
	u.ws = ws
	cancel := u.cancel
	u.cancel = func() { ws.CloseNow(); cancel() }
	go func() {
		defer close(u.done)
		for {
			kind, b, err := ws.Read(ctx)
			if err != nil {
				u.status = int(websocket.CloseStatus(err))
				return
			}
			if kind != websocket.MessageText {
				u.t.Error("a binary message came, which pages cannot read")
			}
			u.take(b)
			<-u.gate
		}
	}()
	return ""
}

func (u *classicUser) openStream(ctx context.Context, hc *http.Client) string {
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://memnet/api/ape/poll", nil)
	req.Header = u.b.headers()
	resp, err := hc.Do(req)
	if err != nil {
		return err.Error()
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return resp.Status
	}
	go func() {
		defer close(u.done)
		body := bufio.NewReader(resp.Body)
		for {
			l, err := body.ReadString('\n')
			if err != nil {
				return
			}
			if doc, ok := strings.CutPrefix(l, "data: "); ok {
				u.take([]byte(doc))
			} else if l != "\n" && l[0] != ':' {
				u.t.Errorf("the stream holds %q", l)
			}
			<-u.gate
		}
	}()
	return ""
}

// take reads one message.
func (u *classicUser) take(doc []byte) {
	typ, id, r := readClassic(doc)
	switch typ {
	case "":
		u.answer(id, r)
	case "__connected__":
		var hello struct{ ClientID string }
		json.Unmarshal([]byte(r.value), &hello)
		u.public = hello.ClientID
		close(u.hello)
	default:
		u.push(strings.TrimSpace(typ + " " + r.value))
	}
}

// readClassic reads a message of the server; typ is "" for an answer.
func readClassic(doc []byte) (typ, id string, r result) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(doc, &members); err != nil {
		return "unreadable", "", result{value: string(doc)}
	}
	json.Unmarshal(members["type"], &typ)
	json.Unmarshal(members["queryId"], &id)
	data := ""
	for key, value := range members {
		if key == "data" {
			data = string(value)
		} else if tag, ok := strings.CutPrefix(key, "data"); ok {
			data = `{"` + tag + `":` + string(value) + `}`
		}
	}
	if members["err"] == nil {
		r.value = data
		return typ, id, r
	}
	var text, again, code string
	json.Unmarshal(members["err"], &text)
	json.Unmarshal(members["error"], &again)
	json.Unmarshal(members["code"], &code)
	if text != again {
		code = fmt.Sprintf("err is %q and error is %q", text, again)
	}
	return typ, id, result{code: ape.Code(code), text: text, data: data}
}

var rootTag = regexp.MustCompile(`^\{"(<![^"]*>)":(.*)\}$`)

// document is the message of a call.
func (u *classicUser) document(path, payload string) string {
	u.state.Lock()
	u.calls++
	n := u.calls
	u.state.Unlock()
	data := ""
	if b64, ok := strings.CutPrefix(payload, "="); ok {
		data = `"data<!I>":"` + b64 + `",`
	} else if tagged := rootTag.FindStringSubmatch(payload); tagged != nil {
		data = `"data` + tagged[1] + `":` + tagged[2] + `,`
	} else if payload != "" {
		data = `"data":` + payload + `,`
	}
	name, _ := json.Marshal("/" + path)
	return fmt.Sprintf(`{"type":%s,%s"createdAt<!D>":%d,"requestedAt<!D>":%d}`, name, data, time.Now().UnixMilli(), n)
}

// send sends a message as it is. The channel gets the answer, if it is a call's.
func (u *classicUser) send(doc string) <-chan result {
	id := classic.QueryID([]byte(doc))
	c := u.expect(id)
	if u.ws != nil {
		if err := u.ws.Write(context.Background(), websocket.MessageText, []byte(doc)); err != nil {
			u.t.Error(err)
		}
		return c
	}
	go func() {
		status, body := u.post(doc)
		_, got, r := readClassic(body)
		if r.http = status; r.code == "" && got != id {
			r = result{code: "unanswered", text: string(body)}
		}
		u.answer(id, r)
	}()
	return c
}

func (u *classicUser) post(doc string) (status int, body []byte) {
	req, _ := http.NewRequest("POST", "http://memnet/api/ape/poll", strings.NewReader(doc))
	req.Header = u.b.headers()
	req.Header.Set("Content-Type", "application/json")
	resp, err := u.http.Do(req)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer resp.Body.Close()
	body, _ = io.ReadAll(resp.Body)
	return resp.StatusCode, body
}

func (u *classicUser) begin(path, payload string) <-chan result {
	return u.send(u.document(path, payload))
}

func (u *classicUser) call(path, payload string) result {
	u.t.Helper()
	return u.wait(u.begin(path, payload))
}

// subscribe has no answer over a WebSocket.
func (u *classicUser) subscribe(channel string) result   { return u.channel("subscribe", channel) }
func (u *classicUser) unsubscribe(channel string) result { return u.channel("unsubscribe", channel) }

func (u *classicUser) channel(verb, channel string) result {
	name, _ := json.Marshal("/" + channel)
	doc := fmt.Sprintf(`{"%s":%s}`, verb, name)
	if u.ws != nil {
		u.ws.Write(context.Background(), websocket.MessageText, []byte(doc))
		synctest.Wait()
		return result{}
	}
	status, body := u.post(doc)
	_, _, r := readClassic(body)
	r.http = status
	if r.value == "null" {
		r.value = ""
	}
	return r
}

func (u *classicUser) id() string { return u.public }

func (u *classicUser) end() string {
	u.t.Helper()
	u.listen()
	select {
	case <-u.done:
	case <-time.After(5 * time.Minute):
		u.t.Fatal("the connection did not end")
	}
	if u.ws == nil {
		return ""
	}
	return ape.CloseCode(u.status).String()
}

func (u *classicUser) close() {
	if u.ws != nil {
		u.ws.Close(websocket.StatusNormalClosure, "")
	}
	u.cut()
}

func (u *classicUser) cut() {
	if c := u.raw(); c != nil {
		c.Close()
	}
	u.cancel()
	u.listen()
	<-u.done
	synctest.Wait()
}
