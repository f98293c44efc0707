package link

import (
	"context"
	"sync"
	"time"

	"github.com/goape/ape/mesh"
)

const (
	maxRoutes  = 65536
	maxHops    = 2
	routeKept  = 30 * time.Second
	awayKept   = 60 * time.Second
	absentKept = time.Second
	waitCount  = 1024     // messages that wait for one client's way
	waitBytes  = 1 << 20  // the same in bytes
	waitTotal  = 32 << 20 // of all clients
)

// routes say which member holds a client that is not here, and keep what waits
// to know it.
//
// What one server sends to one client keeps its order: what comes while a row
// is read waits behind what caused the read; and when it turns out that the
// client has moved, it waits until the last message that went the old way has
// come through (detour.go).
//
// A member that is asked for a client which is not there always reads the row
// anew before it passes the message on, so that all of one sender's messages go
// the same way.
type routes struct {
	wake chan struct{}

	mu      sync.Mutex
	sent    map[string]*route // of what is sent from here
	passed  map[string]*route // of what is passed on, while it waits
	away    map[string]away   // where clients went that were here
	unread  []*route          // their rows are to be read
	detours map[*route]struct{}
	token   uint64
	bytes   int // of all that waits

	reads, forwarded, noRoute, lateMoves uint64
	topHops                              byte
}

type away struct {
	to    mesh.Owner
	until time.Time
}

type route struct {
	client  string
	pass    bool       // in routes.passed
	owner   mesh.Owner // zero: nobody has the client
	until   time.Time  // owner is good
	reading bool
	began   int // how many waited when the Read began
	queue   []*routed
	bytes   int

	last   uint64 // token of the last message sent to owner
	lastAt time.Time
	seen   uint64     // the highest token that came through by another member
	detour time.Time  // until when messages wait for the old way; zero: they do not
	next   mesh.Owner // takes over after the detour
}

func (r *routes) init() {
	r.sent, r.passed = map[string]*route{}, map[string]*route{}
	r.away, r.detours = map[string]away{}, map[*route]struct{}{}
	r.wake = make(chan struct{}, 1)
}

func (r *routes) count(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Reads, s.Forwarded, s.NoRoute, s.LateMoves = r.reads, r.forwarded, r.noRoute, r.lateMoves
	s.Routes = len(r.sent)
}

