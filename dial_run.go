package ape

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// upgradeAfter is when WebSocket is tried again while streaming works.
	upgradeAfter = time.Minute
	// firstDelay and longestDelay bound the waits between attempts.
	firstDelay   = 500 * time.Millisecond
	longestDelay = 30 * time.Second
	// stableAfter is how long a connection has to stand to count as good.
	stableAfter = 10 * time.Second
)

// jitter is a random time to wait behind so many failures, so that the clients of
// a lost server do not come back at once.
func jitter(failures int) time.Duration {
	return rand.N(min(longestDelay, firstDelay<<min(failures, 10))) + 1
}

// first makes the first connection, and starts the goroutine that keeps the Conn
// connected.
func (c *Conn) first(ctx context.Context) error {
	c.mu.Lock()
	c.change(StateChange{State: StateConnecting})
	c.mu.Unlock()
	attempt, cancel := context.WithCancelCause(c.ctx)
	stop := context.AfterFunc(ctx, func() { cancel(ctx.Err()) })
	l, upgrade, err := c.connect(attempt, time.Time{})
	if !stop() && err == nil {
		l.cancel(ctx.Err())
		<-l.ended
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		var p *parting
		if errors.As(err, &p) && p.told {
			return refusalOf(p)
		}
		return err
	}
	c.loops.Go(func() { c.run(l, upgrade) })
	return nil
}

// refusalOf is a server's refusal as the error that users know.
func refusalOf(p *parting) error {
	code := CloseEnded
	for known, name := range closeNames {
		if name == p.code {
			code = known
		}
	}
	return &CloseError{Code: code, Reason: p.message}
}

// connect opens a link: a WebSocket unless it is known to be blocked until a
// later time, else a stream. upgrade is when to try WebSocket again, zero: never.
func (c *Conn) connect(ctx context.Context, socketFrom time.Time) (l *link, upgrade time.Time, err error) {
	only := c.opt.Transport
	if only != Streaming && !time.Now().Before(socketFrom) {
		l, err = c.openSocket(ctx, false)
		var p *parting
		if err == nil || only == WebSocket || errors.As(err, &p) && p.told || ctx.Err() != nil {
			return l, time.Time{}, err
		}
	}
	blocked := err
	l, err = c.openStream(ctx)
	if err == errSilent && !c.poll {
		c.mu.Lock()
		c.poll = true // something on the way holds back what is not whole
		c.mu.Unlock()
		l, err = c.openStream(ctx)
	}
	if err != nil {
		var p *parting
		if blocked != nil && !(errors.As(err, &p) && p.told) {
			err = blocked
		}
		return nil, time.Time{}, err
	}
	if only != Streaming {
		upgrade = time.Now().Add(upgradeAfter)
	}
	return l, upgrade, nil
}

// run keeps the Conn connected until it ends.
func (c *Conn) run(l *link, upgrade time.Time) {
	failures := 0
	for {
		stood := time.Now()
		p := partingOf(c.serve(l, &upgrade))
		for {
			if c.ctx.Err() != nil {
				return
			}
			if p.then == "final" {
				err := refusalOf(p).(*CloseError)
				c.shut(err, StateChange{State: StateClosed, Code: p.code, Err: err})
				return
			}
			if !stood.IsZero() && time.Since(stood) >= stableAfter {
				failures = 0
			}
			stood = time.Time{}
			if !c.rest(p, failures) {
				return
			}
			failures++
			var err error
			if l, upgrade, err = c.connect(c.ctx, upgrade); err == nil {
				break
			}
			p = partingOf(err)
		}
	}
}

// rest waits before the next attempt; it reports false at the Conn's end.
func (c *Conn) rest(p *parting, failures int) bool {
	c.mu.Lock()
	if c.final != nil {
		c.mu.Unlock()
		return false // Close is under way
	}
	if p.then == "new" {
		c.token = ""
	}
	c.change(StateChange{State: StateDisconnected, Code: p.code, Err: p})
	c.mu.Unlock()
	wait := time.NewTimer(max(p.within, jitter(failures)))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-c.ctx.Done():
		return false
	}
	c.mu.Lock()
	c.change(StateChange{State: StateConnecting})
	c.mu.Unlock()
	return true
}

// serve waits for the end of a link, and moves to another one when the server
// asks for it, or when WebSocket can be tried again. It returns why the last one
// ended.
func (c *Conn) serve(l *link, upgrade *time.Time) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	set := func() {
		timer.Stop()
		if !upgrade.IsZero() {
			timer.Reset(time.Until(*upgrade))
		}
	}
	set()
	for {
		select {
		case <-l.ended:
			return l.why()
		case within := <-c.moves:
			*upgrade = time.Now().Add(rand.N(within + 1))
			set()
			continue
		case <-timer.C:
		}
		next, err := c.move(l)
		switch {
		case err == nil:
			l.cancel(errReplaced)
			<-l.ended
			l = next
			*upgrade = time.Time{}
			if l.transport == Streaming && c.opt.Transport == "" {
				*upgrade = time.Now().Add(upgradeAfter)
			}
		case !c.current(l): // its hello had been said: the old one is given up
			l.cancel(errReplaced)
			<-l.ended
			return err
		default:
			*upgrade = time.Now().Add(upgradeAfter)
		}
		set()
	}
}

// current reports whether l is the connection that counts.
func (c *Conn) current(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link == l
}

// move opens a successor of l.
func (c *Conn) move(l *link) (*link, error) {
	if c.opt.Transport != Streaming {
		next, err := c.openSocket(c.ctx, true)
		if err == nil || l.transport == WebSocket && c.opt.Transport == WebSocket || l.transport == Streaming {
			return next, err
		}
	}
	return c.openStream(c.ctx)
}
