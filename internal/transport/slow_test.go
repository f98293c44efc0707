package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/memnet"
	"github.com/goape/ape/internal/transport"
)

// The rules about peers that are slow, hostile, or leaving.

func TestRule09ASlowPeerThatReadsIsServed(t *testing.T) {
	const frame = 900 << 10
	seen := make(chan int, 1000)
	wrap := func(c *memnet.Conn) net.Conn { return sizes{c, seen} }
	inside(t, setup{buffer: 4096, limit: 4 << 20, wrap: wrap}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		s.out.Append(text(strings.Repeat("x", frame)), false)
		s.out.Append(text(strings.Repeat("y", 10)), false)
		b := make([]byte, 16<<10)
		for got := 0; got < frame; time.Sleep(time.Second) {
			c.SetReadDeadline(time.Now().Add(time.Second))
			n, err := io.ReadFull(c.Conn, b)
			if got += n; err != nil && got < frame {
				t.Fatalf("a peer that takes 16 KiB/s got %d of %d bytes: %v", got, frame, err)
			}
		}
		for _, n := range drained(seen) {
			if n > 64<<10 {
				t.Errorf("a write of %d bytes", n)
			}
		}
	})
}

func TestRule09JoinedWritesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o, w := attached(1<<30, transport.SocketLines)
		letGo := r.hold()
		o.Append(text("first\n"), false)
		synctest.Wait()
		want := "first\n"
		for i := range 2000 {
			line := fmt.Sprintf("%d%s\n", i, strings.Repeat(" ", 90))
			want += line
			o.Append(text(line), false)
		}
		long := strings.Repeat("x", 100_000) + "\n"
		o.Append(text(long), false)
		o.Append(text("last\n"), false)
		letGo()
		synctest.Wait()
		writes := r.take()
		for _, p := range writes {
			if len(p) > 64<<10 {
				t.Errorf("a write of %d bytes", len(p))
			}
		}
		if len(writes) > 9 {
			t.Errorf("300 KB left in %d writes", len(writes))
		}
		r.writes = writes
		got := r.frames()
		for _, m := range got {
			if len(m) > 16<<10 && m != long {
				t.Errorf("a joined message of %d bytes", len(m))
			}
		}
		if strings.Join(got, "") != want+long+"last\n" {
			t.Error("lines were lost, repeated or reordered")
		}
		w.Stop()
	})
}

func TestRule09APeerThatNeverReadsIsGone(t *testing.T) {
	inside(t, setup{buffer: 200}, func(t *testing.T, v *world) {
		_, s := v.dial("")
		start := time.Now()
		s.out.Append(text(strings.Repeat("x", 1000)), false)
		<-s.gone
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("gone after %s", d)
		}
		<-s.w.Done()
		if err := s.w.Err(); err == nil {
			t.Error("the writer does not say why")
		}
	})
}

func TestRule10TextIsUTF8(t *testing.T) {
	o := setup{code: func(err error) int {
		if err == transport.ErrUTF8 {
			return 1007
		}
		return 0
	}}
	for _, bad := range []string{"\xff", "aaaaaaaaaaaaaaaaaaaaaaaaa\xc3(", "\xed\xa0\x80", "x\xf0\x9f\x98", strings.Repeat("é", 3000) + "\xc3"} {
		inside(t, o, func(t *testing.T, v *world) {
			c, _ := v.dial("")
			c.Write(message(bad))
			c.wants(t, "close 1007")
		})
	}
	inside(t, o, func(t *testing.T, v *world) {
		c, _ := v.dial("")
		// Runes cut by frames and by reads.
		good := "aé€😀" + strings.Repeat("é€😀", 5)
		for i := range good {
			c.Write(append(masked(false, opText, good[:i]), masked(true, 0, good[i:])...))
			c.wants(t, good)
		}
		c.Write(append(masked(false, opText, "a\xf0\x9f"), masked(true, 0, "\x98\x80b")...))
		c.wants(t, "a😀b")
		c.Write(masked(true, opBinary, "\xff\xfe"))
		c.wants(t, "\xff\xfe")
	})
}

// faultySink panics like a ResponseWriter of somebody else's.
type faultySink struct{ closed atomic.Bool }

