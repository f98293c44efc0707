package link

import "time"

// firstAsk is how long a window is full before the peer is asked how far it is.
const firstAsk = 200 * time.Millisecond

// toPeer gathers what is for one peer: repairs, position, nacks, gones, then new
// parts.
func (g *gather) toPeer(p *peer) {
	l, o := g.l, &p.out
	g.repair(p, o, p.again, 0)
	g.repair(p, &l.all, p.againAll, flagAll)
	p.again, p.againAll = p.again[:0], p.againAll[:0]
	g.address(p, 0, o.stream)
	g.controls(p)
	if p.state == alive {
		g.fresh(p)
	}
	g.close()
	if o.ring.len() > 0 {
		l.beatSoon(g.now)
	}
}

func (g *gather) controls(p *peer) {
	l := g.l
	// New parts may join the packet, so it must say their numbers.
	first := uint64(0)
	if p.state == alive && p.out.queue.len() > 0 && !p.out.full(&l.limits) {
		first = p.out.last + 1
	}
	if p.tellIt {
		g.control(first, kindPosition, l.positionFor(p).append(nil))
		p.tellIt, p.askIt = false, false
		l.counters.Positions++
	}
	for _, n := range p.nacks {
		g.control(first, kindNack, n.append(nil))
		l.counters.Nacks++
	}
	for _, n := range p.gones {
		g.control(first, kindGone, n.append(nil))
		l.counters.Gone++
	}
	p.nacks, p.gones = p.nacks[:0], p.gones[:0]
}

// fresh gathers new parts, as far as the window and the Push allow.
func (g *gather) fresh(p *peer) {
	l, o := g.l, &p.out
	for o.queue.len() > 0 && !o.full(&l.limits) {
		g.makeRoom(len(o.queue.at(0).body))
		if g.buf == nil && g.room <= 0 {
			l.markReady(p)
			return
		}
		g.open(o.last + 1)
		g.part(o.send())
	}
	if o.queue.len() > 0 && o.stalled.IsZero() {
		o.stalled, o.asked = g.now, 0
		l.counters.Stalls++
		l.due(g.now.Add(firstAsk))
	}
	if l.room != nil && o.queueBytes < l.limits.Queue {
		l.freeRoom()
	}
}

// positionFor is our position for a peer.
func (l *Link) positionFor(p *peer) position {
	return position{want: p.askIt, base: p.allBase, allSent: l.all.last, progress: p.progress()}
}

// progress is how far the sequences of the peer are, told with this.
func (p *peer) progress() progress {
	return progress{
		stream: p.out.stream, sent: p.out.last,
		gotStream: p.in.stream, got: p.in.tell(), gotAll: p.inAll.tell(),
	}
}