// SendTo sends to a client, wherever it is, and returns when its way is known.
// nil means that the message is delivered unless that member dies, tells a gap,
// or cannot pass it on because the client has moved once too often.
// [ErrNoTarget]: no living member has the client.
func (l *Link) SendTo(ctx context.Context, client string, body []byte) error {
	if err := mesh.CheckClient(client); err != nil {
		return err
	}
	if l.here(client, l.Self, body) {
		return nil
	}
	m := &routed{client: client, body: body}
	r := &l.routes
	r.mu.Lock()
	if l.route(m); m.settled {
		r.mu.Unlock()
		return m.err
	}
	m.known = make(chan struct{})
	r.mu.Unlock()
	select {
	case <-m.known:
		return m.err
	case <-ctx.Done():
	case <-l.stay.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch m.off = true; {
	case m.settled: // it was on its way already
		return m.err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return l.ended()
}

// Find returns the living member that holds a client, by the store.
func (l *Link) Find(ctx context.Context, client string) (mesh.Member, error) {
	if err := mesh.CheckClient(client); err != nil {
		return mesh.Member{}, err
	}
	if _, ok := l.claims.gen(client); ok {
		return l.Self(), nil
	}
	owners, err := l.mesh.Lookup().Read(ctx, client)
	switch {
	case err != nil:
		return mesh.Member{}, err
	case len(owners) != 1:
		return mesh.Member{}, errRows
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.peers[owners[0].Life()]; p != nil && p.state == alive {
		return p.member, nil
	}
	return mesh.Member{}, ErrNoTarget
}

// here gives a message to a client of this server.
func (l *Link) here(client string, from func() mesh.Member, body []byte) bool {
	if l.handlers.Client == nil {
		return false
	}
	_, held := l.claims.gen(client)
	return held && l.handlers.Client(client, from(), body)
}

// route sends a message or queues it; routes.mu is held, as in all that follows.
func (l *Link) route(m *routed) {
	if l.stay.Err() != nil {
		m.settle(l.ended())
		return
	}
	r := &l.routes
	if m.origin != 0 {
		e := r.passed[m.client]
		if e == nil {
			e = &route{client: m.client, pass: true}
			r.passed[m.client] = e
		}
		l.wait(e, m)
		return
	}
	e := r.get(m.client)
	if !e.reading && e.detour.IsZero() && time.Now().Before(e.until) {
		if e.owner.Epoch == 0 {
			m.settle(ErrNoTarget)
			return
		}
		if l.pass(e, m) {
			return
		}
	}
	l.wait(e, m)
}

// get returns the route of what is sent from here.
func (r *routes) get(client string) *route {
	if e := r.sent[client]; e != nil {
		return e
	}
	for k, e := range r.sent {
		if len(r.sent) < maxRoutes {
			break
		}
		if !e.reading && e.detour.IsZero() {
			delete(r.sent, k)
		}
	}
	e := &route{client: client}
	r.sent[client] = e
	return e
}

// wait queues a message until its way is known.
func (l *Link) wait(e *route, m *routed) {
	r := &l.routes
	if !e.reading && e.detour.IsZero() {
		r.read(e)
	}
	cost := m.cost()
	if len(e.queue) >= waitCount || e.bytes+cost > waitBytes && len(e.queue) > 0 || r.bytes+cost > waitTotal {
		m.settle(ErrBacklog)
		return
	}
	e.queue = append(e.queue, m)
	e.bytes += cost
	r.bytes += cost
}

func (m *routed) cost() int { return len(m.body) + len(m.client) + partCost }

// read has the row of a route read soon.
func (r *routes) read(e *route) {
	e.reading = true
	r.unread = append(r.unread, e)
	poke(r.wake)
}

// pass gives a message to the owner's member; false: that one has gone.
func (l *Link) pass(e *route, m *routed) bool {
	if m.origin == 0 {
		l.routes.token++
		m.token = l.routes.token
	} else {
		m.hops++
	}
	err := l.sendLife(e.owner.Life(), opClient, m.append(make([]byte, 0, m.size())))
	if err == ErrPeerGone {
		if m.origin != 0 {
			m.hops--
		}
		e.until = time.Time{}
		return false
	}
	if err == nil && m.origin == 0 {
		e.last, e.lastAt = m.token, time.Now()
	}
	m.settle(err)
	return true
}

// release sends what waits, in order, for the way is known or err says why not.
func (l *Link) release(e *route, err error) {
	r := &l.routes
	queue := e.queue
	e.queue = nil
	if err == nil && e.began < len(queue) && (e.pass || e.owner.Epoch == 0) {
		// The row may be newer than the Read: once more for those that came later.
		queue, e.queue = queue[:e.began], append(e.queue, queue[e.began:]...)
	}
	_, here := l.claims.gen(e.client)
	for _, m := range queue {
		e.bytes -= m.cost()
		r.bytes -= m.cost()
		switch {
		case m.off:
		case here:
			l.loop(m)
		case err != nil:
			m.settle(err)
		case e.owner.Epoch == 0 || !l.pass(e, m):
			m.settle(ErrNoTarget)
		}
	}
	switch {
	case len(e.queue) > 0:
		r.read(e)
	case e.pass:
		delete(r.passed, e.client)
	case err != nil && e.owner.Epoch == 0:
		delete(r.sent, e.client)
	}
}

// loop gives a message to the delivery, for the client has come here meanwhile.
func (l *Link) loop(m *routed) {
	l.mu.Lock()
	if m.origin == 0 {
		m.origin = l.self.Life()
	}
	m.hops = max(m.hops, 1)
	l.queueItem(item{kind: itemMessage, op: opClient, body: m.append(make([]byte, 0, m.size()))})
	l.mu.Unlock()
	m.settle(nil)
}

// remember notes for a while where a client went that was here.
func (r *routes) remember(client string, to mesh.Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k := range r.away {
		if len(r.away) < maxRoutes {
			break
		}
		delete(r.away, k)
	}
	r.away[client] = away{to, time.Now().Add(awayKept)}
}
