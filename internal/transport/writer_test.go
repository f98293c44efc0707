package transport_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/transport"
)

func TestFormsOfAConnection(t *testing.T) {
	for _, tt := range []struct {
		form transport.Form
		want string // of the bytes written
	}{
		{transport.SocketLines, "\x81\x0cp\na 7\nr 1 1\n" + "\x82\x0ar 3 =3\n\x00\x01\x02" + "\x81\x06r 5 2\n"},
		{transport.SocketMessages, "\x81\x02p\n" + "\x81\x06r 1 1\n" + "\x82\x0ar 3 =3\n\x00\x01\x02" + "\x81\x06r 5 2\n"},
		{transport.StreamLines, "p\na 7\nr 1 1\nr 3 =AAEC\nr 5 2\n"},
		{transport.StreamEvents, "p\ndata: r 1 1\n\ndata: r 3 =AAEC\n\ndata: r 5 2\n\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, o, w := attached(1000, tt.form)
			w.Hold()
			w.Acknowledge(7)
			w.Control([]byte("p\n"))
			appendAll(t, o, "r 1 1\n")
			o.Append(octets("r 3 =3\n", "\x00\x01\x02"), false)
			appendAll(t, o, "r 5 2\n")
			w.Release()
			synctest.Wait()
			writes := r.take()
			if len(writes) != 1 || string(writes[0]) != tt.want {
				t.Errorf("form %d:\ngot  %q\nwant %q", tt.form, writes, tt.want)
			}
			w.Stop()
		})
	}
}

func TestAFrameAloneLooksTheSame(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	for _, tt := range []struct {
		form  transport.Form
		frame transport.Frame
		want  string
	}{
		{transport.SocketLines, text("r 1\n"), "\x81\x04r 1\n"},
		{transport.SocketLines, text(long[:200]), "\x81\x7e\x00\xc8" + long[:200]},
		{transport.SocketLines, text(long), "\x81\x7f\x00\x00\x00\x00\x00\x01\x11\x70" + long},
		{transport.SocketLines, octets("r 1 =1\n", "\n"), "\x82\x08r 1 =1\n\n"},
		{transport.StreamLines, text("r 1\n"), "r 1\n"},
		{transport.StreamLines, octets("r 1 =0\n", ""), "r 1 =\n"},
		{transport.StreamLines, octets("r 1 =70000\n", long), "r 1 =" + strings.Repeat("eHh4", 23333) + "eA==\n"},
		{transport.StreamEvents, text(`{"a":1}`), "data: {\"a\":1}\n\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, o, w := attached(1<<20, tt.form)
			o.Append(tt.frame, false)
			synctest.Wait()
			got := ""
			for _, p := range r.take() {
				got += string(p)
			}
			if got != tt.want {
				t.Errorf("form %d: got %.60q, want %.60q", tt.form, got, tt.want)
			}
			w.Stop()
		})
	}
}

func TestBadFramesPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"no Begin":        func() { transport.Text(nil) },
		"too many octets": func() { transport.Binary(append(transport.Begin(nil), "x"...), 2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestBeginReusesStorage(t *testing.T) {
	buf := make([]byte, 0, 100)
	if b := transport.Begin(append(buf, "old"...)); &b[0] != &buf[:1][0] || len(b) != 10 {
		t.Errorf("%d bytes of new storage", len(b))
	}
}

func TestAppendAloneWritesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o, w := attached(1000, transport.SocketLines)
		synctest.Wait()
		letGo := r.hold()
		returned := make(chan bool, 2)
		go func() { o.Append(text("1\n"), true); returned <- true }()
		synctest.Wait()
		if len(returned) != 0 {
			t.Error("alone: the appender did not write")
		}
		go func() { o.Append(text("2\n"), true); returned <- true }()
		synctest.Wait()
		if len(returned) != 1 {
			t.Error("alone, while somebody writes: the appender waits")
		}
		letGo()
		equal(t, r.frames(), "1\n", "2\n")
		letGo = r.hold()
		appendAll(t, o, "3\n") // would wait for ever if it wrote
		letGo()
		equal(t, r.frames(), "3\n")
		w.Stop()
	})
}

func TestControlComesBeforeFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		w := transport.NewWriter(r, transport.SocketLines, nil)
		w.Control([]byte("\n"))
		equal(t, r.frames(), "\n") // before any outbox
		o := transport.NewOutbox(1000, true, nil)
		appendAll(t, o, "1\n")
		w.Hold()
		w.Control([]byte("w {}\n"))
		o.Attach(w, 0)
		w.Ping()
		w.Pong([]byte("x"))
		w.Release()
		equal(t, r.frames(), "ping", "pong x", "w {}\n1\n")
		w.Stop()
	})
}

func TestOnlyTheNewestAcknowledgementIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o, w := attached(1000, transport.SocketLines)
		w.Hold()
		w.Acknowledge(1)
		w.Acknowledge(2)
		equal(t, r.frames())
		w.Release()
		equal(t, r.frames(), "a 2\n")
		appendAll(t, o, "x\n")
		equal(t, r.frames(), "x\n") // told already
		w.Acknowledge(2)            // a ping asks for it again
		equal(t, r.frames(), "a 2\n")
		w.Hold()
		w.Acknowledge(4)
		w.End(1000, "", nil, false)
		equal(t, r.frames(), "a 4\n", "close 1000 ")
		w.Acknowledge(5)
		equal(t, r.frames())
		w.Stop()
	})
}

func TestATrailComesBehindTheFrames(t *testing.T) {
	for _, form := range []transport.Form{transport.SocketLines, transport.StreamLines} {
		synctest.Test(t, func(t *testing.T) {
			r, o, w := attached(1000, form)
			w.Hold()
			w.Trail([]byte("q {}\n"))
			w.Control([]byte("p\n"))
			appendAll(t, o, "1\n", "2\n")
			w.Release()
			synctest.Wait()
			var all []byte
			for _, b := range r.take() {
				all = append(all, b...)
			}
			if got := strings.NewReplacer("\x81\x06", "", "\x81\x05", "").Replace(string(all)); got != "p\n1\n2\nq {}\n" {
				t.Errorf("form %d: got %q", form, all)
			}
			// A lone frame leaves as it is, and the trail behind it.
			w.Hold()
			appendAll(t, o, "3\n")
			w.Trail([]byte("q {}\n"))
			w.Release()
			synctest.Wait()
			all = nil
			for _, b := range r.take() {
				all = append(all, b...)
			}
			if got := strings.NewReplacer("\x81\x02", "", "\x81\x05", "").Replace(string(all)); got != "3\nq {}\n" {
				t.Errorf("form %d: got %q", form, all)
			}
			w.End(1000, "", nil, true)
			w.Trail([]byte("late\n"))
			synctest.Wait()
			if got := r.take(); len(got) > 1 {
				t.Errorf("form %d: %q came behind the end", form, got)
			}
			w.Stop()
		})
	}
}

func TestHoldDelaysEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o, w := attached(1000, transport.SocketLines)
		synctest.Wait()
		w.Hold()
		o.Append(text("1\n"), true)
		w.Control([]byte("p\n"))
		equal(t, r.frames())
		w.Release()
		equal(t, r.frames(), "p\n1\n")
		w.Release()
		equal(t, r.frames())
		w.Stop()
	})
}

func TestEndOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o, w := attached(1000, transport.StreamLines)
		letGo := r.hold()
		appendAll(t, o, "1\n")
		synctest.Wait()
		appendAll(t, o, "2\n")
		w.End(4100, "replaced", []byte("q\n"), false)
		appendAll(t, o, "3\n")
		select {
		case <-w.Done():
			t.Error("done before the last bytes have left")
		default:
		}
		if !w.Sealed() {
			t.Error("not sealed")
		}
		letGo()
		<-w.Done()
		synctest.Wait()
		got := ""
		for _, p := range r.take() {
			got += string(p)
		}
		if got != "1\n2\nq\n" {
			t.Errorf("got %q", got)
		}
		if left := o.Unsent(); len(left) != 1 || string(left[0].Payload()) != "3\n" {
			t.Errorf("%d frames do not count as written", len(left))
		}
		w.Stop()
	})
}

func TestEndOfAStreamWithoutALastLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, w := attached(1000, transport.StreamEvents)
		w.End(1000, "", nil, false)
		<-w.Done()
		if writes := r.take(); len(writes) != 0 {
			t.Errorf("wrote %q", writes)
		}
		if w.Err() != nil {
			t.Error(w.Err())
		}
		w.Stop()
	})
}

func TestEndWritesAllThatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o, w := attached(1<<20, transport.SocketMessages)
		w.Hold()
		for range 9 {
			appendAll(t, o, strings.Repeat("x", 30_000))
		}
		w.End(4000, "", []byte("q"), false)
		if got := r.frames(); len(got) != 11 || got[10] != "close 4000 " {
			t.Errorf("%d frames", len(got))
		}
		w.Stop()
	})
}

func TestCloseReasonsFitTheirFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, w := attached(1000, transport.SocketLines)
		w.End(4000, strings.Repeat("é", 100), nil, false)
		equal(t, r.frames(), "close 4000 "+strings.Repeat("é", 61))
		w.Stop()
	})
}

func TestPollEndsBehindTheFirstCountedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		o := transport.NewOutbox(1<<20, true, nil)
		w := transport.NewWriter(r, transport.StreamLines, nil)
		w.Poll()
		w.Control([]byte("w {}\n"))
		o.Attach(w, 0)
		w.Control([]byte("\n"))
		time.Sleep(time.Second)
		if w.Sealed() {
			t.Error("ended without a counted line")
		}
		appendAll(t, o, "1\n", "2\n")
		<-w.Done()
		appendAll(t, o, "3\n")
		synctest.Wait()
		got := ""
		for _, p := range r.take() {
			got += string(p)
		}
		written := uint64(3 - len(o.Unsent()))
		if !strings.HasPrefix(got, "w {}\n\n1\n") || strings.Contains(got, "3") || written < 1 || written > 2 {
			t.Errorf("got %q, %d of 3 written", got, written)
		}
		next := newRecorder()
		w2 := transport.NewWriter(next, transport.StreamLines, nil)
		o.Attach(w2, written)
		synctest.Wait()
		for _, p := range next.take() {
			got += string(p)
		}
		if !strings.HasSuffix(got, "1\n2\n3\n") {
			t.Errorf("with the next response: %q", got)
		}
		w2.Stop()
		w.Stop()
	})
}

func TestStopWaitsForWhoeverWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group sync.WaitGroup
		r := newRecorder()
		o := transport.NewOutbox(1000, true, nil)
		w := transport.NewWriter(r, transport.StreamLines, &group)
		o.Attach(w, 0)
		r.hold()
		appendAll(t, o, "1\n")
		synctest.Wait()
		w.Stop() // ends the stuck write
		group.Wait()
		r.take()
		appendAll(t, o, "2\n")
		w.Control([]byte("p\n"))
		w.End(1000, "", []byte("q\n"), false)
		equal(t, r.frames())
		<-w.Done()
		w.Stop()
		w.Abort()
		// What was not written is still there for the next connection.
		next := newRecorder()
		w = transport.NewWriter(next, transport.StreamLines, nil)
		gap := o.Attach(w, 0)
		synctest.Wait()
		if got := string(bytes.Join(next.take(), nil)); gap != "" || got != "1\n2\n" {
			t.Errorf("gap %q, then %q", gap, got)
		}
		w.Stop()
	})
}

func TestStopDoesNotCutWhatHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			r, o, w := attached(1000, transport.StreamLines)
			appendAll(t, o, "1\n")
			w.End(0, "", []byte("q\n"), false)
			<-w.Done()
			w.Stop()
			select {
			case <-r.closed:
				t.Fatal("the sink was closed although all had left")
			default:
			}
		}
	})
}

func TestLastWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o, w := attached(1000, transport.SocketLines)
		if !w.LastWrite().IsZero() {
			t.Error("nothing was written yet")
		}
		time.Sleep(time.Minute)
		appendAll(t, o, "1\n")
		synctest.Wait()
		time.Sleep(time.Minute)
		if d := time.Since(w.LastWrite()); d != time.Minute {
			t.Errorf("last write %s ago", d)
		}
		w.Stop()
	})
}

func TestManyAppendersLoseNothing(t *testing.T) {
	const appenders, each = 20, 200
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRecorder()
			o := transport.NewOutbox(4096, keep, nil)
			w := transport.NewWriter(r, transport.SocketMessages, nil)
			o.Attach(w, 0)
			var wg sync.WaitGroup
			for i := range appenders {
				wg.Go(func() {
					for j := range each {
						if err := o.AppendWait(t.Context(), text(fmt.Sprintf("%d %d", i, j)), j%2 == 0); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			var next [appenders]int
			got := r.frames()
			for _, p := range got {
				var i, j int
				fmt.Sscanf(p, "%d %d", &i, &j)
				if next[i] != j {
					t.Fatalf("appender %d: frame %d instead of %d", i, j, next[i])
				}
				next[i]++
			}
			if len(got) != appenders*each {
				t.Errorf("%d frames", len(got))
			}
			w.Stop()
		})
	}
}
