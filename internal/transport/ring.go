package transport

// idleRing is how many places an empty ring keeps: 512 bytes.
const idleRing = 16

// ring is a queue of frames, in a slice whose length is a power of two. It is
// nil until used, doubles when full, and is let go of when empty after a burst.
type ring struct {
	frames []Frame
	start  int
	n      int
}

// at returns the i-th frame from the oldest on.
func (r *ring) at(i int) *Frame { return &r.frames[(r.start+i)&(len(r.frames)-1)] }

func (r *ring) push(f Frame) {
	if r.n == len(r.frames) {
		r.resize(max(4, 2*r.n))
	}
	r.n++
	*r.at(r.n - 1) = f
}

// pop removes the oldest frame and returns its size.
func (r *ring) pop() int {
	f := r.at(0)
	size := f.Size()
	*f = Frame{}
	r.start = (r.start + 1) & (len(r.frames) - 1)
	r.n--
	switch {
	case len(r.frames) <= idleRing:
	case r.n == 0:
		r.frames, r.start = nil, 0
	case r.n <= len(r.frames)/8:
		r.resize(len(r.frames) / 2)
	}
	return size
}

func (r *ring) resize(size int) {
	frames := make([]Frame, size)
	for i := range r.n {
		frames[i] = *r.at(i)
	}
	r.frames, r.start = frames, 0
}