func (s *faultySink) Write([]byte) error { panic("somebody else's bug") }
func (s *faultySink) Close()             { s.closed.Store(true) }

func TestRule11APanicWhileWritingEndsTheConnectionOnly(t *testing.T) {
	for _, alone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sink := &faultySink{}
			w := transport.NewWriter(sink, transport.StreamLines, nil)
			o := transport.NewOutbox(1000, true, nil)
			o.Attach(w, 0)
			if err := o.Append(text("x\n"), alone); err != nil {
				t.Error(err)
			}
			<-w.Done()
			synctest.Wait()
			if err := w.Err(); err == nil || !strings.Contains(err.Error(), "somebody else's bug") || !sink.closed.Load() {
				t.Errorf("error %v, closed %v", err, sink.closed.Load())
			}
			w.Stop()
			w.Stop()
		})
	}
}

func TestRule13AClosingPeerThatTalksIsGone(t *testing.T) {
	var late atomic.Int32
	o := setup{options: transport.SocketOptions{Idle: time.Minute}, handle: func(*session, []byte) { late.Add(1) }}
	inside(t, o, func(t *testing.T, v *world) {
		c, s := v.dial("")
		time.Sleep(8 * time.Second) // the next frame would renew the idle deadline
		start := time.Now()
		s.w.End(4000, "", nil, false)
		c.wants(t, "close 4000")
		for range 120 {
			time.Sleep(100 * time.Millisecond)
			if _, err := c.Write(message("chat\n")); err != nil {
				break
			}
		}
		<-s.gone
		if d := time.Since(start); d > 2200*time.Millisecond {
			t.Errorf("a peer that ignores the close frame was there for %s", d)
		}
		if late.Load() != 0 {
			t.Errorf("%d messages behind the close frame were handed on", late.Load())
		}
	})
}

func TestRule13AMessageUnderWayIsNotHandedOn(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		m := message(strings.Repeat("x", 5000))
		c.Write(m[:3000])
		synctest.Wait()
		s.w.End(4000, "", nil, false)
		c.Write(m[3000:])
		c.wants(t, "close 4000")
		c.Write(masked(true, opClose, ""))
		<-s.gone
		if s.err != transport.ErrEnded && s.err != transport.ErrLost {
			t.Errorf("the message's reader got %v", s.err)
		}
		if len(s.out.Unsent()) != 0 || s.out.Ack(1) {
			t.Error("the message was handed on")
		}
	})
}

func TestRule13AClosingPeerIsWaitedFor(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		s.w.End(4000, "", nil, false)
		c.wants(t, "close 4000")
		for range 3 {
			c.Write(message("crossed the close frame\n"))
		}
		if got := c.say(time.Second); got != "silence" {
			t.Errorf("got %q before the close frame was answered", got)
		}
		c.Write(masked(true, opClose, "\x0f\xa0"))
		start := time.Now()
		<-s.gone
		if d := time.Since(start); d != 0 {
			t.Errorf("gone %s behind the answer", d)
		}
	})
}

// hooked is a connection that runs a function inside Read.
type hooked struct {
	net.Conn
	inRead func()
}

func (c *hooked) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.inRead != nil {
		c.inRead()
	}
	return n, err
}

func TestRule14ClosingInsideARead(t *testing.T) {
	for name, act := range map[string]func(*transport.Writer){
		"abort": func(w *transport.Writer) { w.Abort() },
		"stop":  func(w *transport.Writer) { w.Abort(); w.Stop() },
		"end":   func(w *transport.Writer) { w.End(4000, "", nil, true) },
	} {
		t.Run(name, func(t *testing.T) {
			var h *hooked
			wrap := func(c *memnet.Conn) net.Conn { h = &hooked{Conn: c}; return h }
			inside(t, setup{wrap: wrap}, func(t *testing.T, v *world) {
				c, s := v.dial("")
				synctest.Wait()
				start := time.Now()
				h.inRead = func() { h.inRead = nil; act(s.w) }
				c.Write(append(masked(true, opPing, "x"), message("one\n")...))
				<-s.gone
				if d := time.Since(start); d > 2*time.Second {
					t.Errorf("took %s", d)
				}
			})
		})
	}
}

