package link_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/link"
	"github.com/goape/ape/mesh"
)

var (
	firstSeed = flag.Uint64("link.seed", 0, "first seed of the simulations; 0: a random one")
	long      = flag.Bool("link.long", false, "run the simulations longer and with twenty seeds each")
)

// simulate runs f in virtual time, for each seed anew.
func simulate(t *testing.T, f func(t *testing.T, seed uint64)) {
	t.Helper()
	seed, n := *firstSeed, uint64(1)
	if seed == 0 {
		seed = 1 + rand.Uint64N(1e6)
	}
	if *long {
		n = 20
	}
	for s := seed; s < seed+n; s++ {
		ok := t.Run(strconv.FormatUint(s, 10), func(t *testing.T) {
			t.Logf("go test -run '%s' -link.seed %d", t.Name(), s)
			synctest.Test(t, func(t *testing.T) { f(t, s) })
		})
		if !ok {
			return
		}
	}
}

// longer scales a time for -link.long.
func longer(d time.Duration, by int) time.Duration {
	if *long {
		return d * time.Duration(by)
	}
	return d
}

// world runs members over a store in memory and keeps the books of what each
// one sent and heard.
type world struct {
	t         *testing.T
	store     *mesh.Memory
	namespace string
	options   link.Options
	rng       *rand.Rand
	numbers   bool // every number is a message's: look for holes in them
	quit      chan struct{}
	wg        sync.WaitGroup

	mu    sync.Mutex
	now   map[string]*actor // by id, the present life
	every []*actor
}

// sequence names what an actor hears: of whom, direct or to all.
type sequence struct {
	life uint64
	all  bool
}

// record is a message, or a gap if n is 0.
type record struct {
	n           uint64
	first, last uint64
}

// actor is one life of a member.
type actor struct {
	w    *world
	id   string
	link *link.Link
	life uint64

	mu      sync.Mutex
	heard   map[sequence][]record
	bad     []string
	toAll   uint64            // messages sent to all
	to      map[uint64]uint64 // messages sent, by the receiver's life
	before  map[uint64]uint64 // toAll when the receiver's Join returned
	backlog int
	over    bool // killed or superseded: it may lose anything
	left    bool
}

func newWorld(t *testing.T, seed uint64, m *mesh.MemoryOptions, o link.Options) *world {
	if m == nil {
		m = &mesh.MemoryOptions{}
	}
	m.Seed = seed
	w := &world{
		t: t, store: mesh.NewMemory(m), namespace: "app", options: o, rng: rand.New(rand.NewPCG(seed, 7)),
		numbers: true, quit: make(chan struct{}), now: map[string]*actor{},
	}
	t.Cleanup(w.stop)
	return w
}

// ids are the names of n members.
func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "srv-" + strconv.Itoa(i)
	}
	return list
}

// start lets a member join, again and again while the store is away. edit may
// change its options.
func (w *world) start(id string, edit ...func(*link.Options)) *actor {
	w.t.Helper()
	a := &actor{w: w, id: id, heard: map[sequence][]record{}, to: map[uint64]uint64{}, before: map[uint64]uint64{}}
	o := w.options
	o.ID = id
	o.Handlers.Message, o.Handlers.Gap = a.onMessage, a.onGap
	for _, f := range edit {
		f(&o)
	}
	var err error
	for range 60 {
		if a.link, err = link.Join(context.Background(), w.store.Mesh(w.namespace), o); err == nil {
			break
		}
		time.Sleep(time.Second)
	}
	if err != nil {
		w.t.Fatalf("%s cannot join: %v", id, err)
	}
	a.life = a.link.Self().Life()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.every {
		b.mu.Lock()
		b.before[a.life] = b.toAll
		b.mu.Unlock()
	}
	w.now[id] = a
	w.every = append(w.every, a)
	return a
}

func (w *world) startAll(n int, edit ...func(*link.Options)) []*actor {
	w.t.Helper()
	for _, id := range ids(n) {
		w.start(id, edit...)
	}
	return w.every
}

func (a *actor) onMessage(m link.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := sequence{m.From.Life(), m.All}
	r := record{first: m.First, last: m.Last}
	r.n = a.readBody(s, m.Body)
	a.heard[s] = append(a.heard[s], r)
}

