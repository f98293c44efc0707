package ape_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/apetest"
)

var (
	worldSeed = flag.Uint64("seed", 0, "seed of TestWorld; 0 takes the clock")
	worldLong = flag.Duration("world.long", 0, "how long the worlds of TestWorld last, by their own clock")
)

// world is one server and clients whose networks break all the time. Everything
// that is said is counted at both ends.
type world struct {
	t     *testing.T
	gaps  bool // sessions get lost as well
	rand  *lockedRand
	front *front
	stop  chan struct{}
	users []*dweller

	pending sync.Map // ops under way, and their kinds

	mu   sync.Mutex
	runs map[string]int // by op, at whichever end it ran

	ops, lost, keyed, items, events, asks, cancels atomic.Int64
	faults, restarts                               atomic.Int64
	published                                      atomic.Int64
}

// lockedRand is a source of chance that goroutines share.
type lockedRand struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (r *lockedRand) below(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.IntN(n)
}

func (r *lockedRand) pause(most time.Duration) { time.Sleep(time.Duration(r.below(int(most)))) }

// dweller is one client of a world, with a network of its own.
type dweller struct {
	w    *world
	name string
	net  *apetest.Server
	conn *ape.Conn

	losses, gapsSeen, toldLost atomic.Int64
	blocked                    atomic.Bool

	sending sync.Mutex
	noted   int // events sent

	mu     sync.Mutex
	heard  int // last event of the server
	ticks  map[string]int
	news   int
	took   int            // last note that the server took
	ticked map[string]int // events sent to each session
}

func (w *world) fail(format string, args ...any) { w.t.Errorf(format, args...) }

// ran counts a run of an op and returns how many there were.
func (w *world) ran(op string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs[op]++
	return w.runs[op]
}

func (w *world) times(op string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runs[op]
}

// job is what calls carry.
type job struct {
	Op   string
	N    int
	User int
	Fill string
}

// handlers are what both ends can be asked to do.
func (w *world) handlers() map[string]ape.Controller {
	return map[string]ape.Controller{
		"run": ape.Func(func(_ context.Context, j job) (string, error) {
			w.ran(j.Op)
			w.rand.pause(time.Duration(j.N+1) * time.Millisecond)
			return j.Op + j.Fill, nil
		}),
		"count": ape.Stream(func(_ context.Context, j job) iter.Seq2[job, error] {
			w.ran(j.Op)
			return func(yield func(job, error) bool) {
				for n := range j.N {
					if !yield(job{N: n + 1, Fill: j.Fill}, nil) {
						return
					}
				}
			}
		}),
		"sum": ape.Collect(func(_ context.Context, items iter.Seq2[job, error]) (job, error) {
			n := 0
			for j, err := range items {
				if err != nil {
					return job{}, err
				}
				if n++; j.N != n {
					w.fail("item %d of a stream to a callee is %d", n, j.N)
				}
				if n == 1 {
					w.ran(j.Op)
				}
			}
			return job{N: n}, nil
		}),
		"pipe": ape.Duplex(func(_ context.Context, items iter.Seq2[job, error]) iter.Seq2[job, error] {
			return items
		}),
	}
}

// newApp makes a server of the world.
func (w *world) newApp() *ape.Server {
	o := &ape.Options{
		ResumeWindow: time.Hour, MaxQueue: 16 << 20, Rate: ape.Rate{PerSecond: -1}, Heartbeat: 5 * time.Second,
		Identify: func(_ *http.Request, auth json.RawMessage) (string, error) { return string(auth), nil },
	}
	if w.gaps {
		o.ResumeWindow, o.MaxMessage, o.MaxQueue = 2*time.Second, 8<<10, 16<<10
	}
	app := ape.New(o)
	for path, h := range w.handlers() {
		app.Handle(path, h)
	}
	app.Handle("note", ape.Serial(ape.Func(func(_ context.Context, j job) (struct{}, error) {
		w.users[j.User].note(j.N)
		return struct{}{}, nil
	})))
	app.Handle("ask", ape.Func(func(ctx context.Context, j job) (string, error) {
		return ape.Invoke[string](ctx, ape.From(ctx).Client(), "run", job{Op: "asked " + j.Op, N: j.N}, ape.Timeout(0))
	}))
	app.Handle("wait", ape.Func(func(ctx context.Context, _ struct{}) (struct{}, error) { <-ctx.Done(); return struct{}{}, ctx.Err() }))
	return app
}

