package mesh

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Memory is a store and a carrier inside the process. Each call of Mesh gives
// one member's way to it. It works in a bubble of testing/synctest, and it can
// break as networks and stores do: see Faults, Cut, Block, Pause, Kill, Stop,
// Wipe and Advance.
//
// All that is random comes from the seed. What happens to the n-th frame from
// one member to another depends on these members, n and the seed alone, so runs
// differ only as far as the members do.
type Memory struct {
	options MemoryOptions

	mu      sync.Mutex
	faults  MemoryFaults
	skew    time.Duration
	stats   MemoryStats
	spaces  map[string]*space
	chance  map[chanceKey]*rand.Rand
	blocked map[[2]string]bool       // from, to
	paused  map[string]chan struct{} // closed by Resume
	away    map[string]bool          // members without their store
	stopped bool
	kills   map[string]int // how often each member was killed
	serial  uint64         // of frames that are late
}

// MemoryOptions are what a Memory is like. The zero value is a store that
// behaves.
type MemoryOptions struct {
	Seed uint64

	MaxFrame int           // largest frame in bytes; 0: 1 MiB
	MaxInbox int           // bytes that wait in one Inbox before it is interrupted; 0: 32 MiB
	RowTTL   time.Duration // how long rows live; 0: until they are removed
	Spacing  time.Duration // what Traits says of it
	Durable  bool          // what Traits says of it; frames are lost all the same
	Deaf     bool          // Push does not tell who nobody listens at
}

// MemoryFaults are what goes wrong all the time. Frames that a member sends to
// itself are spared.
type MemoryFaults struct {
	Loss   float64       // the part of the frames that is lost
	Repeat float64       // the part that arrives twice
	Delay  time.Duration // frames are late by up to this, each on its own: they overtake each other
	Push   time.Duration // how long each Push takes
	Rows   time.Duration // Add, Read and Remove take up to this: they race
}

// MemoryStats count what happened in a Memory, and what is in it.
type MemoryStats struct {
	Calls       uint64 // of the store: each would be a round trip
	Pushes      uint64
	Frames      uint64 // carried, once for each Inbox
	Lost        uint64
	Repeated    uint64
	Interrupted uint64 // Inboxes that lost their connection

	Records, Rows, Inboxes int
	Waiting                int // bytes in Inboxes, and 64 for each frame
}

// space is what one namespace holds.
type space struct {
	key     []byte
	records map[string]record // by member ID
	rows    map[string]row    // by client
	inboxes []*memoryInbox
}

type record struct {
	member Member
	until  time.Time
}

type row struct {
	owner Owner
	until time.Time // zero: it stays
}

// chanceKey is whose frames a source of chance decides on. The empty pair is the
// rows'.
type chanceKey struct{ namespace, from, to string }

var (
	errMemoryAway   = errors.New("mesh: memory: the store cannot be reached")
	errMemoryKilled = errors.New("mesh: memory: this member was killed")
)

func init() {
	Register("memory", func(s *Memory, namespace string) (Mesh, error) { return s.Mesh(namespace), nil })
}

// NewMemory returns an empty store. The options may be nil.
func NewMemory(o *MemoryOptions) *Memory {
	s := &Memory{
		spaces: map[string]*space{}, chance: map[chanceKey]*rand.Rand{}, blocked: map[[2]string]bool{},
		paused: map[string]chan struct{}{}, away: map[string]bool{}, kills: map[string]int{},
	}
	if o != nil {
		s.options = *o
	}
	if s.options.MaxFrame == 0 {
		s.options.MaxFrame = 1 << 20
	}
	if s.options.MaxInbox == 0 {
		s.options.MaxInbox = 32 << 20
	}
	return s
}

// Mesh returns a new member's way to the store. An empty namespace is the
// default one.
func (s *Memory) Mesh(namespace string) Mesh {
	if namespace == "" {
		namespace = DefaultNamespace
	}
	return &memoryMesh{store: s, namespace: namespace}
}

// Stats returns the counts.
func (s *Memory) Stats() MemoryStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, st := s.now(), s.stats
	for _, sp := range s.spaces {
		for _, r := range sp.records {
			if now.Before(r.until) {
				st.Records++
			}
		}
		for _, r := range sp.rows {
			if r.lives(now) {
				st.Rows++
			}
		}
		st.Inboxes += len(sp.inboxes)
		for _, b := range sp.inboxes {
			st.Waiting += b.size
		}
	}
	return st
}

func (r row) lives(now time.Time) bool { return r.until.IsZero() || now.Before(r.until) }

// now is the store's clock. The caller holds mu, as in all that follows.
func (s *Memory) now() time.Time { return time.Now().Add(s.skew) }

func (s *Memory) space(namespace string) *space {
	sp := s.spaces[namespace]
	if sp == nil {
		sp = &space{records: map[string]record{}, rows: map[string]row{}}
		s.spaces[namespace] = sp
	}
	return sp
}

// dice returns the source of chance for what goes from one member to another.
func (s *Memory) dice(key chanceKey) *rand.Rand {
	r := s.chance[key]
	if r == nil {
		r = rand.New(rand.NewPCG(s.options.Seed, hash(key.namespace, key.from, key.to)))
		s.chance[key] = r
	}
	return r
}

// hash is FNV-1a, with a byte that no name has between the parts.
func hash(parts ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, p := range parts {
		for i := range len(p) {
			h = (h ^ uint64(p[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return h
}
