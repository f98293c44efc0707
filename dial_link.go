package ape

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// How long the server may take until its first byte, its welcome, and its answer
// to a ping.
const (
	firstByteWithin = 5 * time.Second
	welcomeWithin   = 15 * time.Second
	lastWordsWithin = 2 * time.Second
)

// link is one connection of a Conn: a WebSocket, or GETs and POSTs.
type link struct {
	conn      *Conn
	transport Transport
	ctx       context.Context // ends with the link; the cause is why
	cancel    context.CancelCauseFunc
	w         *transport.Writer
	posts     *postSink // of a streaming link
	bye       func()    // says farewell, for at most lastWordsWithin

	num      uint64 // of the last counted line read; the reader's
	heard    atomic.Int64
	watchdog *time.Timer

	welcomed bool          // the Conn's mu guards it
	ready    chan struct{} // closed when it is
	ended    chan struct{} // closed when the reader has returned
}

func (c *Conn) newLink(ctx context.Context, t Transport) *link {
	l := &link{conn: c, transport: t, ready: make(chan struct{}), ended: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	return l
}

// parting is why a connection ended, and what to do next.
type parting struct {
	code, then, message string
	within              time.Duration
	told                bool // by the server: so this transport works
	err                 error
}

func (p *parting) Error() string {
	text := "connection ended: " + p.code
	if p.message != "" {
		text += ": " + p.message
	}
	if p.err != nil {
		text += ": " + p.err.Error()
	}
	return text
}

func (p *parting) Unwrap() error { return p.err }

// partingOf makes one of any error.
func partingOf(err error) *parting {
	var p *parting
	if errors.As(err, &p) {
		if p.then == "" {
			p.then = "resume"
		}
		return p
	}
	return &parting{code: "lost", then: "resume", err: err}
}

var (
	errSilent   = &parting{code: "silent", then: "resume", message: "nothing was heard from the server"}
	errMismatch = &parting{code: "mismatch", then: "new", message: "the server's numbers are not ours"}
	errReplaced = errors.New("ape: another connection of this client has taken over")
)

// hello makes l the connection that counts: what older ones still bring is
// ignored. It returns the text of the h line.
func (c *Conn) hello(l *link) ([]byte, error) {
	var auth json.RawMessage
	if c.opt.Auth != nil {
		var v any
		err := c.own.try("Auth", func() (err error) {
			v, err = c.opt.Auth(l.ctx)
			return err
		})
		if err == nil {
			auth, err = json.Marshal(v)
		}
		if err != nil {
			return nil, fmt.Errorf("DialOptions.Auth: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, errOver
	}
	c.try++
	h := clientHello{Client: "ape-go/1", Auth: auth, Poll: c.poll && l.transport == Streaming}
	h.Limits.Line, h.Limits.Calls = c.own.opt.MaxMessage, c.own.opt.MaxCalls
	if c.token != "" {
		h.Resume, h.Seen, h.Try = c.token, c.got, c.try
	}
	if c.link != l {
		c.link, c.writer = l, nil
	}
	l.num = c.got
	c.unacked = 0
	return json.Marshal(h)
}

// clientHello is the JSON of an h line.
type clientHello struct {
	Client string          `json:"client"`
	Auth   json.RawMessage `json:"auth,omitempty"`
	Limits struct {
		Line  int `json:"line"`
		Calls int `json:"calls"`
	} `json:"limits"`
	Poll   bool   `json:"poll,omitempty"`
	Resume string `json:"resume,omitempty"`
	Seen   uint64 `json:"seen,omitempty"`
	Try    uint64 `json:"try,omitempty"`
}

// takeLine takes a line that came over l.
func (c *Conn) takeLine(l *link, u line.Unit) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return errOver
	case c.link != l:
		return errReplaced
	case line.Counted(u.Head):
		if !l.attached() {
			return errMismatch
		}
		l.num++
	case line.OpOf(u.Head) == line.Welcome:
		var e line.Envelope
		if err := line.Parse(u.Head, u.Octets, u.Binary, &e); err != nil || u.Long {
			return errMismatch
		}
		return c.welcome(l, e.Payload)
	}
	return c.receive(l.num, u)
}

// attached reports whether counted lines may come: behind the welcome. mu is held.
func (l *link) attached() bool { return l.conn.writer == l.w && l.welcomed }

// welcome applies the server's answer to the hello. mu is held.
func (c *Conn) welcome(l *link, payload []byte) error {
	var w welcome
	if err := json.Unmarshal(payload, &w); err != nil || w.Resume == "" {
		return errMismatch
	}
	change := StateChange{State: StateConnected, Transport: l.transport}
	from := uint64(0)
	if w.Recovered != nil {
		change.Resumed, change.Recovered = true, int(min(*w.Recovered, 1<<31-1))
		if w.Got != nil {
			from = *w.Got
		}
		if acked := c.out.Acked(); from < acked {
			if l.transport == WebSocket {
				return errMismatch
			}
			from = acked // an answer to a POST has told more than the welcome
		}
	} else {
		if c.epoch > 0 {
			change.Gap = w.Gap
			if change.Gap == "" {
				change.Gap = "new"
			}
			change.Lost = c.gap(w.Keeper)
		}
		if old := c.writer; old != nil {
			// A further GET of the link has begun another session.
			c.writer = nil
			c.loops.Go(old.Stop)
			l.repost()
		}
		c.epoch++
		c.got, l.num = 0, 0
		c.id = w.ID
	}
	c.token = w.Resume
	c.keeper = w.Keeper
	c.adopt(w.Limits)
	if err := c.attach(l, from); err != nil {
		return err
	}
	again := l.welcomed
	if !again {
		l.welcomed = true
		close(l.ready)
	}
	if !again || change.Gap != "" {
		c.change(change)
	}
	if change.Gap != "" {
		c.renew()
	}
	return nil
}

// attach lets l carry what goes out behind number from, unless it does already:
// POSTs go on while one GET follows another. mu is held.
func (c *Conn) attach(l *link, from uint64) error {
	if c.writer != nil {
		return nil
	}
	if l.posts != nil {
		l.posts.epoch, l.posts.next = c.epoch, from+1
	}
	if c.out.AttachWith(l.w, from, nil) != "" {
		return errMismatch
	}
	c.writer, c.posts = l.w, l.transport == Streaming
	return nil
}

// adopt takes over the server's limits. mu is held.
func (c *Conn) adopt(limits *welcomeLimits) {
	if limits == nil {
		return
	}
	if limits.Line > 0 {
		c.line = limits.Line
	}
	if limits.Calls > 0 {
		c.asks.limit = limits.Calls
	}
	if limits.Beat > 0 {
		c.beat = time.Duration(min(limits.Beat, int64(time.Hour/time.Millisecond))) * time.Millisecond
	}
	c.keyLife = time.Duration(max(0, limits.Keys)) * time.Millisecond
}

// gap moves what can be moved to a new session. It returns the calls that are
// lost. mu is held.
func (c *Conn) gap(keeper string) (lost []LostCall) {
	unsent := map[uint64]bool{}
	for _, f := range c.out.Unsent() {
		if head := f.Payload(); line.OpOf(head) == line.Call {
			unsent[line.FirstID(head)] = true
		}
	}
	var again []transport.Frame
	for _, a := range c.asks.inOrder() {
		switch {
		case unsent[a.id]:
		case a.then != nil: // a subscription, which is renewed
			c.settle(a, errRenewed)
		case a.key != "" && keeper != "" && a.keeper == keeper && time.Since(a.sent) < c.keyLife && !a.left:
			again = append(again, a.frame)
		default:
			if !a.left {
				lost = append(lost, LostCall{a.path, a.key})
			}
			c.settle(a, Errorf(Lost, "the session ended before the answer; the call may have run"))
		}
	}
	c.out.Restart(again, func(f transport.Frame) bool {
		head := f.Payload()
		switch line.OpOf(head) {
		case line.Event:
			return true
		case line.Call, line.Item, line.End, line.Cancel, line.Credit:
			return unsent[line.FirstID(head)]
		}
		return false
	})
	c.endCall(&CloseError{Code: CloseEnded, Reason: "the session was lost"})
	c.values, c.endCall = context.WithCancelCause(c.ctx)
	c.calls.disown(&c.peer)
	return lost
}

// errRenewed ends the line of a subscription that is sent again.
var errRenewed = errors.New("ape: the subscription is renewed")

// listen begins to watch for silence.
func (l *link) listen() {
	l.heard.Store(time.Now().UnixNano())
	l.watchdog = time.AfterFunc(firstByteWithin, l.watch)
}

// watch gives the link up when nothing was heard for too long.
func (l *link) watch() {
	c := l.conn
	c.mu.Lock()
	patience := welcomeWithin
	if l.welcomed {
		patience = 2 * c.beat
	}
	c.mu.Unlock()
	silence := time.Since(time.Unix(0, l.heard.Load()))
	if silence >= patience {
		l.cancel(errSilent)
		return
	}
	if l.ctx.Err() == nil {
		l.watchdog.Reset(patience - silence)
	}
}

// wait waits for the welcome.
func (l *link) wait() error {
	late := time.NewTimer(welcomeWithin)
	defer late.Stop()
	select {
	case <-l.ready:
		return nil
	case <-l.ended:
		return l.why()
	case <-late.C:
		l.cancel(errSilent)
		<-l.ended
		return l.why()
	}
}

// why is what ended the link.
func (l *link) why() error { return context.Cause(l.ctx) }

// finish is called by the reader when it returns.
func (l *link) finish(err error) {
	l.cancel(err)
	l.watchdog.Stop()
	l.w.Stop()
	c := l.conn
	c.mu.Lock()
	if c.link == l {
		c.link, c.writer = nil, nil
	}
	c.mu.Unlock()
	close(l.ended)
}
