package link_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/goape/ape/internal/link"
	"github.com/goape/ape/mesh"
)

// Loss, repetition and disorder: everything arrives, once and in order.
func TestLossyCarrierLosesNothing(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		n := 3 + w.rng.IntN(6)
		for i, a := range w.startAll(n) {
			w.traffic(a, seed*100+uint64(i), 5*time.Millisecond, sizes(20, 400))
		}
		w.store.SetFaults(anyFaults(w.rng))
		time.Sleep(longer(3*time.Second, 7))
		w.quiet()
		w.store.SetFaults(fewFaults)
		time.Sleep(20 * time.Second)
		w.check(true)
	})
}

// anyFaults are up to 20 % loss, 10 % repeats, 50 ms disorder.
func anyFaults(rng *rand.Rand) mesh.MemoryFaults {
	return mesh.MemoryFaults{
		Loss:   rng.Float64() * 0.2,
		Repeat: rng.Float64() * 0.1,
		Delay:  time.Duration(rng.IntN(50))*time.Millisecond + 1,
	}
}

var fewFaults = mesh.MemoryFaults{Loss: 0.02, Delay: 10 * time.Millisecond}

// Large messages among small ones over small frames.
func TestFragmentsAmongSmallMessagesArriveWhole(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, &mesh.MemoryOptions{MaxFrame: 5999}, link.Options{})
		for i, a := range w.startAll(3 + w.rng.IntN(3)) {
			w.traffic(a, seed*100+uint64(i), 20*time.Millisecond, mixedSize)
		}
		f := anyFaults(w.rng)
		f.Loss *= 0.75
		w.store.SetFaults(f)
		time.Sleep(longer(3*time.Second, 3))
		w.quiet()
		w.store.SetFaults(fewFaults)
		time.Sleep(30 * time.Second)
		w.check(true)
	})
}

func mixedSize(r *rand.Rand) int {
	switch r.IntN(60) {
	case 0:
		return 1000 + r.IntN(100_000)
	case 1:
		if r.IntN(10) == 0 {
			return 1 << 20
		}
		return 5000 + r.IntN(4000)
	}
	return 20 + r.IntN(300)
}

// The largest message, both ways, and one byte more.
func TestLargestMessageArrivesAndALargerOneIsRefused(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		const largest = 1 << 20
		w := newWorld(t, seed, &mesh.MemoryOptions{MaxFrame: 5999}, link.Options{Limits: link.Limits{Message: largest}})
		a := w.startAll(3)[0]
		w.store.SetFaults(mesh.MemoryFaults{Loss: 0.05, Repeat: 0.02, Delay: 5 * time.Millisecond})
		for range 2 {
			for _, size := range []int{largest, 100} {
				if err := a.send("srv-1", size); err != nil {
					t.Error(err)
				}
				if err := a.sendAll(size); err != nil {
					t.Error(err)
				}
			}
		}
		if err := a.send("srv-1", largest+1); err != link.ErrTooLarge {
			t.Errorf("one byte more to a member: %v", err)
		}
		if err := a.sendAll(largest + 1); err != link.ErrTooLarge {
			t.Errorf("one byte more to all: %v", err)
		}
		time.Sleep(30 * time.Second)
		w.check(true)
	})
}

// What a lost connection swallowed is there again after a round trip, not after
// the next beat.
func TestWhatACutSwallowedIsRepairedAtOnce(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		a, b := w.start("srv-0"), w.start("srv-1")
		w.store.SetFaults(mesh.MemoryFaults{Delay: 20 * time.Millisecond})
		for range 20 {
			a.send(b.id, 100)
			a.sendAll(100)
			time.Sleep(time.Nanosecond)
			w.store.Cut(b.id)
			time.Sleep(200 * time.Millisecond)
			for _, all := range []bool{true, false} {
				if got, want := len(b.hears(sequence{a.life, all})), int(a.toAll); got != want {
					t.Fatalf("%d messages of %d", got, want)
				}
			}
		}
		w.check(true)
	})
}

// A repair that is more than the way in can hold at a time is asked for in
// smaller and smaller pieces, until it comes through.
func TestRepairFitsTheWayIn(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, &mesh.MemoryOptions{MaxInbox: 32 << 10}, link.Options{})
		a, b := w.start("srv-0"), w.start("srv-1")
		w.store.Block(a.id, b.id)
		for range 1000 {
			a.send(b.id, 500)
			a.sendAll(500)
		}
		w.store.SetFaults(mesh.MemoryFaults{Delay: 10 * time.Millisecond})
		time.Sleep(5 * time.Second)
		w.store.Unblock(a.id, b.id)
		time.Sleep(60 * time.Second)
		w.check(true)
	})
}

// A leaver's last words arrive, and it is out of sight soon after.
func TestLeavingUnderLoadLosesNothing(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		for i, a := range w.startAll(5) {
			w.traffic(a, seed*100+uint64(i), 6*time.Millisecond, sizes(20, 400))
		}
		w.store.SetFaults(mesh.MemoryFaults{Loss: 0.1, Repeat: 0.05, Delay: 20 * time.Millisecond})
		time.Sleep(2 * time.Second)
		w.leave(w.actor("srv-2"))
		time.Sleep(time.Second)
		for _, a := range w.every {
			for _, m := range a.link.Members() {
				if !a.left && m.ID == "srv-2" {
					t.Errorf("%s still has srv-2 in sight a second after it left", a.id)
				}
			}
		}
		w.start("srv-2")
		time.Sleep(time.Second)
		w.quiet()
		time.Sleep(20 * time.Second)
		w.check(true)
	})
}

// A leaver says good-bye only when its queues are empty: what comes in windows,
// after a beat that was said meanwhile, is not lost.
func TestLeavingWithFullQueuesLosesNothing(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{Limits: link.Limits{Window: 16 << 10}})
		a := w.startAll(3)[0]
		w.store.SetFaults(mesh.MemoryFaults{Delay: 10 * time.Millisecond})
		for range 300 {
			if err := a.send("srv-1", 1000); err != nil {
				t.Fatal(err)
			}
			if err := a.sendAll(1000); err != nil {
				t.Fatal(err)
			}
		}
		w.wg.Go(func() { w.leave(a) })
		for range 10 {
			time.Sleep(10 * time.Millisecond)
			a.link.Watch(true) // which is said in a beat
			a.link.Watch(false)
		}
		w.wg.Wait()
		time.Sleep(10 * time.Second)
		w.check(true)
		for _, b := range w.every[1:] {
			if n := b.link.Stats().Members; n != 1 {
				t.Errorf("%s has %d others in sight", b.id, n)
			}
		}
	})
}

// Two clusters on one store never hear each other, though they use the same ids.
func TestNamespacesDoNotHearEachOther(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		one := newWorld(t, seed, nil, link.Options{})
		two := newWorld(t, seed, nil, link.Options{})
		two.store, two.namespace = one.store, "other"
		one.startAll(3)
		two.startAll(3)
		for range 100 {
			for i := range 3 {
				one.every[i].sendAll(100)
				two.every[i].send("srv-2", 50)
				two.every[i].sendAll(50)
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		if got := one.check(true).messages; got != 3*100*2 {
			t.Errorf("%d messages in one", got)
		}
		if got := two.check(true).messages; got != 3*100*2+2*100 {
			t.Errorf("%d messages in the other", got)
		}
	})
}
