package link

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/goape/ape/mesh"
)

const (
	keepTime = 5 * time.Second        // one call of the keeper
	soon     = time.Second            // between two tries while something is wrong
	lookRest = 100 * time.Millisecond // between two reads of Members
)

// keep is the keeper: it renews the lease and reads who is alive.
func (l *Link) keep() {
	renewAt := time.Now().Add(l.timing.Renew)
	lookAt := renewAt
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		next := renewAt
		if lookAt.Before(next) {
			next = lookAt
		}
		t.Reset(time.Until(next))
		asked := false
		select {
		case <-l.stay.Done():
			return
		case <-l.said:
		case <-l.look:
			asked = true
		case <-t.C:
		}
		l.notes.write()
		if now := time.Now(); !now.Before(renewAt) {
			renewAt = l.renew()
			lookAt = time.Now()
		}
		if !asked && time.Now().Before(lookAt) {
			continue
		}
		lookAt = l.lookAround()
		if l.sawRival() {
			renewAt = time.Now()
		}
		if asked && !l.pause(lookRest) {
			return
		}
	}
}

// lookAround reads Members and returns when to do so again.
func (l *Link) lookAround() time.Time {
	ctx, cancel := context.WithTimeout(l.stay, keepTime)
	defer cancel()
	l.refresh(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, p := range l.byID {
		if p.state == alive && now.Sub(p.heard) > l.timing.Idle*3/2 {
			return now.Add(soon)
		}
	}
	return now.Add(l.timing.Renew)
}

// sawRival says whether Members showed another life under our id: Renew tells
// which of the two goes on.
func (l *Link) sawRival() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	saw := l.rival
	l.rival = false
	return saw
}

// renew renews the lease, joins again if it lapsed, and returns when to do so
// again.
func (l *Link) renew() time.Time {
	ctx, cancel := context.WithTimeout(l.stay, keepTime)
	defer cancel()
	err := mesh.ErrLapsed
	if !l.lapsed {
		err = l.mesh.Renew(ctx)
	}
	if errors.Is(err, mesh.ErrLapsed) {
		l.lapsed = true // until Join has returned: its answer may be lost
		if err = l.joinAgain(ctx); err == nil {
			l.lapsed = false
		}
	}
	if errors.Is(err, mesh.ErrSuperseded) {
		l.supersede()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if !l.sound.IsZero() && l.stay.Err() == nil {
			l.note(slog.LevelWarn, "the lease could not be renewed", "err", err)
		}
		l.sound = time.Time{}
		return time.Now().Add(soon)
	}
	if l.sound.IsZero() {
		l.sound = time.Now()
	}
	every := l.timing.Renew
	return time.Now().Add(every - every/10 + rand.N(every/5+1))
}

// joinAgain registers under a new term. A store that came back empty gets the
// key that is in force.
func (l *Link) joinAgain(ctx context.Context) error {
	self, key := l.nextTerm()
	got, err := l.mesh.Join(ctx, self, l.timing.Lease, key)
	if err != nil {
		return err
	}
	l.claims.recheckAll()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.given && len(got) > 0 && !bytes.Equal(got, l.key) {
		l.useKey(got)
	}
	l.sound = time.Now() // what befell us may have befallen the others
	l.beatNow(true)
	l.note(slog.LevelWarn, "the lease had lapsed; joined again", "term", self.Term())
	return nil
}

// nextTerm returns the record to register with, and the key to propose.
func (l *Link) nextTerm() (self mesh.Member, propose []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.self.Term() == 1<<16-1 {
		l.newStay()
	} else {
		l.self.Epoch++
	}
	l.counters.Rejoins++
	return l.self, l.proposal()
}

// newStay begins a new life, because the terms of this one are used up: to the
// others this server has restarted.
func (l *Link) newStay() {
	for _, p := range l.peers {
		if p.inSight() {
			l.depart(p, left, "restarted")
		} else if !p.given {
			l.giveUp(p)
		}
	}
	l.counters.Dropped += uint64(l.all.drop())
	clear(l.peers)
	l.ready, l.allAgain = nil, nil
	l.all = outgoing{held: &l.held}
	l.self.Epoch = newLife() << 16
}

// supersede ends the membership, for another life has our id. What is under way
// ends with mesh.ErrSuperseded; own clients are served on.
func (l *Link) supersede() {
	if !l.setSuperseded() {
		return
	}
	l.quit()
	l.calls.failAll(mesh.ErrSuperseded)
	l.notes.log.Error("another process has joined the mesh with this server's id; this one serves its own clients alone: give each its own id",
		"member", string(l.id))
}

func (l *Link) setSuperseded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.superseded || l.closed {
		return false
	}
	l.superseded = true
	for _, p := range l.peers {
		if p.inSight() {
			l.depart(p, left, "superseded")
		} else if !p.given {
			l.giveUp(p)
		}
	}
	l.counters.Dropped += uint64(l.all.drop())
	l.ready, l.readyAll = nil, false
	l.wakeUp.Broadcast()
	l.freeRoom()
	return true
}
