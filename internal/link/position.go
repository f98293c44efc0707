package link

import "encoding/binary"

// progress is how far the two sequences between a sender and a receiver are, as
// the sender of it sees them.
type progress struct {
	stream, sent           uint64 // mine to you
	gotStream, got, gotAll uint64 // yours, as far as I handled it
}

func (p progress) append(b []byte) []byte {
	for _, v := range [...]uint64{p.stream, p.sent, p.gotStream, p.got, p.gotAll} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func (r *reader) progress() progress {
	return progress{r.number(), r.number(), r.number(), r.number(), r.number()}
}

// position tells one peer everything about the sequences between the two.
type position struct {
	want    bool   // answer with yours
	base    uint64 // you are owed what I sent to all after this number
	allSent uint64
	progress
}

func (p position) append(b []byte) []byte {
	b = append(b, flagOf(p.want, 1))
	b = binary.AppendUvarint(b, p.base)
	b = binary.AppendUvarint(b, p.allSent)
	return p.progress.append(b)
}

func parsePosition(b []byte) (p position, ok bool) {
	r := reader{b: b}
	p.want = r.byte()&1 != 0
	p.base, p.allSent = r.number(), r.number()
	p.progress = r.progress()
	return p, !r.bad
}

// Flags of a beat.
const (
	beatWant    = 1 // answer with your position
	beatLeaving = 2
	beatWatch   = 4 // somebody here wants to know which clients come and go
)

// beat is said to all from time to time. Entries follow, one for each peer with
// whom something is open.
type beat struct {
	flags   byte
	allSent uint64
	clients uint64 // how many are here
}

func (t beat) append(b []byte) []byte {
	b = append(b, t.flags)
	b = binary.AppendUvarint(b, t.allSent)
	return binary.AppendUvarint(b, t.clients)
}

func parseBeat(b []byte) (t beat, entries []byte, ok bool) {
	r := reader{b: b}
	t = beat{r.byte(), r.number(), r.number()}
	return t, r.b, !r.bad
}

type beatEntry struct {
	life    uint64
	waiting bool // for you to say how far you are
	progress
}

// entryRoom is the size of the largest entry.
const entryRoom = 8 + 1 + 5*binary.MaxVarintLen64

func (e beatEntry) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, e.life)
	b = append(b, flagOf(e.waiting, 1))
	return e.progress.append(b)
}

func parseBeatEntry(b []byte) (e beatEntry, rest []byte, ok bool) {
	r := reader{b: b}
	e.life = r.fixed()
	e.waiting = r.byte()&1 != 0
	e.progress = r.progress()
	return e, r.b, !r.bad
}

// span is a run of numbers, both ends included.
type span struct{ lo, hi uint64 }

// maxSpans is how many one nack names.
const maxSpans = 256

// nack names numbers that are missing.
type nack struct {
	all    bool
	stream uint64
	spans  []span // ascending, apart
}

func (n nack) append(b []byte) []byte {
	b = append(b, flagOf(n.all, 1))
	b = binary.AppendUvarint(b, n.stream)
	at := uint64(0)
	for _, s := range n.spans {
		b = binary.AppendUvarint(b, s.lo-at)
		b = binary.AppendUvarint(b, s.hi-s.lo)
		at = s.hi
	}
	return b
}

func parseNack(b []byte) (n nack, ok bool) {
	r := reader{b: b}
	n.all = r.byte()&1 != 0
	n.stream = r.number()
	at := uint64(0)
	for len(r.b) > 0 && !r.bad && len(n.spans) < maxSpans {
		lo := at + r.number()
		hi := lo + r.number()
		if lo == 0 || hi > maxNumber || len(n.spans) > 0 && lo == at {
			return n, false
		}
		n.spans = append(n.spans, span{lo, hi})
		at = hi
	}
	return n, !r.bad && len(r.b) == 0
}

// gone says that nothing up to a number can be sent again.
type gone struct {
	all          bool
	stream, upto uint64
}

func (g gone) append(b []byte) []byte {
	b = append(b, flagOf(g.all, 1))
	b = binary.AppendUvarint(b, g.stream)
	return binary.AppendUvarint(b, g.upto)
}

func parseGone(b []byte) (g gone, ok bool) {
	r := reader{b: b}
	g = gone{r.byte()&1 != 0, r.number(), r.number()}
	return g, !r.bad
}
