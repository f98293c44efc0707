package link

import (
	"context"
	"time"

	"github.com/goape/ape/mesh"
)

// readRoutes is the router: it reads rows, one Read at a time for all clients that
// wait.
func (l *Link) readRoutes() {
	for {
		select {
		case <-l.stay.Done():
			return
		case <-l.routes.wake:
		}
		for l.stay.Err() == nil {
			some := l.routes.next()
			if len(some) == 0 {
				break
			}
			l.readSome(some)
		}
	}
}

// next returns the routes to read now.
func (r *routes) next() []*route {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(rowsAtOnce, len(r.unread))
	some := append([]*route(nil), r.unread[:n]...)
	rest := append(r.unread[:0], r.unread[n:]...)
	clear(r.unread[len(rest):])
	r.unread = rest
	for _, e := range some {
		e.began = len(e.queue)
	}
	if n > 0 {
		r.reads++
	}
	return some
}

func (l *Link) readSome(some []*route) {
	ctx, cancel := context.WithTimeout(l.stay, keepTime)
	defer cancel()
	clients := make([]string, len(some))
	for i, e := range some {
		clients[i] = e.client
	}
	owners, err := l.mesh.Lookup().Read(ctx, clients...)
	if err == nil && len(owners) != len(clients) {
		err = errRows
	}
	self := l.Self().Life()
	for _, o := range owners {
		if o.Epoch != 0 && o.Life() != self && !l.isAlive(o.Life()) {
			l.refresh(ctx) // it joined just now, or has gone
			break
		}
	}
	r := &l.routes
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for i, e := range some {
		e.reading = false
		if err != nil {
			l.release(e, err)
			continue
		}
		o := r.correct(e.client, owners[i], now)
		if o.Life() == self || !l.isAlive(o.Life()) {
			o = mesh.Owner{} // a row of ours on its way out, or one of the dead
		}
		l.settleRoute(e, o, now)
	}
}

// correct returns where a client went from here, if the row is older than that.
func (r *routes) correct(client string, row mesh.Owner, now time.Time) mesh.Owner {
	a, ok := r.away[client]
	if !ok {
		return row
	}
	if a.to.Gen <= row.Gen || now.After(a.until) {
		delete(r.away, client)
		return row
	}
	return a.to
}

// settleRoute takes the owner that was read.
func (l *Link) settleRoute(e *route, o mesh.Owner, now time.Time) {
	if o.Epoch != 0 && o.Life() != e.owner.Life() {
		// What was sent the old way just now may still be under way.
		wait := e.lastAt.Add(l.timing.Detour).Sub(now)
		if e.last > e.seen && wait > 0 && l.isAlive(e.owner.Life()) {
			l.startDetour(e, o, wait)
			return
		}
		e.last = 0
	}
	e.owner, e.until = o, now.Add(routeKept)
	if o.Epoch == 0 {
		e.until = now.Add(absentKept)
	}
	l.release(e, nil)
}

// forgetRoutes drops the routes to a life that has gone; what waited for the old
// way over it goes on.
func (l *Link) forgetRoutes(life uint64) {
	r := &l.routes
	r.mu.Lock()
	defer r.mu.Unlock()
	for client, e := range r.sent {
		switch {
		case e.owner.Life() != life:
		case !e.detour.IsZero():
			l.endDetour(e)
		case e.reading:
			e.owner = mesh.Owner{}
		default:
			delete(r.sent, client)
		}
	}
}
