package ape

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goape/ape/internal/keys"
	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// peer is what both ends of a session have: the numbered lines in either
// direction, the calls that come in and those that are made. A session of a
// Server is one, and so is a dialled Conn.
//
// Nothing waits under mu, and no user code runs there.
type peer struct {
	engine  *engine
	owner   owner
	dialect dialect
	odd     bool         // the ids of the calls made here are odd: this end has dialled
	line    atomic.Int64 // bytes of the longest message that the other end takes

	ctx    context.Context // ends with the session
	cancel context.CancelCauseFunc
	values context.Context // ctx with what OnConnect returned: the parent of calls

	// out is the queue of what goes out. A classic streaming session has none:
	// each of its open GETs has a queue of its own.
	out *transport.Outbox

	identity string      // who the other end is, "" for nobody in particular
	keys     *keys.Table // of calls with a key; nil: they are not remembered

	over atomic.Bool // ended is set, readable without mu
	// answering counts calls that have left the books while their answer is on
	// its way to the queue.
	answering atomic.Int32

	mu      sync.Mutex
	writer  *transport.Writer // of the connection, nil while detached
	posts   bool              // writer sends by POST, and so takes long
	got     uint64            // number of the last counted line taken
	unacked int               // bytes taken since got was last told
	ack     *time.Timer
	ended   bool
	calls   calls
	asks    asks
}

// init makes a peer whose session has begun.
func (p *peer) init(g *engine, o owner, d dialect) {
	p.engine, p.owner, p.dialect = g, o, d
	p.line.Store(defaultLine)
	p.ctx, p.cancel = context.WithCancelCause(g.ctx)
	p.values = p.ctx
	p.asks.limit = defaultCalls
}

// limit is how many bytes the longest message may have that the other end takes.
func (p *peer) limit() int { return int(p.line.Load()) }

// owner is the session or Conn that a peer is part of.
type owner interface {
	// take carries out an event, and what else only one of the two ends does. mu
	// is held.
	take(e *line.Envelope)
	// quit reads a q line. An error ends the connection. mu is held.
	quit(payload []byte) error
	// slow is told that the queue is full. It may be called under any lock.
	slow()
	// transport is how the peer is connected.
	transport() Transport
	// patience is how long a call of path may take that names no time; 0: for
	// ever.
	patience(path string) time.Duration
	// queued is told that an answer was queued, which may be one too much for all
	// queues together.
	queued()
	// label names the other end in logs.
	label() string
}

// Why a line was not taken. The connection it came by has nothing more to say
// to the session.
var (
	errSealed = errors.New("ape: another connection has taken over")
	errAhead  = errors.New("ape: lines are missing before this one")
	errOver   = errors.New("ape: the session has ended")
	errBye    = errors.New("ape: the client has left")
)

// receive takes a line. num is its number if it counts. Taking and dispatching
// are one step. mu is held.
func (p *peer) receive(num uint64, u line.Unit) error {
	switch {
	case !line.Counted(u.Head):
		return p.control(u)
	case num <= p.got:
		p.engine.counters.repeated.Add(1)
		return nil
	case num > p.got+1:
		return errAhead
	}
	p.got = num
	p.note(u.Size)
	if u.Long {
		p.tooLong(u.Head)
		return nil
	}
	var e line.Envelope
	if err := line.Parse(u.Head, u.Octets, u.Binary, &e); err != nil {
		p.misread(u.Head, err)
		return nil
	}
	p.dispatch(&e)
	return nil
}

// dispatch carries out a counted line.
func (p *peer) dispatch(e *line.Envelope) {
	switch e.Op {
	case line.Call:
		p.takeCall(e)
	case line.Answer, line.Fail, line.Cancel, line.Item, line.End, line.Credit:
		if p.mine(e.ID) {
			p.takeAnswer(e)
		} else if c := p.calls.open[e.ID]; c != nil && !c.answered {
			p.takeUpdate(c, e)
		}
	default:
		p.owner.take(e)
	}
}

// mine reports whether this end gives out ids such as id.
func (p *peer) mine(id uint64) bool { return (id%2 == 1) == p.odd && id != 0 }

// opens checks a line that opens something: its id, its params, the number of
// what is open.
func (p *peer) opens(e *line.Envelope) bool {
	_, used := p.calls.open[e.ID]
	switch {
	case e.ID == 0 || p.mine(e.ID) || used:
		p.tell(0, Errorf(Malformed, "%v: the id %d is not free; a client takes odd ones, a server even ones, each once", e.Op, e.ID))
	case e.UnknownRequired():
		p.tell(e.ID, Errorf(Unsupported, "%v has a required param that is not known here", e.Op))
	case p.calls.count >= p.engine.opt.MaxCalls:
		p.tell(e.ID, busy(time.Second, "%d calls are open, which is the limit; wait for answers", p.calls.count))
	default:
		return true
	}
	return false
}

