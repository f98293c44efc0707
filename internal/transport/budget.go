package transport

import "sync/atomic"

// Budget counts the bytes that all outboxes of a server hold, and those of
// writes under way. It refuses nothing: who sees that it is over decides which
// session to end. Its methods may be called concurrently; a nil Budget counts
// nothing.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Over reports whether more than the limit is in use.
func (b *Budget) Over() bool { return b != nil && b.used.Load() > b.limit }

// Used returns the bytes in use.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

func (b *Budget) add(n int) {
	if b != nil && n != 0 {
		b.used.Add(int64(n))
	}
}
