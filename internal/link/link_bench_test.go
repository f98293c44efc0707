package link_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goape/ape/internal/link"
	"github.com/goape/ape/mesh"
)

// benchPair joins two members and counts what the second one hears.
func benchPair(b *testing.B, edit func(*link.Options)) (from *link.Link, heard *atomic.Int64) {
	b.Helper()
	store, ctx := mesh.NewMemory(nil), context.Background()
	heard = new(atomic.Int64)
	join := func(id string) *link.Link {
		o := link.Options{ID: id, Handlers: link.Handlers{Message: func(link.Message) { heard.Add(1) }}}
		if edit != nil {
			edit(&o)
		}
		l, err := link.Join(ctx, store.Mesh("app"), o)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(l.Close)
		return l
	}
	from = join("a")
	join("b")
	for len(from.Members()) == 0 {
		time.Sleep(time.Millisecond)
	}
	return from, heard
}

// Messages to a member, from Send to its handler, as many at a time as it takes.
func BenchmarkDirect(b *testing.B) {
	l, heard := benchPair(b, nil)
	body, ctx := make([]byte, 128), context.Background()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := l.SendWait(ctx, "b", link.OpPublish, body); err != nil {
			b.Fatal(err)
		}
	}
	for heard.Load() < int64(b.N) {
		time.Sleep(100 * time.Microsecond)
	}
}

// One request at a time.
func BenchmarkRequest(b *testing.B) {
	l, _ := benchPair(b, func(o *link.Options) {
		o.Handlers.Request = func(_ context.Context, _ mesh.Member, body []byte) ([]byte, error) { return body, nil }
	})
	body, ctx := make([]byte, 128), context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Request(ctx, "b", body); err != nil {
			b.Fatal(err)
		}
	}
}

// Messages to a client of the other member, whose way is known.
func BenchmarkSendTo(b *testing.B) {
	store, ctx := mesh.NewMemory(nil), context.Background()
	var heard atomic.Int64
	var links []*link.Link
	for _, id := range []string{"a", "b"} {
		l, err := link.Join(ctx, store.Mesh("app"), link.Options{ID: id, Handlers: link.Handlers{
			Client: func(string, mesh.Member, []byte) bool { heard.Add(1); return true },
		}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(l.Close)
		links = append(links, l)
	}
	if err := links[1].Claim(ctx, "client", 1); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 128)
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		for links[0].SendTo(ctx, "client", body) == link.ErrBacklog {
			time.Sleep(100 * time.Microsecond)
		}
		n++
	}
	for heard.Load() < n {
		time.Sleep(100 * time.Microsecond)
	}
}
