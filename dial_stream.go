package ape

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/goape/ape/internal/line"
)

// shortestPoll is the least time that a response lasts which brought nothing.
const shortestPoll = time.Second

// openStream connects by a GET, and returns when the server has welcomed the
// client. With poll every response ends as soon as it has brought something.
func (c *Conn) openStream(ctx context.Context, poll bool) (*link, error) {
	auth, err := c.authenticate(ctx)
	if err != nil {
		return nil, err
	}
	l := c.newLink(ctx, Streaming)
	l.poll = poll
	l.repost()
	l.bye = l.byePost
	l.listen()
	c.loops.Go(func() { l.finish(l.gets(auth)) })
	return l, l.wait()
}

// gets keeps a GET open: another one follows each that has ended, which is how
// polling works, and how a server spares the connections of a browser.
func (l *link) gets(auth json.RawMessage) error {
	c := l.conn
	for {
		began, epoch := time.Now(), c.epochs()
		lines, err := l.get(auth)
		if err != nil {
			return err
		}
		c.mu.Lock()
		good := l.welcomed && c.link == l
		c.mu.Unlock()
		// The response that has opened a session may end behind its welcome.
		short := lines <= 1 && time.Since(began) < shortestPoll && c.epochs() == epoch
		if !good || lines == 0 || short {
			return &parting{code: "lost", then: "resume", err: io.ErrUnexpectedEOF}
		}
		if auth, err = c.authenticate(l.ctx); err != nil {
			return err
		}
	}
}

// get reads one response and returns how many lines it had.
func (l *link) get(auth json.RawMessage) (lines int, err error) {
	c := l.conn
	hello, err := c.hello(l, auth)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(l.ctx, http.MethodGet, c.base+"/poll", nil)
	if err != nil {
		return 0, err
	}
	c.header(r)
	r.Header.Set(headerHello, ascii(hello))
	res, err := c.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get(headerProtocol) != lineProtocol {
		return 0, refusedStream(res)
	}
	err = c.own.split.Split(hearing{res.Body, l}, false, func(u line.Unit) error {
		lines++
		return c.takeLine(l, u)
	})
	switch {
	case errors.Is(err, line.ErrTooLong), errors.Is(err, line.ErrUTF8):
		return lines, &parting{code: "malformed", then: "new", err: err}
	case errors.Is(err, line.ErrTorn):
		return lines, &parting{code: "torn", then: "resume", err: err}
	}
	return lines, err
}

// epochs counts the sessions so far.
func (c *Conn) epochs() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

// header adds what every request of the streaming transport carries.
func (c *Conn) header(r *http.Request) {
	for k, v := range c.opt.Header {
		r.Header[k] = v
	}
	r.Header.Set(headerProtocol, lineProtocol)
}

// ascii escapes what a header cannot hold.
func ascii(text []byte) string {
	b := make([]byte, 0, len(text))
	for _, r := range string(text) {
		switch {
		case r < 0x7f:
			b = append(b, byte(r))
		case r < 0x10000:
			b = appendUnicode(b, r)
		default:
			r -= 0x10000
			b = appendUnicode(appendUnicode(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
		}
	}
	return string(b)
}

func appendUnicode(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// byePost sends what is queued and a last line.
func (l *link) byePost() {
	c := l.conn
	c.mu.Lock()
	w := l.w
	c.mu.Unlock()
	w.End(0, "", line.AppendQuit(nil, "bye", "", 0, ""), false)
	late := time.NewTimer(lastWordsWithin)
	defer late.Stop()
	select {
	case <-w.Done():
	case <-late.C:
	case <-l.ctx.Done():
	}
	l.close(errOver)
}
