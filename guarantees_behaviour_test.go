package ape_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// A labOperation is half done when its begin has returned. other does the other
// half, outcome waits for its end and says what came of it.
type labOperation struct {
	name   string
	begin  func(l *lab) (other func(), outcome func() string)
	fine   string // what comes of it when nothing is lost
	passed string // when the session is lost, the server being the same
	anew   string // when the server was restarted; "": as passed
	push   bool   // the other half can be done without a connection
}

// labWaits makes an operation of a func that waits for its end.
func labWaits(f func(l *lab) string) func(l *lab) (func(), func() string) {
	return func(l *lab) (func(), func() string) {
		result := make(chan string, 1)
		go func() { result <- f(l) }()
		synctest.Wait()
		return l.release, func() string { return <-result }
	}
}

func labCalls(path string, target func(l *lab) ape.Target, opts ...ape.CallOption) func(l *lab) (func(), func() string) {
	return labWaits(func(l *lab) string {
		n, err := ape.Invoke[int64](l.ctx, target(l), path, nil, append(opts, l.opts...)...)
		return fmt.Sprintf("%d %s", n, ape.CodeOf(err))
	})
}

func labStreams(target func(l *lab) ape.Target) func(l *lab) (func(), func() string) {
	return labWaits(func(l *lab) string {
		got, err := labDrain(ape.InvokeStream[int](l.ctx, target(l), "count", nil, l.opts...))
		return labSpans(got) + " " + string(ape.CodeOf(err))
	})
}

func labCollects(target func(l *lab) ape.Target) func(l *lab) (func(), func() string) {
	return labWaits(func(l *lab) string {
		got, err := ape.Invoke[string](l.ctx, target(l), "collect", l.numbers(l.ctx), l.opts...)
		return got + " " + string(ape.CodeOf(err))
	})
}

// labPushes sends 1 to labHalf before the fault and the rest behind it.
func labPushes(ready func(l *lab), send func(l *lab, n int) error) func(l *lab) (func(), func() string) {
	return func(l *lab) (func(), func() string) {
		ready(l)
		synctest.Wait()
		for n := 1; n <= labHalf; n++ {
			send(l, n)
		}
		synctest.Wait()
		return func() {
			for n := labHalf + 1; n <= labWhole; n++ {
				send(l, n)
			}
		}, l.all
	}
}

func labServer(l *lab) ape.Target { return l.conn }
func labClient(l *lab) ape.Target { return l.client }

func labListens(l *lab) { ape.On(l.conn, "note", l.hear) }

func labSubscribes(l *lab) {
	ctx, leave := context.WithCancel(l.t.Context())
	left := make(chan struct{})
	go func() {
		defer close(left)
		for n, err := range ape.Subscribe[int](ctx, l.conn, "news", ape.Buffer(2*labWhole)) {
			if err == nil {
				l.hear(n)
			}
		}
	}()
	l.t.Cleanup(func() {
		leave()
		<-left
	})
}

var labOperations = []labOperation{
	{"call", labCalls("run", labServer), "1 ", "0 lost", "", false},
	{"call with a key", labCalls("run", labServer, ape.Key("k")), "1 ", "1 ", "0 lost", false},
	{"call with a key that heeds its context", labCalls("heed", labServer, ape.Key("k")), "1 ", "0 cancelled", "0 lost", false},
	{"call to a client", labCalls("run", labClient), "1 ", "0 closed", "", false},
	{"stream from the server", labStreams(labServer), "1-100 ", "1-50 lost", "", false},
	{"stream to the server", labCollects(labServer), "1-100 ", " lost", "", false},
	{"stream from a client", labStreams(labClient), "1-100 ", "1-50 closed", "", false},
	{"stream to a client", labCollects(labClient), "1-100 ", " closed", "", false},
	{"event to the server", labPushes(func(*lab) {}, func(l *lab, n int) error { return l.conn.Send("note", n) }), "1-100", "1-100", "", true},
	{"event to a client", labPushes(labListens, func(l *lab, n int) error { return l.client.Send("note", n) }), "1-100", "1-50", "", true},
	{"broadcast", labPushes(labListens, func(l *lab, n int) error { return l.current.Load().Broadcast("note", n) }), "1-100", "1-50", "", true},
	{"channel", labPushes(labSubscribes, func(l *lab, n int) error { return l.current.Load().Publish("news", n) }), "1-100", "1-50 100", "", true},
}

