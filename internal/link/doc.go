// Package link makes one server out of several that share a store. A backend
// (package mesh) carries frames, which it may lose, repeat or reorder around a
// lost connection, and keeps rows and leases. This package makes ordered,
// complete sequences of messages out of that, says so where it cannot, and
// knows who is alive, who holds which client and what became of a call.
//
//	l, err := link.Join(ctx, backend, link.Options{ID: "srv-1", Handlers: link.Handlers{
//		Message: func(m link.Message) { … },
//		Client:  func(client string, from mesh.Member, body []byte) bool { … },
//		Request: func(ctx context.Context, from mesh.Member, body []byte) ([]byte, error) { … },
//		Gap:     func(g link.Gap) { … },
//	}})
//	if err != nil { … }
//	defer l.Leave(context.Background())
//	err = l.Claim(ctx, "client-1", 1)                  // the client is here
//	err = l.SendTo(ctx, "client-2", body)              // wherever it is
//	_, err = l.SendAll(link.OpPublish, body)           // to every other member
//	answer, err := l.Request(ctx, "srv-2", body)       // exactly one answer, or why not
//	parts, missing, err := l.Ask(ctx, body)            // of all other members
//
// # Words
//
// A member is one server in the mesh; a peer is another one as this one sees
// it. A life is one stay of a process in it, 47 random bits; a term counts how
// often a life had to register again; epoch = life<<16 | term. A packet is what
// a frame carries: a sealed header and parts. A numbered part belongs to a
// sequence: from one life to another (direct), or from one life to all. A
// message is one part, or several if it is large. A position says how far a
// sequence was handled. A claim says that a client is here; its Gen rises by
// one each time the session moves. A gap is a run of numbers that will never
// arrive.
//
// # What is promised
//
//   - One sender to one member, and one sender to all: in order, once, each in
//     its own sequence. Nothing orders the two kinds, nor different senders.
//   - What was lost, repeated or reordered on the way is put right. What cannot
//     be is told once, as a [Gap], before what follows it. A member that was
//     paused or cut off and is back within [Timing.Keep] misses nothing that the
//     rings still hold.
//   - One sender to one client: in order while the client stays put, and over a
//     move, for as long as [Timing.Detour] lets the old way run empty.
//   - A request runs at most once, and its call always ends: with the answer,
//     the handler's error, the caller's deadline, or [ErrPeerGone] when the
//     member leaves, restarts or its lease ends.
//   - A packet that does not verify under the mesh's key, or is meant for an
//     earlier life, changes nothing. Every queue and table is bounded: see
//     [Limits]; 65,536 routes; 1,024 departed members.
//
// Within its budgets Send accepts without waiting; above them it says
// [ErrBacklog], before a number is taken, so nothing accepted is lost to a
// full queue.
//
// # Concurrency
//
// All methods may be called concurrently, from handlers too, but for Leave and
// Close, which wait for the handlers that run. Bodies given to the link must
// not be changed afterwards; bodies given to a handler are the handler's, but
// keep the packet alive in which they came.
//
// Message, Client, Gap and Member are called one at a time by the delivery
// goroutine, Client also by those who call SendTo for a client of this server,
// Lost by the claimer. They must be quick, and may not wait for the link:
// nothing that comes in is acknowledged before its handler has returned.
// Request and Ask run on goroutines of their own, and should end with their
// context, for Close waits for them. No handler is called under a lock.
//
// # Goroutines
//
// Per link: the reader (packets into sequences), the delivery (messages to
// handlers), the writer (queues into packets, packets into the store), the
// timer (beats, stalls, holes), the keeper (lease and members), the claimer
// (rows that are written) and the router (rows that are read). One more per
// request that is served. All end before Close returns; a superseded link keeps
// only the delivery, to end what is under way.
//
// # Locks
//
// routes.mu before claims.mu and Link.mu; Link.mu before notes.mu; nothing is
// locked under calls.mu, claims.mu and notes.mu. None is held across a call of
// the backend, a handler or the log.
package link