// note is an event of the user's that has come to the server.
func (u *dweller) note(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n != u.took+1 && !(u.w.gaps && n > u.took) {
		u.w.fail("%s: event %d came to the server behind %d", u.name, n, u.took)
	}
	u.took = n
	u.w.events.Add(1)
}

// tick is an event of the server's; each session has its own numbers.
func (u *dweller) tick(j job) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if j.N != u.ticks[j.Op]+1 {
		u.w.fail("%s: event %d of session %s came behind %d", u.name, j.N, j.Op, u.ticks[j.Op])
	}
	u.ticks[j.Op] = j.N
	u.w.events.Add(1)
}

// state is told by the Conn.
func (u *dweller) state(s ape.StateChange) {
	switch {
	case s.State == ape.StateDisconnected:
		u.losses.Add(1)
	case s.Gap != "":
		u.gapsSeen.Add(1)
		u.toldLost.Add(int64(len(s.Lost)))
		if !u.w.gaps {
			u.w.fail("%s: a gap: %+v", u.name, s)
		}
	}
}

// join connects a user.
func (w *world) join(i int) *dweller {
	roads := []road{bySocket, byStream, byPoll, "", ""}
	over := roads[i%len(roads)]
	u := &dweller{w: w, name: fmt.Sprintf("user %d (%s)", i, over), ticks: map[string]int{}, ticked: map[string]int{}}
	own := &front{}
	own.buffers.Store(over == byPoll)
	own.blocks(func(rw http.ResponseWriter, r *http.Request) bool {
		if isUpgrade(r) && over == "" && u.blocked.Load() {
			http.Error(rw, "no WebSockets here", http.StatusBadRequest)
			return true
		}
		own.app.Store(w.front.app.Load())
		return false
	})
	u.net = apetest.New(w.t, http.HandlerFunc(own.ServeHTTP))
	w.users = append(w.users, u)
	o := &ape.DialOptions{Handlers: w.handlers(), OnState: u.state, Auth: func(context.Context) (any, error) { return u.name, nil }}
	if over != "" && over != bySocket {
		o.Transport = ape.Streaming
	} else if over == bySocket {
		o.Transport = ape.WebSocket
	}
	u.conn = u.net.Dial(w.t, o)
	ape.On(u.conn, "tick", u.tick)
	return u
}

// breaks breaks a user's network until the world stops.
func (u *dweller) breaks() {
	w := u.w
	for {
		select {
		case <-w.stop:
			u.net.CutAfter(0)
			u.net.Delay(0)
			u.net.Refuse(false)
			return
		case <-time.After(time.Duration(w.rand.below(int(16 * time.Second)))):
		}
		w.faults.Add(1)
		switch w.rand.below(10) {
		case 0, 1, 2, 3:
			u.net.Cut()
		case 4:
			u.net.Drop()
		case 5, 6:
			u.net.CutAfter(int64(200 + w.rand.below(4000)))
			w.rand.pause(3 * time.Second)
			u.net.CutAfter(0)
		case 7:
			u.net.Refuse(true)
			u.net.Cut()
			w.rand.pause(3 * time.Second)
			u.net.Refuse(false)
		case 8:
			u.net.Delay(time.Duration(w.rand.below(200)) * time.Millisecond)
		case 9:
			u.blocked.Store(!u.blocked.Load())
			u.net.Cut()
		}
	}
}

// run is a world's life.
func (w *world) run(clients, workers int, d time.Duration) {
	w.front.app.Store(w.newApp())
	w.t.Cleanup(func() { w.shutdown(w.front.app.Load()) })
	for i := range clients {
		w.join(i)
	}
	var chaos, work, background sync.WaitGroup
	for i, u := range w.users {
		chaos.Go(u.breaks)
		background.Go(func() { u.ticker() })
		background.Go(func() { u.listen() })
		for k := range workers {
			work.Go(func() { u.work(fmt.Sprintf("%d.%d", i, k), i) })
		}
	}
	background.Go(w.publish)
	if w.gaps {
		chaos.Go(w.restart)
	}
	time.Sleep(d)
	close(w.stop)
	chaos.Wait()
	w.end(&work, "its calls")
	time.Sleep(2 * time.Minute) // what is under way arrives
	w.check()
	for _, u := range w.users {
		u.conn.Close()
	}
	w.end(&background, "its loops")
}

