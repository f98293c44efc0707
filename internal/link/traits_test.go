package link_test

import (
	"testing"
	"time"

	"github.com/goape/ape/internal/link"
	"github.com/goape/ape/mesh"
)

// A store that counts operations is not asked more often than it says.
func TestSpacingIsKept(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		const spacing, load = 50 * time.Millisecond, 5 * time.Second
		w := newWorld(t, seed, &mesh.MemoryOptions{Spacing: spacing}, link.Options{})
		for i, a := range w.startAll(3) {
			w.traffic(a, seed*10+uint64(i), 2*time.Millisecond, sizes(20, 100))
		}
		before := w.store.Stats().Pushes
		time.Sleep(load)
		if n := w.store.Stats().Pushes - before; n > 3*uint64(load/spacing)+3 || n < uint64(load/spacing) {
			t.Errorf("%d pushes of 3 members in %v", n, load)
		}
		w.quiet()
		time.Sleep(5 * time.Second)
		w.check(true)
	})
}

// A durable store gives late what others would have lost: holes are not asked
// for at once.
func TestHolesOfDurableStoresAreAskedForLate(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, &mesh.MemoryOptions{Durable: true}, link.Options{})
		for i, a := range w.startAll(3) {
			w.traffic(a, seed*10+uint64(i), 15*time.Millisecond, sizes(20, 100))
		}
		w.store.SetFaults(mesh.MemoryFaults{Delay: time.Second})
		time.Sleep(5 * time.Second)
		if n := w.count().Nacks; n > 0 {
			t.Errorf("asked %d times for what was only late", n)
		}
		w.store.SetFaults(mesh.MemoryFaults{Loss: 0.05})
		time.Sleep(5 * time.Second)
		w.quiet()
		w.store.SetFaults(mesh.MemoryFaults{})
		time.Sleep(20 * time.Second)
		if w.count().Nacks == 0 {
			t.Error("nobody asked for what was lost")
		}
		w.check(true)
	})
}

// A member alone in its mesh pushes nothing that is sent to all, and a later one
// is owed nothing of it.
func TestAloneNothingToAllIsPushed(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		a := w.start("srv-0")
		for range 1000 {
			if err := a.sendAll(1000); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		if s := a.link.Stats(); s.BytesOut > 2000 || s.Held > 0 {
			t.Errorf("%d bytes pushed, %d held", s.BytesOut, s.Held)
		}
		b := w.start("srv-1")
		a.sendAll(100)
		b.sendAll(100)
		time.Sleep(5 * time.Second)
		if got := w.check(true).messages; got != 2 {
			t.Errorf("%d messages", got)
		}
		if v := b.link.Vector(); v[a.life] != 1001 || len(v) != 1 {
			t.Errorf("vector: %v", v)
		}
	})
}
