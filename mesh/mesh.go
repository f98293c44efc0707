package mesh

import (
	"context"
	"time"
)

// All is the target of a frame for every member.
const All = ""

// A Mesh is one member's way to a store: its record with a lease, the rows that
// say which client is where, and the frames that members send each other. All
// its methods may be called concurrently.
//
// A Mesh acts for the member that Join was last called with, whether or not
// that Join succeeded; before, for the one that Pull was called with.
type Mesh interface {
	// Join writes the member's record with a lease, and returns the key that all
	// members share: the store keeps the first that is proposed. An empty
	// proposal is not kept; the key is then the one that is there, if any.
	//
	// Term 0 takes the ID from whoever has it. A later term gets ErrSuperseded
	// where a record whose lease lives belongs to another life.
	Join(ctx context.Context, self Member, lease time.Duration, propose []byte) (key []byte, err error)

	// Renew starts the lease anew, on the store's clock. It returns ErrLapsed
	// where there is no record any more, or one of another term of this life,
	// and ErrSuperseded where it is another life's. Neither is overwritten.
	Renew(ctx context.Context) error

	// Leave removes the record, if it is still of this epoch. It is no error if
	// it is not.
	Leave(ctx context.Context) error

	// Members returns the records whose leases live by the store's clock, in any
	// order and with the own one.
	Members(ctx context.Context) ([]Member, error)

	Lookup() Lookup
	Channels() Channels
}

// Lookup is the table of clients: which member has them. A client is named by 1
// to 256 bytes of UTF-8 without zero bytes.
type Lookup interface {
	// Add claims clients for this member. A claim is kept where none of higher
	// Gen stands; with equal Gen the later one wins. Nothing tells who lost.
	Add(ctx context.Context, claims ...Claim) error

	// Read returns one Owner for each client, the zero Owner where there is none.
	// They are returned as they were written, though the owner may be dead.
	Read(ctx context.Context, clients ...string) ([]Owner, error)

	// Remove takes claims back: rows of this life, whatever its term, whose Gen is
	// that of the claim or a lower one. Other rows stay.
	Remove(ctx context.Context, claims ...Claim) error

	// Sweep removes rows whose owner has no living record, and says how many. A
	// later term of the life that wrote a row is still its owner. Where rows
	// expire by themselves it may return 0.
	Sweep(ctx context.Context) (int, error)
}

// Channels carries frames between the members of one namespace.
type Channels interface {
	// Traits is the same at every call, and asks nobody.
	Traits() Traits

	// Push sends frames, in order, in as few round trips as the store allows. The
	// frames are the caller's again when it returns. On an error any of them may
	// have been carried; only after an *UnheardError all were. A frame above
	// Traits.MaxFrame is an error that wraps ErrTooLarge, and then none is
	// carried. One Push runs at a time.
	Push(ctx context.Context, frames ...Frame) error

	// Pull returns an Inbox for the frames to id and to All, once both are
	// listened at: what is pushed after that is heard.
	Pull(ctx context.Context, id string) (Inbox, error)
}

// An Inbox is read by one goroutine. Close may be called by any other, also
// twice, and ends a Receive that waits.
type Inbox interface {
	// Receive waits for the next frame. The slice is the caller's.
	//
	// ErrInterrupted says that frames may be missing before the next one; the
	// Inbox goes on. After any other error but that of ctx the Inbox is dead:
	// close it and Pull again.
	Receive(ctx context.Context) ([]byte, error)

	Close() error
}

// A Member is one server in the mesh.
type Member struct {
	ID    string            // 1 to 64 of A-Z a-z 0-9 . _ -
	Epoch uint64            // life<<16 | term
	Meta  map[string]string // at most 1 KiB of names and values
}

// Life names one stay of a process in the mesh: 47 random bits, not 0, new at
// every start.
func (m Member) Life() uint64 { return m.Epoch >> 16 }

// Term counts how often this life has joined again after its lease had lapsed.
func (m Member) Term() uint64 { return m.Epoch & 0xffff }

// A Frame is what a backend carries: bytes that mean nothing to it.
type Frame struct {
	To   string // a member's ID, or All
	Body []byte
}

// A Claim says that a client is with the member who makes it.
type Claim struct {
	Client string
	Gen    uint64 // from 1, below 1<<53; one more each time the client's session moves
}

// An Owner is what a row says of a client. The zero Owner is nobody.
type Owner struct {
	ID    string // the member's
	Epoch uint64 // the one under which the row was written
	Gen   uint64
}

// Life is that of the member who wrote the row.
func (o Owner) Life() uint64 { return o.Epoch >> 16 }

// Traits are what a backend is like.
type Traits struct {
	// Namespace is the name of this mesh among others in the same store: 1 to 32
	// of a-z 0-9 _ -.
	Namespace string

	// MaxFrame is the size of the largest body that Push takes, in bytes. At least
	// 4 KiB.
	MaxFrame int

	// Durable says that a member who was away gets what was pushed meanwhile from
	// the store.
	Durable bool

	// Spacing is the least time between two Pushes, for stores that count them.
	Spacing time.Duration

	// RowTTL is how long a row of Lookup lives after the Add that wrote it. Zero
	// when rows stay until they are removed or swept.
	RowTTL time.Duration
}

// An Explainer is a Mesh that knows why something fails with its store. It is
// asked when a member cannot join.
type Explainer interface {
	// Explain returns the probable cause and what to do about it, as one sentence,
	// or nothing. An err of nil stands for frames that nobody hears.
	Explain(err error) string
}
