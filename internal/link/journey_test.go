package link_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape/internal/link"
	"github.com/goape/ape/mesh"
)

const client = "the client"

// journey keeps the books of one client that moves.
type journey struct {
	mu      sync.Mutex
	gen     map[string]uint64 // by member, while it holds the client
	settled uint64            // Gen, while the client stays put; else 0
	sent    [][]bool          // by sender and number: it was accepted
	seen    map[[2]uint64]int
	last    map[[2]uint64]uint64 // by sender and stay
	inOrder int
	bad     []string
}

func newJourney(members int) *journey {
	return &journey{
		gen: map[string]uint64{}, sent: make([][]bool, members),
		seen: map[[2]uint64]int{}, last: map[[2]uint64]uint64{},
	}
}

// take notes what came to the client at a member: sender, number, and the stay
// in which it was sent.
func (j *journey) take(at string, b []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	sender, number, stay := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	id := [2]uint64{sender, number}
	if j.seen[id]++; j.seen[id] > 1 {
		j.bad = append(j.bad, fmt.Sprintf("message %d of %d came twice", number, sender))
	}
	if stay == 0 || j.gen[at] != stay {
		return // sent or heard while it moved
	}
	if last := j.last[[2]uint64{sender, stay}]; last > number {
		j.bad = append(j.bad, fmt.Sprintf("message %d of %d came after %d, in stay %d", number, sender, last, stay))
	}
	j.last[[2]uint64{sender, stay}] = number
	j.inOrder++
}

// next returns the next message of a sender.
func (j *journey) next(sender int) (number int, body []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent[sender] = append(j.sent[sender], false)
	number = len(j.sent[sender])
	b := binary.BigEndian.AppendUint64(nil, uint64(sender))
	b = binary.BigEndian.AppendUint64(b, uint64(number))
	return number, binary.BigEndian.AppendUint64(b, j.settled)
}

func (j *journey) accepted(sender, number int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent[sender][number-1] = true
}

// A client moves while all send to it, rows race and frames are lost: in order
// per sender while it stays put, nothing twice, at most two hops, and a late Add
// of an older Gen changes nothing.
func TestMovingClientGetsEverythingInOrder(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, &mesh.MemoryOptions{RowTTL: 6 * time.Second}, link.Options{})
		n := 3 + w.rng.IntN(4)
		j := newJourney(n)
		for _, id := range ids(n) {
			w.start(id, func(o *link.Options) {
				o.Handlers.Client = func(_ string, _ mesh.Member, b []byte) bool { j.take(id, b); return true }
			})
		}
		w.store.SetFaults(mesh.MemoryFaults{
			Loss: w.rng.Float64() * 0.1, Repeat: w.rng.Float64() * 0.05,
			Delay: time.Duration(1+w.rng.IntN(20)) * time.Millisecond,
			Rows:  time.Duration(1+w.rng.IntN(40)) * time.Millisecond,
		})
		j.gen["srv-0"] = 1
		if err := w.every[0].link.Claim(context.Background(), client, 1); err != nil {
			t.Error(err)
		}
		j.settled = 1
		for i, a := range w.every {
			w.sendToClient(j, i, a, seed)
		}
		holder, gen := w.wander(j, longer(20*time.Second, 2))
		w.quiet()
		time.Sleep(20 * time.Second) // three times the rows' life
		m, err := w.every[0].link.Find(context.Background(), client)
		if err != nil || m.Epoch != holder.link.Self().Epoch {
			t.Errorf("in the end the client is at %+v, %v; want %s, Gen %d", m, err, holder.id, gen)
		}
		w.checkJourney(j)
	})
}

// sendToClient sends from one member until the end.
func (w *world) sendToClient(j *journey, i int, a *actor, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	w.wg.Go(func() {
		for {
			select {
			case <-w.quit:
				return
			case <-time.After(time.Duration(rng.IntN(20_000)) * time.Microsecond):
			}
			if rng.IntN(200) == 0 {
				time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
			}
			number, body := j.next(i)
			a.link.SendToLater(client, body, func(err error) {
				if err == nil {
					j.accepted(i, number)
				}
			})
		}
	})
}

// wander moves the client about, and returns who has it in the end.
func (w *world) wander(j *journey, d time.Duration) (holder *actor, gen uint64) {
	ctx := context.Background()
	holder, gen = w.every[0], 1
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Duration(w.rng.IntN(2500)) * time.Millisecond)
		from, to := holder, w.every[w.rng.IntN(len(w.every))]
		if to == from {
			continue
		}
		gen++
		j.mu.Lock()
		j.settled = 0
		j.gen[to.id] = gen
		j.mu.Unlock()
		if err := to.link.Claim(ctx, client, gen); err != nil {
			w.t.Error(err)
		}
		j.mu.Lock()
		delete(j.gen, from.id)
		j.mu.Unlock()
		if w.rng.IntN(4) == 0 {
			from.link.Release(client)
		} else {
			from.link.GiveAway(client, mesh.Owner{ID: to.id, Epoch: to.link.Self().Epoch, Gen: gen})
		}
		late, old := time.Duration(w.rng.IntN(100))*time.Millisecond, gen-1
		w.wg.Go(func() { // an Add of the old holder that was under way
			time.Sleep(late)
			if err := from.link.Rows().Add(ctx, mesh.Claim{Client: client, Gen: old}); err != nil {
				w.t.Error(err)
			}
		})
		j.mu.Lock()
		j.settled = gen
		j.mu.Unlock()
		holder = to
	}
	return holder, gen
}

func (w *world) checkJourney(j *journey) {
	w.t.Helper()
	lost, hops, total := uint64(0), 0, 0
	for i, list := range j.sent {
		total += len(list)
		for k, accepted := range list {
			if accepted && j.seen[[2]uint64{uint64(i), uint64(k + 1)}] == 0 {
				lost++
			}
		}
	}
	for _, a := range w.every {
		hops = max(hops, a.link.TopHops())
	}
	for _, bad := range j.bad {
		w.t.Error(bad)
	}
	s := w.count()
	if lost != s.NoRoute || hops > 2 || s.Gaps > 0 {
		w.t.Errorf("%d lost, %d told that nobody has the client, %d hops, %d gaps", lost, s.NoRoute, hops, s.Gaps)
	}
	if j.inOrder < total/2 {
		w.t.Errorf("of %d messages only %d came while the client stayed put", total, j.inOrder)
	}
	w.t.Logf("%d sent, %d forwarded, %d nowhere, %d in order", total, s.Forwarded, s.NoRoute, j.inOrder)
}
