package mesh_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/mesh"
)

// member is somebody in a Memory, with an Inbox.
type member struct {
	mesh.Mesh
	t     *testing.T
	id    string
	inbox mesh.Inbox
}

func start(t *testing.T, s *mesh.Memory, id string, life uint64) *member {
	t.Helper()
	m := &member{Mesh: s.Mesh(""), t: t, id: id}
	var err error
	if m.inbox, err = m.Channels().Pull(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err = m.Join(t.Context(), mesh.Member{ID: id, Epoch: life << 16}, 10*time.Second, []byte("key")); err != nil {
		t.Fatal(err)
	}
	return m
}

// pushes sends n numbered frames.
func (m *member) pushes(to string, n int) {
	m.t.Helper()
	for i := range n {
		if err := m.Channels().Push(m.t.Context(), mesh.Frame{To: to, Body: binary.BigEndian.AppendUint32(nil, uint32(i))}); err != nil {
			m.t.Fatal(err)
		}
	}
}

// hears returns what comes until nothing has for a minute: numbers, or -1 where
// the Inbox was interrupted.
func (m *member) hears() (got []int) {
	m.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		body, err := m.inbox.Receive(ctx)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return got
		case errors.Is(err, mesh.ErrInterrupted):
			got = append(got, -1)
		case err != nil:
			m.t.Fatal(err)
		default:
			got = append(got, int(binary.BigEndian.Uint32(body)))
		}
	}
}

func count(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func want[T any](t *testing.T, got, want T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMemoryLosesRepeatsAndReordersAsItIsTold(t *testing.T) {
	const frames = 2000
	run := func(f mesh.MemoryFaults) (got []int, st mesh.MemoryStats) {
		synctest.Test(t, func(t *testing.T) {
			s := mesh.NewMemory(&mesh.MemoryOptions{Seed: 7})
			s.SetFaults(f)
			a, b := start(t, s, "a", 1), start(t, s, "b", 2)
			a.pushes("b", frames)
			got, st = b.hears(), s.Stats()
			a.pushes("a", frames) // one's own frames are spared
			want(t, a.hears(), count(frames))
		})
		return got, st
	}
	t.Run("nothing", func(t *testing.T) {
		got, st := run(mesh.MemoryFaults{})
		want(t, got, count(frames))
		want(t, st.Lost+st.Repeated, 0)
	})
	t.Run("loss", func(t *testing.T) {
		got, st := run(mesh.MemoryFaults{Loss: 0.2})
		if !slices.IsSorted(got) || len(slices.Compact(got)) != len(got) {
			t.Error("frames were repeated or reordered")
		}
		if n := frames - len(got); n != int(st.Lost) || n < frames/10 || n > frames*3/10 {
			t.Errorf("%d frames are missing, %d were lost", n, st.Lost)
		}
	})
	t.Run("repetition", func(t *testing.T) {
		got, st := run(mesh.MemoryFaults{Repeat: 0.2})
		if n := len(got) - frames; n != int(st.Repeated) || n < frames/10 || n > frames*3/10 {
			t.Errorf("%d frames are too many, %d were repeated", n, st.Repeated)
		}
		want(t, slices.IsSorted(got), true)
		want(t, slices.Compact(got), count(frames))
	})
	t.Run("delay", func(t *testing.T) {
		got, st := run(mesh.MemoryFaults{Delay: time.Second})
		want(t, slices.IsSorted(got), false)
		slices.Sort(got)
		want(t, got, count(frames))
		want(t, st.Waiting, 0)
	})
	t.Run("again", func(t *testing.T) {
		all := mesh.MemoryFaults{Loss: 0.1, Repeat: 0.1, Delay: time.Second}
		first, _ := run(all)
		second, _ := run(all)
		want(t, second, first)
	})
}

// The fate of frames between two members does not depend on what others do.
func TestMemoryFatesDependOnThePairAlone(t *testing.T) {
	run := func(others int) (got []int) {
		synctest.Test(t, func(t *testing.T) {
			s := mesh.NewMemory(&mesh.MemoryOptions{Seed: 3})
			s.SetFaults(mesh.MemoryFaults{Loss: 0.3})
			a, b, c := start(t, s, "a", 1), start(t, s, "b", 2), start(t, s, "c", 3)
			c.pushes("b", others)
			want(t, len(b.hears()) <= others, true)
			a.pushes("b", 100)
			got = b.hears()
		})
		return got
	}
	want(t, run(50), run(0))
}

func TestMemoryDelaysFramesForAsLongAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mesh.NewMemory(nil)
		s.SetFaults(mesh.MemoryFaults{Delay: time.Second, Push: time.Hour, Rows: time.Minute})
		a, b := start(t, s, "a", 1), start(t, s, "b", 2)
		begin := time.Now()
		a.pushes("b", 1)
		want(t, time.Since(begin), time.Hour)
		if _, err := b.inbox.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin) - time.Hour; d <= 0 || d > time.Second {
			t.Errorf("the frame was late by %v", d)
		}
		begin = time.Now()
		if err := a.Lookup().Add(t.Context(), mesh.Claim{Client: "c", Gen: 1}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d == 0 || d > time.Minute {
			t.Errorf("Add took %v", d)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.Channels().Push(short, mesh.Frame{To: "b"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a Push that takes too long: %v", err)
		}
	})
}

func TestMemoryCutsAndBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mesh.NewMemory(nil)
		a, b, c := start(t, s, "a", 1), start(t, s, "b", 2), start(t, s, "c", 3)
		a.pushes(mesh.All, 3)
		s.Cut("b")
		a.pushes(mesh.All, 2)
		want(t, b.hears(), []int{-1, 0, 1})
		want(t, c.hears(), []int{0, 1, 2, 0, 1})
		s.Cut()
		want(t, c.hears(), []int{-1})
		want(t, b.hears(), []int{-1})
		want(t, s.Stats().Interrupted, 4)

		s.Block("a", "b")
		a.pushes(mesh.All, 2)
		b.pushes("a", 1)
		want(t, b.hears(), nil)
		want(t, len(c.hears()), 2)
		want(t, a.hears(), []int{-1, 0, 1, 0})
		s.Unblock("a", "b")
		a.pushes("b", 1)
		want(t, b.hears(), []int{0})
	})
}

func TestMemoryPausesAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mesh.NewMemory(nil)
		a, b := start(t, s, "a", 1), start(t, s, "b", 2)
		s.Pause("b")
		a.pushes("b", 2)
		want(t, b.hears(), nil)
		begin := time.Now()
		result := make(chan error)
		go func() { result <- b.Renew(t.Context()) }()
		time.Sleep(20 * time.Second)
		s.Resume("b")
		if err := <-result; !errors.Is(err, mesh.ErrLapsed) {
			t.Errorf("Renew after a pause: %v", err)
		}
		want(t, time.Since(begin), 20*time.Second)
		want(t, b.hears(), []int{0, 1})
		s.Resume("b") // not paused: nothing
	})
}

func TestMemoryKillsAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mesh.NewMemory(nil)
		a, b := start(t, s, "a", 1), start(t, s, "b", 2)
		if err := b.Lookup().Add(t.Context(), mesh.Claim{Client: "client", Gen: 1}); err != nil {
			t.Fatal(err)
		}
		s.Pause("b")
		waiting := make(chan error)
		go func() { waiting <- b.Renew(t.Context()) }()
		synctest.Wait()
		s.Kill("b")
		if err := <-waiting; err == nil {
			t.Error("Renew of a member that was killed returned no error")
		}
		if _, err := b.inbox.Receive(t.Context()); err == nil || errors.Is(err, mesh.ErrInterrupted) {
			t.Errorf("Receive of a member that was killed: %v", err)
		}
		if err := b.Leave(t.Context()); err == nil {
			t.Error("Leave of a member that was killed returned no error")
		}
		var unheard *mesh.UnheardError
		if err := a.Channels().Push(t.Context(), mesh.Frame{To: "b"}); !errors.As(err, &unheard) {
			t.Errorf("Push to a member that was killed: %v", err)
		}
		// What it wrote is there, until its lease is over.
		want(t, s.Stats().Records, 2)
		want(t, s.Stats().Rows, 1)
		// Another process may have the ID.
		again := start(t, s, "b", 3)
		a.pushes("b", 1)
		want(t, again.hears(), []int{0})
		if err := b.Renew(t.Context()); err == nil || errors.Is(err, mesh.ErrSuperseded) {
			t.Errorf("Renew of a member that was killed: %v", err)
		}
	})
}

func TestMemoryIsTakenFromOneMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mesh.NewMemory(nil)
		a, b := start(t, s, "a", 1), start(t, s, "b", 2)
		s.Stop("b")
		if err := a.Renew(t.Context()); err != nil {
			t.Error(err)
		}
		if err := b.Renew(t.Context()); err == nil {
			t.Error("Renew without a store returned no error")
		}
		if _, err := b.inbox.Receive(t.Context()); err == nil || errors.Is(err, mesh.ErrInterrupted) {
			t.Errorf("Receive without a store: %v", err)
		}
		s.Start("b")
		if err := b.Renew(t.Context()); err != nil {
			t.Error(err)
		}
		s.Stop()
		s.Start("a")
		if err := a.Renew(t.Context()); err == nil {
			t.Error("Renew while the store is stopped returned no error")
		}
		s.Start()
		if err := a.Renew(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestMemoryInterruptsWhoDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mesh.NewMemory(&mesh.MemoryOptions{MaxInbox: 1000})
		a, b := start(t, s, "a", 1), start(t, s, "b", 2)
		for range 1000 {
			a.pushes("b", 1)
			if n := s.Stats().Waiting; n > 1000 {
				t.Fatalf("%d bytes wait, want at most 1000", n)
			}
		}
		if got := b.hears(); got[0] != -1 {
			t.Errorf("got %v, want it to begin with an interruption", got)
		}
		want(t, s.Stats().Waiting, 0)
	})
}
