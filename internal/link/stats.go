package link

// Stats counts what a link did, and says what it holds now.
type Stats struct {
	// out
	Sent       uint64 // messages accepted
	Parts      uint64 // numbered parts of them
	Packets    uint64
	Pushes     uint64
	PushErrors uint64
	BytesOut   uint64
	Beats      uint64
	Positions  uint64
	Nacks      uint64 // holes asked for
	Again      uint64 // parts sent again to one
	AgainAll   uint64 // parts sent again to all
	Gone       uint64 // asked for, but not kept any more
	Stalls     uint64 // a window was full
	Laggards   uint64 // members that nobody waited for any longer
	Dropped    uint64 // parts given up: target gone, or store away for too long

	// in
	PacketsIn uint64
	BytesIn   uint64
	Own       uint64 // packets of this member
	Foreign   uint64 // packets that do not verify or are malformed
	Probes    uint64 // those of members that are joining
	Early     uint64 // packets before the mesh's key was known
	Stale     uint64 // packets for an earlier life, or an earlier sequence
	Unknown   uint64 // packets of lives that are not in sight
	Repeated  uint64 // parts that were here already
	Ahead     uint64 // parts that came before a hole was filled
	Refused   uint64 // parts without room, which will be sent again
	NacksIn   uint64
	Torn      uint64 // parts of messages whose other parts are lost
	Odd       uint64 // messages with an op that is not known, or malformed
	Gaps      uint64
	GapParts  uint64 // numbers in them
	LateStart uint64 // peers that were heard only after they had sent something
	Breaks    uint64 // interruptions of the way in

	// membership and calls
	Rejoins     uint64 // terms after the first
	Reads       uint64 // of rows
	Forwarded   uint64 // messages to clients passed on
	NoRoute     uint64 // messages to clients that reached nobody
	Late        uint64 // replies that nobody waits for
	Unanswered  uint64 // replies that could not be sent
	LateMoves   uint64 // moves of clients whose old way did not run empty in time
	NotesUnsaid uint64 // lines for the log dropped because too many waited

	// now
	Members   int // in sight, without this one
	Clients   int // claimed here
	Routes    int
	Held      int // bytes in all queues and rings
	Pending   int // bytes ahead of holes
	Unhandled int // bytes received and not handled
}

// Stats returns the counters so far.
func (l *Link) Stats() Stats {
	l.mu.Lock()
	s := l.counters
	s.Members, s.Held, s.Pending, s.Unhandled = len(l.byID), l.held, l.pendBytes+l.asmBytes, l.inBytes
	l.mu.Unlock()
	s.Clients = l.claims.count()
	l.routes.count(&s)
	l.calls.count(&s)
	s.NotesUnsaid = l.notes.count()
	return s
}

// Health is the state of the membership.
type Health struct {
	Joined     bool // this server is in the mesh
	Failing    bool // the last renewal of the lease failed
	Detached   bool // the store was away for so long that queues were dropped
	Superseded bool // another process has this id; this server serves its own clients alone
}

// Health returns the state now.
func (l *Link) Health() Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Health{
		Joined:     l.joined && !l.superseded && !l.closed,
		Failing:    l.joined && l.sound.IsZero(),
		Detached:   l.detached,
		Superseded: l.superseded,
	}
}
