package link

import "time"

// partCost is what the bookkeeping of a part counts for beside its body.
const partCost = 64

// part is a numbered part at its sender.
type part struct {
	kind   byte
	op     byte // with kindFirst
	total  int  // with kindFirst: bytes of the message
	body   []byte
	resent int64  // when it was last sent again, as UnixNano
	sum    uint64 // cost of the sequence up to and with this part
}

func (p *part) cost() int { return len(p.body) + partCost }

// outgoing is a sequence at its sender: parts that wait, and those that were
// sent and are kept for repair.
type outgoing struct {
	stream     uint64
	queue      fifo[part] // accepted, without number
	queueBytes int
	ring       fifo[part] // sent and not acknowledged: base+1 … last
	ringBytes  int
	base, last uint64
	sum        uint64 // cost of everything ever sent
	held       *int   // cost of all queues and rings of the link

	stalled time.Time // the window has been full since
	checked time.Time // patience with laggards was last charged
	asked   int       // how often positions were asked for in this stall
	pressed time.Time // positions were last asked for want of memory
}

// accept queues a part.
func (o *outgoing) accept(p part) {
	o.queue.push(p)
	o.queueBytes += p.cost()
	*o.held += p.cost()
}

// send gives the next part its number and keeps it in the ring.
func (o *outgoing) send() *part {
	p := o.queue.pop()
	c := p.cost()
	o.queueBytes -= c
	o.last++
	o.sum += uint64(c)
	p.sum = o.sum
	o.ring.push(p)
	o.ringBytes += c
	return o.ring.at(o.ring.len() - 1)
}

// skip uses up the number of the next part without sending it.
func (o *outgoing) skip() {
	p := o.queue.pop()
	o.queueBytes -= p.cost()
	*o.held -= p.cost()
	o.last++
	o.base = o.last
}

// sent returns the part with a number that the ring holds.
func (o *outgoing) sent(number uint64) *part { return o.ring.at(int(number - o.base - 1)) }

// trim forgets what is acknowledged.
func (o *outgoing) trim(to uint64) (freed bool) {
	for to = min(to, o.last); o.base < to; o.base++ {
		p := o.ring.pop()
		o.ringBytes -= p.cost()
		*o.held -= p.cost()
		freed = true
	}
	return freed
}

// drop forgets everything. The numbers of what was never sent are used up, so
// that the receiver sees a hole and is told.
func (o *outgoing) drop() (parts int) {
	parts = o.queue.len() + o.ring.len()
	o.last += uint64(o.queue.len())
	o.base = o.last
	*o.held -= o.queueBytes + o.ringBytes
	o.queue, o.ring = fifo[part]{}, fifo[part]{}
	o.queueBytes, o.ringBytes = 0, 0
	o.stalled = time.Time{}
	return parts
}

// void empties the requests that wait here, but keeps their numbers: those who
// made them were told that the member is gone, so none may run any more. A
// request in several parts loses its first one's op.
func (o *outgoing) void() {
	o.queueBytes += voidIn(&o.queue, o.held)
	o.ringBytes += voidIn(&o.ring, o.held)
}

func voidIn(parts *fifo[part], held *int) (change int) {
	for i := range parts.len() {
		p := parts.at(i)
		before := p.cost()
		switch {
		case p.kind == kindMessage+byte(opRequest):
			p.kind, p.body = kindMessage+byte(opVoid), nil
		case p.kind == kindFirst && p.op == byte(opRequest):
			p.op = byte(opVoid)
		}
		change += p.cost() - before
	}
	*held += change
	return change
}

// full says whether the window of a direct sequence is.
func (o *outgoing) full(m *Limits) bool {
	return o.ringBytes >= m.Window || o.ring.len() >= m.WindowParts
}

// ahead says whether the sequence is a full window ahead of a position.
func (o *outgoing) ahead(position uint64, m *Limits) bool {
	switch {
	case position >= o.last:
		return false
	case o.last-position >= uint64(m.WindowParts):
		return true
	case position <= o.base:
		return o.ringBytes >= m.Window
	}
	return o.sum-o.sent(position).sum >= uint64(m.Window)
}
