package link

import (
	"time"

	"github.com/goape/ape/mesh"
)

// onClient takes a message to a client from another member, or from the
// delivery itself. It runs on the delivery goroutine and must not wait.
func (l *Link) onClient(from mesh.Member, body []byte) bool {
	m, ok := parseRouted(body)
	if !ok {
		return false
	}
	if m.origin == 0 {
		m.origin = from.Life()
	}
	if l.here(m.client, func() mesh.Member { return l.whoIs(m.origin) }, m.body) {
		if m.hops > 0 {
			l.found(m)
		}
		return true
	}
	m.then = func(err error) { l.passedOn(m, err) }
	r := &l.routes
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.hops >= maxHops {
		m.settle(ErrNoTarget)
		return true
	}
	l.route(m)
	return true
}

// found tells the sender that its message came by another member: from now on it
// may send here.
func (l *Link) found(m *routed) {
	l.routes.mu.Lock()
	l.routes.topHops = max(l.routes.topHops, m.hops)
	l.routes.mu.Unlock()
	gen, _ := l.claims.gen(m.client)
	self := l.Self()
	t := moved{mesh.Owner{Epoch: self.Epoch, Gen: gen}, m.token, m.client}
	l.sendLife(m.origin, opMoved, t.append(nil))
}

// passedOn counts what became of a message here; where nobody has the client,
// its sender is told. routes.mu is held.
func (l *Link) passedOn(m *routed, err error) {
	if err == nil {
		l.routes.forwarded++
		return
	}
	l.routes.noRoute++
	if err != ErrNoTarget {
		return // the client may well be where the row says
	}
	t := moved{token: m.token, client: m.client}
	l.sendLife(m.origin, opMoved, t.append(nil))
}

// whoIs names the life that sent a message first.
func (l *Link) whoIs(life uint64) mesh.Member {
	l.mu.Lock()
	defer l.mu.Unlock()
	if life == l.self.Life() {
		return l.self
	}
	if p := l.peers[life]; p != nil {
		return p.member
	}
	return mesh.Member{Epoch: life << 16}
}

// onMoved learns where a message reached its client.
func (l *Link) onMoved(from mesh.Member, body []byte) bool {
	t, ok := parseMoved(body)
	if !ok {
		return false
	}
	r := &l.routes
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.sent[t.client]
	if e == nil {
		return true
	}
	if t.owner.Epoch == 0 {
		l.movedNowhere(e, t.token)
		return true
	}
	t.owner.ID = from.ID
	e.seen = max(e.seen, t.token)
	switch {
	case e.reading || e.owner.Epoch == 0:
	case t.owner.Life() == e.owner.Life() || t.owner.Gen < e.owner.Gen || t.owner.Gen < e.next.Gen:
	case t.token >= e.last:
		e.next = t.owner
		l.endDetour(e)
	default:
		l.startDetour(e, t.owner, l.timing.Detour)
	}
	return true
}

// movedNowhere learns that nobody has the client.
func (l *Link) movedNowhere(e *route, token uint64) {
	switch {
	case e.reading || e.owner.Epoch == 0:
	case token < e.last: // what was sent after it has its own answer
	case !e.detour.IsZero():
		e.next = mesh.Owner{} // read it again
		l.endDetour(e)
	default:
		e.owner, e.until = mesh.Owner{}, time.Now().Add(absentKept)
	}
}

// startDetour holds back what is sent to a client that has moved, until the last
// message that went the old way has come through, the old holder has gone, or
// the time is over.
func (l *Link) startDetour(e *route, next mesh.Owner, wait time.Duration) {
	e.next = next
	if !e.detour.IsZero() {
		return
	}
	e.detour = time.Now().Add(wait)
	l.routes.detours[e] = struct{}{}
	poke(l.kick)
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.peers[e.owner.Life()]; p != nil && p.state == alive {
		l.ask(p) // so that a lost last message is found at once
	}
}

// endDetour makes the new way free.
func (l *Link) endDetour(e *route) {
	next := e.next
	delete(l.routes.detours, e)
	e.detour, e.next, e.last = time.Time{}, mesh.Owner{}, 0
	if next.Epoch != 0 && l.isAlive(next.Life()) {
		e.owner, e.until, e.began = next, time.Now().Add(routeKept), 0
		l.release(e, nil)
		return
	}
	e.owner, e.until = mesh.Owner{}, time.Time{}
	if len(e.queue) > 0 {
		l.routes.read(e)
	} else {
		delete(l.routes.sent, e.client)
	}
}

// endDetours ends those whose time is over, and returns when the next one's is.
func (l *Link) endDetours(now time.Time) (next time.Time) {
	r := &l.routes
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range r.detours {
		switch {
		case !now.Before(e.detour):
			r.lateMoves++
			l.endDetour(e)
		case next.IsZero() || e.detour.Before(next):
			next = e.detour
		}
	}
	return next
}
