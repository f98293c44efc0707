package link

import (
	"log/slog"
	"time"
)

// gapAfter is how long a gap waits for losses right behind it.
const gapAfter = time.Second

// lose notes numbers that will never arrive. They are told as one gap with what
// is lost right behind them: before the next message, when nothing more is
// outstanding, or after a second.
func (l *Link) lose(in *incoming, lo, hi uint64, now time.Time) {
	if in.assembly != nil {
		lo = min(lo, in.assembly.first)
		l.dropAssembly(in)
	}
	if in.gapOpen {
		in.gapHi = max(in.gapHi, hi)
		return
	}
	in.gapOpen, in.gapLo, in.gapHi = true, lo, hi
	in.gapAt = now.Add(gapAfter)
	l.gapped[in] = struct{}{}
	l.due(in.gapAt)
}

// tellGap queues the gap for the handler.
func (l *Link) tellGap(in *incoming) {
	in.gapOpen = false
	delete(l.gapped, in)
	l.counters.Gaps++
	l.counters.GapParts += in.gapHi - in.gapLo + 1
	l.queueItem(item{in: in, kind: itemGap, first: in.gapLo, last: in.gapHi})
	l.note(slog.LevelWarn, "messages of another member are lost",
		"member", in.peer.member.ID, "all", in.all, "first", in.gapLo, "last", in.gapHi)
}

// lost takes note that nothing up to a number will come any more. Unless forced
// it may stop for want of room; then gone will be said again.
func (l *Link) lost(in *incoming, upto uint64, now time.Time, force bool) {
	if !in.known {
		return
	}
	in.top = max(in.top, upto)
	for _, number := range in.ahead() {
		if in.next > upto {
			break
		}
		if number > in.next {
			hi := min(number-1, upto)
			l.lose(in, in.next, hi, now)
			in.next = hi + 1
		}
		if number != in.next {
			break // it is above upto
		}
		part := in.pending[number]
		if !l.take(in, part, now, force) {
			return
		}
		l.unkeep(in, number)
	}
	if in.next <= upto {
		l.lose(in, in.next, upto, now)
		in.next = upto + 1
	}
	l.fill(in, now, force)
}

// flush hands over what is here, with gaps for the holes: nothing more will
// come.
func (l *Link) flush(in *incoming, now time.Time) {
	if !in.known {
		l.forgetAhead(in)
		return
	}
	l.lost(in, in.top, now, true)
	if in.assembly != nil {
		l.lose(in, in.assembly.first, in.next-1, now)
	}
	if in.gapOpen {
		l.tellGap(in)
	}
	l.unwatch(in)
}
