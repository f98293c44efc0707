package link

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/goape/ape/mesh"
)

// storeTime bounds one call of the store.
const storeTime = 10 * time.Second

// keptBuffer is the largest packet whose memory is used again.
const keptBuffer = 128 << 10

// write is the writer: it gathers what is queued and pushes it. While a Push
// runs, the next one gathers.
func (l *Link) write() {
	var frames []mesh.Frame
	var last time.Time
	for l.awaitWork() {
		if wait := time.Until(last.Add(l.traits.Spacing)); l.traits.Spacing > 0 && wait > 0 && !l.pause(wait) {
			return
		}
		var seal *sealer
		l.mu.Lock()
		frames, seal = l.collect(frames[:0], time.Now()), l.sealer
		l.mu.Unlock()
		if len(frames) == 0 {
			continue
		}
		for i := range frames {
			seal.seal(frames[i].Body)
		}
		last = time.Now()
		if !l.push(frames) {
			return
		}
		l.recycle(frames)
	}
}

// awaitWork waits until something is to be sent; false: never again.
func (l *Link) awaitWork() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && !l.superseded && len(l.ready) == 0 && !l.readyAll {
		l.writing = false
		if l.leaving {
			poke(l.flushed)
		}
		l.wakeUp.Wait()
	}
	l.writing = true
	return !l.closed && !l.superseded
}

// wake makes the writer look; markReady does so for one peer.
func (l *Link) wake() {
	if !l.writing {
		l.wakeUp.Signal()
	}
}

func (l *Link) markReady(p *peer) {
	if !p.queued {
		p.queued = true
		l.ready = append(l.ready, p)
	}
	l.wake()
}

// push pushes until the store takes the frames; false: the membership is over.
func (l *Link) push(frames []mesh.Frame) bool {
	var since time.Time
	for failures := 0; ; failures++ {
		ctx, cancel := context.WithTimeout(l.stay, storeTime)
		err := l.carrier.Push(ctx, frames...)
		cancel()
		unheard, ok := errors.AsType[*mesh.UnheardError](err)
		if err == nil || ok {
			l.pushed(frames)
			if unheard != nil {
				poke(l.look)
			}
			return true
		}
		if l.stay.Err() != nil {
			return false
		}
		if since.IsZero() {
			since = time.Now()
		}
		l.pushFailed(since, err)
		if !l.pause(backoff(failures)) {
			return false
		}
	}
}

func (l *Link) pushed(frames []mesh.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counters.Pushes++
	l.counters.Packets += uint64(len(frames))
	for i := range frames {
		l.counters.BytesOut += uint64(len(frames[i].Body))
	}
	if l.detached {
		l.detached = false
		l.note(slog.LevelInfo, "the store is reachable again")
	}
}

// pushFailed drops all queues once the store has been away for too long.
func (l *Link) pushFailed(since time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counters.PushErrors++
	if l.detached || time.Since(since) <= l.timing.Detach {
		return
	}
	l.detached = true
	l.note(slog.LevelError, "the store is away for too long: what waits for other members is dropped", "err", err)
	l.counters.Dropped += uint64(l.all.drop())
	for _, p := range l.peers {
		l.counters.Dropped += uint64(p.out.drop())
	}
	l.freeRoom()
}

// buffer returns memory for a packet.
func (l *Link) buffer() []byte {
	if b, ok := l.pool.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 4096)
}

func (l *Link) recycle(frames []mesh.Frame) {
	for i := range frames {
		if b := frames[i].Body; cap(b) <= keptBuffer {
			l.pool.Put(&b)
		}
	}
	clear(frames)
}
