package link

import (
	"context"
	"log/slog"
	"time"

	"github.com/goape/ape/mesh"
)

// maxDeparted is how many members that are not in sight are remembered.
const maxDeparted = 1024

// refresh reads who is alive.
func (l *Link) refresh(ctx context.Context) error {
	ticket := l.looks.Add(1)
	list, err := l.mesh.Members(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.superseded {
		return mesh.ErrSuperseded
	}
	if ticket <= l.applied {
		return nil // a read that began later came back before
	}
	l.applied = ticket
	l.see(list, time.Now())
	return nil
}

// see applies a list of the living.
func (l *Link) see(list []mesh.Member, now time.Time) {
	seen := make(map[uint64]bool, len(list))
	for _, m := range list {
		if m.ID == l.self.ID {
			l.rival = l.rival || m.Life() != l.self.Life()
			continue
		}
		seen[m.Life()] = true
		l.seeOne(m, now)
	}
	// After an outage of our own all others may have come through it as badly.
	grace := l.sound.IsZero() || now.Sub(l.sound) < l.timing.Lease
	for life, p := range l.peers {
		switch {
		case seen[life] || !p.inSight():
		case p.state == leaving:
			l.depart(p, left, "left")
		case !grace:
			l.depart(p, dead, "lease lapsed")
		}
	}
	l.bury()
	l.checkMet()
}

func (l *Link) seeOne(m mesh.Member, now time.Time) {
	p, same := l.peers[m.Life()], l.byID[m.ID]
	switch {
	case p == nil:
		if same != nil {
			l.depart(same, left, "restarted")
		}
		p = l.newPeer(m, now)
		l.peers[p.life] = p
		l.due(p.tryAt)
	case p.state != dead:
		if m.Epoch > p.member.Epoch {
			p.member = m
		}
		return
	case same != nil && same != p:
		return // another life has its id
	default:
		p.state, p.since, p.heard, p.given = alive, now, now, false
		p.member = m
	}
	l.byID[m.ID] = p
	l.ask(p)
	l.queueItem(item{peer: p, kind: itemCame})
	l.note(slog.LevelInfo, "a member came", "member", m.ID)
}

// depart takes a peer out of sight: for good, or as dead, which may come back.
func (l *Link) depart(p *peer, as state, reason string) {
	now := time.Now()
	p.state, p.since = as, now
	if l.byID[p.member.ID] == p {
		delete(l.byID, p.member.ID)
	}
	p.again, p.againAll, p.nacks, p.gones = nil, nil, nil, nil
	p.tellIt = p.tellIt && as == left
	p.laggard = false
	l.freeRoom()
	if as == left {
		l.giveUp(p)
	} else {
		p.out.void()
		l.unwatch(p.in)
		l.unwatch(p.inAll)
		l.due(now.Add(l.timing.Keep))
		l.trimAll()
	}
	l.queueItem(item{peer: p, kind: itemGone, reason: reason})
	l.note(slog.LevelInfo, "a member has gone", "member", p.member.ID, "reason", reason)
	if l.all.queue.len() > 0 {
		l.readyAll = true
		l.wake()
	}
	if l.leaving {
		poke(l.flushed)
	}
}

// giveUp drops what was kept for a peer that might have come back.
func (l *Link) giveUp(p *peer) {
	now := time.Now()
	p.given = true
	l.counters.Dropped += uint64(p.out.drop())
	l.flush(p.in, now)
	l.flush(p.inAll, now)
	l.trimAll()
}

// bury forgets those that departed first, if they are too many.
func (l *Link) bury() {
	for len(l.peers)-len(l.byID) > maxDeparted {
		var old *peer
		for _, p := range l.peers {
			if !p.inSight() && (old == nil || p.since.Before(old.since)) {
				old = p
			}
		}
		l.giveUp(old)
		delete(l.peers, old.life)
	}
}

// checkMet tells Join once every peer in sight has said its position.
func (l *Link) checkMet() {
	for _, p := range l.peers {
		if p.state == alive && !p.established {
			return
		}
	}
	if l.applied > 0 && !l.allMet {
		l.allMet = true
		close(l.met)
	}
}
