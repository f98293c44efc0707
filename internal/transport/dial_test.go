package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape/internal/transport"
)

// The Writer of a dialling end, on a Sink that is none of the package's.

// dialled returns a strict outbox and its writer in one of the forms of a
// dialling end.
func dialled(form transport.Form) (*recorder, *transport.Outbox, *transport.Writer) {
	r := newRecorder()
	o := transport.NewStrictOutbox(1<<20, nil)
	w := transport.NewWriter(r, form, nil)
	o.Attach(w, 0)
	return r, o, w
}

// bothForms runs f in a bubble for each form of a dialling end.
func bothForms(t *testing.T, f func(t *testing.T, form transport.Form, r *recorder, o *transport.Outbox, w *transport.Writer)) {
	t.Helper()
	for name, form := range map[string]transport.Form{"WebSocket": transport.DialLines, "POST": transport.StreamLines} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, o, w := dialled(form)
				f(t, form, r, o, w)
				w.Stop()
			})
		})
	}
}

func isClosed(r *recorder) bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

func isDone(w *transport.Writer) bool {
	select {
	case <-w.Done():
		return true
	default:
		return false
	}
}

func TestDialledControlAndAcknowledge(t *testing.T) {
	bothForms(t, func(t *testing.T, form transport.Form, r *recorder, _ *transport.Outbox, _ *transport.Writer) {
		o := transport.NewStrictOutbox(1<<20, nil)
		appendAll(t, o, "1\n", "2\n")
		w := transport.NewWriter(r, form, nil)
		defer w.Stop()
		w.Control([]byte("h {}\n"))
		equalText(t, r.written(), "h {}\n") // and nothing counted before the welcome
		w.Hold()
		o.Attach(w, 0)
		w.Acknowledge(6)
		w.Acknowledge(7)
		w.Control([]byte("p\n"))
		w.Ping()
		w.Pong([]byte("x"))
		w.Release()
		synctest.Wait()
		if writes := r.take(); len(writes) != 1 || string(writes[0]) != "p\na 7\n1\n2\n" {
			t.Errorf("got %q", writes)
		}
		o.Append(octets("c 3 up =3\n", "\x00\x01\x02"), false)
		equalText(t, r.written(), "c 3 up =AAEC\n")
		w.Acknowledge(8)
		equalText(t, r.written(), "a 8\n")
	})
}

func TestDialledEnd(t *testing.T) {
	bothForms(t, func(t *testing.T, _ transport.Form, r *recorder, o *transport.Outbox, w *transport.Writer) {
		letGo := r.hold()
		appendAll(t, o, "1\n")
		synctest.Wait()
		appendAll(t, o, "2\n")
		w.Trail([]byte("p\n"))
		w.End(1000, "bye", []byte("q {\"code\":\"bye\"}\n"), false)
		appendAll(t, o, "3\n")
		w.Control([]byte("late\n"))
		w.Acknowledge(9)
		time.Sleep(time.Hour)
		if isDone(w) || isClosed(r) || !w.Sealed() {
			t.Error("a sink without a limit is not waited for")
		}
		letGo()
		equalText(t, r.written(), "1\n2\np\nq {\"code\":\"bye\"}\n")
		if !isDone(w) || w.Err() != nil || isClosed(r) {
			t.Errorf("done %v, error %v, sink closed %v", isDone(w), w.Err(), isClosed(r))
		}
		w.Stop()
		if isClosed(r) {
			t.Error("Stop closed the connection, though nobody wrote")
		}
		equal(t, payloads(o.Unsent()), "3\n")
	})
}

func TestDialledEndWithDrop(t *testing.T) {
	bothForms(t, func(t *testing.T, _ transport.Form, r *recorder, o *transport.Outbox, w *transport.Writer) {
		w.Hold()
		w.Control([]byte("p\n"))
		appendAll(t, o, "1\n")
		w.End(4000, "", []byte("q {}\n"), true)
		equalText(t, r.written(), "q {}\n")
		equal(t, payloads(o.Unsent()), "1\n")
		if !isDone(w) {
			t.Error("not done")
		}
	})
}

func TestDialledEndWithoutALine(t *testing.T) {
	bothForms(t, func(t *testing.T, _ transport.Form, r *recorder, _ *transport.Outbox, w *transport.Writer) {
		w.End(1000, "bye", nil, false)
		<-w.Done()
		equalText(t, r.written(), "")
	})
}

