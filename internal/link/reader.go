package link

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/goape/ape/mesh"
)

// foreignEvery is how often packets that do not verify are logged.
const foreignEvery = time.Minute

// read is the reader: packets into sequences.
func (l *Link) read(inbox mesh.Inbox) {
	for inbox != nil {
		l.drainInbox(inbox)
		inbox = l.pullAgain()
	}
}

// drainInbox receives until the inbox is dead.
func (l *Link) drainInbox(inbox mesh.Inbox) {
	closed := make(chan struct{})
	stop := context.AfterFunc(l.stay, func() {
		defer close(closed)
		inbox.Close()
	})
	defer func() {
		if stop() {
			inbox.Close()
		} else {
			<-closed
		}
	}()
	for l.stay.Err() == nil {
		b, err := inbox.Receive(l.stay)
		switch {
		case err == nil:
			l.onPacket(b, time.Now())
		case errors.Is(err, mesh.ErrInterrupted):
			l.broken()
		default:
			return
		}
	}
}

// pullAgain returns a new inbox, or nil when the membership is over.
func (l *Link) pullAgain() mesh.Inbox {
	for failures := 0; l.stay.Err() == nil; failures++ {
		ctx, cancel := context.WithTimeout(l.stay, storeTime)
		inbox, err := l.carrier.Pull(ctx, string(l.id))
		cancel()
		if err == nil {
			l.broken()
			return inbox
		}
		l.pause(backoff(failures))
	}
	return nil
}

// broken asks everybody how far they are, for the way in was interrupted.
func (l *Link) broken() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counters.Breaks++
	l.beatNow(true)
}

// onPacket takes a packet in.
func (l *Link) onPacket(b []byte, now time.Time) {
	opener := l.opener.Load()
	verified := opener.verify(b)
	h, parts, err := parseHeader(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counters.PacketsIn++
	l.counters.BytesIn += uint64(len(b))
	switch life := h.epoch >> 16; {
	case !verified || err != nil:
		l.unverified(parts, opener.early, now)
	case life == l.self.Life():
		l.counters.Own++
		l.heardProbe(parts)
	case l.closed || l.superseded:
	case h.flags&flagTarget != 0 && h.target != l.self.Life():
		l.counters.Stale++
	default:
		p := l.peers[life]
		if p == nil || p.state == dead || p.state == alive && h.epoch > p.member.Epoch {
			poke(l.look)
		}
		if p == nil || p.state == dead {
			l.counters.Unknown++
			return
		}
		l.fromPeer(p, h, parts, now)
	}
}

// unverified counts a packet that is dropped. The probe of one who joins is
// sealed under a key that it proposes, so every other member meets it here.
func (l *Link) unverified(parts []byte, early bool, now time.Time) {
	kind, _, _, ok := nextPart(parts)
	switch {
	case ok && kind == kindProbe:
		l.counters.Probes++
		return
	case early:
		l.counters.Early++
		return
	}
	l.foreign(now)
}

func (l *Link) foreign(now time.Time) {
	l.counters.Foreign++
	if now.Sub(l.foreignTold) >= foreignEvery {
		l.foreignTold = now
		l.note(slog.LevelWarn, "a packet was dropped that does not verify: do all members use the same mesh key and version?",
			"total", l.counters.Foreign)
	}
}

func (l *Link) heardProbe(parts []byte) {
	kind, body, _, ok := nextPart(parts)
	if !ok || kind != kindProbe || len(body) != 8 {
		return
	}
	nonce := binary.BigEndian.Uint64(body)
	if heard := l.probes[nonce]; heard != nil {
		delete(l.probes, nonce)
		close(heard)
	}
}

// fromPeer takes in what a peer sent.
func (l *Link) fromPeer(p *peer, h header, parts []byte, now time.Time) {
	p.heard = now
	if h.flags&flagAll == 0 && h.first > 0 && p.state != left {
		if h.stream < p.in.stream {
			l.counters.Stale++
			return
		}
		l.newStream(p, h.stream, now)
	}
	for number := h.first; len(parts) > 0; {
		kind, body, rest, ok := nextPart(parts)
		if !ok {
			l.foreign(now)
			break
		}
		parts = rest
		if kind >= kindControl {
			l.onControl(p, kind, body, now)
			continue
		}
		in := p.inAll
		if h.flags&flagAll == 0 {
			in = p.in
		}
		if number == 0 || p.state == left || !in.all && in.stream != h.stream {
			break
		}
		l.arrive(in, number, kept{kind, body}, now)
		number++
	}
	for _, in := range p.sequences() {
		l.settle(in, now)
	}
	if p.state == leaving {
		l.leaverDone(p)
	}
}

// settle looks at a sequence after something has come in.
func (l *Link) settle(in *incoming, now time.Time) {
	if in.gapOpen && in.complete() {
		l.tellGap(in)
	}
	l.watch(in, now)
	l.tellIfDue(in)
}

// tellIfDue sends our position once a quarter of the window was handled.
func (l *Link) tellIfDue(in *incoming) {
	if (in.fresh >= l.limits.Window/4 || in.freshN >= l.limits.WindowParts/4) && in.position() > in.told {
		l.answer(in.peer)
	}
}
