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

// Two processes with one id: the newer serves, the older says so and ends its
// calls, the others are not disturbed.
func TestNewerLifeTakesTheID(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		ctx := context.Background()
		w := newWorld(t, seed, nil, link.Options{Handlers: link.Handlers{
			Client:  func(string, mesh.Member, []byte) bool { return true },
			Request: answerOrWait,
		}})
		w.numbers = false
		for i, a := range w.startAll(4) {
			w.traffic(a, seed*100+uint64(i), 10*time.Millisecond, sizes(20, 400))
		}
		w.store.SetFaults(mesh.MemoryFaults{Loss: 0.05, Repeat: 0.05, Delay: 20 * time.Millisecond})
		old, caller := w.actor("srv-1"), w.actor("srv-0").link
		if err := old.link.Claim(ctx, "mine", 1); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		made, waited := make(chan error, 1), make(chan error, 1)
		go func() { _, err := old.link.Request(ctx, "srv-2", []byte("wait")); made <- err }()
		go func() { _, err := caller.Request(ctx, "srv-1", []byte("wait")); waited <- err }()
		time.Sleep(200 * time.Millisecond)
		w.remove(old, func() { old.over = true })
		began := time.Now()
		newer := w.start("srv-1")
		w.traffic(newer, seed*100+50, 10*time.Millisecond, sizes(20, 400))
		if err := <-made; err != mesh.ErrSuperseded {
			t.Errorf("a call of the older: %v", err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("the older knew after %v", d)
		}
		if err := <-waited; err != link.ErrPeerGone {
			t.Errorf("a call to the older: %v", err)
		}
		checkSuperseded(t, old.link, newer.link)
		if body, err := caller.Request(ctx, "srv-1", []byte("x")); err != nil || string(body) != "x" {
			t.Errorf("a call to the newer: %q, %v", body, err)
		}
		if err := newer.link.Claim(ctx, "mine", 2); err != nil {
			t.Error(err)
		}
		old.link.Leave(ctx) // takes nothing from the newer
		if m, err := caller.Find(ctx, "mine"); err != nil || m.Life() != newer.life {
			t.Errorf("the client is at %+v, %v", m, err)
		}
		if m := caller.Members(); len(m) != 3 {
			t.Errorf("members: %v", m)
		}
		w.quiet()
		time.Sleep(15 * time.Second)
		if sum := w.check(false); sum.living > 0 {
			t.Errorf("%d gaps between the others", sum.living)
		}
	})
}

func answerOrWait(ctx context.Context, _ mesh.Member, body []byte) ([]byte, error) {
	if string(body) == "wait" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return body, nil
}

func checkSuperseded(t *testing.T, old, newer *link.Link) {
	t.Helper()
	ctx := context.Background()
	if h := old.Health(); !h.Superseded || h.Joined {
		t.Errorf("health of the older: %+v", h)
	}
	if h := newer.Health(); h.Superseded || !h.Joined {
		t.Errorf("health of the newer: %+v", h)
	}
	_, requested := old.Request(ctx, "srv-2", nil)
	_, broadcast := old.SendAll(link.OpPublish, nil)
	_, _, asked := old.Ask(ctx, nil)
	for name, err := range map[string]error{
		"Request": requested, "SendAll": broadcast, "Ask": asked,
		"Send":     old.Send("srv-2", link.OpPublish, nil),
		"SendWait": old.SendWait(ctx, "srv-2", link.OpPublish, nil),
		"Claim":    old.Claim(ctx, "x", 1),
		"SendTo":   old.SendTo(ctx, "y", nil),
	} {
		if err != mesh.ErrSuperseded {
			t.Errorf("%s of the older: %v", name, err)
		}
	}
	if err := old.SendTo(ctx, "mine", nil); err != nil {
		t.Errorf("SendTo of the older to its own client: %v", err)
	}
	before := old.Stats()
	time.Sleep(5 * time.Second)
	if now := old.Stats(); now.Packets != before.Packets || now.Beats != before.Beats || now.Held != 0 {
		t.Errorf("the older goes on: %+v", now)
	}
}

// The store loses everything: records, rows and the key come back, and a
// newcomer gets the same key.
func TestWipedStoreIsFilledAgain(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		ctx := context.Background()
		w := newWorld(t, seed, nil, link.Options{})
		for i, a := range w.startAll(4) {
			w.traffic(a, seed*100+uint64(i), 10*time.Millisecond, sizes(20, 400))
			if err := a.link.Claim(ctx, "client of "+a.id, 3); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		w.store.Wipe()
		time.Sleep(time.Duration(w.rng.IntN(6000)) * time.Millisecond)
		late := w.start("srv-9") // perhaps before the others are back
		w.traffic(late, seed*100+50, 10*time.Millisecond, sizes(20, 400))
		time.Sleep(10 * time.Second)
		for _, a := range w.every[:4] {
			if m, err := late.link.Find(ctx, "client of "+a.id); err != nil || m.Epoch != a.link.Self().Epoch {
				t.Errorf("the client of %s is at %+v, %v", a.id, m, err)
			}
			if !bytes.Equal(a.link.Key(), late.link.Key()) {
				t.Errorf("%s has another key than the newcomer", a.id)
			}
		}
		if err := w.every[0].send("srv-9", 100); err != nil {
			t.Error(err)
		}
		w.quiet()
		time.Sleep(15 * time.Second)
		if sum := w.check(false); sum.living > sum.late { // who was out of sight is heard late
			t.Errorf("%d gaps", sum.living-sum.late)
		}
	})
}

