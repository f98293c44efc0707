package transport_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/transport"
)

// attached returns an outbox that keeps what it writes, and its writer.
func attached(limit int, form transport.Form) (*recorder, *transport.Outbox, *transport.Writer) {
	r := newRecorder()
	o := transport.NewOutbox(limit, true, nil)
	w := transport.NewWriter(r, form, nil)
	o.Attach(w, 0)
	return r, o, w
}

func appendAll(t *testing.T, o *transport.Outbox, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		if err := o.Append(text(p), false); err != nil {
			t.Fatalf("append %q: %v", p, err)
		}
	}
}

func TestOutboxWritesInOrderWhatCameBeforeAttach(t *testing.T) {
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRecorder()
			o := transport.NewOutbox(1000, keep, nil)
			appendAll(t, o, "1\n", "2\n")
			w := transport.NewWriter(r, transport.SocketLines, nil)
			if gap := o.Attach(w, 0); gap != "" {
				t.Errorf("gap %q", gap)
			}
			synctest.Wait()
			appendAll(t, o, "3\n")
			equal(t, r.frames(), "1\n2\n", "3\n")
			if kept, unwritten := o.Bytes(); (kept > 0) != keep || unwritten != 0 {
				t.Errorf("keep %v: %d bytes kept, %d unwritten", keep, kept, unwritten)
			}
			w.Stop()
		})
	}
}

func TestOutboxAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o, w := attached(1000, transport.SocketLines)
		appendAll(t, o, "1\n", "2\n", "3\n")
		synctest.Wait()
		full, _ := o.Bytes()
		for _, step := range []struct {
			n    uint64
			ok   bool
			left int
		}{{2, true, 1}, {1, true, 1}, {4, false, 1}, {3, true, 0}, {3, true, 0}} {
			if ok := o.Ack(step.n); ok != step.ok {
				t.Errorf("ack %d: %v", step.n, ok)
			}
			if kept, _ := o.Bytes(); kept != full/3*step.left {
				t.Errorf("ack %d: %d bytes kept", step.n, kept)
			}
		}
		w.Hold()
		appendAll(t, o, "4\n")
		if o.Ack(4) {
			t.Error("a frame that was never written can be acknowledged")
		}
		w.Stop()
	})
}

func TestOutboxRefusesWhatIsTooMuch(t *testing.T) {
	o := transport.NewOutbox(100, true, nil)
	if err := o.Append(text(strings.Repeat("x", 1000)), false); err != nil {
		t.Errorf("a frame above the limit, alone: %v", err)
	}
	if err := o.Append(text("x"), false); err != transport.ErrFull {
		t.Errorf("behind it: %v", err)
	}
	o.End()
	if err := o.Append(text("x"), false); err != transport.ErrEnded {
		t.Errorf("behind End: %v", err)
	}
	if err := o.AppendWait(t.Context(), text("x"), false); err != transport.ErrEnded {
		t.Errorf("waiting behind End: %v", err)
	}
	if gap := o.Attach(transport.NewWriter(newRecorder(), transport.SocketLines, nil), 0); gap != "unknown" {
		t.Errorf("gap behind End: %q", gap)
	}
}

func TestOutboxDropsWrittenFramesOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := text(strings.Repeat("x", 28))
		_, o, w := attached(3*f.Size()+1, transport.SocketLines)
		for range 10 {
			o.Append(f, false)
			synctest.Wait()
		}
		if kept, _ := o.Bytes(); kept != 3*f.Size() {
			t.Errorf("%d bytes kept of frames of %d", kept, f.Size())
		}
		w.Stop()
		for _, step := range []struct {
			seen uint64
			want string
		}{{0, "overflow"}, {6, "overflow"}, {11, "mismatch"}, {7, "3"}, {10, "0"}} {
			next, got := transport.NewWriter(newRecorder(), transport.SocketLines, nil), ""
			gap := o.AttachWith(next, step.seen, func(recovered uint64) []byte {
				got = fmt.Sprint(recovered)
				return nil
			})
			if got += gap; got != step.want {
				t.Errorf("attach behind %d: %q, want %q", step.seen, got, step.want)
			}
			next.Stop()
		}
	})
}

func TestOutboxKeepsWhatAResumedPeerIsBeingSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o, w := attached(100, transport.SocketLines)
		appendAll(t, o, "1"+strings.Repeat("x", 97))
		synctest.Wait()
		w.Stop()
		r := newRecorder()
		letGo := r.hold()
		w = transport.NewWriter(r, transport.SocketLines, nil)
		w.Control([]byte("w\n"))
		synctest.Wait() // stuck with the welcome
		if gap := o.Attach(w, 0); gap != "" {
			t.Fatal(gap)
		}
		appendAll(t, o, "2"+strings.Repeat("y", 97))
		if err := o.Append(text("x"), false); err != transport.ErrFull {
			t.Errorf("got %v", err)
		}
		letGo()
		got := r.frames()
		if len(got) != 2 || got[0] != "w\n" || got[1][0] != '1' || got[1][98] != '2' {
			t.Errorf("got %.40q", got)
		}
		w.Stop()
	})
}

func TestAttachWithWritesItsLineFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o, w := attached(1000, transport.SocketLines)
		appendAll(t, o, "1\n", "2\n")
		synctest.Wait()
		w.Stop()
		r.take()
		appendAll(t, o, "3\n")
		for _, step := range []struct {
			seen uint64
			want string
		}{{1, "w 2\n2\n3\n"}, {3, "w 0\n"}, {1, ""}} {
			w := transport.NewWriter(r, transport.SocketLines, nil)
			gap := o.AttachWith(w, step.seen, func(recovered uint64) []byte { return fmt.Appendf(nil, "w %d\n", recovered) })
			if got := strings.Join(r.frames(), ""); got != step.want || (gap == "") != (step.want != "") {
				t.Errorf("behind %d: %q, gap %q", step.seen, got, gap)
			}
			w.Stop()
		}
	})
}

func TestAppendWaitGoesOnInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o, w := attached(200, transport.SocketMessages)
		letGo := r.hold()
		appendAll(t, o, "stuck")
		synctest.Wait()
		appendAll(t, o, strings.Repeat("x", 90))
		done := make(chan int, 5)
		for i := range 5 {
			go func() {
				if err := o.AppendWait(t.Context(), text(fmt.Sprint(i, strings.Repeat("y", 60))), true); err != nil {
					t.Error(err)
				}
				done <- i
			}()
			synctest.Wait()
		}
		go o.AppendWait(t.Context(), text("5"), true) // would fit, but came last
		synctest.Wait()
		if len(done) != 0 {
			t.Fatal("an append found room where there is none")
		}
		letGo()
		got := r.frames()
		if len(got) != 8 || got[7] != "5" {
			t.Fatalf("%d frames", len(got))
		}
		for i := range 5 {
			if got[2+i][0] != byte('0'+i) {
				t.Errorf("frame %d of those that waited is %.10q", i, got[2+i])
			}
			<-done
		}
		w.Stop()
	})
}

func TestAppendWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := transport.NewOutbox(300, true, nil)
		appendAll(t, o, strings.Repeat("x", 160))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		small := make(chan error, 1)
		go func() {
			synctest.Wait()
			small <- o.AppendWait(t.Context(), text("small"), false)
		}()
		if err := o.AppendWait(ctx, text(strings.Repeat("y", 200)), false); err != context.DeadlineExceeded {
			t.Errorf("at the deadline: %v", err)
		}
		if err := <-small; err != nil {
			t.Errorf("a smaller one behind it: %v", err)
		}
		ended := make(chan error, 1)
		go func() { ended <- o.AppendWait(t.Context(), text(strings.Repeat("z", 200)), false) }()
		synctest.Wait()
		o.End()
		if err := <-ended; err != transport.ErrEnded {
			t.Errorf("at the end: %v", err)
		}
		o.End()
	})
}

func TestAttachTakesTheOutboxFromTheWriterBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, o, w := attached(1000, transport.SocketLines)
		letGo := old.hold()
		appendAll(t, o, "1\n")
		synctest.Wait()
		appendAll(t, o, "2\n", "3\n")
		r := newRecorder()
		next := transport.NewWriter(r, transport.SocketLines, nil)
		next.Hold()
		o.Attach(next, 0)
		letGo()
		equal(t, old.frames(), "1\n")
		next.Release()
		equal(t, r.frames(), "1\n2\n3\n")
		o.Detach(w) // not its writer any more
		appendAll(t, o, "4\n")
		equal(t, r.frames(), "4\n")
		o.Detach(next)
		appendAll(t, o, "5\n")
		equal(t, r.frames())
		w.Stop()
		next.Stop()
	})
}

func TestOutboxWithoutKeepGoesOnWhereTheLastWriterWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := transport.NewOutbox(1000, false, nil)
		for i := range 3 {
			r := newRecorder()
			w := transport.NewWriter(r, transport.SocketMessages, nil)
			appendAll(t, o, fmt.Sprint(i, " before"))
			o.Attach(w, 99)
			synctest.Wait()
			appendAll(t, o, fmt.Sprint(i, " during"))
			equal(t, r.frames(), fmt.Sprint(i, " before"), fmt.Sprint(i, " during"))
			w.Stop()
		}
	})
}

func TestEndLetsASealedWriterFinish(t *testing.T) {
	for _, drop := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			budget := transport.NewBudget(0)
			r := newRecorder()
			letGo := r.hold()
			o := transport.NewOutbox(1000, true, budget)
			w := transport.NewWriter(r, transport.SocketMessages, nil)
			o.Attach(w, 0)
			appendAll(t, o, "1")
			synctest.Wait()
			appendAll(t, o, "2")
			w.End(4203, "kicked", []byte("q"), drop)
			o.End()
			letGo()
			want := []string{"1", "2", "q", "close 4203 kicked"}
			if drop {
				want = []string{"1", "q", "close 4203 kicked"}
			}
			equal(t, r.frames(), want...)
			<-w.Done()
			if budget.Used() != 0 {
				t.Errorf("drop %v: %d bytes are still counted", drop, budget.Used())
			}
			w.Stop()
		})
	}
}

func TestItemsLeaveHalfOfTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frame := func() transport.Frame {
			return transport.Text(append(transport.Begin(nil), "n 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"...))
		}
		size := frame().Size()
		o := transport.NewOutbox(8*size, true, nil)
		for range 4 {
			if err := o.AppendItem(t.Context(), frame()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- o.AppendItem(ctx, frame()) }()
		synctest.Wait()
		for range 4 {
			if err := o.Append(frame(), false); err != nil {
				t.Errorf("an item took the room of what cannot wait: %v", err)
			}
		}
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("the fifth item: %v, want it to have waited", err)
		}
	})
}