// A labFault hits a lab. recovered waits for its end.
type labFault struct {
	name      string
	hit       func(l *lab)
	recovered func(l *lab)
}

func labAtOnce(*lab) {}

// labLosses are the faults that a session survives.
var labLosses = []labFault{
	{"cut", func(l *lab) { l.net.Cut() }, labAtOnce},
	{"cut and unreachable for 25 s", func(l *lab) {
		l.net.Refuse(true)
		l.net.Cut()
	}, func(l *lab) {
		time.Sleep(25 * time.Second)
		l.net.Refuse(false)
	}},
	{"half open", func(l *lab) { l.net.Drop() }, labAtOnce},
	{"WebSocket is blocked from now on", func(l *lab) {
		l.noSockets.Store(true)
		l.net.Cut()
	}, labAtOnce},
	{"WebSocket is blocked for a minute", func(l *lab) {
		l.noSockets.Store(true)
		l.net.Cut()
	}, func(l *lab) {
		time.Sleep(time.Minute)
		l.noSockets.Store(false)
		time.Sleep(2 * time.Minute)
		if l.over == "" && l.conn.Transport() != ape.WebSocket {
			l.t.Errorf("the client is connected by %q", l.conn.Transport())
		}
	}},
	{"the server asks the client to reconnect", func(l *lab) { l.client.Reconnect(time.Second) }, labAtOnce},
}

// TestALossWithinTheWindowIsNoticedByNoOperation: everything is done once, whole
// and in order.
func TestALossWithinTheWindowIsNoticedByNoOperation(t *testing.T) {
	eachLabOperation(t, labLosses, func(t *testing.T, l *lab, op labOperation, f labFault) {
		other, outcome := op.begin(l)
		f.hit(l)
		other()
		f.recovered(l)
		time.Sleep(time.Minute)
		want(t, outcome(), op.fine)
		if s := l.last(); s.Gap != "" || s.State != ape.StateConnected {
			t.Errorf("the client was told %+v", s)
		}
		if n := l.runs.Load(); n > 1 {
			t.Errorf("it ran %d times", n)
		}
	})
}

const (
	labRestarted = "the server was restarted"
	labTakenOver = "another server has taken over, and this one shuts down"
)

// labGaps are the faults that end a session.
var labGaps = []labFault{
	{"the window has passed", func(l *lab) {
		l.net.Refuse(true)
		l.net.Cut()
		synctest.Wait()
	}, func(l *lab) {
		time.Sleep(2 * time.Minute)
		l.net.Refuse(false)
		time.Sleep(time.Minute)
	}},
	{"more was missed than Options.MaxQueue", func(l *lab) {
		l.net.Refuse(true)
		l.net.Cut()
		synctest.Wait()
		for range 5 {
			l.client.Send("other", strings.Repeat("x", 300<<10))
		}
		synctest.Wait()
	}, func(l *lab) {
		time.Sleep(10 * time.Second)
		l.net.Refuse(false)
		time.Sleep(time.Minute)
	}},
	{labRestarted, func(l *lab) {
		l.current.Store(l.serve())
		l.net.Cut()
		synctest.Wait()
	}, func(l *lab) { time.Sleep(2 * time.Minute) }},
	{labTakenOver, func(l *lab) {
		l.current.Store(l.serve())
		go l.app.Shutdown(l.t.Context())
		time.Sleep(10 * time.Second) // within which clients come back
	}, func(l *lab) { time.Sleep(2 * time.Minute) }},
}

