package keys_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/keys"
)

// model is a table that looks through everything at each step.
type model struct {
	t       *testing.T
	o       keys.Options
	table   *keys.Table
	entries []*modelled
}

type modelled struct {
	identity, path, key string
	entry               *keys.Entry
	running, kept       bool
	answer              int // its length
	size                int
	end                 time.Time
	waiting             []*waiting
	told                []*waiting
}

type waiting struct {
	id    int
	leave func() bool
}

// live forgets what is over, and returns the bytes of an identity and of all.
func (m *model) live(identity string) (own, all, count int) {
	m.entries = slices.DeleteFunc(m.entries, func(e *modelled) bool { return !e.running && !time.Now().Before(e.end) })
	for _, e := range m.entries {
		all += e.size
		if e.identity == identity {
			own += e.size
			count++
		}
	}
	return own, all, count
}

func (m *model) begin(identity, path, key string, id int) {
	own, all, count := m.live(identity)
	var e *modelled
	for _, other := range m.entries {
		if other.identity == identity && other.path == path && other.key == key {
			e = other
		}
	}
	size := keys.Size(identity, path, key) + m.o.Reserve
	want := keys.Run
	switch {
	case e != nil && e.running:
		want = keys.Wait
	case e != nil && e.kept:
		want = keys.Have
	case e != nil:
		want = keys.Ran
	case count >= m.o.Keys || own+size > m.o.Bytes || all+size > m.o.Total:
		want = keys.Full
	}
	w := &waiting{id: id}
	entry, verdict, have, leave := m.table.Begin(identity, path, key, func(a keys.Answer) {
		if len(a.Line) != e.answer || (a.Line == nil) == e.kept {
			m.t.Errorf("waiter %d got %d bytes, want %d", id, len(a.Line), e.answer)
		}
		e.told = append(e.told, w)
	})
	if verdict != want || (entry != nil) != (want == keys.Run) || (leave != nil) != (want == keys.Wait) {
		m.t.Fatalf("begin %s %s %s: %s, want %s", identity, path, key, verdict, want)
	}
	switch want {
	case keys.Run:
		m.entries = append(m.entries, &modelled{identity: identity, path: path, key: key, entry: entry, running: true, size: size})
	case keys.Wait:
		w.leave = leave
		e.waiting = append(e.waiting, w)
	case keys.Have:
		if len(have.Line) != e.answer {
			m.t.Errorf("begin %s %s %s: %d bytes, want %d", identity, path, key, len(have.Line), e.answer)
		}
	}
}

// finish ends something that runs: with an answer of n bytes, or with none.
func (m *model) finish(e *modelled, n int) {
	own, all, _ := m.live(e.identity)
	e.running = false
	waited := e.waiting
	if n < 0 {
		m.entries = slices.DeleteFunc(m.entries, func(other *modelled) bool { return other == e })
		e.entry.Forget()
	} else {
		a := keys.Answer{Line: make([]byte, n)}
		extra := cap(a.Line) - m.o.Reserve
		e.answer, e.end, e.kept = n, time.Now().Add(m.o.Window), true
		fits := extra <= 0 || own+extra <= m.o.Bytes && all+extra <= m.o.Total
		if e.size += extra; !fits {
			e.size -= cap(a.Line)
		}
		e.entry.Done(a)
		e.kept = fits
	}
	if !slices.Equal(e.told, waited) {
		m.t.Errorf("finish %s: %d were told, want %d", e.key, len(e.told), len(waited))
	}
	for _, w := range waited {
		if w.leave() {
			m.t.Errorf("waiter %d could leave behind its answer", w.id)
		}
	}
	e.waiting = nil
}

func (m *model) step(rnd *rand.Rand, i int) {
	var runs []*modelled
	for _, e := range m.entries {
		if e.running {
			runs = append(runs, e)
		}
	}
	switch rnd.IntN(8) {
	default:
		m.begin(fmt.Sprint("user", rnd.IntN(5)), fmt.Sprint("/", rnd.IntN(2)), fmt.Sprint(rnd.IntN(12)), i)
	case 0, 1:
		if len(runs) > 0 {
			m.finish(runs[rnd.IntN(len(runs))], []int{-1, 0, 10, 100, 500, 3000}[rnd.IntN(6)])
		}
	case 2:
		if len(runs) == 0 {
			return
		}
		e := runs[rnd.IntN(len(runs))]
		if len(e.waiting) > 0 {
			k := rnd.IntN(len(e.waiting))
			if !e.waiting[k].leave() {
				m.t.Errorf("waiter %d could not leave", e.waiting[k].id)
			}
			e.waiting = slices.Delete(e.waiting, k, k+1)
		}
	case 3:
		time.Sleep(time.Duration(rnd.IntN(10)) * time.Second)
	}
	_, all, _ := m.live("")
	if got := m.table.Stats(); got.Bytes < all || got.Keys < len(m.entries) || got.Bytes > m.o.Total {
		m.t.Fatalf("the table holds %+v, want %d keys of %d bytes, and at most %d", got, len(m.entries), all, m.o.Total)
	}
}

func TestTheTableDoesWhatTheModelDoes(t *testing.T) {
	start := uint64(time.Now().UnixNano())
	for i := range uint64(100) {
		seed := start + i
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			o := keys.Options{Window: time.Minute, Keys: 8, Bytes: 9000, Total: 20_000, Reserve: 300}
			m := &model{t: t, o: o, table: keys.New(o)}
			for i := range 1000 {
				if m.step(rnd, i); t.Failed() {
					t.Fatalf("step %d", i)
				}
			}
			for _, e := range slices.Clone(m.entries) {
				if e.running {
					m.finish(e, -1)
				}
			}
			time.Sleep(m.o.Window + m.o.Window/32)
			synctest.Wait()
			if got := m.table.Stats(); got != (keys.Stats{}) {
				t.Errorf("in the end the table holds %+v", got)
			}
			m.table.Close()
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
