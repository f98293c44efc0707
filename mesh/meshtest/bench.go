package meshtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/goape/ape/mesh"
)

// Bench measures what a backend costs, with 128-byte frames: each part as a
// benchmark of its own, with a Cluster of its own.
func Bench(b *testing.B, open func(b *testing.B) *Cluster) {
	for _, part := range []struct {
		name string
		run  func(b *testing.B, s *site)
	}{
		{"there and back", benchTurn},
		{"push 1", func(b *testing.B, s *site) { benchPush(b, s, 1, "b") }},
		{"push 64", func(b *testing.B, s *site) { benchPush(b, s, 64, "b") }},
		{"push 64 to all", func(b *testing.B, s *site) { benchPush(b, s, 64, mesh.All) }},
		{"add and remove 500", benchRows},
		{"read 1", benchRead},
		{"renew", func(b *testing.B, s *site) { benchCall(b, s, s.join("a").Renew) }},
		{"members of 10", benchMembers},
	} {
		b.Run(part.name, func(b *testing.B) {
			s := newSite(b, open(b))
			s.ctx = context.WithoutCancel(s.ctx)
			defer s.end()
			b.ReportAllocs()
			part.run(b, s)
		})
	}
}

// benchTurn sends one frame to and fro.
func benchTurn(b *testing.B, s *site) {
	a, ea := s.joinPull("a")
	c, ec := s.joinPull("b")
	to, from := mesh.Frame{To: "b", Body: numbered(0, 128)}, mesh.Frame{To: "a", Body: numbered(0, 128)}
	for b.Loop() {
		a.push(to)
		ec.heard(1)
		c.push(from)
		ea.heard(1)
	}
}

// benchPush pushes so many frames at once, while they are received.
func benchPush(b *testing.B, s *site, frames int, to string) {
	a, _ := s.joinPull("a")
	_, eb := s.joinPull("b")
	push := make([]mesh.Frame, frames)
	for i := range push {
		push[i] = mesh.Frame{To: to, Body: numbered(i, 128)}
	}
	start := time.Now()
	n := 0
	for b.Loop() {
		a.push(push...)
		eb.heard(frames)
		n += frames
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "frames/s")
}

// heard receives so many frames.
func (e *ear) heard(frames int) {
	for range frames {
		if _, err := e.Receive(e.s.ctx); err != nil {
			e.s.Fatal(err)
		}
	}
}

func benchRows(b *testing.B, s *site) {
	a := s.join("a")
	var claims []mesh.Claim
	for i := range 500 {
		claims = append(claims, mesh.Claim{Client: fmt.Sprint("client-", i), Gen: 1})
	}
	benchCall(b, s, func(ctx context.Context) error {
		if err := a.Lookup().Add(ctx, claims...); err != nil {
			return err
		}
		return a.Lookup().Remove(ctx, claims...)
	})
}

func benchRead(b *testing.B, s *site) {
	a := s.join("a")
	a.add("client", 1)
	defer a.remove("client", 1)
	benchCall(b, s, func(ctx context.Context) error {
		_, err := a.Lookup().Read(ctx, "client")
		return err
	})
}

func benchMembers(b *testing.B, s *site) {
	a := s.join("a")
	for i := range 9 {
		s.join(fmt.Sprint("other-", i))
	}
	benchCall(b, s, func(ctx context.Context) error {
		_, err := a.Members(ctx)
		return err
	})
}

func benchCall(b *testing.B, s *site, call func(ctx context.Context) error) {
	for b.Loop() {
		if err := call(s.ctx); err != nil {
			b.Fatal(err)
		}
	}
}
