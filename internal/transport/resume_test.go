package transport_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/memnet"
	"github.com/goape/ape/internal/transport"
)

// netSink is a Sink on a connection that fails.
type netSink struct{ c *memnet.Faulty }

func (s netSink) Write(p []byte) error {
	s.c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := s.c.Write(p)
	return err
}
func (s netSink) Close() { s.c.Close() }

// peer takes numbered lines from one connection after another.
type peer struct {
	seen  uint64
	lines []string
}

// take reads a WebSocket until it ends. What is not whole does not exist.
func (p *peer) take(c *memnet.Conn) {
	for {
		op, m, err := readFrame(c)
		switch {
		case err != nil:
			return
		case op == opBinary:
			p.line(m)
		case op == opText:
			for line := range strings.Lines(m) {
				p.line(line)
			}
		}
	}
}

// takeStream reads an HTTP body until it ends.
func (p *peer) takeStream(c *memnet.Conn) {
	var rest []byte
	b := make([]byte, 1000)
	for {
		n, err := c.Read(b)
		rest = append(rest, b[:n]...)
		for {
			line, after, ok := bytes.Cut(rest, []byte("\n"))
			if !ok {
				break
			}
			rest = after
			if head, raw, ok := bytes.Cut(line, []byte("=")); ok {
				octets, _ := base64.StdEncoding.DecodeString(string(raw))
				line = fmt.Appendf(nil, "%s=%d\n%s", head, len(octets), octets)
				p.line(string(line))
				continue
			}
			p.line(string(line) + "\n")
		}
		if err != nil {
			return
		}
	}
}

func (p *peer) line(line string) {
	if strings.HasPrefix(line, "w") || strings.HasPrefix(line, "a ") {
		return // not counted
	}
	p.seen++
	p.lines = append(p.lines, line)
}

func TestResumeLosesAndRepeatsNothing(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) { resume(t, rand.New(rand.NewPCG(seed, 1))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// resume appends random frames while connections are cut behind random
// numbers of bytes, and compares what the peer counted.
func resume(t *testing.T, rnd *rand.Rand) {
	budget := transport.NewBudget(1 << 30)
	o := transport.NewOutbox(4<<20, true, budget)
	var want []string
	var wg sync.WaitGroup
	sizes := rand.New(rand.NewPCG(rnd.Uint64(), 2))
	wg.Go(func() {
		for i := range 300 {
			f, line := randomFrame(sizes, i)
			want = append(want, line)
			if err := o.Append(f, sizes.IntN(2) == 0); err != nil {
				t.Error(err)
				return
			}
			if sizes.IntN(20) == 0 {
				time.Sleep(time.Duration(sizes.IntN(100)) * time.Millisecond)
			}
		}
	})
	p := &peer{}
	for tries := 0; p.seen < 300 || unwritten(o); tries++ {
		if tries > 2000 {
			t.Fatalf("stuck at %d", p.seen)
		}
		if tries%3 == 0 && !o.Ack(p.seen) {
			t.Errorf("ack %d refused", p.seen)
		}
		connect(t, rnd, o, p)
	}
	wg.Wait()
	for i, line := range want {
		if i >= len(p.lines) || p.lines[i] != line {
			t.Fatalf("line %d of %d differs, of %d wanted", i, len(p.lines), len(want))
		}
	}
	if len(p.lines) != len(want) {
		t.Errorf("%d lines, want %d", len(p.lines), len(want))
	}
	if !o.Ack(uint64(len(want))) || budget.Used() != 0 {
		t.Errorf("%d bytes are left when all are acknowledged", budget.Used())
	}
}

// connect is one connection: attached, then cut sooner or later.
func connect(t *testing.T, rnd *rand.Rand, o *transport.Outbox, p *peer) {
	near, far := memnet.Pipe(1 + rnd.IntN(5000))
	faults := memnet.Faults{CutAfter: int64(1 + rnd.IntN(30_000)), WithReset: rnd.IntN(2) == 0, Piece: rnd.IntN(3) * 700}
	nc := memnet.NewFaulty(far, faults)
	form, take := transport.SocketLines, p.take
	if rnd.IntN(2) == 0 {
		form, take = transport.StreamLines, p.takeStream
	}
	w := transport.NewWriter(netSink{nc}, form, nil)
	w.Control([]byte("w {}\n"))
	if gap := o.Attach(w, p.seen); gap != "" {
		t.Fatalf("gap %q behind %d", gap, p.seen)
	}
	w.Acknowledge(uint64(rnd.IntN(100)))
	drop := rnd.IntN(2) == 0
	time.AfterFunc(time.Duration(rnd.IntN(3000))*time.Millisecond, func() { w.End(4000, "", []byte("w\n"), drop) })
	go func() { <-w.Done(); nc.Close() }()
	take(near)
	near.Close()
	if rnd.IntN(2) == 0 {
		o.Detach(w)
	}
	w.Abort()
	w.Stop()
}

func randomFrame(rnd *rand.Rand, i int) (transport.Frame, string) {
	size := []int{5, 100, 3000, 20_000}[rnd.IntN(4)]
	if rnd.IntN(4) == 0 {
		raw := make([]byte, rnd.IntN(size))
		for i := range raw {
			raw[i] = byte(rnd.Uint32())
		}
		line := fmt.Sprintf("r %d =%d\n", i, len(raw))
		return octets(line, string(raw)), line + string(raw)
	}
	line := fmt.Sprintf("r %d %s\n", i, strings.Repeat("x", rnd.IntN(size)))
	return text(line), line
}

func TestResumeTellsOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o, w := attached(1000, transport.SocketLines)
		for range 50 {
			appendAll(t, o, strings.Repeat("x", 98))
			synctest.Wait()
		}
		w.Stop()
		r.take()
		next := transport.NewWriter(newRecorder(), transport.SocketLines, nil)
		if gap := o.Attach(next, 39); gap != "overflow" {
			t.Errorf("gap %q", gap)
		}
		appendAll(t, o, "y")
		synctest.Wait()
		if !unwritten(o) {
			t.Error("a writer that was not attached has written")
		}
		if gap := o.Attach(next, 45); gap != "" {
			t.Errorf("gap %q", gap)
		}
		next.Stop()
	})
}

func TestManyResumesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := transport.NewOutbox(1<<20, true, nil)
		for i := range 1000 {
			appendAll(t, o, fmt.Sprint(i, "\n"))
		}
		var sinks []*recorder
		var wg sync.WaitGroup
		for range 8 {
			r := newRecorder()
			sinks = append(sinks, r)
			wg.Go(func() {
				w := transport.NewWriter(r, transport.SocketLines, nil)
				o.Attach(w, 0)
				time.Sleep(time.Second)
				w.Stop()
			})
		}
		wg.Wait()
		whole := 0
		for _, r := range sinks {
			got := strings.Join(r.frames(), "")
			lines := strings.Count(got, "\n")
			want := ""
			for i := range lines {
				want += fmt.Sprint(i, "\n")
			}
			if got != want {
				t.Errorf("one of them got %d lines, not the first ones in order", lines)
			}
			if lines == 1000 {
				whole++
			}
		}
		if whole == 0 {
			t.Error("nobody got all")
		}
	})
}
