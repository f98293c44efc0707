package meshtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/goape/ape/mesh"
)

var crowdRules = []rule{
	{name: "25 hundred pushers", says: "A hundred members push at once: everything arrives once, and in order of each of them.", check: hundredPushers},
	{name: "26 a slow reader", says: "A member who does not read stops neither those who push to it nor other readers; what it misses it is told.", check: slowReader},
	{name: "27 two namespaces", says: "Namespaces in one store know nothing of each other: members, keys, rows, frames.", check: twoNamespaces},
}

func hundredPushers(s *site) {
	const pushers, frames = 100, 30
	_, eb := s.joinPull("b")
	var pushed [pushers]<-chan error
	for p := range pushers {
		m := s.join(fmt.Sprint("pusher-", p))
		pushed[p] = s.start(func() (err error) {
			for n := 0; n < frames && err == nil; n += 2 {
				err = m.Channels().Push(s.ctx, fromPusher("b", 'd', p, n), fromPusher(mesh.All, 'a', p, n), fromPusher("b", 'd', p, n+1), fromPusher(mesh.All, 'a', p, n+1))
			}
			return err
		})
	}
	next := map[byte]*[pushers]int{'d': {}, 'a': {}}
	for range 2 * pushers * frames {
		body := eb.next()
		if len(body) != 5 || next[body[0]] == nil {
			s.Fatalf("b hears %.80q, which nobody pushed", body)
		}
		p, n := int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
		if want := next[body[0]][p]; n != want {
			s.Fatalf("b hears number %d of the %q frames of pusher %d, want %d", n, body[0], p, want)
		}
		next[body[0]][p]++
	}
	for _, result := range pushed {
		s.must(<-result, "Push")
	}
	eb.silent()
}

func fromPusher(to string, kind byte, pusher, n int) mesh.Frame {
	body := binary.BigEndian.AppendUint16([]byte{kind}, uint16(pusher))
	return mesh.Frame{To: to, Body: binary.BigEndian.AppendUint16(body, uint16(n))}
}

func slowReader(s *site) {
	a, _ := s.joinPull("a")
	_, slow := s.joinPull("slow")
	_, quick := s.joinPull("quick")
	size := min(16<<10, a.Channels().Traits().MaxFrame)
	const frames = 1000
	for n := range frames {
		body := numbered(n, size)
		err := s.soon("Push", guard/3, func(ctx context.Context) error {
			return a.Channels().Push(ctx, mesh.Frame{To: "slow", Body: body}, mesh.Frame{To: "quick", Body: body})
		})
		s.must(err, "Push while a member does not read")
		quick.hearsBytes(body)
	}

	// It hears what was to it, or is told that something is missing.
	if last := s.catchUp(slow, frames); last != frames-1 {
		n := frames
		s.survive(slow, a, n, &n, map[int]bool{})
	}
}

// catchUp reads what waits, up to frame end-1, and returns the last number. A
// number may be missing only where the Inbox has said so.
func (s *site) catchUp(e *ear, end int) (last int) {
	s.Helper()
	next, told := 0, false
	for next < end {
		body, err := e.receive(10 * still)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && told:
			return next - 1 // the rest was lost
		case errors.Is(err, mesh.ErrInterrupted):
			told = true
			continue
		case errors.Is(err, context.DeadlineExceeded):
			s.Fatalf("%s hears nothing after frame %d, and is told of no loss", e.id, next-1)
		case err != nil:
			e.repull()
			return next - 1
		}
		n, err := number(body)
		s.must(err, "Receive")
		if n < next || n > next && !told {
			s.Fatalf("%s hears frame %d after %d without being told of a loss", e.id, n, next-1)
		}
		next, told = n+1, false
	}
	return next - 1
}

func twoNamespaces(s *site) {
	one, e1 := s.joinPull("a")
	other := &site{TB: s.TB, Cluster: s.Cluster, ctx: s.ctx, namespace: s.namespace + "-2"}
	defer other.end()
	two, e2 := other.joinPull("a")
	_, eb := other.joinPull("b")

	s.sees(one, one)
	if key := s.proposes(s.namespace+"-3", "a", []byte("third")); string(key) != "third" {
		s.Fatalf("the first proposal in a third namespace is %q, Join returned %q", "third", key)
	}
	s.must(one.Renew(s.ctx), "Renew")
	s.must(two.Renew(s.ctx), "Renew")

	one.add("client", 5)
	other.owner(two, "client", mesh.Owner{})
	two.add("client", 1)
	two.remove("client", 9)
	one.owns("client", 5)

	one.push(frame("a", "one"), frame(mesh.All, "one to all"))
	two.push(frame("a", "two"), frame(mesh.All, "two to all"))
	e1.hearsBesides("one", "one to all")
	e2.hearsBesides("two", "two to all")
	eb.hears("two to all")
	for _, e := range []*ear{e1, e2, eb} {
		e.silent()
	}
	s.must(two.Leave(s.ctx), "Leave")
	s.sees(one, one)
}
