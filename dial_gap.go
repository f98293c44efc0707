package ape

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// What becomes of calls when the server has lost their session: those that were
// never written go out in the next one; those with a key do so again, where the
// server still knows the key; all others are lost, since they may have run.

// errRenewed ends the line of a subscription that is sent again.
var errRenewed = errors.New("ape: the subscription is renewed")

// gap moves what can be moved to a new session. It returns the calls that are
// lost. mu is held.
func (c *Conn) gap(keeper string) (lost []LostCall) {
	// First: what these calls would still say is then not queued any more.
	c.endCall(&CloseError{Code: CloseEnded, Reason: "the session was lost"})
	c.values, c.endCall = context.WithCancelCause(c.ctx)
	c.calls.disown(&c.peer)
	open := c.asks.inOrder()
	var again []transport.Frame
	stays := map[uint64]bool{}
	for _, a := range open {
		if c.repeats(a, keeper) {
			again = append(again, a.frame)
			stays[a.id] = true
		}
	}
	unsent := map[uint64]bool{}
	c.out.Restart(again, func(f transport.Frame) bool {
		head, _, _ := bytes.Cut(f.Payload(), []byte("\n")) // octets may follow
		id := line.FirstID(head)
		switch line.OpOf(head) {
		case line.Event:
			return true
		case line.Call:
			if a := c.asks.open[id]; a != nil && a.sent.IsZero() {
				unsent[id] = true
			}
			return unsent[id]
		case line.Item, line.End, line.Cancel, line.Credit:
			return unsent[id]
		}
		return false
	})
	for _, a := range open {
		switch {
		case stays[a.id], unsent[a.id]:
		case len(a.frame.Payload()) == 0: // not queued yet
		case a.then != nil: // a subscription, which is renewed
			c.settle(a, errRenewed)
		default:
			if !a.left {
				lost = append(lost, LostCall{a.path, a.key})
			}
			c.settle(a, Errorf(Lost, "the session ended before the answer; the call may have run"))
		}
	}
	return lost
}

// repeats reports whether a call was sent, and may be sent again: it has a key,
// which this keeper knows still. mu is held.
func (c *Conn) repeats(a *ask, keeper string) bool {
	return a.key != "" && !a.sent.IsZero() && !a.left && a.in == nil && a.out == nil &&
		keeper != "" && a.keeper == keeper && time.Since(a.sent) < c.keyLife
}

// noteKeys notes of the calls with a key in p, which begins with a line and is
// about to be written, when and to which keeper they were first sent.
func (c *Conn) noteKeys(p []byte) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			end = len(p) // the beginning of a long line
		}
		if isKeyed(p[:end]) {
			c.mu.Lock()
			if a := c.asks.open[line.FirstID(p[:end])]; a != nil && a.sent.IsZero() {
				a.sent, a.keeper = time.Now(), c.keeper
			}
			c.mu.Unlock()
		}
		p = p[min(end+1, len(p)):]
	}
}

// isKeyed reports whether a line is a call with the param k.
func isKeyed(head []byte) bool {
	rest, ok := bytes.CutPrefix(head, []byte("c "))
	if !ok {
		return false
	}
	_, rest, _ = bytes.Cut(rest, []byte(" ")) // behind the id
	params, _, _ := bytes.Cut(rest, []byte(" "))
	return bytes.Contains(params, []byte(";k="))
}
