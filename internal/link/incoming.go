package link

import (
	"slices"
	"time"
)

// kept is a part that came ahead of a hole.
type kept struct {
	kind byte
	body []byte
}

// assembly is a message in several parts that is coming in.
type assembly struct {
	first uint64
	op    byte
	total int
	buf   []byte
}

// incoming is a sequence at its receiver.
type incoming struct {
	peer   *peer
	all    bool
	stream uint64
	known  bool   // where it starts
	next   uint64 // the number that is taken next
	top    uint64 // the highest number known to exist

	pending      map[uint64]kept // above next
	pendingBytes int
	assembly     *assembly

	waiting int    // items in the delivery queue
	handled uint64 // number of the last item handled
	fresh   int    // cost of what was taken since a position was told
	freshN  int    // parts of it
	told    uint64 // the last position told
	starved bool   // a part was refused for want of room

	holed  bool   // some number up to top is missing
	hole   uint64 // the first one
	nackAt time.Time
	nacks  int // asked without progress
	ask    int // for how many numbers

	gapOpen      bool // lost numbers that are not yet told
	gapLo, gapHi uint64
	gapAt        time.Time
}

// position is what may be acknowledged: everything up to it was handled.
func (in *incoming) position() uint64 {
	switch {
	case !in.known:
		return 0
	case in.waiting == 0:
		return in.next - 1
	}
	return in.handled
}

// tell returns the position that is about to be told.
func (in *incoming) tell() uint64 {
	in.fresh, in.freshN = 0, 0
	in.told = in.position()
	return in.told
}

// complete says whether nothing is outstanding.
func (in *incoming) complete() bool { return !in.known || in.next > in.top }

// ahead returns the numbers that are kept, ascending.
func (in *incoming) ahead() []uint64 {
	numbers := make([]uint64, 0, len(in.pending))
	for n := range in.pending {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

// leastAsked is how many numbers are asked for at least.
const leastAsked = 16

// askFor returns for how many numbers to ask. Without progress it is half as
// many: an answer may be more than the way in can hold at a time, and all of it
// lost.
func (in *incoming) askFor() int {
	switch {
	case in.ask == 0:
		in.ask = repairParts
	case in.nacks > 0:
		in.ask = max(in.ask/2, leastAsked)
	default:
		in.ask = min(in.ask*2, repairParts)
	}
	return in.ask
}

// missing returns the lowest holes: at most so many, and of so many numbers.
func (in *incoming) missing(most, numbers int) (holes []span) {
	if in.complete() {
		return nil
	}
	left := uint64(numbers)
	add := func(lo, hi uint64) (full bool) {
		if lo > hi {
			return false
		}
		hi = min(hi, lo+left-1)
		holes = append(holes, span{lo, hi})
		left -= hi - lo + 1
		return left == 0 || len(holes) == most
	}
	from := in.next
	for _, n := range in.ahead() {
		if add(from, n-1) {
			return holes
		}
		from = n + 1
	}
	add(from, in.top)
	return holes
}
