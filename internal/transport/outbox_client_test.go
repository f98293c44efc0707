package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/transport"
)

// strict returns an outbox as a dialling end has it, and its writer.
func strict(limit int, budget *transport.Budget) (*recorder, *transport.Outbox, *transport.Writer) {
	r := newRecorder()
	o := transport.NewStrictOutbox(limit, budget)
	w := transport.NewWriter(r, transport.DialLines, nil)
	o.Attach(w, 0)
	return r, o, w
}

// written waits for the bubble to rest and returns all that was written.
func (r *recorder) written() string {
	synctest.Wait()
	return string(bytes.Join(r.take(), nil))
}

// payloads puts frames into words.
func payloads(frames []transport.Frame) (all []string) {
	for _, f := range frames {
		all = append(all, string(f.Payload()))
	}
	return all
}

func TestAStrictOutboxDropsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := text(strings.Repeat("x", 27) + "\n")
		r, o, w := strict(3*f.Size(), nil)
		for range 3 {
			if err := o.Append(f, false); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if err := o.Append(f, false); err != transport.ErrFull {
			t.Errorf("above the limit: %v", err)
		}
		if got := o.Acked(); got != 0 {
			t.Errorf("acked %d", got)
		}
		o.Ack(1)
		if err := o.Append(f, false); err != nil {
			t.Errorf("behind an acknowledgement: %v", err)
		}
		if err := o.Append(f, false); err != transport.ErrFull {
			t.Errorf("above the limit again: %v", err)
		}
		if got := strings.Count(r.written(), "\n"); got != 4 {
			t.Errorf("%d frames were written", got)
		}
		w.Stop()
		for seen, want := range map[uint64]string{0: "overflow", 5: "mismatch"} {
			if gap := o.Attach(transport.NewWriter(newRecorder(), transport.DialLines, nil), seen); gap != want {
				t.Errorf("behind %d: gap %q, want %q", seen, gap, want)
			}
		}
		r = newRecorder()
		w = transport.NewWriter(r, transport.DialLines, nil)
		if gap := o.Attach(w, 2); gap != "" || o.Acked() != 2 {
			t.Errorf("gap %q, acked %d", gap, o.Acked())
		}
		if got := strings.Count(r.written(), "\n"); got != 2 {
			t.Errorf("%d frames were written again", got)
		}
		if o.Ack(1); o.Acked() != 2 {
			t.Errorf("behind a lower acknowledgement %d is acked", o.Acked())
		}
		if o.Ack(5) || o.Acked() != 2 {
			t.Errorf("behind an impossible acknowledgement %d is acked", o.Acked())
		}
		w.Stop()
	})
}

func TestAStrictOutboxTakesOneFrameOfAnySize(t *testing.T) {
	o := transport.NewStrictOutbox(100, nil)
	if err := o.Append(text(strings.Repeat("x", 1000)), false); err != nil {
		t.Error(err)
	}
	if err := o.Append(text("x"), false); err != transport.ErrFull {
		t.Errorf("behind it: %v", err)
	}
}

func TestAnAcknowledgementLetsThoseInWhoWait(t *testing.T) {
	for name, ack := range map[string]func(o *transport.Outbox, w *transport.Writer, r *recorder){
		"ack":    func(o *transport.Outbox, _ *transport.Writer, _ *recorder) { o.Ack(2) },
		"attach": func(o *transport.Outbox, w *transport.Writer, r *recorder) { w.Stop(); resumeAt(t, o, r, 2) },
	} {
		synctest.Test(t, func(t *testing.T) {
			budget := transport.NewBudget(1 << 30)
			f := text(strings.Repeat("x", 27) + "\n")
			r, o, w := strict(2*f.Size(), budget)
			o.Append(f, false)
			o.Append(f, false)
			synctest.Wait()
			done := make(chan error, 3)
			for i := range 3 {
				line := text(fmt.Sprint(i, strings.Repeat("y", 26), "\n"))
				go func() { done <- o.AppendWait(t.Context(), line, i == 1) }()
				synctest.Wait()
			}
			r.take()
			if len(done) != 0 {
				t.Fatalf("%s: room before the acknowledgement", name)
			}
			ack(o, w, r)
			got := r.written()
			if len(done) != 2 || strings.Count(got, "\n") != 2 || got[0] != '0' || got[28] != '1' {
				t.Errorf("%s: %d went on, and %q was written", name, len(done), got)
			}
			o.Ack(3)
			if got := r.written(); len(done) != 3 || strings.Count(got, "\n") != 1 || got[0] != '2' {
				t.Errorf("%s: then %d, and %q was written", name, len(done), got)
			}
			if o.Ack(5); budget.Used() != 0 {
				t.Errorf("%s: %d bytes are still counted", name, budget.Used())
			}
			w.Abort()
			o.End()
		})
	}
}

