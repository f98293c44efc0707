package link

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/goape/ape/mesh"
)

type requestHandler = func(ctx context.Context, from mesh.Member, body []byte) ([]byte, error)

// onRequest runs a request of another member on a goroutine of its own. It runs
// on the delivery goroutine, as all that starts with on.
func (l *Link) onRequest(from mesh.Member, body []byte, handler requestHandler) bool {
	r := reader{b: body}
	who := caller{from.Life(), r.uvarint()}
	ms := r.uvarint()
	if r.bad {
		return false
	}
	ctx, cancel := l.requestContext(ms)
	if !l.calls.start(who, cancel, l.limits.Serving) {
		cancel()
		l.sendReply(who, func(op Op, b []byte) error { return l.sendLife(who.life, op, b) }, nil, ErrBusy)
		return true
	}
	l.wg.Go(func() {
		defer cancel()
		defer l.calls.stop(who)
		result, err := []byte(nil), ErrNoTarget
		if handler != nil {
			result, err = handler(ctx, from, r.b)
		}
		if late := ctx.Err(); late != nil {
			result, err = nil, late // whatever it is, the caller has been told so
		}
		l.sendReply(who, l.patient(who), result, err)
	})
	return true
}

func (l *Link) requestContext(ms uint64) (context.Context, context.CancelFunc) {
	const most = uint64(math.MaxInt64 / time.Millisecond)
	if ms == 0 || ms > most {
		return context.WithCancel(l.ctx)
	}
	return context.WithTimeout(l.ctx, time.Duration(ms)*time.Millisecond)
}

// start notes a request that runs, unless too many of its caller do.
func (c *calls) start(who caller, cancel context.CancelFunc, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over != nil || c.serving[who.life] >= most || c.running[who] != nil {
		return false
	}
	c.serving[who.life]++
	c.running[who] = cancel
	return true
}

func (c *calls) stop(who caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, who)
	if c.serving[who.life]--; c.serving[who.life] == 0 {
		delete(c.serving, who.life)
	}
}

// patient sends to a caller as soon as there is room for it.
func (l *Link) patient(who caller) func(Op, []byte) error {
	return func(op Op, body []byte) error {
		return l.sendWhenRoom(l.stay, func() (*peer, error) { return l.findLife(who.life) }, op, body)
	}
}

func (l *Link) sendReply(who caller, send func(Op, []byte) error, result []byte, err error) {
	reply := func(result []byte, err error) error {
		code, body := codeOf(result, err)
		b := make([]byte, 0, binary.MaxVarintLen64+1+len(body))
		b = append(binary.AppendUvarint(b, who.id), code)
		return send(opReply, append(b, body...))
	}
	err = reply(result, err)
	if err == ErrTooLarge {
		err = reply(nil, &Failure{Code: "too_large", Message: "the answer is too large for a message between servers"})
	}
	if err != nil {
		l.calls.lost()
	}
}

func (c *calls) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unanswered++
}

func (l *Link) onReply(from mesh.Member, body []byte) bool {
	r := reader{b: body}
	id, code := r.uvarint(), r.byte()
	if r.bad {
		return false
	}
	result, err := outcome(code, r.b)
	l.calls.answer(id, answer{from.Life(), result, err})
	return true
}

func (c *calls) onCancel(from mesh.Member, body []byte) bool {
	r := reader{b: body}
	id := r.uvarint()
	if r.bad {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.running[caller{from.Life(), id}]; cancel != nil {
		cancel()
	}
	return true
}
