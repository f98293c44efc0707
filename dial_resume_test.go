package ape_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

func TestConnResumes(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		release := make(chan struct{})
		runs, events := &trail{}, &trail{}
		p.app().Handle("slow", ape.Func(func(_ context.Context, in string) (string, error) {
			runs.add("%s", in)
			<-release
			return in + "!", nil
		}))
		s := &states{}
		answering := make(chan struct{})
		c := p.dial(over, &ape.DialOptions{OnState: s.note, Handlers: map[string]ape.Controller{
			"confirm": ape.Func(func(_ context.Context, in string) (string, error) { <-answering; return in + "?", nil }),
		}})
		ape.On(c, "tick", func(n int) { events.add("%d", n) })
		id := c.ID()
		client := p.app().Client(id)
		connected := "connected " + string(c.Transport())

		call := begin(t, c, "slow", "a")
		asked := make(chan outcome, 1)
		go func() {
			out, err := ape.Invoke[string](t.Context(), client, "confirm", "sure", ape.Timeout(time.Minute))
			asked <- outcome{out, err}
		}()
		client.Send("tick", 1)
		want(t, events, "1")
		p.Refuse(true)
		p.Cut()
		synctest.Wait()
		for n := range 3 {
			client.Send("tick", n+2)
		}
		close(answering)
		time.Sleep(10 * time.Second)
		want(t, c.State() != ape.StateConnected, true)
		want(t, c.Transport(), ape.Detached)
		queued := begin(t, c, "slow", "b")
		close(release)
		time.Sleep(time.Second)
		p.Refuse(false)
		want(t, <-call, "a!")
		want(t, <-queued, "b!")
		want(t, <-asked, "sure?")
		want(t, events, "2 3 4")
		want(t, runs, "a b")
		want(t, c.ID(), id)
		got := s.String()
		recovered := got[strings.LastIndex(got, "resumed "):]
		if !strings.HasPrefix(got, "connecting|"+connected+"|disconnected ") || !strings.HasSuffix(got, "|connecting|"+connected+" "+recovered) {
			t.Errorf("states %s", got)
		}
		if n := strings.TrimPrefix(recovered, "resumed "); n != "4" { // three events and an answer
			t.Errorf("recovered %s", n)
		}
	})
}

func TestConnSendsWhatWaitedInOrder(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		runs := &trail{}
		note := ape.Func(func(_ context.Context, in string) (string, error) { runs.add("%s", in); return in, nil })
		p.app().Handle("note", ape.Serial(note))
		c := p.dial(over, nil)
		p.Refuse(true)
		p.Cut()
		synctest.Wait()
		var calls []<-chan outcome
		for i := range 20 {
			switch i % 5 {
			case 0:
				if err := c.Send("note", fmt.Sprint("e", i)); err != nil {
					t.Error(err)
				}
			case 1: // expires
				_, err := ape.Invoke[string](t.Context(), c, "note", "late", ape.Timeout(time.Millisecond))
				want(t, ape.CodeOf(err), ape.Deadline)
				want(t, errors.Is(err, context.DeadlineExceeded), true)
			case 2: // is cancelled
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Millisecond, cancel)
				_, err := ape.Invoke[string](ctx, c, "note", "left")
				want(t, ape.CodeOf(err), ape.Cancelled)
			default:
				calls = append(calls, begin(t, c, "note", fmt.Sprint(i)))
			}
		}
		p.Refuse(false)
		for _, call := range calls {
			if o := <-call; o.err != nil {
				t.Error(o.err)
			}
		}
		want(t, runs, "e0 3 4 e5 8 9 e10 13 14 e15 18 19")
		want(t, p.app().Stats().Late, 0)
	})
}

func TestConnRefusesWhatItCannotHold(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, &ape.Options{MaxMessage: 50 << 10})
		c := p.dial(over, &ape.DialOptions{MaxMessage: 64 << 10, MaxQueue: 64 << 10})
		_, err := ape.Invoke[string](t.Context(), c, "echo", strings.Repeat("x", 51<<10))
		want(t, ape.CodeOf(err), ape.TooLarge)
		want(t, ape.CodeOf(c.Send("echo", strings.Repeat("x", 51<<10))), ape.TooLarge)
		want(t, ape.CodeOf(c.Send("echo", make(chan int))), ape.Invalid)
		want(t, ape.CodeOf(c.Send("", 1)), ape.Invalid)
		want(t, p.app().Stats().TooLarge, 0) // nothing was sent
		p.Refuse(true)
		p.Cut()
		synctest.Wait()
		half := strings.Repeat("x", 40<<10)
		call := begin(t, c, "echo", half)
		_, err = ape.Invoke[string](t.Context(), c, "echo", half)
		want(t, ape.CodeOf(err), ape.Overflow)
		want(t, ape.CodeOf(c.Send("echo", half)), ape.Overflow)
		p.Refuse(false)
		if o := <-call; o.out != half {
			t.Error(o.err)
		}
		time.Sleep(10 * time.Second) // the server's acknowledgement
		if out, err := ape.Invoke[string](t.Context(), c, "echo", half, ape.Timeout(time.Minute)); out != half {
			t.Error(err)
		}
	})
}

func TestConnNoticesSilence(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, &ape.Options{Heartbeat: 2 * time.Second})
		s := &states{}
		c := p.dial(over, &ape.DialOptions{OnState: s.note})
		time.Sleep(time.Minute) // heartbeats keep it
		connected := "connected " + string(c.Transport())
		want(t, s, "connecting|"+connected)
		p.Drop()
		began := time.Now()
		ask(t, c, "echo", 1, "1")
		// 4 s of silence, the first wait, and for POSTs and polls some more.
		if took := time.Since(began); took > 12*time.Second || over == bySocket && took < 2*time.Second {
			t.Errorf("took %s", took)
		}
		if got := s.String(); !strings.HasPrefix(got, "disconnected ") || !strings.Contains(got, "|connecting|"+connected+" resumed ") {
			t.Errorf("states %s", got)
		}
	})
}

