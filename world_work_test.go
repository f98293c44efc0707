package ape_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/goape/ape"
)

// What the users of a world do; see world_test.go.

// ticker sends events to the user's session, whichever it is.
func (u *dweller) ticker() {
	w := u.w
	for {
		select {
		case <-w.stop:
			return
		case <-time.After(time.Duration(w.rand.below(int(2 * time.Second)))):
		}
		id := u.conn.ID()
		client := w.front.app.Load().Client(id)
		if client == nil {
			continue
		}
		u.mu.Lock()
		n := u.ticked[id] + 1
		u.mu.Unlock()
		if client.Send("tick", job{Op: id, N: n, Fill: strings.Repeat(".", w.rand.below(400))}) == nil {
			u.mu.Lock()
			u.ticked[id] = n
			u.mu.Unlock()
		}
	}
}

// publish publishes 1, 2, 3 …
func (w *world) publish() {
	for {
		select {
		case <-w.stop:
			return
		case <-time.After(time.Duration(w.rand.below(int(2 * time.Second)))):
		}
		w.front.app.Load().Publish("news", w.published.Add(1))
	}
}

// listen hears what is published until the Conn ends. Behind a gap the last value
// comes again.
func (u *dweller) listen() {
	first := true
	for n, err := range ape.Subscribe[int](context.Background(), u.conn, "news", ape.Buffer(1<<20)) {
		if err != nil {
			if !errors.Is(err, ape.ErrGone) {
				u.w.fail("%s: the subscription ended: %v", u.name, err)
			}
			return
		}
		u.mu.Lock()
		if !first && n != u.news+1 && !(u.w.gaps && n >= u.news) {
			u.w.fail("%s: message %d came behind %d", u.name, n, u.news)
		}
		first, u.news = false, n
		u.mu.Unlock()
		u.w.events.Add(1)
	}
}

// work does one thing after the other until the world stops.
func (u *dweller) work(name string, index int) {
	w := u.w
	for n := 0; ; n++ {
		select {
		case <-w.stop:
			return
		case <-time.After(time.Duration(w.rand.below(int(3 * time.Second)))):
		}
		u.one(fmt.Sprintf("%s.%d", name, n))
		u.sending.Lock()
		if u.conn.Send("note", job{N: u.noted + 1, User: index}) == nil {
			u.noted++
		}
		u.sending.Unlock()
	}
}

// items yields n jobs, the first of which names the op.
func (u *dweller) items(op string, n int) iter.Seq2[job, error] {
	return func(yield func(job, error) bool) {
		for i := range n {
			if !yield(job{Op: op, N: i + 1}, nil) {
				return
			}
			u.w.items.Add(1)
		}
	}
}

// once wants that an op has run once; one that was lost, at most once.
func (u *dweller) once(op string, err error) bool {
	times := u.w.times(op)
	if u.w.gaps && ape.CodeOf(err) == ape.Lost {
		u.w.lost.Add(1)
		if times > 1 {
			u.w.fail("%s: %s was lost, and ran %d times", u.name, op, times)
		}
		return false
	}
	if err != nil || times != 1 {
		u.w.fail("%s: %s ran %d times: %v", u.name, op, times, err)
		return false
	}
	return true
}

// one makes one call.
func (u *dweller) one(op string) {
	w := u.w
	w.ops.Add(1)
	kind := w.rand.below(9)
	w.pending.Store(op, kind)
	defer w.pending.Delete(op)
	ctx := context.Background()
	n, fill := w.rand.below(40), strings.Repeat("x", w.rand.below(2000))
	switch kind {
	case 0, 1:
		out, err := ape.Invoke[string](ctx, u.conn, "run", job{Op: op, N: n, Fill: fill}, ape.Timeout(0))
		if u.once(op, err) && out != op+fill {
			w.fail("%s: %s was answered %.20q", u.name, op, out)
		}
	case 2:
		w.keyed.Add(1)
		out, err := ape.Invoke[string](ctx, u.conn, "run", job{Op: op, N: n}, ape.Timeout(0), ape.Key(op))
		if ape.CodeOf(err) == ape.Lost && w.restarts.Load() == 0 {
			w.fail("%s: a call with a key was lost: %v", u.name, err)
		}
		if u.once(op, err) && out != op {
			w.fail("%s: %s was answered %.20q", u.name, op, out)
		}
	case 3:
		u.stream(op, n, ape.InvokeStream[job](ctx, u.conn, "count", job{Op: op, N: n, Fill: fill}))
	case 4:
		out, err := ape.Invoke[job](ctx, u.conn, "sum", u.items(op, n+1))
		if u.once(op, err) && out.N != n+1 {
			w.fail("%s: the callee had %d of %d items", u.name, out.N, n+1)
		}
	case 5:
		w.ran(op) // a pipe does not count
		u.stream(op, n, ape.InvokeStream[job](ctx, u.conn, "pipe", u.items(op, n)))
	case 6:
		w.asks.Add(1)
		out, err := ape.Invoke[string](ctx, u.conn, "ask", job{Op: op, N: n}, ape.Timeout(0))
		if u.once("asked "+op, err) && out != "asked "+op {
			w.fail("%s: %s was answered %.20q", u.name, op, out)
		}
	case 7:
		w.cancels.Add(1)
		short, cancel := context.WithTimeout(ctx, time.Duration(1+n)*50*time.Millisecond)
		defer cancel()
		_, err := ape.Invoke[string](short, u.conn, "wait", nil)
		switch code := ape.CodeOf(err); {
		case w.gaps && code == ape.Lost:
			w.lost.Add(1)
		case code != ape.Deadline:
			w.fail("%s: a call without end ended: %v", u.name, err)
		}
	case 8:
		u.called(op, n)
	}
}

// stream reads a stream of n items.
func (u *dweller) stream(op string, n int, items iter.Seq2[job, error]) {
	got := 0
	var fail error
	for j, err := range items {
		if err != nil {
			fail = err
			break
		}
		if got++; j.N != got {
			u.w.fail("%s: item %d of %s is %d", u.name, got, op, j.N)
		}
		u.w.items.Add(1)
		if u.w.rand.below(30) == 0 {
			u.w.rand.pause(20 * time.Millisecond)
		}
	}
	if u.once(op, fail) && got != n {
		u.w.fail("%s: %d of %d items of %s", u.name, got, n, op)
	}
}

// called lets the server call this user.
func (u *dweller) called(op string, n int) {
	client := u.w.front.app.Load().Client(u.conn.ID())
	if client == nil {
		return // between two sessions
	}
	u.w.asks.Add(1)
	got := 0
	for j, err := range ape.InvokeStream[job](context.Background(), client, "count", job{Op: op, N: n}) {
		if err != nil {
			if !u.w.gaps || ape.CodeOf(err) != ape.Closed {
				u.w.fail("%s: the server's call %s: %v", u.name, op, err)
			}
			if times := u.w.times(op); times > 1 {
				u.w.fail("%s: the server's call %s ran %d times", u.name, op, times)
			}
			return
		}
		if got++; j.N != got {
			u.w.fail("%s: item %d of the server's %s is %d", u.name, got, op, j.N)
		}
		u.w.items.Add(1)
	}
	if times := u.w.times(op); got != n || times != 1 {
		u.w.fail("%s: %d of %d items of the server's %s, which ran %d times", u.name, got, n, op, times)
	}
}