// tell queues a failure that the protocol itself makes, on the reader. mu is
// held.
func (p *peer) tell(id uint64, e *Error) { p.insist(lineFailure(id, e)) }

// insist queues a line without which the other end would not know where it is.
// It never waits.
func (p *peer) insist(f transport.Frame) {
	if p.odd {
		p.out.Insist(f)
		if kept, _ := p.out.Bytes(); kept > 4*p.engine.opt.MaxQueue {
			p.owner.slow() // the server makes us say more than it reads
		}
	} else if p.out.Append(f, false) == transport.ErrFull {
		p.owner.slow()
	}
}

// misread answers a line that could not be read. mu is held.
func (p *peer) misread(head []byte, err error) {
	id := line.FirstID(head)
	if errors.Is(err, line.ErrUnsupported) {
		p.tell(id, Errorf(Unsupported, "unknown operation"))
		return
	}
	p.engine.counters.malformed.Add(1)
	switch line.OpOf(head) {
	case line.Answer, line.Fail, line.Cancel, line.Item, line.End, line.Credit:
		return
	case line.Event, line.Message:
		id = 0
	default: // what opens something, or an unknown op
		if _, used := p.calls.open[id]; used || p.mine(id) {
			id = 0
		}
	}
	p.tell(id, Errorf(Malformed, "the line could not be read"))
}

// tooLong answers a line that was discarded for its length. mu is held.
func (p *peer) tooLong(head []byte) {
	p.engine.counters.tooLarge.Add(1)
	id := line.FirstID(head)
	fail := Errorf(TooLarge, "a message may have %d bytes", p.engine.opt.MaxMessage)
	switch line.OpOf(head) {
	case line.Call, line.Subscribe, line.Unsubscribe:
		p.tell(id, fail)
	case line.Event:
		p.tell(0, fail)
	case line.Answer, line.Fail, line.Item:
		if a := p.asks.sent(id); a != nil && p.mine(id) {
			p.giveUp(a, fail)
		} else if c := p.calls.open[id]; c != nil && !c.answered {
			p.cutShort(c, fail)
		}
	}
}

// control carries out a line that does not count. mu is held.
func (p *peer) control(u line.Unit) error {
	var e line.Envelope
	if u.Long || line.Parse(u.Head, u.Octets, u.Binary, &e) != nil {
		return nil
	}
	switch e.Op {
	case line.Ack:
		if p.odd {
			p.out.AckTaken(e.Count)
		} else {
			p.out.Ack(e.Count) // what was never written is not acknowledged by it
		}
	case line.Ping:
		p.acknowledge()
	case line.Quit:
		return p.owner.quit(e.Payload)
	}
	return nil
}

// Above these an acknowledgement goes out at once.
const (
	ackLines = 32
	ackBytes = 32 << 10
)

// note counts a line that was taken towards the next acknowledgement. mu is
// held.
func (p *peer) note(size int) {
	if p.unacked == 0 {
		if p.ack == nil {
			p.ack = time.AfterFunc(ackDelay, func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.unacked > 0 && !p.ended {
					p.acknowledge()
				}
			})
		} else {
			p.ack.Reset(ackDelay)
		}
	}
	p.unacked += size + ackBytes/ackLines
	if p.unacked >= ackBytes {
		p.acknowledge()
	}
}

// acknowledge tells the other end what was taken. mu is held.
func (p *peer) acknowledge() {
	if p.writer == nil {
		return
	}
	p.unacked = 0
	p.writer.Acknowledge(p.got)
}

// finishPeer ends calls and timers: the session is over. The calls that never
// began are returned. mu is held.
func (p *peer) finishPeer() (waiting []*Call) {
	p.ended = true
	p.over.Store(true)
	p.writer = nil
	for _, t := range [...]*time.Timer{p.ack, p.calls.alarm} {
		if t != nil {
			t.Stop()
		}
	}
	for _, a := range p.asks.open {
		p.settle(a, ErrGone)
	}
	for _, c := range p.calls.open { // those that wait for the answer of another session's call
		if c.keyed != nil && c.keyed.leave != nil {
			waiting = append(waiting, c)
		}
	}
	return append(waiting, p.calls.abandon()...)
}