func TestRule15ATooSlowPeerIsToldAndGone(t *testing.T) {
	for _, late := range []time.Duration{time.Second, 3 * time.Second} {
		t.Run(late.String(), func(t *testing.T) {
			inside(t, setup{buffer: 200}, func(t *testing.T, v *world) {
				c, s := v.dial("")
				s.out.Append(text(strings.Repeat("x", 1000)), false)
				synctest.Wait()
				var err error
				for i := 0; err == nil && i < 100; i++ {
					err = s.out.Append(text(strings.Repeat("y", 100_000)), false)
				}
				if err != transport.ErrFull {
					t.Fatalf("got %v", err)
				}
				start := time.Now()
				s.w.End(4101, "slow", []byte("q\n"), true)
				go func() {
					<-s.gone
					if d := time.Since(start); d > 2*time.Second {
						t.Errorf("gone after %s", d)
					}
				}()
				time.Sleep(late)
				if late < 2*time.Second {
					c.wants(t, "1000 bytes", "q\n", "close 4101 slow")
				} else if _, _, err := c.next(0); err == nil {
					t.Error("a peer that came back after the close timeout was served")
				}
			})
		})
	}
}

func TestRule15BytesUnderWayAreCounted(t *testing.T) {
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRecorder()
			budget := transport.NewBudget(70_000)
			o := transport.NewOutbox(1<<20, keep, budget)
			w := transport.NewWriter(r, transport.SocketLines, nil)
			w.Hold()
			o.Attach(w, 0)
			for range 60 {
				o.Append(text(strings.Repeat("x", 999)+"\n"), false)
			}
			letGo := r.hold()
			w.Release()
			synctest.Wait()
			kept, unwritten := o.Bytes()
			if unwritten != 0 || (kept == 0) == keep {
				t.Errorf("keep %v: %d bytes kept, %d unwritten", keep, kept, unwritten)
			}
			if used := budget.Used() - int64(kept); used < 60_000 || used > 64<<10 {
				t.Errorf("keep %v: a stuck write of 60 KB counts as %d bytes", keep, used)
			}
			if budget.Over() != keep {
				t.Errorf("keep %v: over %v with %d bytes", keep, budget.Over(), budget.Used())
			}
			letGo()
			synctest.Wait()
			if used := budget.Used(); used != int64(kept) {
				t.Errorf("keep %v: %d bytes count when %d are kept", keep, used, kept)
			}
			o.End()
			if used := budget.Used(); used != 0 {
				t.Errorf("keep %v: %d bytes count behind End", keep, used)
			}
			w.Stop()
		})
	}
}

func TestStuckPeersStopNobodyElse(t *testing.T) {
	const stuck, frames = 64, 200
	synctest.Test(t, func(t *testing.T) {
		budget := transport.NewBudget(1 << 30)
		var all []*transport.Outbox
		var writers []*transport.Writer
		add := func() *recorder {
			r := newRecorder()
			o := transport.NewOutbox(100_000, true, budget)
			w := transport.NewWriter(r, transport.SocketLines, nil)
			o.Attach(w, 0)
			all, writers = append(all, o), append(writers, w)
			return r
		}
		for range stuck {
			add().hold()
		}
		well := add()
		line := strings.Repeat("x", 999) + "\n"
		full := 0
		for range frames {
			f := text(line)
			for i, o := range all {
				switch err := o.Append(f, false); {
				case errors.Is(err, transport.ErrFull) && i < stuck:
					full++
				case err != nil:
					t.Fatal(i, err)
				}
			}
			synctest.Wait()
			all[stuck].Ack(1)
		}
		if got := len(strings.Join(well.frames(), "")); got != frames*len(line) {
			t.Errorf("the one that reads got %d of %d bytes", got, frames*len(line))
		}
		if want := stuck * (frames - 1 - 100_000/text(line).Size()); full != want {
			t.Errorf("%d appends were refused, want %d", full, want)
		}
		if used := budget.Used(); used > (stuck+1)*(100_000+64<<10) {
			t.Errorf("%d bytes are held", used)
		}
		for _, w := range writers {
			w.Stop()
		}
		for _, o := range all {
			o.End()
		}
		if used := budget.Used(); used != 0 {
			t.Errorf("%d bytes are still counted", used)
		}
	})
}
