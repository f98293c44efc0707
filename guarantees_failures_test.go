package ape_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// overLabs runs f with a lab over each transport.
func overLabs(t *testing.T, f func(t *testing.T, l *lab)) {
	for _, over := range []ape.Transport{ape.WebSocket, ape.Streaming} {
		t.Run(string(over), func(t *testing.T) {
			bubble(t, func(t *testing.T) { f(t, newLab(t, over)) })
		})
	}
}

// works fails unless both ends still answer.
func (l *lab) works() {
	l.t.Helper()
	for _, target := range []ape.Target{l.conn, l.client} {
		if got, err := ape.Invoke[string](l.t.Context(), target, "collect", 7); got != "7" || err != nil {
			l.t.Errorf("behind it %T answers %q, %v", target, got, err)
		}
	}
	if s := l.last(); s.State != ape.StateConnected || s.Resumed {
		l.t.Errorf("the connection was lost: %+v", s)
	}
}

// TestAPanicIsInternalAndEndsNothingElse, whatever it was that panicked.
func TestAPanicIsInternalAndEndsNothingElse(t *testing.T) {
	overLabs(t, func(t *testing.T, l *lab) {
		for _, target := range []ape.Target{l.conn, l.client} {
			_, err := ape.Invoke[int](t.Context(), target, "panics", nil)
			want(t, ape.CodeOf(err), ape.Internal)
			got, err := labDrain(ape.InvokeStream[int](t.Context(), target, "panics/items", nil))
			want(t, labSpans(got)+" "+string(ape.CodeOf(err)), "1 internal")
			_, err = ape.Invoke[int](t.Context(), target, "panics/collect", l.numbers(t.Context()))
			want(t, ape.CodeOf(err), ape.Internal)
			_, err = ape.Invoke[string](t.Context(), target, "collect", iter.Seq2[int, error](func(func(int, error) bool) { panic("the caller's items") }))
			want(t, ape.CodeOf(err), ape.Cancelled)
		}
		if err := l.conn.Send("panics", nil); err != nil {
			t.Error(err)
		}
		ape.On(l.conn, "panics", func(int) { panic("a listener") })
		if err := l.client.Send("panics", 1); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := l.app.Stats().Panics; n != 5 { // a call, two streams, an iterator, an event
			t.Errorf("the server counts %d panics", n)
		}
		l.works()
	})
}

// TestWhatIsTooLargeFailsAlone: nobody is disconnected for it.
func TestWhatIsTooLargeFailsAlone(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	overLabs(t, func(t *testing.T, l *lab) {
		tooLarge := func(what string, err error) {
			t.Helper()
			if ape.CodeOf(err) != ape.TooLarge {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, target := range []ape.Target{l.conn, l.client} {
			_, err := ape.Invoke[any](t.Context(), target, "run", large)
			tooLarge("an input", err)
			_, err = ape.Invoke[any](t.Context(), target, "large", 1<<20)
			tooLarge("an answer", err)
			_, err = labDrain(ape.InvokeStream[int](t.Context(), target, "large/items", 1<<20))
			tooLarge("an item", err)
			_, err = ape.Invoke[any](t.Context(), target, "collect", iter.Seq2[string, error](func(yield func(string, error) bool) { yield(large, nil) }))
			if code := ape.CodeOf(err); code != ape.TooLarge && code != ape.Internal {
				t.Errorf("an item to %T: %v", target, err)
			}
		}
		tooLarge("an event to the server", l.conn.Send("note", large))
		tooLarge("an event to a client", l.client.Send("note", large))
		if n := l.runs.Load(); n != 0 {
			t.Errorf("%d calls ran whose input was too large", n)
		}
		labSubscribes(l)
		synctest.Wait()
		l.app.Broadcast("note", large)
		l.app.Publish("news", large)
		l.app.Publish("news", 5)
		synctest.Wait()
		if n := l.app.Stats().Unsent; n != 3 {
			t.Errorf("%d pushes were left out, want the event, the broadcast and the message", n)
		}
		want(t, l.all(), "5")
		l.works()
	})
}

// TestASlowReaderHoldsUpItsProducerAndNothingElse: the producer is ahead by a
// window, however long the stream is, and by few items where they are large.
func TestASlowReaderHoldsUpItsProducerAndNothingElse(t *testing.T) {
	overLabs(t, func(t *testing.T, l *lab) {
		for _, target := range []ape.Target{l.conn, l.client} {
			l.reader(target, 1, 64, 64)
			l.reader(target, 64<<10, 8, 3)
		}
	})
}

// reader reads a stream slowly. first is how far ahead the producer may be of a
// reader of one item, later how far of one that goes on; behind each is one item
// for which the producer waits.
func (l *lab) reader(target ape.Target, size int, first, later int64) {
	l.t.Helper()
	l.runs.Store(0)
	ctx, cancel := context.WithCancel(l.t.Context())
	read, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		for range ape.InvokeStream[string](ctx, target, "endless", size) {
			<-read
		}
	}()
	time.Sleep(time.Minute)
	if ahead := l.runs.Load() - 1; ahead < 2 || ahead > first+1 {
		l.t.Errorf("the producer made %d more items of %d bytes for a reader of one", ahead, size)
	}
	const some = 20
	for range some {
		read <- struct{}{}
	}
	time.Sleep(time.Minute)
	if ahead := l.runs.Load() - 1 - some; ahead < 1 || ahead > later+1 {
		l.t.Errorf("the producer is %d items of %d bytes ahead of the reader", ahead, size)
	}
	l.works()
	close(read)
	cancel()
	<-left
	if synctest.Wait(); l.inside.Load() != 0 {
		l.t.Error("the producer goes on without its reader")
	}
}

// apart makes the server unreachable.
func (l *lab) apart() {
	l.net.Refuse(true)
	l.net.Cut()
	synctest.Wait()
}

// TestWhatWasNeverWrittenRunsLaterOrNever: a call that waits for a connection is
// sent when there is one, in the next session too, unless it has ended by then.
func TestWhatWasNeverWrittenRunsLaterOrNever(t *testing.T) {
	for name, outage := range map[string]time.Duration{"in time": 20 * time.Second, "behind the window": 2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			overLabs(t, func(t *testing.T, l *lab) {
				l.release()
				l.apart()
				answer, cancelled := make(chan string, 1), make(chan error, 1)
				go func() {
					n, err := ape.Invoke[int64](t.Context(), l.conn, "run", nil)
					answer <- labSpans([]int{int(n)}) + " " + string(ape.CodeOf(err))
				}()
				go func() {
					_, err := ape.Invoke[int64](l.ctx, l.conn, "run", nil)
					cancelled <- err
				}()
				_, late := ape.Invoke[int64](t.Context(), l.conn, "run", nil, ape.Timeout(5*time.Second))
				want(t, ape.CodeOf(late), ape.Deadline)
				l.cancel()
				want(t, ape.CodeOf(<-cancelled), ape.Cancelled)
				time.Sleep(outage)
				l.net.Refuse(false)
				want(t, <-answer, "1 ")
				time.Sleep(time.Minute)
				want(t, l.runs.Load(), 1)
			})
		})
	}
}

