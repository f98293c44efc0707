package keys

import (
	"strings"
	"sync"
	"time"
)

// Options of [New]. The zero value of a field is its default.
type Options struct {
	Window  time.Duration // how long a key is remembered behind its answer; 5 min
	Keys    int           // that an identity has, running or remembered; 1,024
	Bytes   int           // that they count for, see [Size]; 4 MiB
	Total   int           // bytes of all identities; 64 MiB
	Reserve int           // bytes held for the answer of a key that runs; 2 KiB
}

const (
	window  = 5 * time.Minute
	keys    = 1024
	bytes   = 4 << 20
	total   = 64 << 20
	reserve = 2 << 10
)

// Answer is a terminal line, without what differs between those who get it.
// The table does not look into it, and keeps Line as it is: it must not be
// written to afterwards.
type Answer struct {
	Line   []byte // nil: there is none
	Octets int    // of the caller's: how many bytes at the end of Line are raw
}

// Verdict is what [Table.Begin] says.
type Verdict uint8

const (
	// Run: nobody has called this. The caller runs it, and then calls
	// [Entry.Done], or [Entry.Forget] if it did not run after all.
	Run Verdict = iota
	// Wait: it runs. The answer will come to later.
	Wait
	// Have: it has run, and here is its answer.
	Have
	// Ran: it has run, but its answer was too large to be kept.
	Ran
	// Full: there is no room to remember it. It must not run.
	Full
)

// String names the verdict.
func (v Verdict) String() string {
	return [...]string{"run", "wait", "have", "ran", "full"}[v]
}

// Stats says what a [Table] holds.
type Stats struct {
	Identities int
	Keys       int // running or remembered
	Bytes      int // see [Size]
}

// Table is the keys of one server. [Table.Close] ends its timer.
type Table struct {
	o     Options
	epoch time.Time // what entries reckon their end from

	mu      sync.Mutex // held for map operations only; nothing is called under it
	owners  map[string]*owner
	entries map[name]*Entry
	peak    int // most entries that the maps have held
	bytes   int
	oldest  *Entry // of those that have run, in the order in which they end
	newest  *Entry
	timer   *time.Timer
	armed   bool
	closed  bool
}

// owner is an identity that has keys.
type owner struct {
	identity string
	keys     int
	bytes    int
	oldest   *Entry // as in Table; what one forgets first the other does too
	newest   *Entry
}

// name is what an entry is found by.
type name struct {
	owner     *owner
	path, key string
}

// New returns an empty table.
func New(o Options) *Table {
	o.Window = orElse(o.Window, window)
	o.Keys = orElse(o.Keys, keys)
	o.Bytes = orElse(o.Bytes, bytes)
	o.Total = orElse(o.Total, total)
	o.Reserve = orElse(o.Reserve, reserve)
	return &Table{o: o, epoch: time.Now()}
}

// Size is what a key counts for, without its answer: its names, and about what
// the table itself takes to remember it. An answer counts with the capacity of
// its Line.
func Size(identity, path, key string) int {
	const fixed = 384 // TestCountedBytesCoverTheHeap holds it against the heap
	return fixed + len(identity) + len(path) + len(key)
}

// Begin says what becomes of a call: see [Verdict]. Only behind Run there is
// an entry, only behind Have an answer, and only behind Wait a leave.
//
// Behind Wait later is called once, by the goroutine that calls Done, with the
// answer; or by the one that calls Forget, with an Answer without Line: then
// the call has not run, and who still wants it calls Begin again. A waiter that
// calls leave is not called any more; leave reports false when that comes too
// late.
//
// The table keeps copies of the names, and only for what runs.
func (t *Table) Begin(identity, path, key string, later func(Answer)) (e *Entry, verdict Verdict, have Answer, leave func() bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, own := t.now(), t.owners[identity]
	if own != nil {
		if t.expire(own, now); own.keys == 0 {
			own = nil // it is gone
		}
	}
	if own != nil {
		if e := t.entries[name{own, path, key}]; e != nil {
			switch e.state {
			case running:
				return nil, Wait, Answer{}, e.wait(later)
			case answered:
				return nil, Have, e.answer, nil
			}
			return nil, Ran, Answer{}, nil
		}
	}
	size := Size(identity, path, key) + t.o.Reserve
	if t.closed || own != nil && own.keys >= t.o.Keys || !t.room(own, size, now) {
		return nil, Full, Answer{}, nil
	}
	return t.add(own, identity, path, key, size), Run, Answer{}, nil
}

// Stats returns what the table holds at this moment. What nobody has asked for
// may be held for a little longer than the window.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Stats{Identities: len(t.owners), Keys: len(t.entries), Bytes: t.bytes}
}

// Close forgets all answers and stops the timer. From then on everything new
// is Full. Keys that run go on: those who wait still get their answers.
// Closing twice is fine.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
	for t.oldest != nil {
		t.drop(t.oldest)
	}
}

// The methods below are called with mu held.

// add makes a running entry, of an identity that is new if own is nil.
func (t *Table) add(own *owner, identity, path, key string, size int) *Entry {
	if t.entries == nil {
		t.entries, t.owners, t.peak = make(map[name]*Entry), make(map[string]*owner), 0
	}
	if own == nil {
		own = &owner{identity: strings.Clone(identity)}
		t.owners[own.identity] = own
	}
	// The names may be pieces of a long message, which must not stay for them.
	names := strings.Join([]string{path, key}, "")
	e := &Entry{table: t, name: name{own, names[:len(path)], names[len(path):]}, size: size}
	t.entries[e.name] = e
	t.peak = max(t.peak, len(t.entries))
	own.keys++
	t.count(own, size)
	return e
}

// remove takes an entry out of everything but the queues.
func (t *Table) remove(e *Entry) {
	own := e.name.owner
	delete(t.entries, e.name)
	t.count(own, -e.size)
	if own.keys--; own.keys == 0 {
		delete(t.owners, own.identity)
	}
	const small = 64
	if len(t.entries) == 0 && t.peak > small {
		t.entries, t.owners = nil, nil // a map never shrinks
	}
}

func (t *Table) count(own *owner, n int) {
	own.bytes += n
	t.bytes += n
}

// room reports whether n more bytes fit, of an identity that is new if own is
// nil. Of what is over at others it forgets as much as is needed; the owner's
// own has been expired at the same moment.
func (t *Table) room(own *owner, n int, now time.Duration) bool {
	mine := n
	if own != nil {
		mine += own.bytes
	}
	if mine > t.o.Bytes {
		return false
	}
	for t.bytes+n > t.o.Total && t.oldest.over(now) {
		t.drop(t.oldest)
	}
	return t.bytes+n <= t.o.Total
}

func (t *Table) now() time.Duration { return time.Since(t.epoch) }

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
