package link

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goape/ape/mesh"
)

// claims are the clients that are here, and what the store does not know yet of
// them.
type claims struct {
	here atomic.Int64 // len(held)
	wake chan struct{}

	mu      sync.Mutex
	held    map[string]uint64 // client: Gen
	wishes  map[string]*wish
	busy    bool          // a batch is being written
	recheck bool          // the rows are to be compared with what is held
	left    bool          // no further claims
	idle    chan struct{} // closed when nothing is left to write; nil: nobody waits
}

// maxWishes bounds the removals that wait while the store is away. A row that
// is not removed leads here, where nobody is found, until it is swept.
const maxWishes = 1 << 18

// wish is to write what is held of a client, or, where it is not held, to
// remove rows up to gen.
type wish struct {
	gen  uint64
	done []chan<- struct{}
}

func (c *claims) init() {
	c.held, c.wishes = map[string]uint64{}, map[string]*wish{}
	c.wake = make(chan struct{}, 1)
}

func (c *claims) count() int { return int(c.here.Load()) }

// Claim says that a client is here, and returns when the store knows it. The
// client is served from here at once; if ctx ends first, the row is written
// later. A Gen below the one that is claimed here changes nothing. nil does not
// say that no other member has claimed a higher Gen.
func (l *Link) Claim(ctx context.Context, client string, gen uint64) error {
	if err := mesh.CheckClaims([]mesh.Claim{{Client: client, Gen: gen}}); err != nil {
		return err
	}
	done := make(chan struct{}, 1)
	if l.stay.Err() != nil || !l.claims.add(client, gen, done) {
		return l.ended()
	}
	select {
	case <-done:
		return nil
	case <-l.stay.Done():
		return l.ended()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release says that a client is not here any more. Its row is removed soon.
func (l *Link) Release(client string) { l.claims.release(client) }

// GiveAway releases a client whose session went to another member. For a minute
// messages to it are passed on there even if the store does not know it yet.
func (l *Link) GiveAway(client string, to mesh.Owner) {
	l.routes.remember(client, to)
	l.Release(client)
}

func (c *claims) add(client string, gen uint64, done chan<- struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left {
		return false
	}
	c.held[client] = max(gen, c.held[client])
	c.here.Store(int64(len(c.held)))
	w := c.wish(client, gen)
	w.done = append(w.done, done)
	poke(c.wake)
	return true
}

func (c *claims) release(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gen, ok := c.held[client]
	if !ok {
		return
	}
	delete(c.held, client)
	c.here.Store(int64(len(c.held)))
	if len(c.wishes) < maxWishes || c.wishes[client] != nil {
		c.wish(client, gen)
		poke(c.wake)
	}
}

// wish marks a client as to be written; the last wish wins.
func (c *claims) wish(client string, gen uint64) *wish {
	w := c.wishes[client]
	if w == nil {
		w = &wish{}
		c.wishes[client] = w
	}
	w.gen = max(w.gen, gen)
	return w
}

// gen returns the Gen under which a client is held here.
func (c *claims) gen(client string) (gen uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gen, ok = c.held[client]
	return gen, ok
}

// recheckAll has all rows compared with what is held.
func (c *claims) recheckAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recheck = true
	poke(c.wake)
}

// writeAll has all rows written again.
func (c *claims) writeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for client, gen := range c.held {
		c.wish(client, gen)
	}
}

// dropAll removes all rows, and waits for it.
func (c *claims) dropAll(ctx, stay context.Context, wait time.Duration) {
	c.mu.Lock()
	c.left = true
	for client, gen := range c.held {
		c.wish(client, gen)
	}
	clear(c.held)
	c.here.Store(0)
	if len(c.wishes) == 0 && !c.busy {
		c.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	c.idle = idle
	poke(c.wake)
	c.mu.Unlock()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-idle:
	case <-ctx.Done():
	case <-stay.Done():
	case <-t.C:
	}
}
