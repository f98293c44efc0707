package ape

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/goape/ape/codec"
	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// asks are the calls that this end has made. The peer's mu guards them.
type asks struct {
	open  map[uint64]*ask // without a terminal line
	last  uint64          // id given out last
	limit int             // how many the other end takes
	bytes int             // of items that wait for their consumers
}

// defaultCalls is how many open calls an end takes that names no limit.
const defaultCalls = 256

// ask is a call that this end has made.
type ask struct {
	id     uint64
	path   string
	frame  transport.Frame
	key    string
	keeper string           // of the key, when it was first sent
	sent   time.Time        // likewise
	then   func(fail error) // of a subscription: told of the outcome, under mu
	in     *inflow          // of a stream of answers; nil: there is one
	out    *outflow         // of items that go with the call; nil: none

	// ctx ends with the call; items are sent in it.
	ctx    context.Context
	cancel context.CancelFunc

	// Set under the peer's mu before done is closed.
	done    chan struct{}
	over    bool
	left    bool // the caller has gone, and the terminal line is still to come
	fail    error
	payload []byte
	octets  bool
}

// ask makes a call. payload is encoded by lineOf; begin adds the params that it
// needs. The error is ErrGone, or an *Error.
func (p *peer) ask(ctx context.Context, path string, in any, o *callOptions) (*ask, error) {
	a := &ask{path: path, key: o.key, done: make(chan struct{})}
	if o.items {
		a.out = &outflow{}
	}
	if o.stream {
		a.in = &inflow{window: p.engine.opt.StreamWindow}
	}
	if err := p.enlist(a); err != nil {
		return nil, err
	}
	f, err := p.lineOf(in, func(b []byte) []byte { return a.head(b, o) })
	if err != nil {
		p.strike(a)
		return nil, unsendable(err, p.limit())
	}
	if err := p.put(ctx, a, f); err != nil {
		p.strike(a)
		return nil, err
	}
	return a, nil
}

// enlist gives a call its id.
func (p *peer) enlist(a *ask) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &p.asks
	switch {
	case p.ended:
		return ErrGone
	case len(k.open) >= k.limit:
		return busy(time.Second, "%d calls to this peer are unanswered, which is its limit", len(k.open))
	}
	if k.open == nil {
		k.open = map[uint64]*ask{}
	}
	k.last += 2
	a.id = k.last
	a.ctx, a.cancel = context.WithCancel(p.ctx)
	k.open[a.id] = a
	return nil
}

// head appends the call's line up to its payload.
func (a *ask) head(b []byte, o *callOptions) []byte {
	b = line.AppendCall(b, a.id, a.path)
	if o.timeout > 0 {
		b = appendNumber(b, "t", uint64(max(1, (o.timeout+time.Millisecond-1)/time.Millisecond)))
	}
	if a.in != nil {
		b = appendNumber(b, "g", uint64(a.in.start()))
	}
	if a.out != nil {
		b = line.AppendParam(b, "i", "")
	}
	if a.key != "" {
		b = line.AppendParam(b, "k", a.key)
	}
	return b
}

func appendNumber(b []byte, key string, n uint64) []byte {
	return strconv.AppendUint(append(append(append(b, ';'), key...), '='), n, 10)
}

// unsendable is the error of a call whose input cannot be sent.
func unsendable(err error, most int) error {
	if errors.Is(err, codec.ErrTooLarge) {
		return Errorf(TooLarge, "the call has more than the %d bytes that the other end takes", most)
	}
	return Errorf(Invalid, "the input cannot be encoded: %v", err)
}

// put queues what begins a call, or an event, without a. It is written by another
// goroutine: this one has a time limit.
func (p *peer) put(ctx context.Context, a *ask, f transport.Frame) error {
	p.mu.Lock()
	if a != nil {
		a.frame = f
	}
	var err error
	if p.odd {
		// In one step with the above: a session that is lost in between would
		// count the call as lost, and its line would run in the next one.
		err = p.out.Append(f, false)
	}
	p.mu.Unlock()
	if !p.odd {
		// The server's queue holds what this client has to read anyway.
		err = p.out.AppendWait(ctx, f, false)
	}
	switch err {
	case transport.ErrFull:
		return Errorf(Overflow, "%d bytes wait for the server, which is the limit (DialOptions.MaxQueue)", p.engine.opt.MaxQueue)
	case transport.ErrEnded:
		return ErrGone
	}
	return err
}

// strike forgets a call that was never sent.
func (p *peer) strike(a *ask) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.asks.open, a.id)
	a.cancel()
}