// resumeAt attaches another writer to r.
func resumeAt(t *testing.T, o *transport.Outbox, r *recorder, seen uint64) *transport.Writer {
	t.Helper()
	w := transport.NewWriter(r, transport.DialLines, nil)
	if gap := o.Attach(w, seen); gap != "" {
		t.Errorf("behind %d: gap %q", seen, gap)
	}
	return w
}

func TestWhoLeavesLetsASmallerFrameIn(t *testing.T) {
	for _, withdraw := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, o, w := strict(100, nil)
			appendAll(t, o, "1\n")
			synctest.Wait() // all is written: nobody drains
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			large := text(strings.Repeat("x", 90) + "\n")
			left := make(chan error, 1)
			go func() { left <- o.AppendWait(ctx, large, false) }()
			synctest.Wait()
			went := make(chan error, 1)
			go func() { went <- o.AppendWait(t.Context(), text("2\n"), false) }()
			synctest.Wait()
			want := context.Canceled
			if withdraw {
				want = transport.ErrWithdrawn
				if !o.Withdraw(large) {
					t.Error("a frame that waits cannot be withdrawn")
				}
			} else {
				cancel()
			}
			if err := <-left; err != want {
				t.Errorf("got %v, want %v", err, want)
			}
			if err := <-went; err != nil {
				t.Error(err)
			}
			if got := r.written(); got != "1\n2\n" {
				t.Errorf("withdraw %v: %q was written", withdraw, got)
			}
			w.Stop()
		})
	}
}

func TestInsistIsNeverFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := transport.NewBudget(1 << 30)
		r, o, w := strict(50, budget)
		appendAll(t, o, strings.Repeat("x", 40)+"\n")
		synctest.Wait()
		r.take()
		waits := make(chan error, 1)
		go func() { waits <- o.AppendWait(t.Context(), text("later\n"), false) }()
		synctest.Wait()
		for i := range 10 {
			o.Insist(text(fmt.Sprint("x ", i, "\n")))
		}
		if got := r.written(); len(strings.Fields(got)) != 20 || len(waits) != 0 {
			t.Errorf("%q was written, %d who waited went on", got, len(waits))
		}
		if !o.Ack(11) || <-waits != nil {
			t.Error("acknowledged, and yet nobody was let in")
		}
		equalText(t, r.written(), "later\n")
		o.End()
		o.Insist(text("late\n"))
		equalText(t, r.written(), "")
		if budget.Used() != 0 {
			t.Errorf("%d bytes are still counted", budget.Used())
		}
		w.Stop()

		// One that drops does so for these too.
		f := text(strings.Repeat("x", 28))
		_, o, w = attached(2*f.Size(), transport.SocketLines)
		for range 5 {
			o.Insist(f)
			synctest.Wait()
		}
		if kept, _ := o.Bytes(); kept != 2*f.Size() {
			t.Errorf("%d bytes kept of frames of %d", kept, f.Size())
		}
		w.Stop()
	})
}

