package link

// fifo is a queue over a slice, whose elements can be reached by place. It
// gives its memory back when it is empty.
type fifo[T any] struct {
	items []T
	head  int
}

// What an empty fifo keeps.
const fifoKeeps = 4096

func (f *fifo[T]) len() int    { return len(f.items) - f.head }
func (f *fifo[T]) at(i int) *T { return &f.items[f.head+i] }
func (f *fifo[T]) push(v T)    { f.items = append(f.items, v) }

func (f *fifo[T]) pop() T {
	var zero T
	v := f.items[f.head]
	f.items[f.head] = zero
	f.head++
	switch {
	case f.head == len(f.items):
		f.items, f.head = f.items[:0], 0
		if cap(f.items) > fifoKeeps {
			f.items = nil
		}
	case f.head > 1024 && f.head > len(f.items)/2:
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	return v
}
