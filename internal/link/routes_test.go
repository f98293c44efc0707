package link_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape/internal/link"
	"github.com/goape/ape/mesh"
)

// mailbox collects what comes to clients.
type mailbox struct {
	mu  sync.Mutex
	got map[string][]string // by client: member:body
}

func (m *mailbox) at(id string) func(*link.Options) {
	return func(o *link.Options) {
		o.Handlers.Client = func(client string, _ mesh.Member, body []byte) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.got[client] = append(m.got[client], id+":"+string(body))
			return true
		}
	}
}

func (m *mailbox) is(t *testing.T, client string, want ...string) {
	t.Helper()
	time.Sleep(50 * time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	if fmt.Sprint(m.got[client]) != fmt.Sprint(want) {
		t.Errorf("%s got %v, want %v", client, m.got[client], want)
	}
}

// A message goes where the client is, also when the store or the sender's memory
// say otherwise for a moment.
func TestSendToFollowsTheClient(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		ctx := context.Background()
		w := newWorld(t, seed, nil, link.Options{})
		box := &mailbox{got: map[string][]string{}}
		for _, id := range ids(3) {
			w.start(id, box.at(id))
		}
		a, b, c := w.every[0].link, w.every[1].link, w.every[2].link
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		must(b.Claim(ctx, "c1", 1))
		must(a.SendTo(ctx, "c1", []byte("1")))
		box.is(t, "c1", "srv-1:1")
		must(c.Claim(ctx, "c1", 2))
		b.Release("c1") // too late to remove the row of the new holder
		time.Sleep(10 * time.Millisecond)
		must(a.SendTo(ctx, "c1", []byte("2"))) // the old way: passed on
		box.is(t, "c1", "srv-1:1", "srv-2:2")
		must(a.SendTo(ctx, "c1", []byte("3")))
		box.is(t, "c1", "srv-1:1", "srv-2:2", "srv-2:3")
		if n := b.Stats().Forwarded; n != 1 {
			t.Errorf("%d were passed on: the second should have gone directly", n)
		}
		c.Release("c1")
		time.Sleep(10 * time.Millisecond)
		must(a.SendTo(ctx, "c1", []byte("4"))) // nobody has it; the sender learns so
		time.Sleep(10 * time.Millisecond)
		if err := a.SendTo(ctx, "c1", []byte("5")); err != link.ErrNoTarget {
			t.Errorf("to a client that is nowhere: %v", err)
		}
		if err := a.SendTo(ctx, "", nil); err == nil || err == link.ErrNoTarget {
			t.Errorf("to a client without name: %v", err)
		}
		// a crash: within the lease its clients are found no more
		must(c.Claim(ctx, "c2", 1))
		must(a.SendTo(ctx, "c2", []byte("1")))
		w.kill(w.every[2])
		began := time.Now()
		for a.SendTo(ctx, "c2", []byte("x")) == nil {
			time.Sleep(10 * time.Millisecond)
		}
		if d := time.Since(began); d > 16*time.Second {
			t.Errorf("after a crash its clients were found for %v", d)
		}
	})
}

// Where a client went is known to the one who gave it away before the store knows.
func TestGivenAwayClientIsFoundBeforeItsRow(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		ctx := context.Background()
		w := newWorld(t, seed, nil, link.Options{})
		box := &mailbox{got: map[string][]string{}}
		for _, id := range ids(3) {
			w.start(id, box.at(id))
		}
		a, b, c := w.every[0].link, w.every[1].link, w.every[2].link
		if err := b.Claim(ctx, "c", 1); err != nil {
			t.Error(err)
		}
		if err := a.SendTo(ctx, "c", []byte("1")); err != nil {
			t.Error(err)
		}
		w.store.Pause("srv-2") // it cannot write the row now
		w.wg.Go(func() {
			if err := c.Claim(ctx, "c", 2); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Millisecond)
		b.GiveAway("c", mesh.Owner{ID: "srv-2", Epoch: c.Self().Epoch, Gen: 2})
		if err := a.SendTo(ctx, "c", []byte("2")); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		w.store.Resume("srv-2")
		box.is(t, "c", "srv-1:1", "srv-2:2")
		w.wg.Wait()
	})
}