// TestAGapIsToldAndNothingRunsTwice: what was under way fails, what is repeated
// has a key, and what was never written is done in the next session.
func TestAGapIsToldAndNothingRunsTwice(t *testing.T) {
	eachLabOperation(t, labGaps, func(t *testing.T, l *lab, op labOperation, f labFault) {
		if op.push && f.name == labTakenOver {
			return // the client has a session on the other one by then
		}
		other, outcome := op.begin(l)
		f.hit(l)
		if op.push {
			other()
		}
		f.recovered(l)
		if !op.push {
			other()
		}
		wanted := op.passed
		if (f.name == labRestarted || f.name == labTakenOver) && op.anew != "" {
			wanted = op.anew
		}
		want(t, outcome(), wanted)
		if s := l.last(); s.Gap != "unknown" || s.State != ape.StateConnected {
			t.Errorf("the client was told %+v", s)
		}
		if n := l.runs.Load(); n > 1 {
			t.Errorf("it ran %d times", n)
		}
	})
}

// eachLabOperation runs f for each operation and fault, over both transports.
func eachLabOperation(t *testing.T, faults []labFault, f func(t *testing.T, l *lab, op labOperation, f labFault)) {
	for _, op := range labOperations {
		t.Run(op.name, func(t *testing.T) {
			for _, labFault := range faults {
				for _, over := range []ape.Transport{"", ape.Streaming} {
					t.Run(labFault.name+" "+string(over), func(t *testing.T) {
						bubble(t, func(t *testing.T) { f(t, newLab(t, over), op, labFault) })
					})
				}
			}
		})
	}
}

// labEndsEarly runs each operation that waits for an end, and wants the error of one
// that came early: at once, and at both ends.
func labEndsEarly(t *testing.T, early func(l *lab), code ape.Code, opts ...ape.CallOption) {
	for _, op := range labOperations {
		if op.push {
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			for _, over := range []ape.Transport{"", ape.Streaming} {
				t.Run(string(over), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						l := newLab(t, over)
						l.opts = opts
						_, outcome := op.begin(l)
						early(l)
						if got := outcome(); !strings.HasSuffix(got, " "+string(code)) {
							t.Errorf("got %q, want %s", got, code)
						}
						if strings.HasPrefix(op.name, "stream to") {
							l.release() // an iterator is not interrupted: its next yield is its last
						}
						time.Sleep(time.Second) // in which the news travel
						if n := l.inside.Load(); n != 0 {
							t.Errorf("%d go on at either end", n)
						}
						if got, err := ape.Invoke[string](t.Context(), l.conn, "collect", 7); got != "7" || err != nil {
							t.Errorf("behind it: %q, %v", got, err)
						}
					})
				})
			}
		})
	}
}

// TestACancelledOperationEndsAtBothEnds, but for a controller that ignores its
// context: its caller does not wait for it.
func TestACancelledOperationEndsAtBothEnds(t *testing.T) {
	labEndsEarly(t, func(l *lab) { l.cancel() }, ape.Cancelled)
}

// TestAnOperationEndsAtItsDeadlineAtBothEnds: likewise.
func TestAnOperationEndsAtItsDeadlineAtBothEnds(t *testing.T) {
	labEndsEarly(t, func(*lab) { time.Sleep(5 * time.Second) }, ape.Deadline, ape.Timeout(5*time.Second))
}

// TestADeadlineHoldsWithoutAConnection: no operation waits longer than its time.
func TestADeadlineHoldsWithoutAConnection(t *testing.T) {
	labEndsEarly(t, func(l *lab) {
		l.net.Refuse(true)
		l.net.Cut()
		time.Sleep(20 * time.Second)
		l.net.Refuse(false)
		time.Sleep(time.Minute)
	}, ape.Deadline, ape.Timeout(10*time.Second))
}
