package ape

import (
	"context"
	"sync"
	"time"
)

// callContext is the context of a call. Most controllers never ask it whether
// it has ended, so the part that can be waited for is only made when somebody
// does: a call that is answered at once costs neither a context nor a timer.
type callContext struct {
	call     *Call
	parent   context.Context // the session's
	deadline time.Time       // zero: none

	mu     sync.Mutex
	inner  context.Context
	cancel context.CancelFunc
	over   bool // ended by end
}

type callKey struct{}

// end ends the context: the caller has cancelled, or the call is answered.
func (c *callContext) end() {
	c.mu.Lock()
	c.over = true
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// made is the context that can be waited for.
func (c *callContext) made() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		if c.deadline.IsZero() {
			c.inner, c.cancel = context.WithCancel(c.parent)
		} else {
			c.inner, c.cancel = context.WithDeadline(c.parent, c.deadline)
		}
		if c.over {
			c.cancel()
		}
	}
	return c.inner
}

func (c *callContext) Done() <-chan struct{} { return c.made().Done() }

func (c *callContext) Err() error {
	c.mu.Lock()
	inner, over := c.inner, c.over
	c.mu.Unlock()
	switch {
	case inner != nil:
		return inner.Err()
	case over:
		return context.Canceled
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	}
	return c.parent.Err()
}

func (c *callContext) Deadline() (time.Time, bool) {
	if c.deadline.IsZero() {
		return c.parent.Deadline()
	}
	return c.deadline, true
}

// Value finds the call. Package context asks for a key of its own, by which a
// derived context finds the one that it hangs on: that is inner, once it is
// made, and Done makes it before package context asks.
func (c *callContext) Value(key any) any {
	if _, ok := key.(callKey); ok {
		return c.call
	}
	c.mu.Lock()
	inner := c.inner
	c.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return c.parent.Value(key)
}
