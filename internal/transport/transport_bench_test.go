package transport_test

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/goape/ape/internal/memnet"
	"github.com/goape/ape/internal/transport"
)

// nowhere is a Sink that takes everything.
type nowhere struct{}

func (nowhere) Write([]byte) error { return nil }
func (nowhere) Close()             {}

// BenchmarkAlone is an answer that its own goroutine writes, acknowledged in
// lots of 64 as a client does.
func BenchmarkAlone(b *testing.B) {
	for _, keep := range []bool{false, true} {
		b.Run(fmt.Sprintf("keep=%v", keep), func(b *testing.B) {
			o := transport.NewOutbox(1<<20, keep, transport.NewBudget(1<<30))
			w := transport.NewWriter(nowhere{}, transport.SocketLines, nil)
			w.Hold()
			o.Attach(w, 0)
			w.Release()
			f := text("r 1 {\"answer\":42}\n")
			b.ReportAllocs()
			for i := range b.N {
				o.Append(f, true)
				if i%64 == 0 {
					o.Ack(uint64(i + 1))
				}
			}
			w.Stop()
		})
	}
}

// BenchmarkJoined is 16 answers to what one read brought.
func BenchmarkJoined(b *testing.B) {
	o := transport.NewOutbox(1<<20, true, transport.NewBudget(1<<30))
	w := transport.NewWriter(nowhere{}, transport.SocketLines, nil)
	o.Attach(w, 0)
	f := text("r 1 {\"answer\":42}\n")
	b.ReportAllocs()
	for b.Loop() {
		w.Hold()
		for range 16 {
			o.Append(f, true)
		}
		w.Release()
		settle([]*transport.Outbox{o}, 16)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*16), "ns/answer")
	w.Stop()
}

// fan is a thousand outboxes, each with a writer.
func fan(keep bool) (all []*transport.Outbox, writers []*transport.Writer) {
	budget := transport.NewBudget(1 << 30)
	for range 1000 {
		o := transport.NewOutbox(1<<20, keep, budget)
		w := transport.NewWriter(nowhere{}, transport.SocketLines, nil)
		o.Attach(w, 0)
		all, writers = append(all, o), append(writers, w)
	}
	return all, writers
}

// settle waits until all has been written, and acknowledges n frames in each.
func settle(all []*transport.Outbox, n uint64) {
	for _, o := range all {
		for unwritten(o) {
			runtime.Gosched()
		}
		o.Ack(o.Acked() + n)
	}
}

// broadcast is one frame to everybody, eight times.
func broadcast(all []*transport.Outbox) {
	for range 8 {
		f := text("b news {\"headline\":\"one frame for all\"}\n")
		for _, o := range all {
			o.Append(f, false)
		}
	}
	settle(all, 8)
}

func BenchmarkBroadcast(b *testing.B) {
	all, writers := fan(true)
	broadcast(all)
	b.ReportAllocs()
	for b.Loop() {
		broadcast(all)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*8*len(all)), "ns/delivery")
	for _, w := range writers {
		w.Stop()
	}
}

func TestABroadcastAllocatesOnceForAll(t *testing.T) {
	for _, keep := range []bool{false, true} {
		all, writers := fan(keep)
		broadcast(all)
		allocs := testing.AllocsPerRun(10, func() { broadcast(all) }) / float64(8*len(all))
		if allocs >= 0.1 && !race {
			t.Errorf("keep %v: %.3f allocations per delivery", keep, allocs)
		}
		t.Logf("keep %v: %.3f allocations per delivery", keep, allocs)
		for _, w := range writers {
			w.Stop()
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// pair is what a server holds for an idle client.
type pair struct {
	s *transport.Socket
	o *transport.Outbox
}

// use connects a client that gets one line and acknowledges it.
func use(t *testing.T, ln *memnet.Listener, accepted chan pair) (*memnet.Conn, pair) {
	t.Helper()
	nc, err := ln.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nc.Write([]byte(upgrade + "\r\n"))
	p := <-accepted
	p.o.Append(text("r 1\n"), false)
	b := make([]byte, 1000)
	for got := 0; !bytes.HasSuffix(b[:got], []byte("r 1\n")); {
		n, err := nc.Read(b[got:])
		if got += n; err != nil {
			t.Fatal(err)
		}
	}
	if !p.o.Ack(1) {
		t.Error("a line that arrived was never written")
	}
	return nc, p
}

func TestAnIdleSocketIsSmall(t *testing.T) {
	const conns = 300
	before := heap()
	var pipes []*memnet.Conn
	for range conns {
		a, b := memnet.Pipe(0)
		pipes = append(pipes, a, b)
	}
	network := heap() - before
	runtime.KeepAlive(pipes)

	ln := memnet.Listen()
	defer ln.Close()
	accepted, finished := make(chan pair, 1), make(chan bool, conns)
	hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := transport.Accept(w, r, transport.SocketOptions{Idle: time.Hour})
		if err != nil {
			t.Error(err)
			return
		}
		o := transport.NewOutbox(1<<20, true, nil)
		o.Attach(s.Writer(), 0)
		accepted <- pair{s, o}
		go func() {
			s.Next()
			s.Finish()
			finished <- true
		}()
	})}
	go hs.Serve(ln)
	defer hs.Close()
	before = heap()
	var clients []*memnet.Conn
	var pairs []pair
	for range conns {
		nc, p := use(t, ln, accepted)
		clients, pairs = append(clients, nc), append(pairs, p)
	}
	each := (heap() - before - network) / conns
	t.Logf("%d bytes of heap for each idle socket, without its network of %d", each, network/conns)
	if each > 5<<10 && !race {
		t.Errorf("an idle socket takes %d bytes of heap", each)
	}
	runtime.KeepAlive(pairs)
	for _, nc := range clients {
		nc.Close()
		<-finished
	}
}
