package meshtest

import (
	"context"
	"errors"
	"time"

	"github.com/goape/ape/mesh"
)

var faultRules = []rule{
	{name: "28 connections cut", says: "When connections break, the Inbox says so before the next frame after a loss, and it goes on.", needs: []string{"Cut"}, check: connectionsCut},
	{name: "28 store stopped", says: "While the store is away calls end with their context; when it is back, they work and Inboxes hear, or have failed and can be pulled again.", needs: []string{"Stop"}, check: storeStopped},
	{name: "29 nobody listens", says: "A frame that nobody listens for is no error but an *UnheardError, reaches nobody later, and uses no memory.", check: nobodyListens},
	{name: "30 contexts end", says: "Calls end soon after their context does; a Receive that ended so has lost nothing.", check: contextsEnd},
}

func connectionsCut(s *site) {
	const rounds, frames = 5, 60
	a, _ := s.joinPull("a")
	_, eb := s.joinPull("b")
	told, n := 0, 0
	for range rounds {
		unsure := map[int]bool{} // Push failed: it may have arrived
		first := n
		for ; n < first+frames; n++ {
			if n == first+frames/2 {
				s.Cut()
			}
			if err := a.Channels().Push(s.ctx, mesh.Frame{To: "b", Body: numbered(n, 50)}); err != nil {
				unsure[n] = true
			}
		}
		told += s.survive(eb, a, first, &n, unsure)
	}
	if told == 0 && !a.Channels().Traits().Durable {
		s.Fatalf("connections were cut %d times, and the Inbox said nothing of it", rounds)
	}
	s.must(a.Renew(s.ctx), "Renew after the cuts")
}

// survive reads until frames come through again: numbers from next to *n, and
// those that it pushes to see that they do. It returns how often it was told of
// a loss.
func (s *site) survive(e *ear, from *member, next int, n *int, unsure map[int]bool) (told int) {
	s.Helper()
	missing := false // it was told
	for end := time.Now().Add(guard); ; {
		if time.Now().After(end) {
			s.Fatalf("%s hears nothing for %v after a cut", e.id, guard)
		}
		body, err := e.receive(still)
		if errors.Is(err, context.DeadlineExceeded) {
			if err := from.Channels().Push(s.ctx, mesh.Frame{To: e.id, Body: numbered(*n, 50)}); err != nil {
				unsure[*n] = true
			}
			*n++
			continue
		}
		if err != nil {
			told++
			missing = true
			if !errors.Is(err, mesh.ErrInterrupted) {
				e.repull()
			}
			continue
		}
		got, err := number(body)
		s.must(err, "Receive")
		for ; next < got; next++ {
			if !missing && !unsure[next] {
				s.Fatalf("%s hears frame %d and not %d, and was told of no loss", e.id, got, next)
			}
		}
		// Around a cut, frames may come again and in another order.
		next = max(next, got+1)
		if got == *n-1 {
			return told
		}
	}
}

// repull replaces an Inbox that has failed, as long as the store is away.
func (e *ear) repull() {
	e.s.Helper()
	_ = e.Close()
	e.s.eventually("Pull works again", func() bool {
		ctx, cancel := context.WithTimeout(e.s.ctx, guard/6)
		defer cancel()
		inbox, err := e.s.Mesh(e.s.namespace, e.id).Channels().Pull(ctx, e.id)
		if err != nil {
			return false
		}
		e.s.ends = append(e.s.ends, func() { _ = inbox.Close() })
		e.Inbox = inbox
		return true
	})
}

func storeStopped(s *site) {
	a, _ := s.joinPull("a")
	_, eb := s.joinPull("b")
	a.push(frame("b", "before"))
	eb.hears("before")

	s.Stop()
	stopped := true
	defer func() {
		if stopped {
			s.Start()
		}
	}()
	for what, call := range map[string]func(context.Context) error{
		"Push":    func(ctx context.Context) error { return a.Channels().Push(ctx, frame("a", "while stopped")) },
		"Renew":   a.Renew,
		"Members": func(ctx context.Context) error { _, err := a.Members(ctx); return err },
		"Add":     func(ctx context.Context) error { return a.Lookup().Add(ctx, mesh.Claim{Client: "c", Gen: 1}) },
		"Read":    func(ctx context.Context) error { _, err := a.Lookup().Read(ctx, "c"); return err },
	} {
		if err := s.soon(what, 300*time.Millisecond, call); err == nil {
			s.Fatalf("%s returned no error while the store was stopped", what)
		}
	}
	s.Start()
	stopped = false

	s.eventually("Members works again", func() bool { _, err := a.Members(s.ctx); return err == nil })
	// A store that forgot everything is joined again.
	s.must(a.rejoin(a.self.Epoch+1, lease), "Join with the next term")
	a.add("client", 1)
	a.owns("client", 1)
	n := 0
	s.survive(eb, a, 0, &n, map[int]bool{})
}