func TestConnMovesWhenAsked(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		runs, events := &trail{}, &trail{}
		p.app().Handle("note", ape.Serial(ape.Func(func(_ context.Context, in int) (int, error) { runs.add("%d", in); return in, nil })))
		s := &states{}
		c := p.dial(over, &ape.DialOptions{OnState: s.note})
		ape.On(c, "tick", func(n int) { events.add("%d", n) })
		connected := "connected " + string(c.Transport())
		want(t, s, "connecting|"+connected)
		client := p.app().Client(c.ID())
		var expected []string
		held := begin(t, c, "wait", nil, ape.Timeout(30*time.Second))
		client.Reconnect(5 * time.Second)
		for n := range 60 {
			client.Send("tick", n)
			ask(t, c, "note", n, fmt.Sprint(n))
			expected = append(expected, fmt.Sprint(n))
			time.Sleep(100 * time.Millisecond)
		}
		want(t, runs, strings.Join(expected, " "))
		want(t, events, strings.Join(expected, " "))
		got := s.String()
		if over == byPoll && got == "" {
			return // a client that polls cannot be told between two responses
		}
		if !strings.HasPrefix(got, connected+" resumed ") || strings.Contains(got, "|") {
			t.Errorf("states %q, want one resume and no loss", got)
		}
		time.Sleep(20 * time.Second) // the server closes nothing that has moved
		want(t, s, "")
		want(t, ape.CodeOf((<-held).err), ape.Deadline)
	})
}

func TestConnStaysWhereItsCallsRunDuringShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, nil)
		p.app().Handle("slow", ape.Func(func(context.Context, struct{}) (string, error) {
			time.Sleep(3 * time.Second)
			return "done", nil
		}))
		s := &states{}
		c := p.dial(bySocket, &ape.DialOptions{OnState: s.note})
		call := begin(t, c, "slow", nil)
		old := p.app()
		down := make(chan error, 1)
		go func() { down <- old.Shutdown(t.Context()) }()
		want(t, <-call, "done")
		p.open(nil) // the next version
		want(t, <-down, nil)
		synctest.Wait() // the client knows that its connection has ended
		ask(t, c, "echo", 1, "1")
		if got := s.String(); !strings.HasSuffix(got, "|connecting|connected websocket gap unknown lost []") && !strings.HasSuffix(got, "|connected websocket gap unknown lost []") {
			t.Errorf("states %s", got)
		}
	})
}

func TestConnsOfOneProgramAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, nil)
		a, b := p.dial(bySocket, nil), p.dial(byStream, nil)
		if a.ID() == b.ID() {
			t.Error("they share a session")
		}
		a.Close()
		ask(t, b, "echo", 1, "1")
		_, err := ape.Invoke[any](t.Context(), a, "echo", 1)
		want(t, err == ape.ErrGone, true)
	})
}

func TestConnGoesBackToWebSocket(t *testing.T) {
	// How a network blocks WebSocket.
	blocks := map[string]func(w http.ResponseWriter, r *http.Request){
		"400":    func(w http.ResponseWriter, r *http.Request) { http.Error(w, "bad request", http.StatusBadRequest) },
		"hangs":  func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"silent": func(w http.ResponseWriter, r *http.Request) { muteSocket(w, r, "") },
		"no w":   func(w http.ResponseWriter, r *http.Request) { muteSocket(w, r, "\n") },
	}
	for name, answer := range blocks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, nil)
				p.front.blocks(func(w http.ResponseWriter, r *http.Request) bool {
					if isUpgrade(r) {
						answer(w, r)
					}
					return isUpgrade(r)
				})
				runs, events := &trail{}, &trail{}
				p.app().Handle("note", ape.Serial(ape.Func(func(_ context.Context, in int) (int, error) { runs.add("%d", in); return in, nil })))
				s := &states{}
				c := p.dial("", &ape.DialOptions{OnState: s.note})
				began := time.Now()
				ape.On(c, "tick", func(n int) { events.add("%d", n) })
				want(t, c.Transport(), ape.Streaming)
				want(t, s, "connecting|connected streaming")
				held := begin(t, c, "wait", nil, ape.Timeout(3*time.Minute))
				client := p.app().Client(c.ID())
				var expected []string
				for n := range 200 { // one attempt fails, the next one works
					if n == 90 {
						p.front.block.Store(nil)
					}
					client.Send("tick", n)
					ask(t, c, "note", n, fmt.Sprint(n))
					expected = append(expected, fmt.Sprint(n))
					time.Sleep(time.Second)
				}
				want(t, c.Transport(), ape.WebSocket)
				want(t, runs, strings.Join(expected, " "))
				want(t, events, strings.Join(expected, " "))
				got := s.String()
				if name == "no w" { // the server seemed to speak: that cost the connection
					if !strings.Contains(got, "|connected websocket resumed ") {
						t.Errorf("states %s", got)
					}
				} else if !strings.HasPrefix(got, "connected websocket resumed ") || strings.Contains(got, "|") {
					t.Errorf("states %s", got)
				}
				want(t, ape.CodeOf((<-held).err), ape.Deadline)
				if time.Since(began) > 4*time.Minute {
					t.Error("too late")
				}
			})
		})
	}
}
