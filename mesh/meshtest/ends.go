package meshtest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"time"

	"github.com/goape/ape/mesh"
)

var endRules = []rule{
	{name: "31 close ends receive", says: "Close ends a Receive that waits, may be called twice, and nobody listens after it.", check: closeEnds},
	{name: "32 nothing is left", says: "After Close and Leave nothing is left but the key: no goroutines, rows, subscriptions or connections; the user's client works.", check: nothingLeft},
}

func closeEnds(s *site) {
	a, _ := s.joinPull("a")
	_, eb := s.joinPull("b")
	result := s.start(func() error { _, err := eb.Receive(s.ctx); return err })
	s.wait(still)
	s.must(eb.Close(), "Close")
	err := s.soon("Receive of an Inbox that was closed", time.Second, func(context.Context) error { return <-result })
	if err == nil || errors.Is(err, mesh.ErrInterrupted) {
		s.Fatalf("Receive that waits while the Inbox is closed: got %v, want an error that ends it", err)
	}
	if _, err := eb.receive(guard); err == nil || errors.Is(err, mesh.ErrInterrupted) {
		s.Fatalf("Receive after Close: got %v, want an error that ends it", err)
	}
	s.must(eb.Close(), "Close for the second time")

	// Frames that waited when it was closed are nobody's.
	again := s.pull(s.Mesh(s.namespace, "b"), "b")
	a.push(frame("b", "one"))
	again.hears("one")
	s.must(again.Close(), "Close")
	if err := a.Channels().Push(s.ctx, frame("b", "to nobody")); err != nil && !errors.As(err, new(*mesh.UnheardError)) {
		s.Fatalf("Push to a member whose Inbox is closed: %v", err)
	}
	third := s.pull(s.Mesh(s.namespace, "b"), "b")
	a.push(frame("b", "two"))
	third.hears("two")
}

func nothingLeft(s *site) {
	stay(s) // the user's client may keep what it has opened
	before := runtime.NumGoroutine()
	for range 3 {
		stay(s)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			break
		}
		s.wait(30 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		stacks := make([]byte, 1<<20)
		s.Fatalf("%d goroutines are left, %d were there before:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
	}
	if s.Left != nil {
		var left []string
		for range 100 {
			if left = s.Left(s.namespace); len(left) == 0 {
				break
			}
			s.wait(30 * time.Millisecond)
		}
		if len(left) > 0 {
			s.Fatalf("the store still holds %q", left)
		}
	}
	stay(s)
}

// stay is the whole life of three members.
func stay(s *site) {
	s.Helper()
	var all []*member
	var ears []*ear
	for _, id := range []string{"a", "b", "c"} {
		m := &member{Mesh: s.Mesh(s.namespace, id), s: s, self: mesh.Member{ID: id}}
		inbox, err := m.Channels().Pull(s.ctx, id)
		s.must(err, "Pull")
		s.must(m.rejoin(newLife()<<16, lease), "Join")
		all, ears = append(all, m), append(ears, &ear{inbox, s, id})
		m.add("client-of-"+id, 1)
	}
	s.sees(all[0], all...)
	all[0].push(frame("b", "to b"), frame(mesh.All, "to all"))
	ears[1].gathers("to b", "to all")
	ears[2].hears("to all")
	for i, m := range all {
		m.remove("client-of-"+m.self.ID, 1)
		s.must(m.Leave(s.ctx), "Leave")
		s.must(ears[i].Close(), "Close")
	}
	s.sees(all[0])
	s.owner(all[0], "client-of-a", mesh.Owner{})
}

// containsID reports whether what the store holds names a member.
func containsID(what, id string) bool { return strings.Contains(what, id) }