func TestDialledAbortAndStopCutAWrite(t *testing.T) {
	for name, cut := range map[string]func(*transport.Writer){
		"abort": (*transport.Writer).Abort,
		"stop":  (*transport.Writer).Stop,
		"end":   func(w *transport.Writer) { w.End(1000, "", []byte("q\n"), false); w.Stop() },
	} {
		bothForms(t, func(t *testing.T, form transport.Form, r *recorder, o *transport.Outbox, w *transport.Writer) {
			r.hold()
			appendAll(t, o, "1\n")
			synctest.Wait()
			appendAll(t, o, "2\n")
			cut(w)
			synctest.Wait()
			if !isDone(w) || !isClosed(r) || !errors.Is(w.Err(), transport.ErrLost) {
				t.Errorf("%s: done %v, sink closed %v, error %v", name, isDone(w), isClosed(r), w.Err())
			}
			equal(t, payloads(o.Unsent()), "2\n")
			next := newRecorder()
			w2 := transport.NewWriter(next, form, nil)
			o.Attach(w2, 0)
			equalText(t, next.written(), "1\n2\n")
			w2.Stop()
		})
	}
}

// failing is a Sink whose writes fail or panic.
type failing struct {
	*recorder
	panics bool
}

var errBroken = errors.New("broken")

func (f failing) Write([]byte) error {
	if f.panics {
		panic("broken")
	}
	return errBroken
}

func TestDialledSinkFails(t *testing.T) {
	for _, panics := range []bool{false, true} {
		bothForms(t, func(t *testing.T, form transport.Form, _ *recorder, o *transport.Outbox, _ *transport.Writer) {
			f := failing{newRecorder(), panics}
			w := transport.NewWriter(f, form, nil)
			o.Attach(w, 0)
			appendAll(t, o, "1\n")
			<-w.Done()
			if !panics && w.Err() != errBroken || w.Err() == nil || !strings.Contains(w.Err().Error(), "broken") || !isClosed(f.recorder) {
				t.Errorf("error %v, sink closed %v", w.Err(), isClosed(f.recorder))
			}
			appendAll(t, o, "2\n")
			w.Control([]byte("p\n"))
			w.Stop()
			equal(t, payloads(o.Unsent()), "2\n")
		})
	}
}

// checkWrites holds writes against the rule of a form: whole lines, of together
// at most join bytes; a longer line alone, in slices of 64 KiB.
func checkWrites(t *testing.T, writes [][]byte, join int) {
	t.Helper()
	part := 0 // bytes of a line that is not whole yet
	for i, p := range writes {
		lines, whole := bytes.Count(p, []byte("\n")), p[len(p)-1] == '\n'
		switch {
		case len(p) > 64<<10:
			t.Errorf("write %d has %d bytes", i, len(p))
		case part > 0 && lines > 1, !whole && lines > 0:
			t.Errorf("write %d holds other lines beside a slice", i)
		case !whole && len(p) != 64<<10:
			t.Errorf("write %d has %d bytes and ends inside a line", i, len(p))
		case lines > 1 && len(p) > join:
			t.Errorf("write %d joins %d lines to %d bytes", i, lines, len(p))
		}
		if part += len(p); whole {
			part = 0
		}
	}
	if part > 0 {
		t.Errorf("the last line is cut: %d bytes of it", part)
	}
}

func TestDialledWritesAreWholeLines(t *testing.T) {
	joins := map[transport.Form]int{transport.DialLines: 16 << 10, transport.StreamLines: 64 << 10}
	for seed := range uint64(20) {
		bothForms(t, func(t *testing.T, form transport.Form, r *recorder, _ *transport.Outbox, _ *transport.Writer) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			o := transport.NewStrictOutbox(64<<20, nil)
			w := transport.NewWriter(r, form, nil)
			defer w.Stop()
			o.Attach(w, 0)
			w.Hold()
			// Lengths that just fit, or just do not.
			edges := []int{1, 2, 50, 1000, 16<<10 - 60, 16<<10 - 1, 16 << 10, 16<<10 + 1, 64<<10 - 60, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 200_000}
			line := func(c byte) []byte {
				n := edges[rnd.IntN(4)]
				if rnd.IntN(4) == 0 {
					n = edges[rnd.IntN(len(edges))]
				}
				return append(bytes.Repeat([]byte{c}, n-1), '\n')
			}
			var control, frames, trail []byte
			for range rnd.IntN(6) {
				l := line('C')
				control = append(control, l...)
				w.Control(l)
			}
			for range 1 + rnd.IntN(100) {
				if rnd.IntN(10) == 0 {
					raw := make([]byte, rnd.IntN(70_000))
					o.Append(octets(fmt.Sprintf("B =%d\n", len(raw)), string(raw)), false)
					frames = append(append(frames, "B ="...), strings.Repeat("A", len(raw)/3*4)...)
					frames = append(append(frames, []string{"", "AA==", "AAA="}[len(raw)%3]...), '\n')
					continue
				}
				l := line('F')
				frames = append(frames, l...)
				o.Append(text(string(l)), false)
			}
			for range rnd.IntN(3) {
				l := line('T')
				trail = append(trail, l...)
				w.Trail(l)
			}
			last := line('Q')
			w.End(1000, "", last, false)
			<-w.Done()
			writes := r.take()
			checkWrites(t, writes, joins[form])
			if want := bytes.Join([][]byte{control, frames, trail, last}, nil); !bytes.Equal(bytes.Join(writes, nil), want) {
				t.Errorf("seed %d: %d bytes were written, want %d, or in another order", seed, len(bytes.Join(writes, nil)), len(want))
			}
		})
	}
}

