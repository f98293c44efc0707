package link_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape/internal/link"
	"github.com/goape/ape/mesh"
)

// callee serves the requests of the tests.
type callee struct {
	mu        sync.Mutex
	ran       int
	cancelled int
}

func (c *callee) serve(id string) func(*link.Options) {
	return func(o *link.Options) {
		o.Handlers.Request = func(ctx context.Context, from mesh.Member, body []byte) ([]byte, error) {
			return c.answer(ctx, id, string(body))
		}
		o.Handlers.Ask = o.Handlers.Request
	}
}

func (c *callee) answer(ctx context.Context, id, body string) ([]byte, error) {
	c.mu.Lock()
	c.ran++
	c.mu.Unlock()
	switch body {
	case "wait", "wait " + id:
		<-ctx.Done()
		c.mu.Lock()
		c.cancelled++
		c.mu.Unlock()
		return []byte("too late"), nil
	case "nowhere":
		return nil, link.ErrNoTarget
	case "plain":
		return nil, errors.New("odd")
	case "failure":
		return nil, &link.Failure{Code: "denied", Message: "not you", Data: []byte{1, 2}}
	case "large":
		return make([]byte, 16<<20), nil
	}
	return []byte(id + " " + body), nil
}

func (c *callee) counts() (ran, cancelled int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ran, c.cancelled
}

func callees(t *testing.T, seed uint64, n int) (*world, *callee) {
	w := newWorld(t, seed, nil, link.Options{})
	c := &callee{}
	for _, id := range ids(n) {
		w.start(id, c.serve(id))
	}
	return w, c
}

// Over a bad carrier each request runs once and gets its own answer.
func TestRequestsRunOnceAndAreAnswered(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w, c := callees(t, seed, 8)
		w.store.SetFaults(mesh.MemoryFaults{Loss: 0.1, Repeat: 0.1, Delay: 10 * time.Millisecond})
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				id, body := "srv-"+strconv.Itoa(1+i%7), strconv.Itoa(i)
				got, err := w.every[0].link.Request(context.Background(), id, []byte(body))
				if err != nil || string(got) != id+" "+body {
					t.Errorf("%s: %q, %v", body, got, err)
				}
			})
		}
		wg.Wait()
		if ran, _ := c.counts(); ran != 200 {
			t.Errorf("%d ran", ran)
		}
	})
}

// The error of the handler arrives with all that it has.
func TestErrorsOfHandlersArrive(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		ctx := context.Background()
		w, _ := callees(t, seed, 2)
		w.start("srv-9")
		a := w.every[0].link
		for id, want := range map[string]error{"nobody": link.ErrPeerGone, "srv-0": link.ErrPeerGone, "srv-9": link.ErrNoTarget} {
			if _, err := a.Request(ctx, id, nil); err != want {
				t.Errorf("request of %s: %v", id, err)
			}
		}
		if _, err := a.Request(ctx, "srv-1", []byte("nowhere")); err != link.ErrNoTarget {
			t.Errorf("no target: %v", err)
		}
		for body, want := range map[string]link.Failure{
			"plain":   {Message: "odd"},
			"failure": {Code: "denied", Message: "not you", Data: []byte{1, 2}},
			"large":   {Code: "too_large", Message: "the answer is too large for a message between servers"},
		} {
			got, err := a.Request(ctx, "srv-1", []byte(body))
			f, ok := errors.AsType[*link.Failure](err)
			if !ok || got != nil || f.Code != want.Code || f.Message != want.Message || !slices.Equal(f.Data, want.Data) {
				t.Errorf("%s: %q, %+v", body, got, err)
			}
		}
		if _, err := a.Request(ctx, "srv-1", make([]byte, 16<<20)); err != link.ErrTooLarge {
			t.Errorf("a request that is too large: %v", err)
		}
	})
}

// A call ends with the caller's deadline or its cancel, and so does the handler.
func TestDeadlinesAndCancelsTravel(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w, c := callees(t, seed, 2)
		a := w.every[0].link
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := a.Request(short, "srv-1", []byte("wait")); err != context.DeadlineExceeded {
			t.Errorf("with a deadline: %v", err)
		}
		ending, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		if _, err := a.Request(ending, "srv-1", []byte("wait")); err != context.Canceled {
			t.Errorf("cancelled: %v", err)
		}
		time.Sleep(time.Second)
		if _, cancelled := c.counts(); cancelled != 2 {
			t.Errorf("%d handlers have ended", cancelled)
		}
		if s := a.Stats(); s.Late == 0 {
			t.Error("no late reply was counted")
		}
	})
}

