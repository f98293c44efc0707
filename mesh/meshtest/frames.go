package meshtest

import (
	"bytes"
	"fmt"

	"github.com/goape/ape/mesh"
)

var frameRules = []rule{
	{name: "19 heard from Pull on", says: "What is pushed after Pull has returned is heard.", check: heardFromPull},
	{name: "20 to one", says: "A frame to a member is heard by that member and by nobody else.", check: toOne},
	{name: "21 to all", says: "A frame to All is heard by everybody once; by its sender once or not at all.", check: toAll},
	{name: "22 any bytes", says: "Frames of 0 to MaxFrame bytes arrive as they were, whatever is in them, and belong to who receives them.", check: anyBytes},
	{name: "23 above MaxFrame", says: "A frame above MaxFrame is ErrTooLarge, and nothing of that Push is carried.", check: aboveMax},
	{name: "24 order of one pusher", says: "Without faults, what one member pushes to one target arrives once and in order.", check: inOrder},
}

func heardFromPull(s *site) {
	a, _ := s.joinPull("a")
	for i := range 20 {
		id := fmt.Sprint("new-", i)
		e := s.pull(s.Mesh(s.namespace, id), id)
		a.push(frame(id, "to you"), frame(mesh.All, "to all"))
		e.gathers("to you", "to all")
	}
	// Another process under the same ID hears as well.
	first := s.pull(s.Mesh(s.namespace, "twice"), "twice")
	second := s.pull(s.Mesh(s.namespace, "twice"), "twice")
	a.push(frame("twice", "to both"))
	first.hears("to both")
	second.hears("to both")
}

func toOne(s *site) {
	a, ea := s.joinPull("a")
	_, eb := s.joinPull("b")
	_, ec := s.joinPull("b.c")
	a.push(frame("b", "1"), frame("b.c", "2"), frame("a", "3"))
	a.push(frame("b", "4"))
	eb.hears("1", "4")
	ec.hears("2")
	ea.hears("3")
	for _, e := range []*ear{ea, eb, ec} {
		e.silent()
	}
	s.must(a.Channels().Push(s.ctx), "Push of nothing")
}

func toAll(s *site) {
	a, ea := s.joinPull("a")
	b, eb := s.joinPull("b")
	_, ec := s.joinPull("c")
	a.push(frame(mesh.All, "from a"), frame(mesh.All, "from a too"))
	b.push(frame(mesh.All, "from b"))
	ec.gathers("from a", "from a too", "from b")
	eb.hears("from a", "from a too")
	ea.hearsBesides("from b", "from a", "from a too")
	eb.silent("from b")
	ec.silent()
}

// hearsBesides checks that want is heard once, and each of own at most once.
func (e *ear) hearsBesides(want string, own ...string) {
	e.s.Helper()
	heard := map[string]int{}
	for heard[want] == 0 {
		heard[string(e.next())]++
	}
	var rest []string
	for _, o := range own {
		if heard[o] == 0 {
			rest = append(rest, o)
		}
	}
	for body, n := range heard {
		if n > 1 {
			e.s.Fatalf("%s hears %q %d times", e.id, body, n)
		}
	}
	e.silent(rest...)
}

func anyBytes(s *site) {
	a, _ := s.joinPull("a")
	_, eb := s.joinPull("b")
	_, ec := s.joinPull("c")
	limit := a.Channels().Traits().MaxFrame
	if limit < 4<<10 {
		s.Fatalf("MaxFrame is %d, want at least 4 KiB", limit)
	}
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	bodies := [][]byte{{}, {0}, []byte("\r\n"), []byte("'\"\\"), []byte("null"), every, bytes.Repeat([]byte{0xff}, 1000), bytes.Repeat(every, 16)}
	for _, size := range []int{limit/2 + 1, limit - 1, limit} {
		bodies = append(bodies, numbered(size, size))
	}
	for i, body := range bodies {
		to := []string{"b", mesh.All}[i%2]
		sent := bytes.Clone(body)
		a.push(mesh.Frame{To: to, Body: sent}, frame(to, "next"))
		clear(sent) // the frames are the caller's again
		eb.hearsBytes(body)
		eb.hears("next")
		if to == mesh.All {
			ec.hearsBytes(body)
			ec.hears("next")
		}
	}
	s.must(a.Channels().Push(s.ctx, mesh.Frame{To: "b"}), "Push of a nil body")
	eb.hearsBytes(nil)
}

// hearsBytes checks the next frame, then writes into it: the slice is its own.
func (e *ear) hearsBytes(want []byte) {
	e.s.Helper()
	got := e.next()
	if !bytes.Equal(got, want) {
		e.s.Fatalf("%s hears %d bytes, %.40x, want %d bytes, %.40x", e.id, len(got), got, len(want), want)
	}
	clear(got)
}

func aboveMax(s *site) {
	a, _ := s.joinPull("a")
	_, eb := s.joinPull("b")
	limit := a.Channels().Traits().MaxFrame
	big := make([]byte, limit+1)
	for _, to := range []string{"b", mesh.All} {
		s.is(a.Channels().Push(s.ctx, frame("b", "before"), mesh.Frame{To: to, Body: big}, frame("b", "after")), mesh.ErrTooLarge, "Push above MaxFrame")
	}
	a.push(frame("b", "fits"))
	eb.hears("fits")
	eb.silent()
}

func inOrder(s *site) {
	const frames, batch = 2000, 37
	a, _ := s.joinPull("a")
	_, eb := s.joinPull("b")
	_, ec := s.joinPull("c")
	// Each listener hears what is to it and what is to All; both are in order.
	var direct, all int
	var push []mesh.Frame
	for i := range frames {
		f := mesh.Frame{To: []string{"b", mesh.All, "c"}[i%3]}
		if f.To == mesh.All {
			f.Body = append([]byte("a"), numbered(all, 100)...)
			all++
		} else {
			f.Body = append([]byte("d"), numbered(direct, 100+i%50)...)
			direct++
		}
		if push = append(push, f); len(push) == 1+i%batch || i == frames-1 {
			a.push(push...)
			push = push[:0]
		}
	}
	for turn, e := range []*ear{eb, ec} {
		next := map[byte]int{'d': turn, 'a': 0}
		for next['d'] < direct || next['a'] < all {
			body := e.next()
			kind := body[0]
			n, err := number(body[1:])
			s.must(err, "Receive")
			if n != next[kind] {
				s.Fatalf("%s hears number %d of its %q frames, want %d", e.id, n, kind, next[kind])
			}
			next[kind]++
			if kind == 'd' {
				next[kind]++ // every other one is to the other
			}
		}
		e.silent()
	}
}
