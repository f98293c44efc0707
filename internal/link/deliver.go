package link

import (
	"time"

	"github.com/goape/ape/mesh"
)

type itemKind byte

const (
	itemMessage itemKind = iota
	itemGap
	itemCame // a member came into sight
	itemGone
)

// item waits for the delivery goroutine.
type item struct {
	in     *incoming // nil for members, and for what this link sends itself
	peer   *peer     // without in
	from   mesh.Member
	kind   itemKind
	op     Op
	first  uint64
	last   uint64
	body   []byte
	reason string
}

func (it *item) cost() int { return len(it.body) + partCost }

// What is taken from the queue at a time.
const (
	handItems = 256
	handBytes = 256 << 10
)

// enqueue queues a message of a sequence, behind a gap that comes before it.
func (l *Link) enqueue(it item) {
	if it.in.gapOpen {
		l.tellGap(it.in)
	}
	l.queueItem(it)
}

func (l *Link) queueItem(it item) {
	if it.in != nil {
		it.in.waiting++
	}
	l.inBytes += it.cost()
	l.inbox = append(l.inbox, it)
	if !l.handing {
		l.arrived.Signal()
	}
}

// deliver is the delivery: items to handlers, in order.
func (l *Link) deliver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed {
		if len(l.inbox) == 0 {
			l.handing = false
			l.arrived.Wait()
			continue
		}
		l.handing = true
		items := l.inbox
		l.inbox, l.spare = l.spare[:0], nil
		for rest := items; len(rest) > 0 && !l.closed; {
			n := l.name(rest)
			l.hand(rest[:n])
			l.handled(rest[:n])
			rest = rest[n:]
		}
		l.relieve()
		if cap(items) <= 8192 {
			l.spare = items[:0]
		}
	}
}

// name notes whom the next items are from, and says how many they are.
func (l *Link) name(items []item) (n int) {
	for bytes := 0; n < len(items) && n < handItems && bytes < handBytes; n++ {
		it := &items[n]
		bytes += it.cost()
		p := it.peer
		if it.in != nil {
			p = it.in.peer
		}
		it.from = l.self
		if p != nil {
			it.from = p.member
		}
	}
	return n
}

// hand calls the handlers. The lock is free meanwhile.
func (l *Link) hand(items []item) {
	l.mu.Unlock()
	defer l.mu.Lock()
	for i := range items {
		l.dispatch(&items[i])
	}
}

// handled notes that handlers have returned, which may be acknowledged.
func (l *Link) handled(items []item) {
	for i := range items {
		it := &items[i]
		l.inBytes -= it.cost()
		if in := it.in; in != nil {
			in.waiting--
			in.handled = max(in.handled, it.last)
			if i == len(items)-1 || items[i+1].in != in {
				l.tellIfDue(in)
				if in.peer.state == leaving {
					l.leaverDone(in.peer)
				}
			}
		}
		*it = item{}
	}
}

// relieve takes what was refused for want of room, once half of it is free.
func (l *Link) relieve() {
	if !l.starved || l.inBytes >= l.limits.In/2 {
		return
	}
	l.starved = false
	now := time.Now()
	for _, p := range l.peers {
		for _, in := range p.sequences() {
			if !in.starved {
				continue
			}
			in.starved = false
			l.fill(in, now, false)
			l.watch(in, now)
			if in.holed {
				in.nackAt = now
				l.due(now)
			}
		}
	}
}

// dispatch calls the handler of one item.
func (l *Link) dispatch(it *item) {
	h := &l.handlers
	switch it.kind {
	case itemGap:
		if h.Gap != nil {
			h.Gap(Gap{From: it.from, All: it.in.all, First: it.first, Last: it.last})
		}
	case itemCame:
		if h.Member != nil {
			h.Member(Change{Member: it.from})
		}
	case itemGone:
		l.calls.peerGone(it.from.Life(), l.goneError())
		l.forgetRoutes(it.from.Life())
		if h.Member != nil {
			h.Member(Change{Member: it.from, Gone: true, Reason: it.reason})
		}
	default:
		l.dispatchMessage(it)
	}
}

func (l *Link) dispatchMessage(it *item) {
	ok := true
	switch it.op {
	case opVoid:
	case opClient:
		ok = l.onClient(it.from, it.body)
	case opMoved:
		ok = l.onMoved(it.from, it.body)
	case opRequest:
		ok = l.onRequest(it.from, it.body, l.handlers.Request)
	case opAsk:
		ok = l.onRequest(it.from, it.body, l.handlers.Ask)
	case opReply:
		ok = l.onReply(it.from, it.body)
	case opCancel:
		ok = l.calls.onCancel(it.from, it.body)
	case OpPublish, OpSession, OpWatch:
		if l.handlers.Message != nil {
			l.handlers.Message(Message{
				From: it.from, All: it.in.all, Op: it.op,
				First: it.first, Last: it.last, Body: it.body,
			})
		}
	default:
		ok = false
	}
	if !ok {
		l.mu.Lock()
		l.counters.Odd++
		l.mu.Unlock()
	}
}

// goneError is what calls to a member end with that is gone.
func (l *Link) goneError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noPeer()
}
