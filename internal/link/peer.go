package link

import (
	"time"

	"github.com/goape/ape/mesh"
)

type state byte

const (
	alive   state = iota
	leaving       // it said so; what it sent is still coming
	left          // for good: it left, or another life has its id
	dead          // its lease lapsed; it may come back
)

// peer is another life as this one sees it.
type peer struct {
	member mesh.Member
	life   uint64
	state  state
	since  time.Time // of state
	heard  time.Time
	given  bool // up: what was kept for it is dropped

	out      outgoing
	in       *incoming // direct
	inAll    *incoming
	allBase  uint64 // it is owed what we sent to all after this number
	allAcked uint64
	laggard  bool
	patience time.Duration

	established bool // its position came
	parted      bool // and one after our good-bye, which it answers
	tries       int  // positions sent until then
	tryAt       time.Time

	// what it said
	clients uint64
	watches bool
	final   beatEntry // of a leaver: the last numbers that it sent
	allLast uint64

	// what goes into the next packet to it
	queued     bool // it is in Link.ready
	tellIt     bool // our position
	askIt      bool // for its position
	nacks      []nack
	gones      []gone
	again      []span // of the direct sequence
	againAll   []span
	inNextBeat bool
}

func (l *Link) newPeer(m mesh.Member, now time.Time) *peer {
	l.streams++
	p := &peer{
		member: m, life: m.Life(), since: now, heard: now,
		allBase: l.all.last, allAcked: l.all.last,
		patience: l.timing.Patience,
		tellIt:   true, askIt: true,
		tryAt: now.Add(firstTry),
	}
	p.out = outgoing{stream: l.streams, held: &l.held}
	p.in = &incoming{peer: p}
	p.inAll = &incoming{peer: p, all: true}
	return p
}

// owed says whether the sequence to all is kept for the peer.
func (p *peer) owed() bool { return p.state == alive || p.state == dead && !p.given }

// inSight says whether it is in the mesh, as far as is known.
func (p *peer) inSight() bool { return p.state == alive || p.state == leaving }

// sequences are those that come from it.
func (p *peer) sequences() [2]*incoming { return [2]*incoming{p.in, p.inAll} }

// ask sends our position and asks for the peer's.
func (l *Link) ask(p *peer) {
	p.tellIt, p.askIt = true, true
	l.markReady(p)
}

// answer sends our position.
func (l *Link) answer(p *peer) {
	p.tellIt = true
	l.markReady(p)
}