// A member that was without its store for longer than its lease comes back with
// its clients, but for those that came elsewhere meanwhile.
func TestReturnedMemberClaimsWhatNobodyTook(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		ctx := context.Background()
		w := newWorld(t, seed, nil, link.Options{})
		box := &mailbox{got: map[string][]string{}}
		var lost []string
		a := w.start("srv-0", box.at("srv-0")).link
		b := w.start("srv-1", box.at("srv-1"), func(o *link.Options) {
			o.Handlers.Lost = func(client string, to mesh.Owner) { lost = append(lost, client+" to "+to.ID) }
		}).link
		var wg sync.WaitGroup
		for i := range 1200 {
			wg.Go(func() {
				if err := b.Claim(ctx, "b"+strconv.Itoa(i), 1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := a.SendTo(ctx, "b7", []byte("1")); err != nil {
			t.Error(err)
		}
		w.store.Stop("srv-1")
		time.Sleep(25 * time.Second)
		if err := a.SendTo(ctx, "b7", []byte("x")); err != link.ErrNoTarget {
			t.Errorf("to a client of a member whose lease lapsed: %v", err)
		}
		if err := a.Claim(ctx, "b8", 2); err != nil {
			t.Error(err)
		}
		if n, err := a.Rows().Sweep(ctx); err != nil || n != 1199 {
			t.Errorf("%d rows swept, %v", n, err)
		}
		w.store.Start("srv-1")
		time.Sleep(10 * time.Second)
		if err := a.SendTo(ctx, "b7", []byte("2")); err != nil {
			t.Error(err)
		}
		box.is(t, "b7", "srv-1:1", "srv-1:2")
		if m, err := b.Find(ctx, "b8"); err != nil || m.ID != "srv-0" {
			t.Errorf("who moved is at %s, %v", m.ID, err)
		}
		if n := b.Stats().Clients; n != 1199 || fmt.Sprint(lost) != "[b8 to srv-0]" {
			t.Errorf("%d clients are held, lost: %v", n, lost)
		}
		if n := w.store.Stats().Rows; n != 1200 {
			t.Errorf("%d rows", n)
		}
	})
}

// Many sends at once to one client cost one Read; that nobody has it is
// remembered for a second; what waits is bounded; who gives up sends nothing.
func TestRoutesReadOnceAndWaitBounded(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		ctx := context.Background()
		w := newWorld(t, seed, nil, link.Options{})
		box := &mailbox{got: map[string][]string{}}
		for _, id := range ids(3) {
			w.start(id, box.at(id))
		}
		a, b := w.every[0].link, w.every[1].link
		if err := b.Claim(ctx, "c", 1); err != nil {
			t.Error(err)
		}
		w.store.SetFaults(mesh.MemoryFaults{Rows: 50 * time.Millisecond})
		var want []string
		refused := 0
		for i := range link.MostWaiting + 10 {
			a.SendToLater("c", []byte(strconv.Itoa(i)), func(err error) {
				if err == link.ErrBacklog {
					refused++
				} else if err != nil {
					t.Error(err)
				}
			})
			if i < link.MostWaiting {
				want = append(want, "srv-1:"+strconv.Itoa(i))
			}
		}
		time.Sleep(time.Second)
		box.is(t, "c", want...)
		if n := a.Stats().Reads; n != 1 || refused != 10 {
			t.Errorf("%d reads, %d refused", n, refused)
		}
		for range 50 {
			if err := a.SendTo(ctx, "nobody", nil); err != link.ErrNoTarget {
				t.Error(err)
			}
		}
		if n := a.Stats().Reads; n != 2 {
			t.Errorf("%d reads", n)
		}
		if err := b.Claim(ctx, "nobody", 1); err != nil {
			t.Error(err)
		}
		time.Sleep(link.AbsentKept)
		if err := a.SendTo(ctx, "nobody", nil); err != nil {
			t.Error(err)
		}
		short, cancel := context.WithTimeout(ctx, time.Microsecond)
		defer cancel()
		if err := w.every[2].link.SendTo(short, "c", []byte("x")); err != context.DeadlineExceeded {
			t.Error(err)
		}
		time.Sleep(time.Second)
		box.is(t, "c", want...)
	})
}

// A client that comes here while messages wait for its way gets them here.
func TestClientThatComesHereGetsWhatWaited(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		box := &mailbox{got: map[string][]string{}}
		a := w.start("srv-0", box.at("srv-0")).link
		w.start("srv-1", box.at("srv-1"))
		w.store.SetFaults(mesh.MemoryFaults{Rows: 50 * time.Millisecond})
		for _, body := range []string{"1", "2"} {
			a.SendToLater("c", []byte(body), func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := a.Claim(context.Background(), "c", 1); err != nil {
			t.Error(err)
		}
		box.is(t, "c", "srv-0:1", "srv-0:2")
	})
}

// A claim that the store cannot take is written when it can.
func TestClaimIsWrittenWhenTheStoreIsBack(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{})
		a := w.start("srv-0").link
		w.store.Stop()
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := a.Claim(short, "c", 1); err != context.DeadlineExceeded {
			t.Error(err)
		}
		if _, err := a.Find(context.Background(), "other"); err == nil {
			t.Error("a client was found without the store")
		}
		w.store.Start()
		if err := a.Claim(context.Background(), "d", 1); err != nil {
			t.Error(err)
		}
		if n := w.store.Stats().Rows; n != 2 {
			t.Errorf("%d rows", n)
		}
		if m, err := a.Find(context.Background(), "c"); err != nil || m.ID != "srv-0" {
			t.Errorf("%v, %v", m, err)
		}
		if err := a.Claim(context.Background(), "c", 0); err == nil {
			t.Error("Gen 0 was taken")
		}
	})
}
