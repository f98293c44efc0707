package link_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape/internal/link"
	"github.com/goape/ape/mesh"
)

// storm is one run of chaos.
type storm struct {
	*world
	seed uint64
	ids  []string // all that may run
	runs uint64
	edit []func(*link.Options)
	work func(a *actor, seed uint64) // what a member does while it runs
}

// chaos lets members send while everything breaks, and checks what they heard.
func chaos(t *testing.T, seed uint64, o link.Options) tally {
	s := newStorm(t, seed, o)
	s.work = func(a *actor, seed uint64) { s.traffic(a, seed, 10*time.Millisecond, sizes(20, 400)) }
	s.rage(longer(20*time.Second, 3))
	time.Sleep(90 * time.Second)
	return s.check(false)
}

func newStorm(t *testing.T, seed uint64, o link.Options) *storm {
	m := &mesh.MemoryOptions{Deaf: seed%2 == 0}
	if seed%3 == 0 {
		m.MaxInbox = 128 << 10 // far less than an answer to a nack
	}
	w := newWorld(t, seed, m, o)
	return &storm{world: w, seed: seed}
}

// rage lets some members run, and breaks things for a while. In the end all is
// whole again.
func (s *storm) rage(d time.Duration) {
	n := 3 + s.rng.IntN(4)
	s.ids = ids(n + 3)
	for _, id := range s.ids[:n] {
		s.run(id)
	}
	s.store.SetFaults(anyFaults(s.rng))
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Duration(s.rng.Int64N(int64(3 * time.Second))))
		s.strike(s.rng.IntN(10))
	}
	s.quiet()
	s.store.Start()
	for _, id := range s.ids {
		s.store.Resume(id)
	}
	s.store.SetFaults(fewFaults)
}

func (s *storm) run(id string) {
	s.runs++
	s.work(s.start(id, s.edit...), s.seed*1000+s.runs)
}

// later undoes a strike.
func (s *storm) later(most time.Duration, f func()) {
	d := time.Duration(s.rng.Int64N(int64(most)))
	s.wg.Go(func() {
		time.Sleep(d)
		f()
	})
}

func (s *storm) strike(kind int) {
	id := s.pick(s.rng, "")
	switch a := s.actor(id); kind {
	case 0: // a crash, and the same id again
		if s.running() > 1 {
			s.kill(a)
			time.Sleep(time.Duration(s.rng.IntN(20_000)) * time.Millisecond)
			s.run(id)
		}
	case 1:
		if s.running() > 2 {
			s.leave(a)
		}
	case 2: // one joins late
		for _, id := range s.ids {
			if s.actor(id) == nil {
				s.run(id)
				break
			}
		}
	case 3: // no way between two, one way or both
		s.part([]string{id}, []string{s.pick(s.rng, "")}, s.rng.IntN(2) == 0, 20*time.Second)
	case 4: // a member without its store
		s.store.Stop(id)
		s.later(25*time.Second, func() { s.store.Start(id) })
	case 5:
		s.store.Cut(id)
	case 6: // nobody has the store
		if s.rng.IntN(3) == 0 {
			s.store.Stop()
			time.Sleep(time.Duration(s.rng.IntN(30_000)) * time.Millisecond)
			s.store.Start()
		}
	case 7:
		s.store.SetFaults(anyFaults(s.rng))
	case 8: // halves apart
		var one, other []string
		for i, id := range s.ids {
			if i%2 == 0 {
				one = append(one, id)
			} else {
				other = append(other, id)
			}
		}
		s.part(one, other, true, 10*time.Second)
	case 9: // a member hangs
		s.store.Pause(id)
		s.later(20*time.Second, func() { s.store.Resume(id) })
	}
}

// part blocks the ways between two groups for a while.
func (s *storm) part(one, other []string, both bool, most time.Duration) {
	each := func(f func(from, to string)) {
		for _, x := range one {
			for _, y := range other {
				f(x, y)
				if both {
					f(y, x)
				}
			}
		}
	}
	each(s.store.Block)
	s.later(most, func() { each(s.store.Unblock) })
}

// Whatever breaks, each call ends, with its own answer or a reason, and runs at
// most once.
func TestChaosEndsEveryCall(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		s := newStorm(t, seed, link.Options{})
		var mu sync.Mutex
		ran, answered, failed := map[uint64]int{}, 0, 0
		s.edit = append(s.edit, func(o *link.Options) {
			o.Handlers.Request = func(_ context.Context, _ mesh.Member, body []byte) ([]byte, error) {
				mu.Lock()
				defer mu.Unlock()
				ran[binary.BigEndian.Uint64(body)]++
				return body, nil
			}
		})
		call := func(a *actor, rng *rand.Rand) {
			ctx, cancel := context.WithCancel(context.Background())
			if rng.IntN(2) == 0 {
				ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(5000))*time.Millisecond)
			}
			defer cancel()
			id := rng.Uint64()
			body := binary.BigEndian.AppendUint64(nil, id)
			got, err := a.link.Request(ctx, s.pick(rng, a.id), body)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				answered++
			} else {
				failed++
			}
			if err == nil && (string(got) != string(body) || ran[id] == 0) {
				t.Errorf("%x was answered with %x, ran %d times", body, got, ran[id])
			}
			if err != nil && !expected(err) {
				t.Errorf("a call ended with: %v", err)
			}
		}
		s.work = func(a *actor, seed uint64) {
			rng := rand.New(rand.NewPCG(seed, 5))
			for range 4 {
				one := rand.New(rand.NewPCG(rng.Uint64(), 6))
				s.wg.Go(func() {
					for !a.ended() && !s.calm() {
						call(a, one)
						time.Sleep(time.Duration(one.IntN(100)) * time.Millisecond)
					}
				})
			}
		}
		s.rage(longer(20*time.Second, 3)) // returns when all calls have
		for id, n := range ran {
			if n > 1 {
				t.Errorf("%x ran %d times", id, n)
			}
		}
		if answered < 100 || failed == 0 {
			t.Errorf("%d calls were answered, %d failed", answered, failed)
		}
	})
}

// expected says whether a call may end like this when its member or its own link
// does.
func expected(err error) bool {
	for _, e := range []error{link.ErrPeerGone, link.ErrClosed, link.ErrDetached, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// calm says whether the traffic is over.
func (w *world) calm() bool {
	select {
	case <-w.quit:
		return true
	default:
		return false
	}
}
