package link

import "time"

// onControl takes a part without number.
func (l *Link) onControl(p *peer, kind byte, body []byte, now time.Time) {
	ok := true
	switch kind {
	case kindPosition:
		var t position
		if t, ok = parsePosition(body); ok {
			l.onPosition(p, t, now)
		}
	case kindBeat:
		ok = l.onBeat(p, body, now)
	case kindNack:
		var n nack
		if n, ok = parseNack(body); ok && p.state != left {
			l.onNack(p, n, now)
		}
	case kindGone:
		var g gone
		if g, ok = parseGone(body); ok {
			l.onGone(p, g, now)
		}
	}
	if !ok {
		l.foreign(now)
	}
}

func (l *Link) onPosition(p *peer, t position, now time.Time) {
	if t.want {
		l.answer(p)
	}
	if p.state == left {
		return
	}
	p.parted = l.goodbye
	if !p.inAll.known {
		l.begin(p.inAll, t.base, now)
	}
	if !p.established {
		p.established = true
		l.checkMet()
	}
	p.inAll.top = max(p.inAll.top, t.allSent)
	l.onProgress(p, t.progress, now)
}

// begin starts a sequence to all where the sender owes it to us: behind base, or
// before that, as far back as everything was heard without a hole.
func (l *Link) begin(in *incoming, base uint64, now time.Time) {
	start := base + 1
	for start > 1 {
		if _, ok := in.pending[start-1]; !ok {
			break
		}
		start--
	}
	for _, number := range in.ahead() {
		if number < start {
			l.unkeep(in, number)
		}
	}
	in.known, in.next, in.handled = true, start, start-1
	if start > 1 && l.joined {
		// It spoke while it was not heard here; how much of it was meant for us
		// is unknown.
		l.counters.LateStart++
		l.lose(in, 0, start-1, now)
	}
	l.fill(in, now, false)
}

// onBeat takes what is meant for everybody, and the entry that is for us.
func (l *Link) onBeat(p *peer, body []byte, now time.Time) bool {
	t, entries, ok := parseBeat(body)
	if !ok {
		return false
	}
	p.clients, p.watches = t.clients, t.flags&beatWatch != 0
	if p.inAll.known {
		p.inAll.top = max(p.inAll.top, t.allSent)
	}
	if p.state == left {
		if t.flags&beatLeaving != 0 {
			l.answer(p) // it does not know yet that we have everything
		}
		return true
	}
	if t.flags&beatWant != 0 || !p.established {
		l.answer(p)
		p.askIt = p.askIt || !p.established
	}
	for len(entries) > 0 {
		e, rest, ok := parseBeatEntry(entries)
		if !ok {
			return false
		}
		if entries = rest; e.life == l.self.Life() {
			l.onEntry(p, t, e, now)
		}
	}
	return true
}

func (l *Link) onEntry(p *peer, t beat, e beatEntry, now time.Time) {
	l.onProgress(p, e.progress, now)
	if e.waiting {
		p.inNextBeat = true
		l.beatSoon(now)
	}
	if t.flags&beatLeaving != 0 && p.state == alive {
		p.state, p.since = leaving, now
		p.final, p.allLast = e, t.allSent
	}
}

func (l *Link) onGone(p *peer, g gone, now time.Time) {
	in := p.in
	if g.all {
		in = p.inAll
	}
	if p.state != left && (g.all || g.stream == in.stream) {
		l.lost(in, g.upto, now, false)
	}
}

// onProgress takes how far a peer is.
func (l *Link) onProgress(p *peer, t progress, now time.Time) {
	if t.stream != 0 && t.stream >= p.in.stream {
		l.newStream(p, t.stream, now)
		p.in.top = max(p.in.top, t.sent)
	}
	if t.gotStream == p.out.stream && p.out.trim(t.got) {
		p.out.stalled = time.Time{}
		if p.out.queue.len() > 0 {
			l.markReady(p)
		}
	}
	if t.gotAll > p.allAcked {
		p.allAcked = min(t.gotAll, l.all.last)
		if p.laggard && !l.all.ahead(p.allAcked, &l.limits) {
			p.laggard = false
		}
		l.trimAll()
		if l.all.queue.len() > 0 {
			l.readyAll = true
			l.wake()
		}
	}
	if l.held < l.limits.Budget {
		l.freeRoom()
	}
	if l.leaving {
		poke(l.flushed)
	}
}

// leaverDone drops a leaver once everything of it was handled, and tells it so.
func (l *Link) leaverDone(p *peer) {
	direct := !p.in.known && p.final.sent == 0 || p.in.known && p.in.stream == p.final.stream && p.in.next > p.final.sent
	all := !p.inAll.known || p.inAll.next > p.allLast
	if direct && all && p.in.waiting == 0 && p.inAll.waiting == 0 {
		l.answer(p)
		l.depart(p, left, "left")
	}
}