// takeAnswer takes what came for a call that was made here. mu is held.
func (p *peer) takeAnswer(e *line.Envelope) {
	a := p.asks.sent(e.ID)
	if a == nil {
		return // it crossed with the end of the call
	}
	switch e.Op {
	case line.Answer, line.Fail, line.End:
		if a.left {
			p.engine.counters.late.Add(1)
		}
		if e.Op == line.Fail {
			p.settle(a, p.failureOf(e.Payload))
			return
		}
		if e.Op == line.Answer && e.Payload != nil {
			a.payload, a.octets = append([]byte{}, e.Payload...), e.Octets
		}
		p.settle(a, nil)
	case line.Credit:
		if a.out != nil {
			a.out.add(e.Count)
		}
	case line.Item:
		if a.left {
			return
		}
		if fail := p.arrived(a.in, e, &p.asks.bytes); fail != nil {
			p.giveUp(a, fail)
		}
	}
}

// sent is the open call of an id, nil also for one whose line is still being
// made: who answers that has guessed its id.
func (k *asks) sent(id uint64) *ask {
	if a := k.open[id]; a != nil && len(a.frame.Payload()) > 0 {
		return a
	}
	return nil
}

// settle ends a call: its terminal line came, or none will come. mu is held.
func (p *peer) settle(a *ask, fail error) {
	delete(p.asks.open, a.id)
	p.resolve(a, fail)
}

// resolve tells who waits for a call. mu is held.
func (p *peer) resolve(a *ask, fail error) {
	if a.over {
		return
	}
	a.over, a.fail = true, fail
	close(a.done)
	if a.then != nil {
		a.then(fail)
	}
	a.cancel()
	if a.in != nil {
		a.in.finish()
	}
}

// giveUp cancels a call, whose terminal line is still to come. mu is held.
func (p *peer) giveUp(a *ask, fail error) {
	if a.over {
		return
	}
	if p.out.Withdraw(a.frame) {
		delete(p.asks.open, a.id)
	} else {
		a.left = true
		p.insist(transport.Text(line.AppendNone(line.AppendCancel(transport.Begin(nil), a.id))))
	}
	p.resolve(a, fail)
}

// leave cancels a call unless it has ended.
func (p *peer) leave(a *ask, fail error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveUp(a, fail)
	if a.in != nil {
		p.asks.bytes -= a.in.drop()
	}
}

// inOrder returns the open calls, oldest first.
func (k *asks) inOrder() []*ask {
	all := slices.Collect(maps.Values(k.open))
	slices.SortFunc(all, func(a, b *ask) int { return cmp.Compare(a.id, b.id) })
	return all
}

// failureOf reads the JSON of an e line.
func (p *peer) failureOf(payload []byte) *Error {
	var f struct {
		Code    Code            `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(payload, &f); err != nil || f.Code == "" {
		return Errorf(Malformed, "the failure could not be read")
	}
	e := &Error{Code: f.Code, Message: f.Message}
	if len(f.Data) > 0 && !bytes.Equal(f.Data, []byte("null")) {
		if p.engine.codec.Unmarshal(f.Data, &e.Data) != nil {
			e.Data = f.Data
		}
	}
	return e
}

// waitFor waits for the end of a call, and cancels it when ctx ends before.
func (p *peer) waitFor(ctx context.Context, a *ask) error {
	select {
	case <-a.done:
	case <-ctx.Done():
		p.leave(a, ended(ctx))
		<-a.done
	}
	return a.failure(ctx)
}

// failure is how a call has failed. Items that end with the error of the call's
// own context have only noticed its end first.
func (a *ask) failure(ctx context.Context) error {
	var told *Error
	if a.fail != nil && !errors.As(a.fail, &told) && errors.Is(a.fail, ctx.Err()) {
		return ended(ctx)
	}
	return a.fail
}

// results walks over the items that answer a call. A value that ends it counts
// when it is all there is.
func (p *peer) results(ctx context.Context, a *ask) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for n := 0; ; n++ {
			it, ok, err := p.next(ctx, a.id, a.in, &p.asks.bytes)
			switch {
			case err != nil:
				yield(item{}, ended(ctx))
				return
			case ok:
				if !yield(it, nil) {
					return
				}
				continue
			}
			<-a.done
			if err := a.failure(ctx); err != nil {
				yield(item{}, err)
			} else if n == 0 && a.payload != nil {
				yield(item{a.payload, a.octets}, nil)
			}
			return
		}
	}
}

// ended is the error of a call whose context has ended.
func ended(ctx context.Context) *Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Errorf(Deadline, "no answer came in time")
	}
	return Errorf(Cancelled, "the call was cancelled by its caller")
}
