package link_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/goape/ape/internal/link"
	"github.com/goape/ape/mesh"
)

// Everything at once; between members that live to the end nothing is lost.
func TestChaosLosesNothingBetweenTheLiving(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		sum := chaos(t, seed, link.Options{})
		if sum.living > sum.late {
			t.Errorf("%d gaps between members that live", sum.living-sum.late)
		}
	})
}

// The same with rings so small that messages must be lost: every one that is
// missing lies in a gap that was told.
func TestTinyRingsTellEveryLoss(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		sum := chaos(t, seed, link.Options{
			Limits: link.Limits{
				AllRingParts: 20, WindowParts: 16, AllRing: 8 << 10, Window: 4 << 10,
				Queue: 32 << 10, PendingParts: 40, Pending: 8 << 10,
			},
			Timing: link.Timing{Patience: 50 * time.Millisecond},
		})
		if sum.gaps == 0 {
			t.Error("nothing was lost: the rings are not tiny")
		}
	})
}

// Messages in several parts, of which some are lost: none arrives in part.
func TestTornMessagesAreTold(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{Limits: link.Limits{
			Fragment: 100, AllRingParts: 24, WindowParts: 16, PendingParts: 20, Packet: 4 << 10,
		}, Timing: link.Timing{Patience: 20 * time.Millisecond}})
		for i, a := range w.startAll(4) {
			w.traffic(a, seed*100+uint64(i), 10*time.Millisecond, sizes(20, 2000))
		}
		torn := uint64(0)
		for range 5 {
			w.store.SetFaults(mesh.MemoryFaults{Loss: 0.3, Delay: 20 * time.Millisecond})
			time.Sleep(300 * time.Millisecond)
			w.store.SetFaults(fewFaults)
			time.Sleep(300 * time.Millisecond)
		}
		w.quiet()
		time.Sleep(20 * time.Second)
		if sum := w.check(false); sum.gaps == 0 {
			t.Error("nothing was lost")
		}
		for _, a := range w.every {
			torn += a.link.Stats().Torn
		}
		if torn == 0 {
			t.Error("no message was torn")
		}
	})
}

// 50 members that miss the same broadcast cause few questions and one repair.
func TestCommonLossIsRepairedOnce(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		first := w.startAll(31)[0]
		time.Sleep(5 * time.Second)
		others := func(f func(from, to string)) {
			for _, a := range w.every[1:] {
				f(first.id, a.id)
			}
		}
		before := w.count()
		for range 5 {
			first.sendAll(200)
			time.Sleep(5 * time.Millisecond)
			others(w.store.Block)
			first.sendAll(200)
			time.Sleep(time.Millisecond)
			others(w.store.Unblock)
			first.sendAll(200)
			time.Sleep(500 * time.Millisecond)
		}
		w.check(true)
		now := w.count()
		if again := now.AgainAll - before.AgainAll; again < 5 || again > 15 {
			t.Errorf("5 messages that all missed were sent again %d times to all", again)
		}
		if asked := now.Nacks - before.Nacks; asked > 5*15 {
			t.Errorf("30 members asked %d times for 5 messages", asked)
		}
	})
}

// count adds up what all members counted.
func (w *world) count() (sum link.Stats) {
	for _, a := range w.every {
		s := a.link.Stats()
		sum.Nacks += s.Nacks
		sum.AgainAll += s.AgainAll
		sum.Gaps += s.Gaps
		sum.Stalls += s.Stalls
		sum.Laggards += s.Laggards
		sum.Foreign += s.Foreign
		sum.Packets += s.Packets
		sum.NoRoute += s.NoRoute
		sum.Forwarded += s.Forwarded
	}
	return sum
}

// A member whose handler hangs holds up what is sent to it, and what is sent to
// all only for a while.
func TestSlowMemberHoldsUpOnlyItself(t *testing.T) {
	for name, hangs := range map[string]time.Duration{"short": 900 * time.Millisecond, "long": 8 * time.Second} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, seed uint64) { slowMember(t, seed, hangs) })
		})
	}
}

