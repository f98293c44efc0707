package meshtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/goape/ape/mesh"
)

// ear is an Inbox, read by the case's goroutine.
type ear struct {
	mesh.Inbox
	s  *site
	id string
}

// pull begins to listen as id does.
func (s *site) pull(m mesh.Mesh, id string) *ear {
	s.Helper()
	inbox, err := m.Channels().Pull(s.ctx, id)
	s.must(err, "Pull")
	s.ends = append(s.ends, func() { _ = inbox.Close() })
	return &ear{inbox, s, id}
}

// joinPull does what a joining member does: it listens, then writes its record.
func (s *site) joinPull(id string) (*member, *ear) {
	s.Helper()
	m := &member{Mesh: s.Mesh(s.namespace, id), s: s, self: mesh.Member{ID: id}}
	e := s.pull(m, id)
	s.must(m.rejoin(newLife()<<16, lease), "Join")
	s.ends = append(s.ends, func() { m.leave() })
	return m, e
}

// push sends frames for which everybody listens.
func (m *member) push(frames ...mesh.Frame) {
	m.s.Helper()
	m.s.must(m.Channels().Push(m.s.ctx, frames...), "Push")
}

func frame(to, body string) mesh.Frame { return mesh.Frame{To: to, Body: []byte(body)} }

// next is the next frame.
func (e *ear) next() []byte {
	e.s.Helper()
	body, err := e.receive(guard)
	if err != nil {
		e.s.Fatalf("Receive of %s: %v", e.id, err)
	}
	return body
}

// hears checks the next frames, in order.
func (e *ear) hears(want ...string) {
	e.s.Helper()
	for _, w := range want {
		if got := string(e.next()); got != w {
			e.s.Fatalf("%s hears %.80q, want %.80q", e.id, got, w)
		}
	}
}

// gathers checks the next frames, in any order.
func (e *ear) gathers(want ...string) {
	e.s.Helper()
	var got []string
	for range want {
		got = append(got, string(e.next()))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		e.s.Fatalf("%s hears %.80q, want %.80q in any order", e.id, got, want)
	}
}

// silent checks that nothing is heard for a while. What a member says to All it
// may hear itself; that is passed over.
func (e *ear) silent(own ...string) {
	e.s.Helper()
	for {
		body, err := e.receive(still)
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		if err != nil {
			e.s.Fatalf("Receive of %s: %v", e.id, err)
		}
		i := slices.Index(own, string(body))
		if i < 0 {
			e.s.Fatalf("%s hears %.80q, want nothing", e.id, body)
		}
		own = slices.Delete(slices.Clone(own), i, i+1)
	}
}

func (e *ear) receive(within time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(e.s.ctx, within)
	defer cancel()
	return e.Receive(ctx)
}

// numbered is a body with a number, filled up to size bytes.
func numbered(n, size int) []byte {
	body := make([]byte, max(size, 8))
	for i := range body {
		body[i] = byte(n + i)
	}
	binary.BigEndian.PutUint64(body, uint64(n))
	return body
}

// number reads it, and checks that every byte is there.
func number(body []byte) (int, error) {
	if len(body) < 8 {
		return 0, fmt.Errorf("a frame of %d bytes, too few", len(body))
	}
	n := int(binary.BigEndian.Uint64(body))
	for i := 8; i < len(body); i++ {
		if body[i] != byte(n+i) {
			return n, fmt.Errorf("byte %d of frame %d is %#x, want %#x", i, n, body[i], byte(n+i))
		}
	}
	return n, nil
}