// TestTooMuchForTheServerIsOverflow, told to who sends it; what was taken before
// arrives.
func TestTooMuchForTheServerIsOverflow(t *testing.T) {
	overLabs(t, func(t *testing.T, l *lab) {
		l.apart()
		large := strings.Repeat("x", 400<<10)
		want(t, l.conn.Send("note", 1), error(nil))
		for range 2 {
			want(t, l.conn.Send("other", large), error(nil))
		}
		want(t, ape.CodeOf(l.conn.Send("other", large)), ape.Overflow)
		_, err := ape.Invoke[any](t.Context(), l.conn, "run", large)
		want(t, ape.CodeOf(err), ape.Overflow)
		want(t, l.conn.Send("note", 2), error(nil)) // there is room for small ones
		l.net.Refuse(false)
		time.Sleep(time.Minute)
		want(t, l.all(), "1-2")
		want(t, l.runs.Load(), 0)
	})
}

// TestASlowListenerMissesTheOldestEvents, which are counted.
func TestASlowListenerMissesTheOldestEvents(t *testing.T) {
	overLabs(t, func(t *testing.T, l *lab) {
		ape.On(l.conn, "note", func(s string) {
			<-l.gate
			l.hear(len(s))
		})
		for n := range 10 {
			if err := l.client.Send("note", strings.Repeat("x", 200<<10+n)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		l.release()
		synctest.Wait()
		want(t, l.conn.Dropped(), 4) // one is heard, five wait
		want(t, l.all(), fmt.Sprintf("%d %d-%d", 200<<10, 200<<10+5, 200<<10+9))
		l.works()
	})
}

// breaks are paths of a lab that fail.
func (l *lab) breaks() map[string]ape.Controller {
	return map[string]ape.Controller{
		"panics": ape.Get(func(context.Context) (int, error) { panic("a controller") }),
		"panics/items": ape.Stream(func(context.Context, struct{}) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				yield(1, nil)
				panic("a stream")
			}
		}),
		"panics/collect": ape.Collect(func(context.Context, iter.Seq2[int, error]) (int, error) { panic("a collector") }),
		"large":          ape.Func(func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil }),
		"large/items": ape.Stream(func(_ context.Context, n int) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) { yield(strings.Repeat("x", n), nil) }
		}),
		"endless": ape.Stream(func(_ context.Context, size int) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				l.inside.Add(1)
				defer l.inside.Add(-1)
				for item := strings.Repeat("x", size); ; {
					if l.runs.Add(1); !yield(item, nil) {
						return
					}
				}
			}
		}),
	}
}
