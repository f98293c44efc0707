package link

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/goape/ape/mesh"
)

// rowsAtOnce is how many rows one call of the store is about.
const rowsAtOnce = 500

// writeClaims is the claimer: it writes rows in batches. Where rows expire, all that
// are held are written again every third of their life.
func (l *Link) writeClaims() {
	c := &l.claims
	every := l.traits.RowTTL / 3
	var again <-chan time.Time
	for {
		if every > 0 && again == nil {
			again = time.After(every - rand.N(every/10+1))
		}
		select {
		case <-l.stay.Done():
			return
		case <-c.wake:
		case <-again:
			again = nil
			c.writeAll()
		}
		l.writeRows()
	}
}

// writeRows writes until nothing is left.
func (l *Link) writeRows() {
	failures := 0
	for l.stay.Err() == nil {
		more, err := l.writeBatch()
		switch {
		case err == nil && !more:
			return
		case err == nil:
			failures = 0
			continue
		}
		if failures++; failures == 1 {
			l.note(slog.LevelWarn, "the rows of clients could not be written", "err", err)
		}
		l.pause(backoff(failures))
	}
}

// batch is what is written at a time.
type batch struct {
	adds, removes []mesh.Claim
	wishes        map[string]*wish
	recheck       bool
}

func (c *claims) take() batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := batch{wishes: map[string]*wish{}, recheck: c.recheck}
	c.recheck = false
	for client, w := range c.wishes {
		if len(b.wishes) >= rowsAtOnce {
			break
		}
		if gen, ok := c.held[client]; ok {
			b.adds = append(b.adds, mesh.Claim{Client: client, Gen: gen})
		} else {
			b.removes = append(b.removes, mesh.Claim{Client: client, Gen: w.gen})
		}
		b.wishes[client] = w
		delete(c.wishes, client)
	}
	c.busy = len(b.wishes) > 0 || b.recheck
	return b
}

// settle tells those who wait, or puts the batch back.
func (c *claims) settle(b batch, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	c.recheck = c.recheck || b.recheck && err != nil
	for client, w := range b.wishes {
		if err != nil {
			now := c.wish(client, w.gen)
			now.done = append(now.done, w.done...)
			continue
		}
		for _, done := range w.done {
			done <- struct{}{}
		}
	}
	if c.idle != nil && len(c.wishes) == 0 {
		close(c.idle)
		c.idle = nil
	}
}

func (l *Link) writeBatch() (more bool, err error) {
	b := l.claims.take()
	if len(b.wishes) == 0 && !b.recheck {
		return false, nil
	}
	defer func() { l.claims.settle(b, err) }()
	if b.recheck {
		if err := l.recheckRows(); err != nil {
			return true, err
		}
	}
	ctx, cancel := context.WithTimeout(l.stay, storeTime)
	defer cancel()
	rows := l.mesh.Lookup()
	if len(b.adds) > 0 {
		if err := rows.Add(ctx, b.adds...); err != nil {
			return true, err
		}
	}
	if len(b.removes) > 0 {
		return true, rows.Remove(ctx, b.removes...)
	}
	return true, nil
}

// recheckRows adds again what is held here and missing in the store, gives up
// what a living member took meanwhile, and clears away the rows of the dead.
func (l *Link) recheckRows() error {
	c := &l.claims
	c.mu.Lock()
	clients := make([]string, 0, len(c.held))
	for client := range c.held {
		clients = append(clients, client)
	}
	c.mu.Unlock()
	for len(clients) > 0 && l.stay.Err() == nil {
		n := min(rowsAtOnce, len(clients))
		if err := l.recheckSome(clients[:n]); err != nil {
			return err
		}
		clients = clients[n:]
	}
	ctx, cancel := context.WithTimeout(l.stay, storeTime)
	defer cancel()
	_, err := l.mesh.Lookup().Sweep(ctx)
	return err
}

func (l *Link) recheckSome(clients []string) error {
	ctx, cancel := context.WithTimeout(l.stay, storeTime)
	defer cancel()
	rows := l.mesh.Lookup()
	owners, err := rows.Read(ctx, clients...)
	if err != nil {
		return err
	}
	if len(owners) != len(clients) {
		return errRows
	}
	self := l.Self()
	var adds []mesh.Claim
	for i, o := range owners {
		client := clients[i]
		other := o.ID != "" && o.Life() != self.Life() && l.isAlive(o.Life())
		gen, held, taken := l.claims.concede(client, o, other)
		switch {
		case taken:
			if l.handlers.Lost != nil {
				l.handlers.Lost(client, o)
			}
		case held && o != mesh.Owner{ID: self.ID, Epoch: self.Epoch, Gen: gen}:
			adds = append(adds, mesh.Claim{Client: client, Gen: gen})
		}
	}
	if len(adds) == 0 {
		return nil
	}
	return rows.Add(ctx, adds...)
}

// concede gives a client up that a living member took with this Gen or a higher
// one.
func (c *claims) concede(client string, o mesh.Owner, other bool) (gen uint64, held, taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gen, held = c.held[client]
	taken = held && other && o.Gen >= gen
	if taken {
		delete(c.held, client)
		c.here.Store(int64(len(c.held)))
	}
	return gen, held, taken
}

func (l *Link) isAlive(life uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[life]
	return p != nil && p.state == alive
}
