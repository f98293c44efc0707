package link_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape/internal/link"
	"github.com/goape/ape/mesh"
)

// A join that fails says why, writes nothing and leaves nothing.
func TestJoinFailsWithItsCause(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		deaf := func(m mesh.Mesh) mesh.Mesh { return deafMesh{m} }
		same := func(m mesh.Mesh) mesh.Mesh { return m }
		for name, c := range map[string]struct {
			o    link.Options
			as   func(mesh.Mesh) mesh.Mesh
			max  int
			stop bool
			says string
		}{
			"no id":       {link.Options{}, same, 0, false, "member ID"},
			"odd id":      {link.Options{ID: "a b"}, same, 0, false, "member ID"},
			"much meta":   {link.Options{ID: "a", Meta: map[string]string{"x": strings.Repeat("x", 1<<10)}}, same, 0, false, "meta"},
			"short key":   {link.Options{ID: "a", Key: []byte("secret")}, same, 0, false, "at least 16"},
			"small frame": {link.Options{ID: "a"}, same, 1000, false, "1000 bytes"},
			"store away":  {link.Options{ID: "a"}, same, 0, true, "cannot be reached"},
			"unheard":     {link.Options{ID: "a"}, deaf, 0, false, "was not heard within 2s (ask your cat)"},
		} {
			store := mesh.NewMemory(&mesh.MemoryOptions{Seed: seed, MaxFrame: c.max})
			if c.stop {
				store.Stop()
			}
			_, err := link.Join(context.Background(), c.as(store.Mesh("app")), c.o)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
			store.Start()
			if s := store.Stats(); s.Records+s.Rows+s.Inboxes > 0 {
				t.Errorf("%s: left %+v", name, s)
			}
		}
	})
}

// deafMesh pushes nothing, and knows why.
type deafMesh struct{ mesh.Mesh }

func (m deafMesh) Channels() mesh.Channels  { return deafChannels{m.Mesh.Channels()} }
func (m deafMesh) Explain(err error) string { return "ask your cat" }

type deafChannels struct{ mesh.Channels }

func (deafChannels) Push(context.Context, ...mesh.Frame) error { return nil }

// A key that is given is used, and never written; who has another one is not
// heard.
func TestGivenKeyKeepsOthersOut(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		key := bytes.Repeat([]byte{7}, 32)
		w := newWorld(t, seed, nil, link.Options{Key: key})
		a := w.startAll(2)[0]
		w.options.Key = bytes.Repeat([]byte{8}, 32)
		other := w.start("srv-2")
		for range 10 {
			a.sendAll(100)
			a.send("srv-1", 100)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		for _, all := range []bool{true, false} {
			if n := len(other.hears(sequence{a.life, all})); n > 0 {
				t.Errorf("who has another key heard %d messages", n)
			}
		}
		if got := len(w.actor("srv-1").hears(sequence{a.life, true})); got != 10 {
			t.Errorf("who has the key heard %d messages", got)
		}
		if other.link.Stats().Foreign == 0 || a.link.Stats().Foreign == 0 {
			t.Error("foreign packets were not counted")
		}
		stored, err := w.store.Mesh("app").Join(context.Background(), mesh.Member{ID: "x", Epoch: 1 << 16}, time.Second, []byte("first"))
		if err != nil || string(stored) != "first" {
			t.Errorf("the store kept the key %q, %v", stored, err)
		}
	})
}

// Forged, cut, repeated and foreign packets change nothing.
func TestForgedPacketsAreDropped(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		a := w.startAll(3)[0]
		for range 10 {
			a.sendAll(100)
		}
		time.Sleep(time.Second)
		foe := w.store.Mesh("app").Channels()
		spy, err := foe.Pull(context.Background(), "spy")
		if err != nil {
			t.Fatal(err)
		}
		a.sendAll(100)
		heard, err := spy.Receive(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		spy.Close()
		key, epoch := a.link.Key(), a.link.Self().Epoch
		packets := [][]byte{
			heard, heard, heard[:len(heard)-1], heard[:7], {}, append(bytes.Clone(heard), 0),
			link.Seal(key, "other", a.id, epoch, 99, 0x17, nil),
			link.Seal(bytes.Repeat([]byte{1}, 32), "app", a.id, epoch, 99, 0x17, nil),
			link.Seal(key, "app", "stranger", 77<<16, 99, 0x17, nil),
			link.Seal(key, "app", a.id, epoch, 0, 0x81, []byte{1}),
			link.Seal(key, "app", a.id, epoch, 0, 0x83, []byte{1, 0, 0}),
			link.Seal(key, "app", a.id, epoch, 0, 0x99, []byte{1, 0, 0}),
		}
		for i := range heard {
			forged := bytes.Clone(heard)
			forged[i] ^= 1
			packets = append(packets, forged)
		}
		for _, p := range packets {
			if err := foe.Push(context.Background(), mesh.Frame{To: mesh.All, Body: p}); err != nil {
				t.Error(err)
			}
		}
		a.sendAll(100)
		time.Sleep(10 * time.Second)
		if got := w.check(true).messages; got != 24 {
			t.Errorf("%d messages", got)
		}
		s := w.actor("srv-1").link.Stats()
		if s.Foreign < uint64(len(heard)) || s.Unknown == 0 || s.Repeated == 0 {
			t.Errorf("counted %+v", s)
		}
	})
}

// A join that is cancelled while it waits for the others leaves nothing.
func TestCancelledJoinLeavesNothing(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		w.startAll(2)
		for _, id := range ids(2) {
			w.store.Block(id, "late")
		}
		for _, wait := range []time.Duration{0, time.Millisecond, time.Second} {
			ctx, cancel := context.WithTimeout(context.Background(), wait)
			_, err := link.Join(ctx, w.store.Mesh("app"), link.Options{ID: "late"})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("cancelled after %v: %v", wait, err)
			}
			cancel()
			if s := w.store.Stats(); s.Records != 2 || s.Inboxes != 2 {
				t.Errorf("cancelled after %v: left %+v", wait, s)
			}
		}
	})
}