// end waits, and says what does not end.
func (w *world) end(group *sync.WaitGroup, what string) {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Minute):
		var at []string
		for _, u := range w.users {
			at = append(at, fmt.Sprint(u.name, " ", u.conn.State(), " ", u.conn.Transport()))
		}
		w.pending.Range(func(op, kind any) bool { at = append(at, fmt.Sprint("op ", op, " of kind ", kind)); return true })
		panic(fmt.Sprintf("the world waits for %s for ever: %s", what, strings.Join(at, ", ")))
	}
}

func (w *world) shutdown(app *ape.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := app.Shutdown(ctx); err != nil {
		w.fail("shutdown: %v", err)
	}
}

// restart puts another server in the place of the one there is, now and then.
func (w *world) restart() {
	var old sync.WaitGroup
	defer old.Wait()
	for {
		select {
		case <-w.stop:
			return
		case <-time.After(time.Duration(w.rand.below(int(40 * time.Second)))):
			before := w.front.app.Swap(w.newApp())
			w.restarts.Add(1)
			old.Go(func() { w.shutdown(before) })
		}
	}
}

// check compares both ends when everything is quiet.
func (w *world) check() {
	for _, u := range w.users {
		u.mu.Lock()
		if !w.gaps {
			want(w.t, u.took, u.noted)
			for id, n := range u.ticked {
				want(w.t, u.ticks[id], n)
			}
			want(w.t, u.news, w.published.Load())
		} else if n := u.ticked[u.conn.ID()]; u.ticks[u.conn.ID()] != n {
			w.fail("%s: %d of %d events came to the last session", u.name, u.ticks[u.conn.ID()], n)
		}
		if u.took > u.noted || u.conn.Dropped() != 0 {
			w.fail("%s: %d events taken of %d, %d dropped", u.name, u.took, u.noted, u.conn.Dropped())
		}
		u.mu.Unlock()
		if u.conn.State() != ape.StateConnected {
			w.fail("%s is %s at the end", u.name, u.conn.State())
		}
	}
}

func TestWorld(t *testing.T) {
	for _, gaps := range []bool{false, true} {
		name := "nothing is lost"
		if gaps {
			name = "what is lost is told"
		}
		t.Run(name, func(t *testing.T) {
			seed := *worldSeed
			if seed == 0 {
				seed = uint64(time.Now().UnixNano())
			}
			life := 6 * time.Minute
			if *worldLong > 0 {
				life = *worldLong
			}
			synctest.Test(t, func(t *testing.T) {
				w := &world{
					t: t, gaps: gaps, front: &front{}, stop: make(chan struct{}), runs: map[string]int{},
					rand: &lockedRand{r: rand.New(rand.NewPCG(seed, 1))},
				}
				w.run(15, 2, life)
				var losses, gapped, told int64
				for _, u := range w.users {
					losses += u.losses.Load()
					gapped += u.gapsSeen.Load()
					told += u.toldLost.Load()
				}
				if told != w.lost.Load() {
					t.Errorf("%d calls were lost, %d are named in StateChange.Lost", w.lost.Load(), told)
				}
				t.Logf("seed %d: %d faults, %d connections lost, %d gaps, %d restarts; %d calls (%d lost, %d keyed, %d cancelled, %d from the server), %d items, %d events, %d messages published",
					seed, w.faults.Load(), losses, gapped, w.restarts.Load(), w.ops.Load(), w.lost.Load(), w.keyed.Load(), w.cancels.Load(), w.asks.Load(), w.items.Load(), w.events.Load(), w.published.Load())
				if losses < 400 || gaps && gapped < 10 {
					t.Errorf("%d connections lost and %d gaps: too few to prove anything", losses, gapped)
				}
			})
		})
	}
}
