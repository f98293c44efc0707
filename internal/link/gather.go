package link

import (
	"encoding/binary"
	"time"

	"github.com/goape/ape/mesh"
)

// gather builds packets, in order, up to about the size of one Push. They are
// sealed later, without the lock.
type gather struct {
	l      *Link
	now    time.Time
	frames []mesh.Frame
	room   int // bytes left of the Push

	to   string
	head header
	buf  []byte // of the packet that is open, or nil
}

// collect takes what is to be sent now.
func (l *Link) collect(frames []mesh.Frame, now time.Time) []mesh.Frame {
	g := gather{l: l, now: now, frames: frames, room: l.limits.Push}
	if l.readyAll {
		l.readyAll = false
		g.toAll()
	}
	work, n := l.ready, 0
	for ; n < len(work) && g.room > 0; n++ {
		work[n].queued = false
		g.toPeer(work[n])
	}
	// those whose turn did not come, then those marked again meanwhile
	rest := append(l.ready[:0], l.ready[n:]...)
	clear(l.ready[len(rest):])
	l.ready = rest
	return g.frames
}

// address says where the next packets go, and to which sequence they belong.
func (g *gather) address(p *peer, flags byte, stream uint64) {
	g.close()
	g.to = mesh.All
	g.head = header{flags: flags, epoch: g.l.self.Epoch, id: g.l.id, stream: stream}
	if p != nil {
		g.to = p.member.ID
		g.head.flags |= flagTarget
		g.head.target = p.life
	}
}

// open begins a packet, unless one is open.
func (g *gather) open(first uint64) {
	if g.buf == nil {
		g.head.first = first
		g.buf = g.head.append(g.l.buffer())
	}
}

func (g *gather) close() {
	if g.buf != nil {
		g.room -= len(g.buf)
		g.frames = append(g.frames, mesh.Frame{To: g.to, Body: g.buf})
		g.buf = nil
	}
}

// makeRoom closes the packet if a part does not fit into it.
func (g *gather) makeRoom(body int) {
	if g.buf != nil && len(g.buf)+body+partRoom > g.l.limits.Packet {
		g.close()
	}
}

// control adds a part without number. first is the number of the first part
// with one that may follow in the same packet.
func (g *gather) control(first uint64, kind byte, body []byte) {
	g.makeRoom(len(body))
	g.open(first)
	g.buf = appendPart(g.buf, kind, body)
}

func (g *gather) part(p *part) {
	if p.kind != kindFirst {
		g.buf = appendPart(g.buf, p.kind, p.body)
		return
	}
	var b [1 + binary.MaxVarintLen64]byte
	head := binary.AppendUvarint(append(b[:0], p.op), uint64(p.total))
	g.buf = append(g.buf, p.kind)
	g.buf = binary.AppendUvarint(g.buf, uint64(len(head)+len(p.body)))
	g.buf = append(g.buf, head...)
	g.buf = append(g.buf, p.body...)
}

// sendAgain is how long a part is not sent again after it was.
const sendAgain = 50 * time.Millisecond

// repair sends numbers of a sequence again. A part to all that goes to one
// member only may go to the next at once.
func (g *gather) repair(p *peer, o *outgoing, spans []span, flags byte) {
	if len(spans) == 0 {
		return
	}
	g.address(p, flags|flagAgain, o.stream)
	mark := g.now.UnixNano()
	for _, s := range spans {
		for n := max(s.lo, o.base+1); n <= min(s.hi, o.last); n++ {
			f := o.sent(n)
			if mark-f.resent < int64(sendAgain) {
				g.close()
				continue
			}
			if flags&flagAll == 0 || p == nil {
				f.resent = mark
			}
			g.makeRoom(len(f.body))
			g.open(n)
			g.part(f)
			if p == nil {
				g.l.counters.AgainAll++
			} else {
				g.l.counters.Again++
			}
		}
		g.close() // the next span has other numbers
	}
}
