package link

import (
	"math/rand/v2"
	"slices"
	"time"
)

// firstTry is when a position is sent again to a peer whose own has not come.
const firstTry = 100 * time.Millisecond

// due sees to it that the timer looks at this time.
func (l *Link) due(at time.Time) {
	if l.timerAt.IsZero() || at.Before(l.timerAt) {
		l.timerAt = at
		poke(l.kick)
	}
}

// tick is the timer: beats, positions, stalls, holes, gaps, detours.
func (l *Link) tick() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		l.mu.Lock()
		next := l.onTimer(time.Now())
		l.timerAt = next
		l.mu.Unlock()
		if at := l.endDetours(time.Now()); !at.IsZero() && at.Before(next) {
			next = at
		}
		t.Reset(time.Until(next))
		select {
		case <-l.stay.Done():
			return
		case <-l.kick:
		case <-t.C:
		}
	}
}

// agenda collects the earliest of several times.
type agenda struct{ now, next time.Time }

// reached says whether a time has come; if not, it is on the agenda.
func (a *agenda) reached(t time.Time) bool {
	if !a.now.Before(t) {
		return true
	}
	if t.Before(a.next) {
		a.next = t
	}
	return false
}

// onTimer does what is due and returns when to look again.
func (l *Link) onTimer(now time.Time) time.Time {
	a := agenda{now, now.Add(time.Minute)}
	if a.reached(l.beatAt) {
		l.beatNow(false)
		l.beatAt = now.Add(l.timing.Idle) // the beat itself sets it right
		a.reached(l.beatAt)
	}
	if !l.repairAt.IsZero() && a.reached(l.repairAt) {
		l.repairAt = time.Time{}
		l.repairAll()
	}
	l.allTimer(&a)
	refill := now.Sub(l.refilled) / 10
	l.refilled = now
	for _, p := range l.peers {
		p.patience = min(p.patience+refill, l.timing.Patience)
		l.peerTimer(p, &a)
	}
	for in := range l.gapped {
		if a.reached(in.gapAt) {
			l.tellGap(in)
		}
	}
	for in := range l.holes {
		l.holeTimer(in, &a)
	}
	return a.next
}

// allTimer looks at a sequence to all that is held up.
func (l *Link) allTimer(a *agenda) {
	o := &l.all
	if o.stalled.IsZero() {
		return
	}
	l.readyAll = true
	l.wake()
	if o.asked == 0 && a.now.Sub(o.stalled) >= firstAsk {
		o.asked++
		for _, p := range l.peers {
			if p.state == alive && !p.laggard && o.ahead(p.allAcked, &l.limits) {
				l.ask(p)
			}
		}
	}
	a.reached(a.now.Add(patienceTick))
}

func (l *Link) peerTimer(p *peer, a *agenda) {
	switch {
	case p.state == dead && !p.given:
		if a.reached(p.since.Add(l.timing.Keep)) {
			l.giveUp(p)
		}
		return
	case p.state != alive:
		return
	}
	if !p.established && a.reached(p.tryAt) {
		p.tries++
		p.tryAt = a.now.Add(firstTry << min(p.tries, 5))
		a.reached(p.tryAt)
		l.ask(p)
	}
	o := &p.out
	if o.stalled.IsZero() {
		return
	}
	if a.reached(o.stalled.Add(stallWait(o.asked))) {
		o.asked++
		l.ask(p)
		a.reached(a.now.Add(stallWait(o.asked)))
	}
}

// stallWait is how long after its beginning a stall is asked about again.
func stallWait(asked int) time.Duration { return firstAsk << min(asked, 4) }

// watch starts or ends the timer of a sequence's holes. With progress it starts
// anew: the next hole has only come up, or is filling, late.
func (l *Link) watch(in *incoming, now time.Time) {
	switch {
	case in.complete():
		if in.holed {
			l.unwatch(in)
		}
	case !in.holed || in.hole != in.next:
		in.holed, in.hole, in.nacks = true, in.next, 0
		l.holes[in] = struct{}{}
		in.nackAt = now.Add(l.holeDelay(in))
		l.due(in.nackAt)
	}
}

func (l *Link) unwatch(in *incoming) {
	in.holed = false
	delete(l.holes, in)
}

// holeDelay is how long a hole may fill by itself. It is longer and more random
// for what was sent to all: who asks first spares the others the question.
func (l *Link) holeDelay(in *incoming) time.Duration {
	d := l.timing.Hole
	spread := d
	if in.all {
		spread = min(max(d, time.Duration(len(l.peers))*2*time.Millisecond), 200*time.Millisecond)
	}
	return d + rand.N(spread+1)
}

// holeTimer asks for what is missing.
func (l *Link) holeTimer(in *incoming, a *agenda) {
	p := in.peer
	if !p.inSight() {
		l.unwatch(in)
		return
	}
	if !a.reached(in.nackAt) {
		return
	}
	if in.starved {
		in.nackAt = a.now.Add(l.timing.HoleMost)
	} else {
		if spans := in.missing(l.spans, in.askFor()); len(spans) > 0 {
			l.sayNack(p, nack{in.all, in.stream, spans})
		}
		in.nacks++
		in.nackAt = a.now.Add(l.nackWait(in))
	}
	a.reached(in.nackAt)
}

// sayNack queues a nack in place of one that has not gone out yet.
func (l *Link) sayNack(p *peer, n nack) {
	p.nacks = slices.DeleteFunc(p.nacks, func(x nack) bool { return x.all == n.all })
	p.nacks = append(p.nacks, n)
	l.markReady(p)
}

// nackWait is how long a nack may take to be answered. A leaver will not stay
// long, so its holes are asked for without doubling.
func (l *Link) nackWait(in *incoming) time.Duration {
	delay := l.holeDelay(in)
	wait := min(l.timing.HoleMost, max(delay, 100*time.Millisecond)<<min(in.nacks-1, 5))
	if in.peer.state == leaving {
		wait = min(wait, max(delay, leaveBeat))
	}
	return wait/2 + rand.N(wait/2+1) + delay/2
}
