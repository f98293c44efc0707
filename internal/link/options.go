package link

import (
	"context"
	"log/slog"
	"time"

	"github.com/goape/ape/mesh"
)

// Op says what a message is. Those below OpPublish are the link's own.
type Op byte

const (
	opVoid    Op = iota // nothing: it keeps the numbers whole
	opClient            // to a client
	opMoved             // where a client was found
	opRequest           // id, deadline in milliseconds, body
	opReply             // id, code, body
	opCancel            // id
	opAsk               // as opRequest, to all
	OpPublish           // a publication or broadcast
	OpSession           // between the two holders of a session
	OpWatch             // clients that come and go

	lastOp = OpWatch
)

// Message came from another member.
type Message struct {
	From mesh.Member
	All  bool // it was sent to all
	Op   Op
	// Numbers of its parts. Those of one sender and kind have no holes but for
	// gaps and the link's own messages.
	First, Last uint64
	Body        []byte
}

// Gap says that the numbers First to Last of a sequence will never arrive. In a
// gap with First 0 it is unknown how much was sent before this member was
// heard of.
type Gap struct {
	From        mesh.Member
	All         bool
	First, Last uint64
}

// Change says that a member came into sight or has gone. One that is gone may
// come back as the same life under a new term.
type Change struct {
	Member mesh.Member
	Gone   bool
	Reason string // of Gone: "left", "restarted", "lease lapsed", "superseded"
}

// Handlers are what the link calls; each may be nil. The package comment says
// on which goroutines and what they may do.
type Handlers struct {
	Message func(Message)
	// Client gives a message to a client of this server; false: it is not here.
	// from is who sent it first. Without this handler no client is here.
	Client func(client string, from mesh.Member, body []byte) bool
	// Request answers another member. ctx ends with the caller's deadline, when
	// it cancels, and when it or this link is gone. A result that comes after
	// that is not sent. Without this handler the answer is ErrNoTarget.
	Request func(ctx context.Context, from mesh.Member, body []byte) ([]byte, error)
	// Ask answers a question to all; as Request.
	Ask    func(ctx context.Context, from mesh.Member, body []byte) ([]byte, error)
	Gap    func(Gap)
	Member func(Change)
	// Lost says that a living member took a client that was claimed here while
	// this link was out of the mesh. It is released already.
	Lost func(client string, to mesh.Owner)
}

// Options configure Join. Zero values mean the defaults.
type Options struct {
	ID       string            // of this member: [A-Za-z0-9._-]{1,64}; required
	Meta     map[string]string // what other members see, at most 1 KiB in all; the name wire is the link's own
	Key      []byte            // replaces the key that the store keeps; at least 16 bytes
	Log      *slog.Logger      // default: nothing is logged
	Limits   Limits
	Timing   Timing
	Handlers Handlers
}

// Limits bound memory. Bytes include 64 for each part.
type Limits struct {
	Message      int // bytes of one message; default 16 MiB
	Fragment     int // a message above it is cut, the backend's MaxFrame permitting; default 256 KiB
	Packet       int // bytes that are gathered into one packet; default 64 KiB
	Push         int // bytes of one Push; default 1 MiB
	Window       int // unacknowledged bytes of a sequence; default 4 MiB
	WindowParts  int // the same in parts; default 16,384
	Queue        int // bytes that wait for one target, or for all; default 16 MiB
	AllRing      int // bytes to all that are kept for laggards; default 16 MiB
	AllRingParts int // the same in parts; default 65,536
	Pending      int // bytes of a sequence that came ahead of a hole; default 8 MiB
	PendingParts int // the same in parts; default 32,768
	In           int // bytes received and not handled, and of all holes; default 32 MiB
	Budget       int // bytes in all queues and rings, before targets are held to their share; default 128 MiB
	Serving      int // requests of one member that run at once; default 1,024
}

// Timing says when things are done.
type Timing struct {
	Lease    time.Duration // of the record in the store; default 15 s
	Renew    time.Duration // how often it is renewed and members are read; default 5 s
	Busy     time.Duration // between beats while anything is unacknowledged; default 2 s
	Idle     time.Duration // between beats otherwise; default 5 s
	Hole     time.Duration // before a hole is asked for; default 20 ms, 2 s for durable stores
	HoleMost time.Duration // between asking twice; default 2 s
	Patience time.Duration // for a member that holds up what is sent to all; default 1 s
	Detach   time.Duration // without store until queues are dropped; default 60 s
	Keep     time.Duration // of the sequences of a member whose lease lapsed; default 60 s
	Detour   time.Duration // for the last message on a client's old way; default 6 s
	Join     time.Duration // for the whole of Join; default 15 s
	Meet     time.Duration // for the positions of all peers, of it; default 2 s
	Leave    time.Duration // for what is under way when leaving; default 3 s
}

func fill[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func (o *Options) fill() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Limits.fill()
	o.Timing.fill()
}

func (m *Limits) fill() {
	fill(&m.Message, 16<<20)
	fill(&m.Fragment, 256<<10)
	fill(&m.Packet, 64<<10)
	fill(&m.Push, 1<<20)
	fill(&m.Window, 4<<20)
	fill(&m.WindowParts, 16384)
	fill(&m.Queue, 16<<20)
	fill(&m.AllRing, 16<<20)
	fill(&m.AllRingParts, 65536)
	fill(&m.Pending, 8<<20)
	fill(&m.PendingParts, 32768)
	fill(&m.In, 32<<20)
	fill(&m.Budget, 128<<20)
	fill(&m.Serving, 1024)
}

func (t *Timing) fill() {
	fill(&t.Lease, 15*time.Second)
	fill(&t.Renew, 5*time.Second)
	fill(&t.Busy, 2*time.Second)
	fill(&t.Idle, 5*time.Second)
	fill(&t.Hole, 20*time.Millisecond)
	fill(&t.HoleMost, 2*time.Second)
	fill(&t.Patience, time.Second)
	fill(&t.Detach, 60*time.Second)
	fill(&t.Keep, 60*time.Second)
	fill(&t.Detour, 6*time.Second)
	fill(&t.Join, 15*time.Second)
	fill(&t.Meet, 2*time.Second)
	fill(&t.Leave, 3*time.Second)
}