// soon runs a call whose context ends after d, and fails when it goes on.
func (s *site) soon(what string, d time.Duration, call func(context.Context) error) error {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	done := s.start(func() error { return call(ctx) })
	timer := time.NewTimer(d + guard/3)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		s.Fatalf("%s goes on for %v after its context has ended", what, guard/3)
		return nil
	}
}

func nobodyListens(s *site) {
	a, _ := s.joinPull("a")
	_, eb := s.joinPull("b")
	size := min(64<<10, a.Channels().Traits().MaxFrame)
	for n := range 200 {
		err := a.Channels().Push(s.ctx, mesh.Frame{To: "nobody", Body: numbered(n, size)}, mesh.Frame{To: "b", Body: numbered(n, 8)})
		if unheard := (*mesh.UnheardError)(nil); errors.As(err, &unheard) {
			if len(unheard.To) != 1 || unheard.To[0] != "nobody" {
				s.Fatalf("Push to nobody and b: unheard are %q, want nobody", unheard.To)
			}
		} else {
			s.must(err, "Push to nobody and b")
		}
		eb.hearsBytes(numbered(n, 8))
	}
	if s.Left != nil {
		s.wait(still)
		for _, what := range s.Left(s.namespace) {
			if containsID(what, "nobody") {
				s.Fatalf("the store keeps something for who does not listen: %s", what)
			}
		}
	}
	_, late := s.joinPull("nobody")
	a.push(frame("nobody", "now"))
	late.hears("now")
	late.silent()
}

func contextsEnd(s *site) {
	a, ea := s.joinPull("a")
	_, eb := s.joinPull("b")
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	for what, call := range map[string]func(context.Context) error{
		"Push":    func(context.Context) error { return a.Channels().Push(ended, frame("b", "too late")) },
		"Pull":    func(context.Context) error { _, err := a.Channels().Pull(ended, "a"); return err },
		"Receive": func(context.Context) error { _, err := ea.Receive(ended); return err },
		"Renew":   func(context.Context) error { return a.Renew(ended) },
		"Members": func(context.Context) error { _, err := a.Members(ended); return err },
		"Read":    func(context.Context) error { _, err := a.Lookup().Read(ended, "c"); return err },
	} {
		if err := s.soon(what, time.Second, call); !errors.Is(err, context.Canceled) {
			s.Fatalf("%s with a cancelled context: got %v, want context.Canceled", what, err)
		}
	}
	s.must(a.Renew(s.ctx), "Renew after calls that were cancelled")

	// Receives whose contexts end while frames come lose none.
	const frames = 200
	pushed := s.start(func() (err error) {
		for n := 0; n < frames && err == nil; n++ {
			err = a.Channels().Push(s.ctx, mesh.Frame{To: "b", Body: numbered(n, 8)})
		}
		return err
	})
	for next, short := 0, time.Microsecond; next < frames; short = short%(500*time.Microsecond) + 7*time.Microsecond {
		body, err := eb.receive(short)
		if errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		s.must(err, "Receive")
		n, err := number(body)
		s.must(err, "Receive")
		if n != next {
			s.Fatalf("b hears frame %d, want %d", n, next)
		}
		next++
	}
	s.must(<-pushed, "Push")

	// One that is cancelled while it waits ends.
	waiting, cancel := context.WithCancel(s.ctx)
	result := s.start(func() error { _, err := eb.Receive(waiting); return err })
	s.wait(still)
	cancel()
	if err := s.soon("Receive", time.Second, func(context.Context) error { return <-result }); !errors.Is(err, context.Canceled) {
		s.Fatalf("Receive with a context that is cancelled: got %v, want context.Canceled", err)
	}
	a.push(frame("b", "after"))
	eb.hears("after")
}