// masking is the Sink of a dialled WebSocket, as the package's documentation
// has it.
type masking struct {
	ctx     context.Context
	cancel  context.CancelFunc
	ws      *websocket.Conn
	message io.WriteCloser
}

func (s *masking) Write(p []byte) (err error) {
	if s.message == nil {
		s.message, err = s.ws.Writer(s.ctx, websocket.MessageText)
	}
	if err == nil {
		_, err = s.message.Write(p)
	}
	if err == nil && p[len(p)-1] == '\n' {
		err = s.message.Close()
		s.message = nil
	}
	return err
}

func (s *masking) Close() { s.cancel() }

// dialOut connects a client of coder/websocket to a world's server.
func (v *world) dialOut(t *testing.T) (*websocket.Conn, *masking, *session) {
	t.Helper()
	hc := v.ln.HTTPClient()
	ws, _, err := websocket.Dial(t.Context(), "http://memnet/", &websocket.DialOptions{HTTPClient: hc})
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	sink := &masking{ws: ws}
	sink.ctx, sink.cancel = context.WithCancel(context.Background())
	return ws, sink, <-v.sessions
}

func TestADialledWebSocketArrivesWhole(t *testing.T) {
	var mu sync.Mutex
	var got []string
	handle := func(_ *session, m []byte) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(m))
	}
	inside(t, setup{handle: handle}, func(t *testing.T, v *world) {
		ws, sink, s := v.dialOut(t)
		o := transport.NewStrictOutbox(4<<20, nil)
		w := transport.NewWriter(sink, transport.DialLines, nil)
		w.Control([]byte("h {}\n"))
		synctest.Wait()
		w.Hold()
		o.Attach(w, 0)
		long, short := strings.Repeat("é", 200_000)+"\n", strings.Repeat("x", 99)+"\n"
		want := "h {}\n"
		for i := range 500 {
			line := short
			if i == 250 {
				line = long
			}
			want += line
			o.Append(text(line), i%2 == 0)
		}
		o.Append(octets("c 1 up =3\n", "abc"), true)
		w.End(1000, "", []byte("q {}\n"), false)
		read := make(chan error, 1)
		go func() { _, _, err := ws.Read(context.Background()); read <- err }()
		<-w.Done()
		if w.Err() != nil {
			t.Error(w.Err())
		}
		if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Errorf("close: %v", err)
		}
		<-read
		<-s.gone
		w.Stop()
		if all := strings.Join(got, ""); all != want+"c 1 up =YWJj\nq {}\n" {
			t.Errorf("%d bytes arrived, want %d", len(all), len(want))
		}
		for _, m := range got {
			if !strings.HasSuffix(m, "\n") || len(m) > 16<<10 && m != long {
				t.Errorf("a message of %d bytes", len(m))
			}
		}
		var closed *transport.CloseError
		if !errors.As(s.err, &closed) || closed.Code != 1000 {
			t.Errorf("the server saw %v", s.err)
		}
	})
}

func TestADialledWebSocketIsCutWhileItWrites(t *testing.T) {
	for name, cut := range map[string]func(*transport.Writer){"abort": (*transport.Writer).Abort, "stop": (*transport.Writer).Stop} {
		wait := make(chan struct{})
		o := setup{handle: func(*session, []byte) { <-wait }}
		inside(t, o, func(t *testing.T, v *world) {
			wait = make(chan struct{}) // of this bubble
			_, sink, s := v.dialOut(t)
			o := transport.NewStrictOutbox(4<<20, nil)
			w := transport.NewWriter(sink, transport.DialLines, nil)
			o.Attach(w, 0)
			appendAll(t, o, "1\n", strings.Repeat("x", 1<<20)+"\n", "3\n")
			synctest.Wait()
			if isDone(w) || len(o.Unsent()) != 1 {
				t.Fatalf("%s: the write is not stuck", name)
			}
			cut(w)
			if !isDone(w) || w.Err() == nil {
				t.Errorf("%s: done %v, error %v", name, isDone(w), w.Err())
			}
			w.Stop()
			close(wait)
			<-s.gone
		})
	}
}