func equalText(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWithdrawKeepsTheNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := transport.NewBudget(1 << 30)
		r, o, w := strict(1000, budget)
		frames := make([]transport.Frame, 6)
		for i := range frames {
			frames[i] = text(fmt.Sprint("c ", i, " path\n"))
		}
		frames[4] = octets("c 4 path =3\n", "abc")
		o.Append(frames[0], false)
		synctest.Wait()
		w.Hold()
		for _, f := range frames[1:] {
			o.Append(f, false)
		}
		before, _ := o.Bytes()
		if o.Withdraw(frames[0]) {
			t.Error("a frame that was written was withdrawn")
		}
		for _, i := range []int{2, 4} {
			if !o.Withdraw(frames[i]) {
				t.Errorf("frame %d was not withdrawn", i)
			}
			if o.Withdraw(frames[i]) {
				t.Errorf("frame %d was withdrawn twice", i)
			}
		}
		if o.Withdraw(text("c 1 path\n")) || o.Withdraw(transport.Frame{}) {
			t.Error("a frame was withdrawn that was never appended")
		}
		kept, fresh := o.Bytes()
		if want := before - frames[2].Size() - frames[4].Size() + 2*text("x 0\n").Size(); kept != want || fresh != want-frames[0].Size() || budget.Used() != int64(kept) {
			t.Errorf("%d bytes kept, %d unwritten, %d counted, want %d", kept, fresh, budget.Used(), want)
		}
		equal(t, payloads(o.Unsent()), "c 1 path\n", "c 3 path\n", "c 5 path\n")
		w.Release()
		equalText(t, r.written(), "c 0 path\nc 1 path\nx 0\nc 3 path\nx 0\nc 5 path\n")
		if o.Withdraw(frames[5]) || len(o.Unsent()) != 0 {
			t.Error("a frame that was written counts as unsent")
		}
		w.Stop()
		r = newRecorder()
		w = resumeAt(t, o, r, 3)
		equalText(t, r.written(), "c 3 path\nx 0\nc 5 path\n")
		if o.Withdraw(frames[3]) {
			t.Error("a frame that was written on an earlier connection was withdrawn")
		}
		if !o.Ack(6) || budget.Used() != 0 {
			t.Errorf("%d bytes are left", budget.Used())
		}
		w.Stop()
	})
}

// TestWithdrawBetweenTwoConnections: a writer that repeats has not taken what
// lies behind what was written before.
func TestWithdrawBetweenTwoConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o, w := strict(1000, nil)
		first, second := text("1\n"), text("2\n")
		o.Append(first, false)
		synctest.Wait()
		w.Stop()
		o.Append(second, false)
		r := newRecorder()
		w = transport.NewWriter(r, transport.DialLines, nil)
		w.Hold()
		o.Attach(w, 0)
		equal(t, payloads(o.Unsent()), "2\n")
		if o.Withdraw(first) {
			t.Error("a frame was withdrawn that the peer may have")
		}
		if !o.Withdraw(second) {
			t.Error("not withdrawn")
		}
		w.Release()
		equalText(t, r.written(), "1\nx 0\n")
		w.Stop()
	})
}

func TestUnsentIsWhatTheNextSessionCanBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o, w := strict(200, nil)
		appendAll(t, o, "1\n", "2\n")
		synctest.Wait()
		w.Stop()
		appendAll(t, o, "3\n", "4\n")
		done := make(chan error, 2)
		for i := range 2 {
			go func() {
				done <- o.AppendWait(t.Context(), text(fmt.Sprint(5+i, strings.Repeat("x", 200), "\n")), false)
			}()
			synctest.Wait()
		}
		got := payloads(o.Unsent())
		for i := range got {
			got[i] = got[i][:1]
		}
		equal(t, got, "3", "4", "5", "6")
		next := transport.NewStrictOutbox(1<<20, nil)
		for _, f := range o.Unsent() {
			next.Append(f, false)
		}
		o.End()
		if a, b := <-done, <-done; a != transport.ErrEnded || b != transport.ErrEnded {
			t.Errorf("who waited got %v and %v", a, b)
		}
		if len(o.Unsent()) != 0 {
			t.Error("an ended outbox has frames")
		}
		r := newRecorder()
		w = resumeAt(t, next, r, 0)
		if got := r.written(); !strings.HasPrefix(got, "3\n4\n5x") || strings.Count(got, "\n") != 4 {
			t.Errorf("the next session got %q", got)
		}
		w.Stop()
	})
}

