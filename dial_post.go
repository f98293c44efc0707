package ape

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

const (
	// answerWithin is how long a POST may take.
	answerWithin = 10 * time.Second
	// mostPosts without a good answer mean that the connection is lost.
	mostPosts = 3
)

// postSink sends lines by POST, one at a time.
type postSink struct {
	l       *link
	ctx     context.Context // ends with the link or the sink
	cancel  context.CancelFunc
	retired atomic.Bool // its session is over; the link goes on with another sink

	epoch int    // of the session that it belongs to; set before it is attached
	token string // of that session
	next  uint64 // number of the next counted line; set likewise
	part  []byte // of a line that is not whole yet
	most  int    // bytes that something on the way lets pass; 0: not known
}

// repost makes the writer of the link's session.
func (l *link) repost() {
	s := &postSink{l: l}
	s.ctx, s.cancel = context.WithCancel(l.ctx)
	l.posts = s
	l.w = transport.NewWriter(s, transport.StreamLines, &l.conn.loops)
}

// Write sends whole lines; a slice of a long line is kept until its end comes.
func (s *postSink) Write(p []byte) error {
	if len(s.part) == 0 {
		s.l.conn.noteKeys(p)
	}
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

// Close ends a POST that is under way, and with it the link unless that has done
// with the sink.
func (s *postSink) Close() {
	s.cancel()
	if !s.retired.Load() {
		s.l.cancel(errGivenUp)
	}
}

// begin learns the token. A sink that was never attached has only a farewell to
// say.
func (s *postSink) begin() error {
	c := s.l.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.token = c.token
	if s.token == "" || s.next > 0 && s.epoch != c.epoch {
		return errReplaced
	}
	return nil
}

// send posts lines until the server has taken all of them.
func (s *postSink) send(body []byte) error {
	for failures := 0; len(body) > 0; {
		n := s.portion(body)
		res, err := s.post(body[:n])
		var wait time.Duration
		if err == nil {
			wait = retryAfterOf(res)
			var went bool
			if body, went, err = s.answered(body, n, res); err != nil {
				s.fail(err)
				return err
			}
			if went {
				failures = 0
				continue
			}
			err = fmt.Errorf("the answer was %s", res.Status)
		}
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if failures++; failures >= mostPosts {
			err = plain(err)
			p := &parting{code: "lost", then: "resume", message: "the server does not take what is posted: " + err.Error(), err: err}
			s.fail(p)
			return p
		}
		again := time.NewTimer(max(wait, jitter(failures)))
		select {
		case <-again.C:
		case <-s.ctx.Done():
			again.Stop()
			return s.ctx.Err()
		}
	}
	return nil
}

// fail ends the link, unless that has done with the sink.
func (s *postSink) fail(why error) {
	if !s.retired.Load() {
		s.l.cancel(why)
	}
}

// portion is how many bytes of body go out next: whole lines, at least one.
func (s *postSink) portion(body []byte) int {
	if s.most == 0 || len(body) <= s.most {
		return len(body)
	}
	if n := bytes.LastIndexByte(body[:s.most], '\n') + 1; n > 0 {
		return n
	}
	return bytes.IndexByte(body, '\n') + 1
}

// post sends one body.
func (s *postSink) post(body []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(s.ctx, answerWithin)
	defer cancel()
	c := s.l.conn
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/poll", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	c.header(r)
	r.Header.Set("Content-Type", "text/plain;charset=utf-8")
	r.Header.Set(headerSession, s.token)
	if hasCounted(body) {
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

// answered reads what a POST of the first n bytes of body was answered. It returns
// the lines that are left to send, and whether that is a step ahead; an error is
// the end of the link.
func (s *postSink) answered(body []byte, n int, res *http.Response) (left []byte, went bool, err error) {
	own := res.Header.Get(headerProtocol) == lineProtocol
	if own && res.StatusCode == http.StatusGone {
		return nil, false, &parting{code: "gone", then: "resume", told: true, message: "the server does not know the session"}
	}
	got, err := strconv.ParseUint(res.Header.Get(headerGot), 10, 53)
	if own && err == nil {
		taken, err := s.took(got)
		switch {
		case err != nil:
			return nil, false, err
		case res.StatusCode == http.StatusNoContent:
			return body[n:], true, nil
		case taken > 0:
			return body[n-len(dropLines(body[:n], taken)):], true, nil
		}
	}
	if res.StatusCode == http.StatusRequestEntityTooLarge {
		if bytes.Count(body[:n], []byte("\n")) > 1 {
			s.most = n / 2
			return body, true, nil
		}
		return append(s.tooLarge(body[:n]), body[n:]...), true, nil
	}
	return body, false, nil
}

// took notes that the server has all lines up to got, unless another connection
// has begun since: its welcome says what the server had then.
func (s *postSink) took(got uint64) (lines uint64, err error) {
	c := s.l.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.link != s.l || c.epoch != s.epoch:
		return 0, errReplaced
	case got+1 < s.next || !c.out.Ack(got):
		return 0, errMismatch
	}
	lines = got + 1 - s.next
	s.next = got + 1
	return lines, nil
}

// tooLarge gives up a line that something on the way does not let pass, and
// returns what goes out under its number.
func (s *postSink) tooLarge(text []byte) []byte {
	c := s.l.conn
	head := bytes.TrimSuffix(text, []byte("\n"))
	if !line.Counted(head) {
		return nil
	}
	fail := Errorf(TooLarge, "something between this client and the server does not let %d bytes pass", len(text))
	id := line.FirstID(head)
	instead := transport.Text(append(transport.Begin(nil), "x 0\n"...))
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.mine(id)
	a, call := c.asks.open[id], c.calls.open[id]
	switch op := line.OpOf(head); {
	case op == line.Answer && !mine:
		instead = lineFailure(id, fail)
	case op == line.Item && !mine && call != nil && !call.answered:
		c.cutShort(call, fail)
	case op == line.Item && !mine: // its end is queued, and must not look like a good one
		instead = lineFailure(id, fail)
	case op == line.Item && a != nil: // likewise
		instead = transport.Text(line.AppendNone(line.AppendCancel(transport.Begin(nil), id)))
		c.giveUp(a, fail)
	case op == line.Item: // the call has ended
	case a != nil && mine: // it never began
		c.settle(a, fail)
	default:
		c.own.opt.Logger.Warn("ape: a message was dropped", "err", fail, "url", c.base)
	}
	c.out.Replace(s.next, instead)
	return bytes.Clone(instead.Payload())
}

// hasCounted reports whether a body holds a counted line.
func hasCounted(body []byte) bool {
	for one := range bytes.Lines(body) {
		if line.Counted(bytes.TrimSuffix(one, []byte("\n"))) {
			return true
		}
	}
	return false
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
