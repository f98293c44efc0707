package ape

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// How long DialOptions.Auth may take, the server until its first byte and its
// welcome, and the end of a connection that is closed in good form.
const (
	authWithin      = 30 * time.Second
	firstByteWithin = 5 * time.Second
	welcomeWithin   = 15 * time.Second
	lastWordsWithin = 2 * time.Second
)

// link is one connection of a Conn: a WebSocket, or GETs and POSTs.
type link struct {
	conn      *Conn
	transport Transport
	poll      bool            // streaming: responses are buffered on their way
	ctx       context.Context // ends with the link; the cause is why
	cancel    context.CancelCauseFunc
	w         *transport.Writer
	posts     *postSink          // of a streaming link
	bye       func()             // says farewell, for at most lastWordsWithin
	moves     chan time.Duration // one slot: the server wants the client to come by another connection

	num      uint64 // of the last counted line read; the reader's
	began    time.Time
	heard    atomic.Int64 // when a byte last came: nanoseconds since began; 0: none did
	watchdog *time.Timer

	greeted  bool          // the newest hello has its welcome; the Conn's mu guards it
	welcomed bool          // the first one has; likewise
	ready    chan struct{} // closed when it is
	ended    chan struct{} // closed when the reader has returned
}

func (c *Conn) newLink(ctx context.Context, t Transport) *link {
	l := &link{
		conn: c, transport: t, began: time.Now(),
		moves: make(chan time.Duration, 1), ready: make(chan struct{}), ended: make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	return l
}

// authenticate asks DialOptions.Auth. The hook has a goroutine of its own, so that
// it may call Close, which waits for those of the Conn.
func (c *Conn) authenticate(ctx context.Context) (auth json.RawMessage, err error) {
	hook := c.opt.Auth
	if hook == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, authWithin)
	defer cancel()
	done := make(chan error, 1)
	var text []byte
	asked := c.own.spawn(func() {
		done <- c.own.try("Auth", func() error {
			v, err := hook(ctx)
			if err == nil {
				text, err = json.Marshal(v)
			}
			return err
		})
	})
	if !asked {
		return nil, errOver
	}
	select {
	case err = <-done:
		auth = text
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, &parting{code: "auth", then: "resume", here: true, message: "DialOptions.Auth: " + err.Error(), err: err}
	}
	return auth, nil
}

// hello makes l the connection that counts: what older ones still bring is
// ignored. It returns the text of the h line.
func (c *Conn) hello(l *link, auth json.RawMessage) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, errOver
	}
	h := clientHello{Client: "ape-go/1", Auth: auth, Poll: l.poll}
	h.Limits.Line, h.Limits.Calls = c.own.opt.MaxMessage, c.own.opt.MaxCalls
	if c.token != "" {
		h.Resume, h.Seen, h.Try = c.token, c.got, c.try+1
	}
	text, err := json.Marshal(h)
	if err == nil && len(ascii(text)) > maxHello {
		err = fmt.Errorf("its result has %d bytes as JSON; a hello may have %d bytes altogether", len(auth), maxHello)
	}
	if err != nil {
		return nil, &parting{code: "auth", then: "resume", here: true, message: "DialOptions.Auth: " + err.Error()}
	}
	c.try++
	if c.link != l {
		c.link, c.writer = l, nil
	}
	l.num, l.greeted = c.got, false
	c.unacked = 0
	return text, nil
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
		if !l.greeted {
			return errMismatch
		}
		l.num++
	case line.OpOf(u.Head) == line.Welcome:
		var e line.Envelope
		if err := line.Parse(u.Head, u.Octets, u.Binary, &e); err != nil || u.Long || l.greeted {
			return errMismatch
		}
		return c.welcome(l, e.Payload)
	}
	return c.receive(l.num, u)
}

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
		c.renewed(l, &w, &change)
	}
	c.token = w.Resume
	c.keeper = w.Keeper
	c.adopt(w.Limits)
	if err := c.attach(l, from); err != nil {
		return err
	}
	again := l.welcomed
	l.greeted = true
	if !again {
		l.welcomed = true
		close(l.ready)
		l.watchdog.Reset(2 * c.beat)
	}
	if !again || change.Gap != "" {
		c.change(change)
	}
	if change.Gap != "" {
		c.renew()
	}
	return nil
}

// renewed begins another session: the first one, or one behind a gap. mu is held.
func (c *Conn) renewed(l *link, w *welcome, change *StateChange) {
	if c.epoch > 0 {
		change.Gap = w.Gap
		if change.Gap == "" {
			change.Gap = c.gapCode
		}
		if change.Gap == "" {
			change.Gap = "unknown"
		}
		change.Lost = c.gap(w.Keeper)
	}
	c.gapCode = ""
	if old := c.writer; old != nil {
		// A further GET of the link has begun another session.
		c.writer = nil
		l.posts.retired.Store(true)
		c.loops.Go(old.Stop)
		l.repost()
	}
	c.epoch++
	c.got, l.num = 0, 0
	c.id = w.ID
}

// attach lets l carry what goes out behind number from, unless it does already:
// POSTs go on while one GET follows another. mu is held.
func (c *Conn) attach(l *link, from uint64) error {
	if c.writer != nil {
		if !c.out.AckTaken(from) {
			return errMismatch
		}
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
		c.line.Store(int64(limits.Line))
	}
	if limits.Calls > 0 {
		c.asks.limit = limits.Calls
	}
	if limits.Beat > 0 {
		c.beat = time.Duration(min(limits.Beat, time.Hour.Milliseconds())) * time.Millisecond
	}
	c.keyLife = time.Duration(max(0, min(limits.Keys, (24*time.Hour).Milliseconds()))) * time.Millisecond
}

// sound notes that a byte came.
func (l *link) sound() { l.heard.Store(max(1, int64(time.Since(l.began)))) }

// listen begins to watch for silence.
func (l *link) listen() {
	l.watchdog = time.AfterFunc(firstByteWithin, l.watch)
}

// watch gives the link up when nothing was heard for too long.
func (l *link) watch() {
	if l.ctx.Err() != nil {
		return
	}
	c := l.conn
	c.mu.Lock()
	welcomed, beat := l.welcomed, c.beat
	c.mu.Unlock()
	heard := time.Duration(l.heard.Load())
	var until time.Duration
	var why *parting
	switch {
	case welcomed:
		until, why = heard+2*beat, errSilent
	case heard == 0 && !l.poll:
		until, why = firstByteWithin, errMute
	case heard == 0: // a response comes when it is whole, which takes as long as a heartbeat
		until, why = max(welcomeWithin, 2*beat), errMute
	default:
		until, why = welcomeWithin, errUnwelcome
	}
	if wait := until - time.Since(l.began); wait > 0 {
		l.watchdog.Reset(wait)
	} else {
		l.cancel(why)
	}
}

// wait waits for the welcome.
func (l *link) wait() error {
	select {
	case <-l.ready:
		return nil
	case <-l.ended:
	}
	select {
	case <-l.ready: // it did not last
		return nil
	default:
		return l.why()
	}
}

// why is what ended the link.
func (l *link) why() error { return context.Cause(l.ctx) }

// close gives the link up and waits until its reader has returned.
func (l *link) close(why error) {
	l.cancel(why)
	<-l.ended
}

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
