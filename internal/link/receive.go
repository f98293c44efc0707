package link

import (
	"encoding/binary"
	"time"
)

// newStream notices that a peer had forgotten us and begins anew: what was
// outstanding in the old sequence is lost.
func (l *Link) newStream(p *peer, stream uint64, now time.Time) {
	old := p.in
	if stream <= old.stream {
		return
	}
	if old.stream != 0 {
		l.lost(old, old.top, now, true)
		l.lose(old, old.next, old.next, now) // how much more there was is unknown
		l.tellGap(old)
	}
	l.forgetAhead(old)
	l.unwatch(old)
	// A value of its own: what waits to be handled still points to the old one.
	p.in = &incoming{peer: p, stream: stream, known: true, next: 1}
}

// arrive takes in one numbered part.
func (l *Link) arrive(in *incoming, number uint64, part kept, now time.Time) {
	if number > maxNumber {
		return
	}
	in.top = max(in.top, number)
	if in.known && number < in.next {
		l.counters.Repeated++
		return
	}
	if in.known && number == in.next {
		if l.take(in, part, now, false) {
			l.unkeep(in, number) // if there was no room for it before
			l.fill(in, now, false)
		} else {
			l.counters.Refused++
		}
		return
	}
	l.keepAhead(in, number, part)
}

// keepAhead stores a part that came ahead of a hole.
func (l *Link) keepAhead(in *incoming, number uint64, part kept) {
	if _, ok := in.pending[number]; ok {
		l.counters.Repeated++
		return
	}
	cost := len(part.body) + partCost
	m := &l.limits
	if len(in.pending) >= m.PendingParts || in.pendingBytes+cost > m.Pending || l.pendBytes+cost > m.In {
		l.counters.Refused++
		return
	}
	if in.pending == nil {
		in.pending = map[uint64]kept{}
	}
	in.pending[number] = part
	in.pendingBytes += cost
	l.pendBytes += cost
	l.counters.Ahead++
}

// unkeep forgets a part, if it was kept.
func (l *Link) unkeep(in *incoming, number uint64) {
	part, ok := in.pending[number]
	if !ok {
		return
	}
	cost := len(part.body) + partCost
	delete(in.pending, number)
	in.pendingBytes -= cost
	l.pendBytes -= cost
}

// forgetAhead drops everything that is not complete.
func (l *Link) forgetAhead(in *incoming) {
	l.pendBytes -= in.pendingBytes
	in.pending, in.pendingBytes = nil, 0
	l.dropAssembly(in)
}

// fill takes what was kept behind a hole that is closed now.
func (l *Link) fill(in *incoming, now time.Time, force bool) {
	for len(in.pending) > 0 {
		number := in.next
		part, ok := in.pending[number]
		if !ok || !l.take(in, part, now, force) {
			return
		}
		l.unkeep(in, number)
	}
}

// take accepts the next part in order, or refuses it for want of room, unless
// forced to: then it will be sent again.
func (l *Link) take(in *incoming, part kept, now time.Time, force bool) bool {
	if l.inBytes > l.limits.In && !force {
		return l.starve(in)
	}
	number := in.next
	switch {
	case part.kind >= kindMessage:
		l.dropAssembly(in)
		l.enqueue(item{in: in, kind: itemMessage, op: Op(part.kind - kindMessage), first: number, last: number, body: part.body})
	case part.kind == kindFirst:
		l.dropAssembly(in)
		op, total, data, ok := parseFirst(part.body)
		if !ok || total > uint64(l.limits.Message) || uint64(len(data)) > total {
			l.torn(in, number, now)
			break
		}
		if l.asmBytes > 0 && l.asmBytes+int(total) > l.limits.In && !force {
			return l.starve(in)
		}
		l.asmBytes += int(total)
		in.assembly = &assembly{first: number, op: op, total: int(total), buf: append(make([]byte, 0, total), data...)}
	case part.kind == kindMiddle || part.kind == kindLast:
		l.takeMore(in, number, part, now)
	default:
		l.torn(in, number, now)
	}
	in.fresh += len(part.body) + partCost
	in.freshN++
	in.next = number + 1
	return true
}

func (l *Link) starve(in *incoming) bool {
	in.starved, l.starved = true, true
	return false
}

// takeMore takes a further part of a message.
func (l *Link) takeMore(in *incoming, number uint64, part kept, now time.Time) {
	a := in.assembly
	if a == nil || len(a.buf)+len(part.body) > a.total {
		l.torn(in, number, now) // its beginning is inside a gap
		return
	}
	a.buf = append(a.buf, part.body...)
	if part.kind != kindLast {
		return
	}
	if len(a.buf) != a.total {
		l.torn(in, number, now)
		return
	}
	l.asmBytes -= a.total
	in.assembly = nil
	l.enqueue(item{in: in, kind: itemMessage, op: Op(a.op), first: a.first, last: number, body: a.buf})
}

func parseFirst(body []byte) (op byte, total uint64, data []byte, ok bool) {
	if len(body) < 2 {
		return 0, 0, nil, false
	}
	total, n := binary.Uvarint(body[1:])
	if n <= 0 {
		return 0, 0, nil, false
	}
	return body[0], total, body[1+n:], true
}

// torn loses a part that belongs to nothing.
func (l *Link) torn(in *incoming, number uint64, now time.Time) {
	l.counters.Torn++
	l.lose(in, number, number, now)
}

func (l *Link) dropAssembly(in *incoming) {
	if in.assembly != nil {
		l.asmBytes -= in.assembly.total
		in.assembly = nil
	}
}