func (a *actor) onGap(g link.Gap) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := sequence{g.From.Life(), g.All}
	a.heard[s] = append(a.heard[s], record{first: g.First, last: g.Last})
}

// hears returns what was heard so far of a sequence.
func (a *actor) hears(s sequence) []record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.heard[s])
}

// bodyHead is sender's life, kind, and the number of the message.
const bodyHead = 8 + 1 + 8

func (a *actor) body(all bool, n uint64, size int) []byte {
	b := make([]byte, max(bodyHead, size))
	binary.BigEndian.PutUint64(b, a.life)
	if all {
		b[8] = 1
	}
	binary.BigEndian.PutUint64(b[9:], n)
	for i := bodyHead; i < len(b); i++ {
		b[i] = byte(n + uint64(i))
	}
	return b
}

// readBody checks who sent a body and that it is whole.
func (a *actor) readBody(s sequence, b []byte) (n uint64) {
	if len(b) < bodyHead || binary.BigEndian.Uint64(b) != s.life || (b[8] == 1) != s.all {
		a.bad = append(a.bad, fmt.Sprintf("%d bytes came under a wrong sender or kind", len(b)))
		return 0
	}
	n = binary.BigEndian.Uint64(b[9:])
	for i := bodyHead; i < len(b); i++ {
		if b[i] != byte(n+uint64(i)) {
			a.bad = append(a.bad, fmt.Sprintf("message %d is damaged at %d of %d", n, i, len(b)))
			break
		}
	}
	return n
}

func (a *actor) sendAll(size int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err := a.link.SendAll(link.OpPublish, a.body(true, a.toAll+1, size))
	if err == nil {
		a.toAll++
	}
	a.note(err)
	return err
}

// send sends to the present life of a member, as this one knows it.
func (a *actor) send(id string, size int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	life, err := a.link.SendCounted(id, link.OpPublish, func(life uint64) []byte {
		return a.body(false, a.to[life]+1, size)
	})
	if err == nil {
		a.to[life]++
	}
	a.note(err)
	return err
}

func (a *actor) note(err error) {
	if err == link.ErrBacklog {
		a.backlog++
	}
}

func (a *actor) ended() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.over || a.left
}

// traffic lets an actor send until the end, a burst about every gap.
func (w *world) traffic(a *actor, seed uint64, gap time.Duration, size func(*rand.Rand) int) {
	rng := rand.New(rand.NewPCG(seed, 99))
	w.wg.Go(func() {
		for {
			select {
			case <-w.quit:
				return
			case <-time.After(time.Duration(rng.Int64N(int64(2*gap) + 1))):
			}
			if a.ended() {
				return
			}
			for range 1 + rng.IntN(4) {
				if rng.IntN(3) == 0 {
					a.sendAll(size(rng))
				} else if id := w.pick(rng, a.id); id != "" {
					a.send(id, size(rng))
				}
			}
		}
	})
}

// quiet ends the traffic.
func (w *world) quiet() {
	close(w.quit)
	w.wg.Wait()
}

// pick returns a random member that runs.
func (w *world) pick(rng *rand.Rand, but string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for id := range w.now {
		if id != but {
			list = append(list, id)
		}
	}
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	return list[rng.IntN(len(list))]
}

func (w *world) actor(id string) *actor {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now[id]
}

func (w *world) running() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.now)
}

// kill ends a member as a crash does.
func (w *world) kill(a *actor) {
	w.remove(a, func() { a.over = true })
	a.link.Close()
}

func (w *world) leave(a *actor) {
	w.t.Helper()
	w.remove(a, func() { a.left = true })
	if err := a.link.Leave(context.Background()); err != nil {
		w.t.Logf("%s leaves: %v", a.id, err)
	}
}

func (w *world) remove(a *actor, note func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now[a.id] == a {
		delete(w.now, a.id)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	note()
}

// stop ends all members; a test may end before it.
func (w *world) stop() {
	w.mu.Lock()
	every := slices.Clone(w.every)
	w.mu.Unlock()
	for _, a := range every {
		a.link.Close()
	}
}

func sizes(least, most int) func(*rand.Rand) int {
	return func(r *rand.Rand) int { return least + r.IntN(most-least+1) }
}
