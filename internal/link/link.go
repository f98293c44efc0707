package link

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goape/ape/mesh"
)

// Link is one stay of this server in a mesh.
type Link struct {
	mesh     mesh.Mesh
	carrier  mesh.Channels
	traits   mesh.Traits
	limits   Limits
	timing   Timing
	handlers Handlers
	given    bool // the key was, so the store's does not count
	fragment int  // bytes of a message in one part
	spans    int  // that one nack may name
	id       []byte

	ctx  context.Context // ends with the link
	end  context.CancelFunc
	stay context.Context // ends with the membership, before or with ctx
	quit context.CancelFunc
	wg   sync.WaitGroup

	opener atomic.Pointer[opener] // of packets; the reader's
	looks  atomic.Uint64          // reads of Members that began
	kick   chan struct{}          // wakes the timer
	look   chan struct{}          // makes the keeper read Members
	said   chan struct{}          // makes it write notes
	notes  notes
	pool   sync.Pool // of packets' *[]byte

	lapsed bool // the keeper's: Join must be repeated

	claims claims
	routes routes
	calls  calls

	mu          sync.Mutex
	key         []byte
	sealer      *sealer // the writer's
	self        mesh.Member
	closed      bool
	superseded  bool
	leaving     bool // nothing more is accepted
	goodbye     bool // and everything was sent
	joined      bool
	detached    bool
	watching    bool
	rival       bool          // Members shows another life under our id
	sound       time.Time     // the store has answered since; zero: the last Renew failed
	applied     uint64        // the newest read of Members that was applied
	met         chan struct{} // closed when every peer in sight has said its position
	allMet      bool          // met is closed
	flushed     chan struct{} // pokes Leave
	room        chan struct{} // closed when SendWait should try again
	peers       map[uint64]*peer
	byID        map[string]*peer // those in sight
	streams     uint64
	held        int // cost of all queues and rings
	all         outgoing
	counters    Stats
	probes      map[uint64]chan struct{}
	foreignTold time.Time

	// the writer
	writing  bool // not waiting
	wakeUp   *sync.Cond
	ready    []*peer // something is to be sent to them
	readyAll bool
	allAgain []span

	// the timer
	timerAt  time.Time
	beatAt   time.Time
	beatDue  bool
	beatWant bool // the next beat wants answers
	repairAt time.Time
	refilled time.Time // patience was
	holes    map[*incoming]struct{}
	gapped   map[*incoming]struct{}

	// the delivery
	arrived   *sync.Cond
	inbox     []item
	spare     []item
	inBytes   int // received and not handled
	pendBytes int // ahead of holes
	asmBytes  int // of messages that are coming in
	starved   bool
	handing   bool
}

// opener is what the reader verifies packets with.
type opener struct {
	*sealer
	early bool // the key is our proposal, not yet the mesh's
}

func newLink(m mesh.Mesh, o Options) *Link {
	o.fill()
	l := &Link{
		mesh: m, limits: o.Limits, timing: o.Timing, handlers: o.Handlers, given: len(o.Key) > 0,
		kick: make(chan struct{}, 1), look: make(chan struct{}, 1), said: make(chan struct{}, 1),
		flushed: make(chan struct{}, 1), met: make(chan struct{}),
		peers: map[uint64]*peer{}, byID: map[string]*peer{}, probes: map[uint64]chan struct{}{},
		holes: map[*incoming]struct{}{}, gapped: map[*incoming]struct{}{},
	}
	l.wakeUp, l.arrived = sync.NewCond(&l.mu), sync.NewCond(&l.mu)
	l.ctx, l.end = context.WithCancel(context.Background())
	l.stay, l.quit = context.WithCancel(l.ctx)
	l.all.held = &l.held
	l.notes.log = o.Log
	l.claims.init()
	l.routes.init()
	l.calls.init()
	l.self = mesh.Member{ID: o.ID, Epoch: newLife() << 16, Meta: withWire(o.Meta)}
	l.id = []byte(o.ID)
	l.key = bytes.Clone(o.Key)
	if !l.given {
		l.key = newKey()
	}
	return l
}

// newLife returns 47 random bits that are not all zero.
func newLife() uint64 { return 1 + rand.Uint64N(1<<47-1) }

// Self returns the record of this member.
func (l *Link) Self() mesh.Member {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.self
}

// Members returns the members in sight, without this one, in no order.
func (l *Link) Members() []mesh.Member {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]mesh.Member, 0, len(l.byID))
	for _, p := range l.byID {
		list = append(list, p.member)
	}
	return list
}

// Vector returns how far what other lives sent to all was handled here: the
// numbers of [Message].
func (l *Link) Vector() map[uint64]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := make(map[uint64]uint64, len(l.peers))
	for life, p := range l.peers {
		if at := p.inAll.position(); at > 0 {
			v[life] = at
		}
	}
	return v
}

// Watch says whether this server wants to know which clients come and go.
func (l *Link) Watch(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watching != on {
		l.watching = on
		l.beatNow(false)
	}
}

// Watched says whether some other member wants to know.
func (l *Link) Watched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.byID {
		if p.watches {
			return true
		}
	}
	return false
}

// Online returns how many clients all members have, by their last beats.
func (l *Link) Online() int {
	n := l.claims.count()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.byID {
		n += int(p.clients)
	}
	return n
}

// Close ends everything without a word, as a crash would. It waits for the
// handlers that run.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	l.wakeUp.Broadcast()
	l.arrived.Broadcast()
	l.freeRoom()
	l.mu.Unlock()
	l.end()
	l.calls.failAll(ErrClosed)
	l.wg.Wait()
	l.notes.write()
}

// pause waits, unless the membership ends first.
func (l *Link) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.stay.Done():
		return false
	}
}

// backoff is how long to wait after a number of failures: 50 ms, doubling to
// 5 s, of it a random half.
func backoff(failures int) time.Duration {
	d := min(50*time.Millisecond<<min(failures, 7), 5*time.Second)
	return d/2 + rand.N(d/2+1)
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
