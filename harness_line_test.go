package ape_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape"
)

// lineUser is a client that speaks ape.1, over either transport, and resumes.
type lineUser struct {
	*inbox
	site *site
	b    browser
	http *http.Client // for POSTs

	turn chan struct{} // one slot: to send

	state   sync.Mutex
	link    *link
	token   string
	public  string
	welcome welcomeLine
	got     uint64 // counted lines that came
	sent    []string
	ids     uint64
	try     int
	mute    bool // heartbeats are not answered
	gate    chan struct{}
}

// welcomeLine is what tests look at in a w line.
type welcomeLine struct {
	ID, Resume, Gap string
	Recovered, Got  *uint64
}

func newLineUser(s *site, b browser) *lineUser {
	u := &lineUser{inbox: newInbox(s.t), site: s, b: b, http: s.ln.HTTPClient(), turn: make(chan struct{}, 1), gate: make(chan struct{})}
	if !b.deaf {
		close(u.gate)
	}
	u.http.Timeout = time.Minute
	s.t.Cleanup(func() {
		u.listen()
		if l := u.current(); l != nil {
			l.cancel()
			<-l.done
		}
		synctest.Wait()
		u.http.CloseIdleConnections()
	})
	return u
}

// listen ends being deaf.
func (u *lineUser) listen() {
	u.state.Lock()
	defer u.state.Unlock()
	select {
	case <-u.gate:
	default:
		close(u.gate)
	}
}

func (u *lineUser) current() *link {
	u.state.Lock()
	defer u.state.Unlock()
	return u.link
}

func (u *lineUser) id() string { return u.public }

// connect opens a connection, for a new session or to resume the one that u
// has. refused is why the server did not take it.
func (u *lineUser) connect(over ape.Transport) (refused string) {
	u.site.t.Helper()
	l := &link{hello: make(chan struct{}), done: make(chan struct{})}
	u.state.Lock()
	u.link = l
	u.state.Unlock()
	hello := u.hello() // from here on nothing of the older connection counts
	ctx, cancel := context.WithCancel(context.Background())
	hc, raw := u.site.dialer()
	l.raw = func() io.Closer { return raw() }
	l.cancel = func() { cancel(); hc.CloseIdleConnections() }
	if over == ape.WebSocket {
		u.openSocket(ctx, l, hc, hello)
	} else if refused := u.openStream(ctx, l, hc, hello); refused != "" {
		l.cancel()
		close(l.done)
		return refused
	}
	select {
	case <-l.hello:
		return ""
	case <-l.done:
		return l.code()
	}
}