// One too many of one caller is refused, not queued.
func TestTooManyRequestsAreRefused(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w, _ := callees(t, seed, 3)
		a := w.every[0].link
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var wg sync.WaitGroup
		for range 1024 {
			wg.Go(func() { a.Request(ctx, "srv-1", []byte("wait")) })
		}
		time.Sleep(time.Second)
		if _, err := a.Request(ctx, "srv-1", nil); err != link.ErrBusy {
			t.Errorf("one too many: %v", err)
		}
		if _, err := w.every[2].link.Request(ctx, "srv-1", nil); err != nil {
			t.Errorf("of another caller: %v", err)
		}
		cancel()
		wg.Wait()
		time.Sleep(time.Second)
		if _, err := a.Request(context.Background(), "srv-1", nil); err != nil {
			t.Errorf("when they have ended: %v", err)
		}
	})
}

// Calls to a member end when it restarts, leaves or dies; its own end there.
func TestCallsEndWithTheirMember(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w, c := callees(t, seed, 5)
		a := w.every[0].link
		call := func(id string) chan error {
			result := make(chan error, 1)
			go func() {
				_, err := a.Request(context.Background(), id, []byte("wait"))
				result <- err
			}()
			time.Sleep(100 * time.Millisecond)
			return result
		}
		for _, end := range []struct {
			id   string
			most time.Duration
			how  func(*actor)
		}{
			{"srv-1", time.Second, func(a *actor) { w.kill(a); w.start(a.id, c.serve(a.id)) }},
			{"srv-2", 4 * time.Second, func(a *actor) { w.leave(a) }},
			{"srv-3", 21 * time.Second, func(a *actor) { w.kill(a) }},
		} {
			result, began := call(end.id), time.Now()
			end.how(w.actor(end.id))
			if err := <-result; err != link.ErrPeerGone {
				t.Errorf("%s: %v", end.id, err)
			}
			if d := time.Since(began); d > end.most {
				t.Errorf("%s: ended after %v", end.id, d)
			}
		}
		_, before := c.counts()
		go w.every[4].link.Request(context.Background(), "srv-0", []byte("wait"))
		time.Sleep(100 * time.Millisecond)
		w.kill(w.actor("srv-4"))
		time.Sleep(21 * time.Second)
		if _, after := c.counts(); after != before+1 {
			t.Error("a handler goes on though its caller is dead")
		}
	})
}

// Ask collects what all living members answer, and names those that do not.
func TestAskCollectsPartsAndMissing(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w, _ := callees(t, seed, 5)
		w.start("srv-9") // has no handler
		a := w.every[0].link
		w.store.SetFaults(mesh.MemoryFaults{Repeat: 0.1, Delay: 10 * time.Millisecond})
		began := time.Now()
		parts, missing, err := a.Ask(context.Background(), []byte("wait srv-3"))
		if d := time.Since(began); err != nil || d > 1100*time.Millisecond {
			t.Errorf("after %v: %v", d, err)
		}
		if len(missing) != 1 || missing[0].ID != "srv-3" {
			t.Errorf("missing %v", missing)
		}
		for _, p := range parts {
			want, odd := p.From.ID+" wait srv-3", error(nil)
			if p.From.ID == "srv-9" {
				want, odd = "", link.ErrNoTarget
			}
			if string(p.Body) != want || p.Err != odd {
				t.Errorf("%s: %q, %v", p.From.ID, p.Body, p.Err)
			}
		}
		if len(parts) != 4 {
			t.Errorf("%d parts", len(parts))
		}
		began = time.Now()
		w.wg.Go(func() {
			time.Sleep(100 * time.Millisecond)
			w.kill(w.actor("srv-3"))
			w.start("srv-3")
		})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, missing, err = a.Ask(ctx, []byte("wait srv-3"))
		if d := time.Since(began); err != nil || d > 2*time.Second || len(missing) != 1 {
			t.Errorf("a member restarts: after %v missing %v, %v", d, missing, err)
		}
		w.wg.Wait()
	})
}

// SendWait waits for room, and gives up with its context.
func TestSendWaitWaitsForRoom(t *testing.T) {
	simulate(t, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, nil, link.Options{Limits: link.Limits{Window: 8 << 10, Queue: 8 << 10}})
		w.numbers = false
		a := w.startAll(2)[0]
		for i := range 200 {
			body := a.body(false, uint64(i+1), 1000)
			if err := a.link.SendWait(context.Background(), "srv-1", link.OpPublish, body); err != nil {
				t.Error(err)
			}
		}
		a.to[w.every[1].life] = 200
		w.store.Block("srv-0", "srv-1")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var err error
		for n := uint64(201); err == nil; n++ {
			err = a.link.SendWait(ctx, "srv-1", link.OpPublish, a.body(false, n, 1000))
		}
		if err != context.DeadlineExceeded {
			t.Errorf("without room: %v", err)
		}
		w.store.Unblock("srv-0", "srv-1")
		time.Sleep(10 * time.Second)
		w.check(true)
		if err := a.link.Send("srv-1", link.OpPublish-1, nil); err == nil {
			t.Error("an op of the link's own was accepted")
		}
	})
}
