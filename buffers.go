package ape

import "sync"

// buffers are scratch space for encoding: what is kept is copied out of them
// at its exact size.
var buffers bufferPool

type bufferPool struct{ pool sync.Pool }

// maxPooled is the largest buffer that is kept for reuse.
const maxPooled = 64 << 10

func (p *bufferPool) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 1024)
	return &b
}

func (p *bufferPool) put(b *[]byte) {
	if cap(*b) <= maxPooled {
		*b = (*b)[:0]
		p.pool.Put(b)
	}
}