// A member that hung beyond its lease comes back under a new term, with all that
// was sent meanwhile; calls to it ended.
func TestPausedMemberComesBackWithEverything(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		ctx := context.Background()
		var gone []string
		w := newWorld(t, seed, nil, link.Options{Handlers: link.Handlers{Request: answerOrWait}})
		w.numbers = false
		first := w.start("srv-0", func(o *link.Options) {
			o.Handlers.Member = func(c link.Change) {
				if c.Gone {
					gone = append(gone, c.Member.ID+" "+c.Reason)
				}
			}
		})
		second := w.start("srv-1")
		w.store.Pause("srv-1")
		waited := make(chan error, 1)
		go func() { _, err := first.link.Request(ctx, "srv-1", []byte("wait")); waited <- err }()
		for range 100 {
			if err := first.sendAll(100); err != nil {
				t.Error(err)
			}
			if err := first.send("srv-1", 100); err != nil && err != link.ErrPeerGone {
				t.Error(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if err := <-waited; err != link.ErrPeerGone {
			t.Errorf("a call to the paused: %v", err)
		}
		w.store.Resume("srv-1")
		time.Sleep(15 * time.Second)
		w.check(true)
		if got := strings.Join(gone, ", "); got != "srv-1 lease lapsed" {
			t.Errorf("gone: %s", got)
		}
		if self := second.link.Self(); self.Term() == 0 || self.Life() != second.life {
			t.Errorf("it came back as %+v", self)
		}
		for _, m := range first.link.Members() {
			if m.Epoch != second.link.Self().Epoch {
				t.Errorf("known as %+v", m)
			}
		}
	})
}

// The terms of a life are used up: the member goes on as a new life.
func TestTermsUsedUpBeginANewLife(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		ctx := context.Background()
		w := newWorld(t, seed, nil, link.Options{Handlers: link.Handlers{Request: answerOrWait}})
		a, b := w.start("srv-0").link, w.start("srv-1").link
		if err := a.Claim(ctx, "c", 1); err != nil {
			t.Error(err)
		}
		before := a.Self().Life()
		a.LastTerm()
		w.store.Wipe()
		time.Sleep(10 * time.Second)
		if now := a.Self(); now.Life() == before || now.Term() != 0 {
			t.Errorf("self is %x, term %d", now.Life(), now.Term())
		}
		for _, pair := range [][2]*link.Link{{a, b}, {b, a}} {
			if body, err := pair[0].Request(ctx, pair[1].Self().ID, []byte("x")); err != nil || string(body) != "x" {
				t.Errorf("%s asks %s: %q, %v", pair[0].Self().ID, pair[1].Self().ID, body, err)
			}
		}
		if m, err := b.Find(ctx, "c"); err != nil || m.Epoch != a.Self().Epoch {
			t.Errorf("its client is at %+v, %v", m, err)
		}
	})
}

// Leave takes away everything that the member wrote, and the link says so.
func TestLeaveLeavesNothing(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		ctx := context.Background()
		w := newWorld(t, seed, nil, link.Options{})
		l := w.start("srv-0").link
		for _, client := range []string{"a", "b", "c"} {
			if err := l.Claim(ctx, client, 1); err != nil {
				t.Error(err)
			}
		}
		if s := w.store.Stats(); s.Records != 1 || s.Rows != 3 || s.Inboxes != 1 {
			t.Errorf("joined: %+v", s)
		}
		for range 2 {
			if err := l.Leave(ctx); err != nil {
				t.Error(err)
			}
		}
		if s := w.store.Stats(); s.Records+s.Rows+s.Inboxes != 0 {
			t.Errorf("left: %+v", s)
		}
		if l.Health() != (link.Health{}) {
			t.Errorf("health: %+v", l.Health())
		}
		_, all := l.SendAll(link.OpPublish, nil)
		_, request := l.Request(ctx, "srv-1", nil)
		for name, err := range map[string]error{
			"Send": l.Send("srv-1", link.OpPublish, nil), "SendAll": all, "Request": request,
			"Claim": l.Claim(ctx, "d", 1), "SendTo": l.SendTo(ctx, "d", nil),
		} {
			if !errors.Is(err, link.ErrClosed) {
				t.Errorf("%s after Leave: %v", name, err)
			}
		}
	})
}

// The lease is not renewed any more once the record is being removed: that would
// write it again.
func TestLeaveEndsTheLeaseForGood(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		store := mesh.NewMemory(nil)
		l, err := link.Join(context.Background(), slowLeaver{store.Mesh("app")}, link.Options{ID: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Leave(context.Background()); err != nil {
			t.Error(err)
		}
		if s := store.Stats(); s.Records != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

// slowLeaver takes longer to leave than a lease may be without renewal.
type slowLeaver struct{ mesh.Mesh }

func (m slowLeaver) Leave(ctx context.Context) error {
	err := m.Mesh.Leave(ctx)
	time.Sleep(20 * time.Second)
	return err
}

// Beats tell how many clients there are, and whether somebody watches.
func TestBeatsTellClientsAndWatchers(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		w.startAll(3)
		a, b := w.every[0].link, w.every[1].link
		for _, client := range []string{"a", "b"} {
			if err := b.Claim(context.Background(), client, 1); err != nil {
				t.Error(err)
			}
		}
		if a.Watched() {
			t.Error("nobody watches")
		}
		b.Watch(true)
		time.Sleep(time.Second)
		if !a.Watched() || b.Watched() {
			t.Error("only the others of a watcher know of it")
		}
		b.Watch(false)
		time.Sleep(10 * time.Second)
		if a.Watched() {
			t.Error("nobody watches any more")
		}
		if a.Online() != 2 || b.Online() != 2 {
			t.Errorf("online: %d, %d", a.Online(), b.Online())
		}
	})
}
