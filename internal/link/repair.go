package link

import (
	"cmp"
	"slices"
	"time"
)

// The answer to one nack is bounded.
const (
	repairParts = 1024
	repairBytes = 1 << 20
	maxGones    = 64
	// gatherNacks is how long nacks for what was sent to all are gathered.
	gatherNacks = 15 * time.Millisecond
)

// onNack answers a question for missing numbers: with the parts that are still
// kept, and with gone for those that are not.
func (l *Link) onNack(p *peer, n nack, now time.Time) {
	l.counters.NacksIn++
	o := &p.out
	if n.all {
		o = &l.all
	} else if n.stream != o.stream {
		l.answer(p)
		return
	}
	parts, bytes := repairParts, repairBytes
	var found []span
	for _, s := range n.spans {
		if s.lo <= o.base {
			l.sayGone(p, gone{n.all, o.stream, min(s.hi, o.base)}, o.base)
			s.lo = o.base + 1
		}
		s.hi = min(s.hi, o.last)
		for at := s.lo; at <= s.hi; at++ {
			parts--
			bytes -= o.sent(at).cost()
			if parts <= 0 || bytes <= 0 {
				s.hi = at
			}
		}
		if s.lo <= s.hi {
			found = append(found, s)
		}
		if parts <= 0 || bytes <= 0 {
			break
		}
	}
	switch {
	case len(found) == 0:
	case n.all:
		p.againAll = merge(p.againAll, found)
		if l.repairAt.IsZero() {
			l.repairAt = now.Add(gatherNacks)
			l.due(l.repairAt)
		}
	default:
		p.again = merge(p.again, found)
		l.markReady(p)
	}
}

func (l *Link) sayGone(p *peer, g gone, base uint64) {
	if len(p.gones) >= maxGones {
		g.upto = base // says it all
		p.gones = slices.DeleteFunc(p.gones, func(x gone) bool { return x.all == g.all })
	}
	p.gones = append(p.gones, g)
	l.markReady(p)
}

// merge joins two lists of spans to one that is ascending and apart.
func merge(a, b []span) []span {
	a = append(a, b...)
	slices.SortFunc(a, func(x, y span) int { return cmp.Compare(x.lo, y.lo) })
	out := a[:1]
	for _, s := range a[1:] {
		if last := &out[len(out)-1]; s.lo <= last.hi+1 {
			last.hi = max(last.hi, s.hi)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// repairAll decides who gets again what was sent to all: everybody, where at
// least three miss the same, or two that are half of the members; else only who
// asked.
func (l *Link) repairAll() {
	missed, live := map[uint64]int{}, 0
	for _, p := range l.peers {
		if p.state == alive {
			live++
		}
		for _, s := range p.againAll {
			for n := max(s.lo, l.all.base+1); n <= s.hi; n++ {
				missed[n]++
			}
		}
	}
	many := func(n uint64) bool { return missed[n] >= 3 || missed[n] == 2 && live <= 4 }
	var all []uint64
	for n := range missed {
		if many(n) {
			all = append(all, n)
		}
	}
	if len(all) > 0 {
		slices.Sort(all)
		l.allAgain = merge(l.allAgain, spansOf(all))
		l.readyAll = true
		l.wake()
	}
	for _, p := range l.peers {
		var own []uint64
		for _, s := range p.againAll {
			for n := max(s.lo, l.all.base+1); n <= s.hi; n++ {
				if !many(n) {
					own = append(own, n)
				}
			}
		}
		p.againAll = spansOf(own)
		if len(own) > 0 {
			l.markReady(p)
		}
	}
}

// spansOf joins ascending numbers.
func spansOf(numbers []uint64) (spans []span) {
	for _, n := range numbers {
		if k := len(spans); k > 0 && spans[k-1].hi == n-1 {
			spans[k-1].hi = n
		} else {
			spans = append(spans, span{n, n})
		}
	}
	return spans
}
