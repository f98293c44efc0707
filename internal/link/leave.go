package link

import (
	"context"
	"time"
)

// Leave takes this server out of the mesh without loss: it accepts no more,
// removes its claims, sends what waits, and stays until every member has all of
// it, for at most [Timing.Leave] each or until ctx ends. What is left then is
// told to the others as a gap. A link that has left cannot be used again; a
// second Leave does nothing.
func (l *Link) Leave(ctx context.Context) error {
	l.mu.Lock()
	if l.closed || l.leaving {
		l.mu.Unlock()
		return nil
	}
	l.leaving = true
	l.mu.Unlock()
	l.claims.dropAll(ctx, l.stay, l.timing.Leave)
	l.sayGoodbye(ctx)
	l.Close() // first, for the keeper would register again
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), goodbyeTime)
		defer cancel()
	}
	return l.mesh.Leave(ctx)
}

// sayGoodbye flushes the queues, says that this member leaves, and waits until
// everybody has everything.
func (l *Link) sayGoodbye(ctx context.Context) {
	t := time.NewTimer(l.timing.Leave)
	defer t.Stop()
	for said := false; ; {
		sent, done := l.leftOver()
		if said && done {
			return
		}
		if sent && !said {
			said = true
			l.mu.Lock()
			l.goodbye = true
			l.beatNow(false)
			l.mu.Unlock()
		}
		select {
		case <-l.flushed:
		case <-l.stay.Done():
			return
		case <-ctx.Done():
			return
		case <-t.C:
			return
		}
	}
}

// leftOver says whether everything was sent, and whether everybody has it and
// knows that this member leaves.
func (l *Link) leftOver() (sent, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent = l.all.queue.len() == 0
	done = sent && !l.beatDue && !l.writing
	for _, p := range l.peers {
		if p.state != alive {
			continue
		}
		if p.out.queue.len() > 0 {
			sent, done = false, false
		}
		if p.out.ring.len() > 0 || p.established && (p.allAcked < l.all.last || !p.parted) {
			done = false
		}
	}
	return sent, done
}
