package ape

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

const (
	// answerWithin is how long a POST may take.
	answerWithin = 10 * time.Second
	// mostPosts without a good answer mean that the connection is lost.
	mostPosts = 3
	// shortestPoll is the least time that a response lasts which brought nothing.
	shortestPoll = time.Second
)

// openStream connects by a GET, and returns when the server has welcomed the
// client.
func (c *Conn) openStream(ctx context.Context) (*link, error) {
	l := c.newLink(ctx, Streaming)
	l.repost()
	l.bye = l.byePost
	l.listen()
	c.loops.Go(func() { l.finish(l.gets()) })
	return l, l.wait()
}

// repost makes the writer of the link's session.
func (l *link) repost() {
	l.posts = &postSink{l: l}
	l.w = transport.NewWriter(l.posts, transport.StreamLines, &l.conn.loops)
}

// gets keeps a GET open: another one follows each that has ended, which is how
// polling works, and how a server spares the connections of a browser.
func (l *link) gets() error {
	for {
		began := time.Now()
		lines, err := l.get()
		if err != nil {
			return err
		}
		c := l.conn
		c.mu.Lock()
		good := l.welcomed && c.link == l
		c.mu.Unlock()
		if !good || lines <= 1 && time.Since(began) < shortestPoll && c.epochs() > 1 {
			return &parting{code: "lost", then: "resume", err: io.ErrUnexpectedEOF}
		}
	}
}

// get reads one response and returns how many lines it had.
func (l *link) get() (lines int, err error) {
	c := l.conn
	hello, err := c.hello(l)
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
		return lines, &parting{code: "torn", then: "resume"}
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

// refusedStream reads why a GET got no stream.
func refusedStream(res *http.Response) error {
	p := &parting{code: strconv.Itoa(res.StatusCode), then: "resume", within: afterHeader(res)}
	if res.Header.Get(headerProtocol) != lineProtocol {
		p.message = "the answer is not of an ape server"
		return p
	}
	p.told = true
	if res.StatusCode == http.StatusBadRequest || res.StatusCode == http.StatusForbidden {
		p.then = "final"
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	text, ok := bytes.CutPrefix(bytes.TrimSpace(body), []byte("q "))
	var q struct {
		Code, Then, Message string
		Within              int64
	}
	if ok && json.Unmarshal(text, &q) == nil {
		p.code, p.message = q.Code, q.Message
		if q.Then != "" {
			p.then = q.Then
		}
		p.within = max(p.within, time.Duration(max(0, min(q.Within, 3_600_000)))*time.Millisecond)
	}
	return p
}

// afterHeader is the header Retry-After.
func afterHeader(res *http.Response) time.Duration {
	s, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || s < 0 {
		return 0
	}
	return time.Duration(min(s, 3600)) * time.Second
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
	l.cancel(errOver)
	<-l.ended
}

// postSink sends lines by POST, one at a time.
type postSink struct {
	l     *link
	epoch int    // of the session that it belongs to; set before it is attached
	token string // of that session
	next  uint64 // number of the next counted line; set likewise
	part  []byte // of a line that is not whole yet
}

// Write sends whole lines; a slice of a long line is kept until its end comes.
func (s *postSink) Write(p []byte) error {
	if p[len(p)-1] != '\n' {
		s.part = append(s.part, p...)
		return nil
	}
	if len(s.part) > 0 {
		p = append(s.part, p...)
		s.part = nil
	}
	if err := s.begin(); err != nil {
		return err
	}
	return s.send(p)
}

// Close ends a POST that is under way.
func (s *postSink) Close() { s.l.cancel(errors.New("ape: the connection was given up")) }

// begin learns the token.
func (s *postSink) begin() error {
	c := s.l.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.token = c.token
	if s.epoch != c.epoch {
		return errReplaced
	}
	return nil
}

// send posts lines until the server has taken all of them.
func (s *postSink) send(body []byte) error {
	for failures := 0; len(body) > 0; {
		before := s.next
		res, err := s.post(body)
		var wait time.Duration
		if err == nil {
			if body, err = s.answered(body, res); err != nil {
				return err
			}
			wait = afterHeader(res)
		}
		if s.l.ctx.Err() != nil {
			return s.l.ctx.Err()
		}
		if s.next > before {
			failures = 0
			continue
		}
		if len(body) == 0 {
			return nil
		}
		if failures++; failures >= mostPosts {
			err := &parting{code: "lost", then: "resume", message: "the server does not take what is posted", err: err}
			s.l.cancel(err)
			return err
		}
		select {
		case <-time.After(max(wait, jitter(failures))):
		case <-s.l.ctx.Done():
			return s.l.ctx.Err()
		}
	}
	return nil
}

// post sends one body.
func (s *postSink) post(body []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(s.l.ctx, answerWithin)
	defer cancel()
	c := s.l.conn
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/poll", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	c.header(r)
	r.Header.Set("Content-Type", "text/plain;charset=utf-8")
	r.Header.Set(headerSession, s.token)
	if countLines(body) > 0 {
		r.Header.Set(headerSeq, strconv.FormatUint(s.next, 10))
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	res.Body.Close()
	return res, nil
}

// answered reads what a POST was answered. It returns the lines that are left to
// send; an error is the end of the link.
func (s *postSink) answered(body []byte, res *http.Response) ([]byte, error) {
	if res.StatusCode == http.StatusRequestEntityTooLarge {
		return s.tooLarge(body)
	}
	if res.Header.Get(headerProtocol) != lineProtocol {
		return body, nil
	}
	if res.StatusCode == http.StatusGone {
		err := &parting{code: "gone", then: "resume", told: true}
		s.l.cancel(err)
		return nil, err
	}
	got, err := strconv.ParseUint(res.Header.Get(headerGot), 10, 53)
	if err != nil {
		return body, nil
	}
	if got+1 < s.next || !s.l.conn.out.Ack(got) {
		s.l.cancel(errMismatch)
		return nil, errMismatch
	}
	taken := got + 1 - s.next
	s.next = got + 1
	if res.StatusCode == http.StatusNoContent {
		return nil, nil
	}
	return dropLines(body, taken), nil
}

// tooLarge splits what something on the way does not let pass. A single line is
// replaced by one that says nothing, and its call fails.
func (s *postSink) tooLarge(body []byte) ([]byte, error) {
	if countLines(body) > 1 {
		for one := range bytes.Lines(body) {
			if err := s.send(one); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	c := s.l.conn
	for one := range bytes.Lines(body) {
		if !line.Counted(one) {
			continue
		}
		c.mu.Lock()
		if a := c.asks.open[line.FirstID(one)]; a != nil {
			c.settle(a, Errorf(TooLarge, "something between this client and the server does not let %d bytes pass", len(body)))
		}
		c.mu.Unlock()
	}
	return []byte("x 0\n"), nil
}

// countLines counts the counted lines.
func countLines(body []byte) (n int) {
	for one := range bytes.Lines(body) {
		if line.Counted(bytes.TrimSuffix(one, []byte("\n"))) {
			n++
		}
	}
	return n
}

// dropLines takes the first n counted lines off, and what stands before them.
func dropLines(body []byte, n uint64) []byte {
	for ; n > 0 && len(body) > 0; body = body[bytes.IndexByte(body, '\n')+1:] {
		if line.Counted(body[:bytes.IndexByte(body, '\n')]) {
			n--
		}
	}
	return body
}