func slowMember(t *testing.T, seed uint64, hangs time.Duration) {
	const in = 200 << 10
	w := newWorld(t, seed, nil, link.Options{Limits: link.Limits{
		In: in, AllRing: 300 << 10, Window: 256 << 10, Queue: 512 << 10,
	}})
	first := w.startAll(3)[0]
	gate := make(chan struct{})
	slow := w.start("srv-3", func(o *link.Options) {
		take := o.Handlers.Message
		o.Handlers.Message = func(m link.Message) { <-gate; take(m) }
	})
	time.AfterFunc(hangs, func() { close(gate) })
	most := 0
	for began := time.Now(); time.Since(began) < 4*time.Second; time.Sleep(2 * time.Millisecond) {
		first.send(slow.id, 1000)
		if err := first.send("srv-1", 1000); err != nil {
			t.Fatalf("to a member that is quick: %v", err)
		}
		first.sendAll(1000)
		most = max(most, slow.link.Stats().Unhandled)
	}
	time.Sleep(30 * time.Second)
	sum := w.check(false)
	if short := hangs < time.Second; short && sum.gaps > 0 {
		t.Errorf("%d gaps after a short hang", sum.gaps)
	}
	for _, r := range w.actor("srv-1").hears(sequence{first.life, true}) {
		if r.n == 0 {
			t.Errorf("a member that is quick missed numbers %d to %d", r.first, r.last)
		}
	}
	if most > in+2000 {
		t.Errorf("the slow one held %d bytes unhandled", most)
	}
	if now := slow.link.Stats(); now.Unhandled != 0 || now.Pending != 0 {
		t.Errorf("the slow one still holds %d bytes unhandled, %d pending", now.Unhandled, now.Pending)
	}
}

// What is sent while the store is away waits; after a minute it is dropped, and
// told so.
func TestStoreAway(t *testing.T) {
	for name, away := range map[string]time.Duration{"10 s": 10 * time.Second, "40 s": 40 * time.Second, "120 s": 120 * time.Second} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, seed uint64) { storeAway(t, seed, away) })
		})
	}
}

func storeAway(t *testing.T, seed uint64, away time.Duration) {
	var gone atomic.Int64
	w := newWorld(t, seed, nil, link.Options{Handlers: link.Handlers{Member: func(c link.Change) {
		if c.Gone {
			gone.Add(1)
		}
	}}})
	for i, a := range w.startAll(4) {
		w.traffic(a, seed*10+uint64(i), 50*time.Millisecond, sizes(20, 400))
	}
	time.Sleep(5 * time.Second)
	w.store.Stop()
	time.Sleep(away)
	for _, a := range w.every {
		err := a.sendAll(20)
		if detached := away > time.Minute; detached != (err == link.ErrDetached) || detached != a.link.Health().Detached {
			t.Errorf("%s after %v: %v, health %+v", a.id, away, err, a.link.Health())
		}
	}
	w.store.Start()
	time.Sleep(15 * time.Second)
	for _, a := range w.every {
		for _, b := range w.every {
			if a != b && !a.link.Acked(b.life) {
				t.Errorf("%s and %s have not found each other again", a.id, b.id)
			}
		}
	}
	w.quiet()
	time.Sleep(20 * time.Second)
	w.check(away < time.Minute)
	if n := gone.Load(); n > 0 {
		t.Errorf("%d times a member was taken for dead, though it came through the same outage", n)
	}
}

// What is acknowledged was handled: the handler has returned.
func TestNothingIsAcknowledgedBeforeItWasHandled(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		gate := make(chan struct{})
		a := w.start("srv-0")
		w.start("srv-1", func(o *link.Options) {
			take := o.Handlers.Message
			o.Handlers.Message = func(m link.Message) { <-gate; take(m) }
		})
		for range 10 {
			a.send("srv-1", 100)
			a.sendAll(100)
		}
		time.Sleep(30 * time.Second)
		if held := a.link.Stats().Held; held < 20*100 {
			t.Errorf("%d bytes are kept of 20 messages that nobody has handled", held)
		}
		close(gate)
		time.Sleep(30 * time.Second)
		if held := a.link.Stats().Held; held != 0 {
			t.Errorf("%d bytes are kept of what was handled", held)
		}
		w.check(true)
	})
}

// One that takes nothing may not hold the memory that the others need.
func TestBudgetIsShared(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		const budget = 256 << 10
		w := newWorld(t, seed, nil, link.Options{Limits: link.Limits{Budget: budget}})
		a := w.startAll(6)[0]
		hard := []string{"srv-4", "srv-5"}
		for _, id := range hard {
			w.store.Block(a.id, id)
		}
		most := 0
		for range 2000 {
			for _, id := range hard {
				a.send(id, 1000)
			}
			if err := a.send("srv-1", 1000); err != nil {
				t.Fatalf("to a member that takes all: %v", err)
			}
			if err := a.sendAll(10); err != nil && err != link.ErrBacklog {
				t.Error(err)
			}
			most = max(most, a.link.Stats().Held)
			time.Sleep(time.Millisecond)
		}
		if a.backlog == 0 || most > 2*budget {
			t.Errorf("%d refused, %d bytes held of %d", a.backlog, most, budget)
		}
		if err := a.send("srv-4", 1000); err != link.ErrBacklog {
			t.Errorf("to one that holds too much: %v", err)
		}
		for _, id := range hard {
			w.store.Unblock(a.id, id)
		}
		time.Sleep(20 * time.Second)
		w.check(true)
		if held := a.link.Stats().Held; held != 0 {
			t.Errorf("%d bytes are held in the end", held)
		}
	})
}