// TestAStrictOutboxUnderFire appends, withdraws, insists and acknowledges at
// random while connections come and go, and compares with what the peer got.
func TestAStrictOutboxUnderFire(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) { fire(t, rand.New(rand.NewPCG(seed, 7))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func fire(t *testing.T, rnd *rand.Rand) {
	budget := transport.NewBudget(1 << 30)
	o := transport.NewStrictOutbox(2000, budget)
	var want []string // by number; a withdrawn one becomes "x 0"
	var got []string  // as the peer counts
	var frames []transport.Frame
	r := newRecorder()
	w := resumeAt(t, o, r, 0)
	collect := func() {
		synctest.Wait()
		for line := range strings.Lines(r.written()) {
			got = append(got, line)
		}
	}
	for i := range 600 {
		switch rnd.IntN(10) {
		case 0:
			collect()
			if !o.Ack(uint64(len(got))) || o.Acked() != uint64(len(got)) {
				t.Fatalf("ack %d refused", len(got))
			}
		case 1:
			collect()
			w.Stop()
			if rnd.IntN(2) == 0 {
				continue // nobody is attached for a while
			}
			r = newRecorder()
			w = transport.NewWriter(r, transport.DialLines, nil)
			if rnd.IntN(2) == 0 {
				w.Hold()
			}
			seen := o.Acked() + uint64(rnd.IntN(1+len(got)-int(o.Acked())))
			got = got[:seen]
			if gap := o.Attach(w, seen); gap != "" {
				t.Fatalf("gap %q", gap)
			}
		case 2:
			w.Release()
		case 3:
			if n := len(frames); n > 0 {
				k := max(0, n-1-rnd.IntN(10))
				if o.Withdraw(frames[k]) {
					want[k] = "x 0\n"
				}
			}
		default:
			line := fmt.Sprint("c ", i, " ", strings.Repeat("x", rnd.IntN(100)), "\n")
			f := text(line)
			if rnd.IntN(8) == 0 {
				o.Insist(f)
			} else if err := o.Append(f, rnd.IntN(2) == 0); err != nil {
				if kept, _ := o.Bytes(); kept+f.Size() <= 2000 {
					t.Fatalf("%v with %d bytes kept", err, kept)
				}
				continue
			}
			want, frames = append(want, line), append(frames, f)
		}
	}
	w.Stop()
	r = newRecorder()
	got = got[:min(len(got), len(want))]
	w = resumeAt(t, o, r, uint64(len(got)))
	collect()
	equal(t, got, want...)
	if !o.Ack(uint64(len(want))) || budget.Used() != 0 {
		t.Errorf("%d bytes are left", budget.Used())
	}
	w.Stop()
}

func TestWithdrawWhileAWriterTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o, w := strict(1<<20, nil)
		withdrawn, sent := 0, 500
		for i := range sent {
			f := text(fmt.Sprint("c ", i, "\n"))
			o.Append(f, false)
			if i%7 == 0 {
				time.Sleep(1)
			}
			if o.Withdraw(f) {
				withdrawn++
			}
		}
		got := r.written()
		if n := strings.Count(got, "x 0\n"); n != withdrawn || strings.Count(got, "\n") != sent || withdrawn == 0 || withdrawn == sent {
			t.Errorf("%d of %d were withdrawn, and %d places filled of %d", withdrawn, sent, n, strings.Count(got, "\n"))
		}
		w.Stop()
	})
}

// A late POST of an older connection can tell the server more than the newer one
// has carried. Over that one the server counts, so nothing may be left out.
func TestAckTakenLeavesNothingOutOfAConnectionThatIsCounted(t *testing.T) {
	o := transport.NewStrictOutbox(1<<10, nil)
	for _, text := range []string{"1", "2", "3"} {
		if err := o.Append(transport.Text(append(transport.Begin(nil), text+"\n"...)), false); err != nil {
			t.Fatal(err)
		}
	}
	old := transport.NewWriter(newRecorder(), transport.DialLines, nil)
	old.Poll() // takes a batch, here all of it
	o.Attach(old, 0)
	<-old.Done()
	next := newRecorder()
	w := transport.NewWriter(next, transport.DialLines, nil)
	w.Hold()
	o.Attach(w, 1)
	if !o.AckTaken(3) || o.Acked() != 1 {
		t.Errorf("acknowledged up to %d, want 1: the writer has taken nothing", o.Acked())
	}
	if o.AckTaken(4) {
		t.Error("what was never written was acknowledged")
	}
	w.Release()
	w.End(0, "", nil, false)
	<-w.Done()
	if got := string(bytes.Join(next.take(), nil)); got != "2\n3\n" {
		t.Errorf("got %q, want both lines", got)
	}
}
