package ape

import (
	"context"
	"time"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// Items of a stream are sent against credit, which their consumer gives. So a
// consumer that is slow stops the producer, and what waits is bounded at both
// ends. The peer's mu guards inflow and outflow.

// outflow is the credit of a stream that goes out.
type outflow struct {
	credit uint64
	more   chan struct{} // one slot: filled when credit came; made by who waits for it
}

// add gives credit.
func (o *outflow) add(n uint64) {
	o.credit += min(n, 1<<53)
	o.credit = min(o.credit, 1<<53)
	signal(o.more)
}

// signal fills the slot of a channel, which may be nil.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// spend takes credit for one item, and waits until there is some.
func (p *peer) spend(ctx context.Context, o *outflow) error {
	for {
		p.mu.Lock()
		if o.credit > 0 {
			o.credit--
			if o.credit > 0 {
				signal(o.more) // another goroutine may wait as well
			}
			p.mu.Unlock()
			return ctx.Err()
		}
		if o.more == nil {
			o.more = make(chan struct{}, 1)
		}
		p.mu.Unlock()
		select {
		case <-o.more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// emit sends one item of the stream id.
func (p *peer) emit(ctx context.Context, id uint64, o *outflow, v any) error {
	f, err := p.lineOf(v, func(b []byte) []byte { return line.AppendItem(b, id) })
	if err != nil {
		return err
	}
	if err := p.spend(ctx, o); err != nil {
		return err
	}
	return p.out.AppendItem(ctx, f)
}

// firstCredit is how many items may come before it is known how large they are.
const firstCredit = 8

// flowBytes is what a stream may have on the way, as far as its items are of a
// size.
const flowBytes = 256 << 10

// inflow is a stream that comes in.
type inflow struct {
	items   []item
	held    int // bytes of items
	granted int // items that may come
	window  int // the most of them, together with those that wait
	mean    int // bytes of an item, of late
	ended   bool
	shut    bool          // its call is answered: no more credit is given
	more    chan struct{} // one slot: filled when something has changed
}

// item is what one n line brought.
type item struct {
	payload []byte
	octets  bool
}

// start makes a stream ready for a consumer and returns the credit to give.
func (f *inflow) start() int {
	f.more = make(chan struct{}, 1)
	f.granted = min(f.window, firstCredit)
	return f.granted
}

// finish is the end of the stream.
func (f *inflow) finish() {
	f.ended = true
	signal(f.more)
}

// take returns the next item, if there is one.
func (f *inflow) take() (it item, ok bool) {
	if len(f.items) == 0 {
		return item{}, false
	}
	it = f.items[0]
	f.items[0] = item{}
	if f.items = f.items[1:]; len(f.items) == 0 {
		f.items = nil
	}
	f.held -= len(it.payload)
	return it, true
}

// owed is the credit to give now: nothing until half of what may be on the way
// is used up.
func (f *inflow) owed() int {
	window := max(1, min(f.window, flowBytes/max(f.mean, 1)))
	owed := window - f.granted - len(f.items)
	if f.ended || f.shut || owed <= 0 || owed*2 < window {
		return 0
	}
	f.granted += owed
	return owed
}

// drop forgets the items and returns how many bytes they had.
func (f *inflow) drop() (bytes int) {
	bytes, f.items, f.held = f.held, nil, 0
	f.finish()
	return bytes
}

// arrived takes an item, or says why its stream has to end. total counts the
// bytes that the session's streams hold. mu is held.
func (p *peer) arrived(f *inflow, e *line.Envelope, total *int) *Error {
	if f == nil || f.granted == 0 {
		return Errorf(Credit, "an item came for which no credit was given")
	}
	f.granted--
	if f.ended {
		return nil // nobody wants it any more
	}
	n := len(e.Payload)
	if opt := &p.engine.opt; *total+n > opt.MaxRunning*opt.MaxMessage {
		return busy(time.Second, "%d bytes of calls and streams are held, which is the limit", *total)
	}
	if f.mean == 0 {
		f.mean = n
	}
	f.mean += (n - f.mean) / 4
	it := item{octets: e.Octets}
	if e.Payload != nil {
		it.payload = append(make([]byte, 0, n), e.Payload...)
	}
	f.items = append(f.items, it)
	f.held += n
	*total += n
	signal(f.more)
	return nil
}

// next waits for the next item of the stream id; ok is false behind the last
// one. total is that of arrived.
func (p *peer) next(ctx context.Context, id uint64, f *inflow, total *int) (it item, ok bool, err error) {
	for {
		err := ctx.Err() // before the lock: the context is the caller's
		p.mu.Lock()
		if err != nil && !f.ended {
			p.mu.Unlock()
			return item{}, false, err
		}
		it, ok = f.take()
		ended := f.ended
		if ok {
			*total -= len(it.payload)
			if owed := f.owed(); owed > 0 {
				p.credit(id, owed)
			}
		}
		p.mu.Unlock()
		if ok || ended {
			return it, ok, nil
		}
		select {
		case <-f.more:
		case <-ctx.Done():
			return item{}, false, ctx.Err()
		}
	}
}

// credit tells the other end that n more items may come. mu is held.
func (p *peer) credit(id uint64, n int) {
	p.insist(transport.Text(line.AppendCredit(transport.Begin(nil), id, uint64(n))))
}
