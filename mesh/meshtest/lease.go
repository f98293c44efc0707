package meshtest

import (
	"time"

	"github.com/goape/ape/mesh"
)

var leaseRules = []rule{
	{name: "11 members", says: "Members shows those who have joined, oneself included, and not who has left.", check: membersShown},
	{name: "12 a lapsed member disappears", says: "A member who does not renew disappears within its lease and a second; one who does stays.", check: lapses},
	{name: "13 renew after lapse", says: "Renew of a record that lapsed, was removed, or is another term's returns ErrLapsed, and brings nothing back.", check: renewLapsed},
	{name: "14 renew when superseded", says: "Where another life has taken the ID, Renew and Join with a later term return ErrSuperseded and change nothing.", check: superseded},
	{name: "15 leave of the old life", says: "Leave removes the record only if it is still of this epoch; after it, the Mesh can join again.", check: leaveOld},
	{name: "16 the store's clock counts", says: "Leases run by the store's clock, whatever that of the members says.", needs: []string{"Advance"}, check: storeClock},
}

func membersShown(s *site) {
	outside := s.Mesh(s.namespace, "x")
	s.sees(outside)
	a := s.join("a")
	s.sees(a, a)
	b, c := s.join("b"), s.join("A.b-c_9")
	for _, m := range []*member{a, b, c} {
		s.sees(m, a, b, c)
	}
	s.must(b.Leave(s.ctx), "Leave")
	s.sees(a, a, c)
	s.sees(b, a, c)
	s.must(b.Leave(s.ctx), "Leave for the second time")
	s.must(a.Leave(s.ctx), "Leave")
	s.must(c.Leave(s.ctx), "Leave")
	s.sees(outside)
}

func lapses(s *site) {
	const short = time.Second
	watch := s.join("watch")
	renewed := time.Now()
	stays := s.joinAs("stays", newLife()<<16, short)
	joined := time.Now()
	goes := s.joinAs("goes", newLife()<<16, short)
	for {
		asked := time.Now()
		got, err := watch.Members(s.ctx)
		s.must(err, "Members")
		here := func(m *member) bool { return sameMembers(pick(got, m.self.ID), []*member{m}) }
		// What is asked must be true for the whole of the asking.
		if time.Since(joined) < short && !here(goes) {
			s.Fatalf("a member is gone %v after it joined with a lease of %v", time.Since(joined), short)
		}
		if asked.Sub(joined) > short+time.Second && here(goes) {
			s.Fatalf("a member is there %v after it joined with a lease of %v", asked.Sub(joined), short)
		}
		if time.Since(renewed) < short && !here(stays) {
			s.Fatalf("a member is gone %v after it has renewed a lease of %v", time.Since(renewed), short)
		}
		if asked.Sub(joined) > 3*short/2 && !here(goes) {
			return
		}
		before := time.Now()
		if err := stays.Renew(s.ctx); err == nil {
			renewed = before
		} else if time.Since(renewed) < short {
			s.Fatalf("Renew within the lease: %v", err)
		}
		s.wait(20 * time.Millisecond)
	}
}

// pick is the part of the members with this ID.
func pick(all []mesh.Member, id string) []mesh.Member {
	for _, m := range all {
		if m.ID == id {
			return []mesh.Member{m}
		}
	}
	return nil
}

func renewLapsed(s *site) {
	watch := s.join("watch")
	a := s.joinAs("a", newLife()<<16, 300*time.Millisecond)
	s.eventually("the member lapses", func() bool {
		got, err := watch.Members(s.ctx)
		s.must(err, "Members")
		return len(got) == 1
	})
	s.is(a.Renew(s.ctx), mesh.ErrLapsed, "Renew after the lease")
	s.sees(watch, watch)
	s.is(a.Renew(s.ctx), mesh.ErrLapsed, "Renew after the lease, again")

	first := &member{Mesh: s.Mesh(s.namespace, "a"), s: s, self: a.self}
	s.must(first.rejoin(a.self.Epoch, lease), "Join")
	s.must(a.rejoin(a.self.Epoch+1, lease), "Join with the next term")
	s.must(a.Renew(s.ctx), "Renew after Join with the next term")
	s.sees(watch, watch, a)
	s.is(first.Renew(s.ctx), mesh.ErrLapsed, "Renew of a former term")
	s.sees(watch, watch, a)

	s.must(a.Leave(s.ctx), "Leave")
	s.is(a.Renew(s.ctx), mesh.ErrLapsed, "Renew after Leave")
	s.sees(watch, watch)
	if s.Wipe != nil {
		s.Wipe()
		s.is(watch.Renew(s.ctx), mesh.ErrLapsed, "Renew when the store was emptied")
		s.sees(watch)
	}
}

func superseded(s *site) {
	old := s.join("a")
	newer := s.join("a") // term 0 takes the ID
	s.sees(old, newer)
	s.is(old.Renew(s.ctx), mesh.ErrSuperseded, "Renew of the life that was superseded")
	s.is(old.rejoin(old.self.Epoch+1, lease), mesh.ErrSuperseded, "Join of the life that was superseded with its next term")
	s.sees(newer, newer)
	s.is(old.Renew(s.ctx), mesh.ErrSuperseded, "Renew of the life that was superseded")
	s.must(newer.Renew(s.ctx), "Renew of the newer life")

	// Whoever comes later has it, also when nobody does.
	s.must(newer.Leave(s.ctx), "Leave")
	s.must(old.rejoin(old.self.Epoch+1, lease), "Join with a later term where there is no record")
	s.sees(old, old)

	// A record that has lapsed holds up nobody.
	s.must(newer.rejoin(newLife()<<16, 300*time.Millisecond), "Join")
	s.eventually("a later term joins where another life's record has lapsed", func() bool {
		return old.rejoin(old.self.Epoch+1, lease) == nil
	})
	s.sees(old, old)
}

func leaveOld(s *site) {
	old := s.join("a")
	newer := s.join("a")
	s.must(old.Leave(s.ctx), "Leave of the life that was superseded")
	s.sees(old, newer)

	former := &member{Mesh: s.Mesh(s.namespace, "a"), s: s, self: newer.self}
	s.must(former.rejoin(newer.self.Epoch, lease), "Join")
	s.must(newer.rejoin(newer.self.Epoch+1, lease), "Join with the next term")
	s.must(former.Leave(s.ctx), "Leave of a former term")
	s.sees(old, newer)

	s.must(newer.Leave(s.ctx), "Leave")
	s.sees(old)
	s.must(newer.rejoin(newLife()<<16, lease), "Join after Leave, as a new life")
	s.sees(old, newer)
	newer.add("client", 1)
	newer.owns("client", 1)
}

func storeClock(s *site) {
	watch, a := s.join("watch"), s.join("a")
	s.Advance(lease / 2)
	s.must(a.Renew(s.ctx), "Renew after half of the lease")
	s.must(watch.rejoin(watch.self.Epoch, 3*lease), "Join again")
	s.Advance(lease * 3 / 4)
	s.sees(watch, watch, a)
	s.Advance(lease / 2)
	s.sees(watch, watch)
	s.is(a.Renew(s.ctx), mesh.ErrLapsed, "Renew after the lease by the store's clock")
}
