package link

import (
	"math/rand/v2"
	"time"
)

// leaveBeat is between the beats of a leaver.
const leaveBeat = 150 * time.Millisecond

// toAll gathers what is for everybody: repairs, the beat, new parts.
func (g *gather) toAll() {
	l, o := g.l, &g.l.all
	g.repair(nil, o, l.allAgain, flagAll)
	l.allAgain = l.allAgain[:0]
	g.address(nil, flagAll, 0)
	if l.beatDue {
		l.beatDue = false
		g.beat()
	}
	g.freshAll()
	g.close()
	if o.ring.len() > 0 {
		l.beatSoon(g.now)
	}
}

// freshAll gathers new parts. They may run a window ahead of the slowest member;
// one that held the others up for too long is a laggard, and nobody waits for
// it.
func (g *gather) freshAll() {
	l, o := g.l, &g.l.all
	if l.alone() {
		for o.queue.len() > 0 {
			o.skip()
		}
		o.stalled = time.Time{}
		return
	}
	l.trimAll()
	low := l.slowest()
	for o.queue.len() > 0 {
		if o.ahead(low, &l.limits) {
			if l.heldUp(g.now) {
				l.due(g.now.Add(patienceTick))
				return
			}
			low = l.slowest()
		}
		o.stalled = time.Time{}
		g.makeRoom(len(o.queue.at(0).body))
		if g.buf == nil && g.room <= 0 {
			l.readyAll = true
			return
		}
		for o.ringBytes >= l.limits.AllRing || o.ring.len() >= l.limits.AllRingParts {
			o.trim(o.base + 1)
		}
		g.open(o.last + 1)
		g.part(o.send())
	}
}

// beat gathers the beat, in several packets if many peers are named.
func (g *gather) beat() {
	l := g.l
	t := beat{allSent: l.all.last, clients: uint64(l.claims.count())}
	t.flags = flagOf(l.beatWant, beatWant) | flagOf(l.goodbye, beatLeaving) | flagOf(l.watching, beatWatch)
	l.beatWant = false
	most := l.limits.Packet - headerRoom(l.self.ID) - partRoom - entryRoom
	body, busy := t.append(nil), false
	for _, p := range l.peers {
		if !p.inSight() || !l.open(p) {
			continue
		}
		busy = true
		p.inNextBeat = false
		e := beatEntry{life: p.life, waiting: l.waitsFor(p), progress: p.progress()}
		if body = e.append(body); len(body) > most {
			g.sayBeat(body)
			body = t.append(nil)
		}
	}
	g.sayBeat(body)
	every := l.timing.Idle
	switch {
	case l.goodbye:
		every = leaveBeat
	case busy:
		every = l.timing.Busy
	}
	l.beatAt = g.now.Add(every - every/20 + rand.N(every/10+1))
	l.due(l.beatAt)
}

// sayBeat closes the packet, for what follows is numbered.
func (g *gather) sayBeat(body []byte) {
	g.control(0, kindBeat, body)
	g.close()
	g.l.counters.Beats++
}

// waitsFor says whether the peer has something to acknowledge.
func (l *Link) waitsFor(p *peer) bool { return p.out.base < p.out.last || p.allAcked < l.all.last }

// open says whether a beat names the peer: it or we wait for an acknowledgement.
func (l *Link) open(p *peer) bool {
	return l.waitsFor(p) || p.inNextBeat || l.goodbye ||
		p.in.position() != p.in.told || p.inAll.position() != p.inAll.told
}

// beatNow sends a beat at once, one that wants answers if asked.
func (l *Link) beatNow(want bool) {
	l.beatDue, l.readyAll = true, true
	l.beatWant = l.beatWant || want
	l.wake()
}

// beatSoon sees to it that there is a beat within the busy time.
func (l *Link) beatSoon(now time.Time) {
	if at := now.Add(l.timing.Busy); at.Before(l.beatAt) {
		l.beatAt = at
		l.due(at)
	}
}

// alone says whether nobody is owed what is sent to all.
func (l *Link) alone() bool {
	for _, p := range l.peers {
		if p.owed() {
			return false
		}
	}
	return true
}

// patienceTick is how often it is looked at a sequence to all that is held up.
const patienceTick = 50 * time.Millisecond

// slowest is how far the slowest member is that is no laggard.
func (l *Link) slowest() uint64 {
	low := l.all.last
	for _, p := range l.peers {
		if p.state == alive && !p.laggard {
			low = min(low, p.allAcked)
		}
	}
	return low
}

// heldUp says whether a member holds up what is sent to all, and charges the
// time to its patience. If not, those that did are laggards now.
func (l *Link) heldUp(now time.Time) (held bool) {
	o := &l.all
	if o.stalled.IsZero() {
		o.stalled, o.checked, o.asked = now, now, 0
		l.counters.Stalls++
	}
	spent := now.Sub(o.checked)
	o.checked = now
	for _, p := range l.peers {
		if p.state != alive || p.laggard || !o.ahead(p.allAcked, &l.limits) {
			continue
		}
		if p.patience -= spent; p.patience <= 0 {
			p.laggard = true
			l.counters.Laggards++
		} else {
			held = true
		}
	}
	return held
}

// trimAll forgets what everybody has who is owed it.
func (l *Link) trimAll() {
	low := l.all.last
	for _, p := range l.peers {
		if p.owed() {
			low = min(low, p.allAcked)
		}
	}
	if low > l.all.base {
		l.all.trim(low)
	}
}