func (u *lineUser) hello() string {
	u.state.Lock()
	defer u.state.Unlock()
	var members []string
	if u.b.hello != "" {
		members = append(members, u.b.hello)
	}
	if u.token != "" {
		u.try++
		members = append(members, fmt.Sprintf(`"resume":%q,"seen":%d,"try":%d`, u.token, u.got, u.try))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// take reads one line.
func (u *lineUser) take(l *link, line string) {
	head, rest, _ := strings.Cut(line, " ")
	op, _, _ := strings.Cut(head, ";")
	u.state.Lock()
	if u.link != l {
		u.state.Unlock()
		return // an older connection
	}
	if op != "" && !strings.Contains("h w a p q", op) {
		u.got++
	}
	got, mute := u.got, u.mute
	u.state.Unlock()
	field, payload, _ := strings.Cut(rest, " ")
	switch op {
	case "w":
		u.welcomed(l, rest)
	case "p":
		if !mute {
			u.write(fmt.Sprintf("a %d", got), false)
		}
	case "q":
		var q struct{ Code, Then string }
		json.Unmarshal([]byte(rest), &q)
		l.quit = q.Code
		u.push("quit " + q.Code + " " + q.Then)
	case "r":
		u.answer(field, result{value: octets(payload)})
	case "e":
		u.answer(field, failed(payload))
	case "m":
		u.push(strings.TrimSpace(lineName(field) + " " + octets(payload)))
	case "b":
		u.push(strings.TrimSpace("/" + lineName(field) + " " + octets(payload)))
	case "u":
		channel, why, _ := strings.Cut(payload, " ")
		u.push("ended " + lineName(channel) + " " + string(failed(why).code))
	}
}

func (u *lineUser) welcomed(l *link, text string) {
	var w welcomeLine
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		u.site.t.Error(err)
	}
	u.state.Lock()
	if u.token == "" || w.Gap != "" {
		u.got, u.sent = 0, nil
	}
	u.welcome, u.token, u.public = w, w.Resume, w.ID
	var again []string
	if w.Got != nil {
		again = u.sent[*w.Got:]
	}
	u.state.Unlock()
	for i, line := range again {
		u.send(l, line, len(u.sent)-len(again)+i+1)
	}
	close(l.hello)
}

// lineName undoes the escapes of a name and drops its params.
func lineName(field string) string {
	name, _, _ := strings.Cut(field, ";")
	plain, err := url.PathUnescape(name)
	if err != nil {
		return err.Error()
	}
	return plain
}

// octets turns bytes behind or inside of a line into {"<!I>":base64}.
func octets(payload string) string {
	text, raw, behind := strings.Cut(payload, " + ")
	if behind {
		b, _ := hex.DecodeString(raw)
		return `{"<!I>":"` + base64.StdEncoding.EncodeToString(b) + `"}`
	}
	if b64, ok := strings.CutPrefix(text, "="); ok {
		return `{"<!I>":"` + b64 + `"}`
	}
	return payload
}

// failed reads the object of an e line.
func failed(payload string) result {
	var e struct {
		Code, Message string
		Data          json.RawMessage
	}
	if err := json.Unmarshal([]byte(payload), &e); err != nil {
		return result{code: "unreadable", text: payload}
	}
	return result{code: ape.Code(e.Code), text: e.Message, data: string(e.Data)}
}

// write sends a line; one that counts is kept, and sent again after a resume.
func (u *lineUser) write(line string, counted bool) {
	u.turn <- struct{}{}
	defer func() { <-u.turn }()
	u.state.Lock()
	l, num := u.link, 0
	if counted {
		u.sent = append(u.sent, line)
		num = len(u.sent)
	}
	u.state.Unlock()
	u.send(l, line, num)
}

// send sends a line over one connection. When that fails the line is sent after
// the next resume.
func (u *lineUser) send(l *link, line string, num int) {
	if l.ws != nil {
		l.ws.Write(context.Background(), websocket.MessageText, []byte(line+"\n"))
		return
	}
	select {
	case <-l.done:
		return
	default:
	}
	u.post(line, num)
}

// post sends one line by POST and returns the status.
func (u *lineUser) post(line string, num int) string {
	req, _ := http.NewRequest("POST", "http://memnet/api/ape/poll", strings.NewReader(line+"\n"))
	req.Header = u.b.headers()
	req.Header.Set("Ape-Protocol", "ape.1")
	req.Header.Set("Ape-Session", u.token)
	if num > 0 {
		req.Header.Set("Ape-Seq", strconv.Itoa(num))
	}
	resp, err := u.http.Do(req)
	if err != nil {
		return err.Error()
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Ape-Got")))
}

// open sends a line that opens something, with the next id.
func (u *lineUser) open(op, name, payload string) <-chan result {
	u.state.Lock()
	id := strconv.FormatUint(2*u.ids+1, 10)
	u.ids++
	u.state.Unlock()
	c := u.expect(id)
	name, params, _ := strings.Cut(name, ";")
	line := op + " " + id + " " + strings.NewReplacer("%", "%25", " ", "%20", ";", "%3B", "\n", "%0A", "\x7f", "%7F").Replace(name)
	if params != "" {
		line += ";" + params
	}
	if payload != "" {
		line += " " + payload
	}
	u.write(line, true)
	return c
}

func (u *lineUser) begin(path, payload string) <-chan result { return u.open("c", path, payload) }

func (u *lineUser) call(path, payload string) result {
	u.t.Helper()
	return u.wait(u.begin(path, payload))
}

func (u *lineUser) subscribe(channel string) result {
	u.t.Helper()
	return u.wait(u.open("s", channel+";l", ""))
}

func (u *lineUser) unsubscribe(channel string) result {
	u.t.Helper()
	return u.wait(u.open("u", channel, ""))
}
