package ape

import "sync"

// workers are goroutines that run calls and are kept for the next ones. The
// stack of a fresh goroutine grows while JSON is decoded, deep down, where every
// frame above has to be adjusted: that cost more than the rest of a small call.
// So a worker grows its stack before it has any frames, and keeps it.
type workers struct {
	mu     sync.Mutex
	idle   []chan *Call // the one that rested last is asked first
	closed bool
	group  *sync.WaitGroup
}

// maxIdle is how many of them wait for work.
const maxIdle = 256

// run runs c on a worker.
func (w *workers) run(c *Call) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		worker := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		worker <- c
		return
	}
	w.group.Add(1)
	w.mu.Unlock()
	go w.work(c)
}

func (w *workers) work(c *Call) {
	defer w.group.Done()
	next := make(chan *Call, 1)
	for c != nil {
		growStack() // again: the collector shrinks the stacks of those that rest
		if !c.run() || !w.rest(next) {
			return
		}
		c = <-next
	}
}

// rest makes a worker wait, unless enough do.
func (w *workers) rest(worker chan *Call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) >= maxIdle {
		return false
	}
	w.idle = append(w.idle, worker)
	return true
}

// close ends the workers that wait; the others end behind their call.
func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, worker := range w.idle {
		close(worker)
	}
	w.idle = nil
}

// growStack makes the stack large enough for a call that decodes a struct.
//
//go:noinline
func growStack() byte {
	var room [5 << 10]byte
	return room[len(stackUser)]
}

// stackUser is empty, which the compiler cannot know.
var stackUser string
