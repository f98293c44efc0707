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
		err = ctx.Err()
		l.close(err)
	}
	if err != nil {
		cancel(err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	c.loops.Go(func() { c.run(l, upgrade) })
	return nil
}

// connect opens a link: a WebSocket unless it is known to be blocked until a
// later time, else a stream. upgrade is when to try WebSocket again, zero: never.
func (c *Conn) connect(ctx context.Context, socketFrom time.Time) (l *link, upgrade time.Time, err error) {
	only := c.opt.Transport
	var blocked error
	if only != Streaming && !time.Now().Before(socketFrom) {
		if l, blocked = c.openSocket(ctx, false); blocked == nil {
			c.buffered = false
			return l, time.Time{}, nil
		}
		if only == WebSocket || decided(blocked) || ctx.Err() != nil {
			return nil, time.Time{}, blocked
		}
	}
	if l, err = c.stream(ctx); err == nil {
		return l, c.upgradeAt(l), nil
	}
	if blocked != nil && !decided(err) {
		err = neither(blocked, err)
	}
	return nil, time.Time{}, err
}

// decided reports whether an error is the same by any transport: the server has
// spoken, or this end cannot.
func decided(err error) bool {
	var p *parting
	return errors.As(err, &p) && (p.told || p.here)
}

// stream opens a stream. When not one byte of it comes, something on the way holds
// back responses that are not whole, and it polls.
func (c *Conn) stream(ctx context.Context) (*link, error) {
	if !c.buffered {
		l, err := c.openStream(ctx, false)
		if !errors.Is(err, errMute) || ctx.Err() != nil {
			return l, err
		}
	}
	l, err := c.openStream(ctx, true)
	c.buffered = err == nil
	return l, err
}

// run keeps the Conn connected until it ends.
func (c *Conn) run(l *link, upgrade time.Time) {
	failures := 0
	for {
		stood := time.Now()
		p := partingOf(c.serve(l, &upgrade))
		for {
			if c.closing() {
				return
			}
			if p.then == "final" {
				err := p.closeError()
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

// closing reports whether Close is under way.
func (c *Conn) closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.final != nil
}

// rest waits before the next attempt; it reports false at the Conn's end.
func (c *Conn) rest(p *parting, failures int) bool {
	c.mu.Lock()
	if p.then == "new" {
		c.token, c.gapCode = "", p.code
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
	c.http.CloseIdleConnections() // they may be as dead as the one that was lost
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
	var leave time.Time // when to move because the server wants it; zero: it does not
	for {
		timer.Stop()
		if at := earlier(leave, *upgrade); !at.IsZero() {
			timer.Reset(time.Until(at))
		}
		select {
		case <-l.ended:
			return l.why()
		case within := <-l.moves:
			leave = time.Now().Add(rand.N(within + 1))
			continue
		case <-timer.C:
		}
		asked := !leave.IsZero() && !time.Now().Before(leave)
		next, err := c.move(l, asked)
		switch {
		case err == nil:
			l.close(errReplaced)
			l, leave, *upgrade = next, time.Time{}, c.upgradeAt(next)
		case !c.current(l): // its hello had been said: the old one is given up
			l.close(errReplaced)
			return err
		case asked:
			leave = time.Time{} // the server will close it
		default:
			*upgrade = time.Now().Add(upgradeAfter)
		}
	}
}

// upgradeAt is when to try WebSocket instead of l, zero: never.
func (c *Conn) upgradeAt(l *link) time.Time {
	if l.transport == WebSocket || c.opt.Transport != "" {
		return time.Time{}
	}
	return time.Now().Add(upgradeAfter)
}

// earlier is the earlier one of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// current reports whether l is the connection that counts.
func (c *Conn) current(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link == l
}

// move opens a successor of l: as the server has asked, by the same transport,
// else a WebSocket.
func (c *Conn) move(l *link, asked bool) (*link, error) {
	c.http.CloseIdleConnections() // they may lead to the server that wants to go
	if asked && l.transport == Streaming {
		return c.stream(c.ctx)
	}
	return c.openSocket(c.ctx, true)
}
