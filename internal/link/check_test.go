package link_test

import (
	"fmt"
)

// tally is what check counted.
type tally struct {
	messages, gaps int
	living         int // gaps between members that run to the end
	late           int // of them, those of peers that were heard of late
}

// check goes through what every member heard of every other one: in order, once,
// complete, from whom, and for every number that is missing a gap. With whole no
// gap is allowed at all.
func (w *world) check(whole bool) (sum tally) {
	w.t.Helper()
	known := map[uint64]bool{}
	for _, a := range w.every {
		known[a.life] = true
	}
	for _, to := range w.every {
		to.mu.Lock()
		for _, bad := range to.bad {
			w.t.Errorf("%s: %s", to.id, bad)
		}
		for s := range to.heard {
			if !known[s.life] {
				w.t.Errorf("%s heard of an unknown life %x", to.id, s.life)
			}
		}
		to.mu.Unlock()
		for _, from := range w.every {
			if from != to {
				w.checkSequence(to, from, false, whole, &sum)
				w.checkSequence(to, from, true, whole, &sum)
			}
		}
	}
	if sum.messages == 0 {
		w.t.Error("nobody heard anything")
	}
	return sum
}

// reading is the state of going through one sequence.
type reading struct {
	started bool
	gap     bool // the last record was one
	n       uint64
	number  uint64
}

func (w *world) checkSequence(to, from *actor, all, whole bool, sum *tally) {
	w.t.Helper()
	to.mu.Lock()
	defer to.mu.Unlock()
	kind := "direct"
	if all {
		kind = "to all"
	}
	name := fmt.Sprintf("%s from %s (%x), %s", to.id, from.id, from.life, kind)
	records := to.heard[sequence{from.life, all}]
	var at reading
	for i, r := range records {
		if complaint := at.next(r, all, w.numbers); complaint != "" {
			w.t.Errorf("%s, record %d of %d: %s", name, i, len(records), complaint)
		}
		if r.n > 0 {
			sum.messages++
			continue
		}
		sum.gaps++
		if !to.over && !to.left && !from.over && !from.left {
			sum.living++
			if r.first == 0 {
				sum.late++
			}
		}
		if whole && !to.left && !to.over {
			w.t.Errorf("%s, record %d of %d: a gap from %d to %d", name, i, len(records), r.first, r.last)
		}
	}
	w.checkEnds(to, from, all, whole, name, records, at)
}

// next takes one record and returns what is wrong with it.
func (at *reading) next(r record, all, numbers bool) string {
	was := *at
	at.number = r.last
	at.started = true
	if r.n == 0 { // a gap
		at.gap = true
		if was.started && numbers && r.first != was.number+1 {
			return fmt.Sprintf("the gap from %d to %d follows number %d", r.first, r.last, was.number)
		}
		return ""
	}
	at.n, at.gap = r.n, false
	switch {
	case r.n <= was.n:
		return fmt.Sprintf("message %d follows message %d", r.n, was.n)
	case was.started && !was.gap && r.n != was.n+1:
		return fmt.Sprintf("message %d follows message %d without a gap between", r.n, was.n)
	case was.gap && was.n > 0 && r.n == was.n+1 && numbers:
		return fmt.Sprintf("a gap was told before message %d, but none is missing", r.n)
	case !was.started && !all && r.n != 1:
		return fmt.Sprintf("the first message is %d", r.n)
	case was.started && numbers && r.first != was.number+1:
		return fmt.Sprintf("numbers %d to %d follow %d", r.first, r.last, was.number)
	}
	return ""
}

// checkEnds looks whether the beginning and the end are there.
func (w *world) checkEnds(to, from *actor, all, whole bool, name string, records []record, at reading) {
	w.t.Helper()
	if to.over || to.left {
		return
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	sent := from.to[to.life]
	if all {
		sent = from.toAll
		before, earlier := from.before[to.life]
		if earlier && sent <= before {
			return
		}
		if earlier && len(records) > 0 && records[0].n > before+1 {
			w.t.Errorf("%s: begins with message %d, though %d was sent after its Join", name, records[0].n, before+1)
		}
	}
	if from.over || from.left && !whole {
		return
	}
	if at.n < sent && !at.gap {
		w.t.Errorf("%s: ends with message %d, but %d were sent", name, at.n, sent)
	}
}
