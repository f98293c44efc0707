package link

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/goape/ape/mesh"
)

// calls are the requests that were made here and wait, and those of others that
// run here.
type calls struct {
	mu      sync.Mutex
	last    uint64 // id
	over    error  // no further call is possible
	waiting map[uint64]*call
	running map[caller]context.CancelFunc
	serving map[uint64]int // requests that run, by the caller's life

	late, unanswered uint64
}

// caller names a request of another member.
type caller struct{ life, id uint64 }

// call waits for the answers of some lives.
type call struct {
	want    map[uint64]bool // lives that have not answered
	answers chan answer     // has room for all of them
}

type answer struct {
	from uint64 // life
	body []byte
	err  error
}

func (c *calls) init() {
	c.waiting = map[uint64]*call{}
	c.running, c.serving = map[caller]context.CancelFunc{}, map[uint64]int{}
}

func (c *calls) count(s *Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Late, s.Unanswered = c.late, c.unanswered
}

// begin registers a call to these lives.
func (c *calls) begin(lives ...uint64) (id uint64, k *call, err error) {
	k = &call{want: make(map[uint64]bool, len(lives)), answers: make(chan answer, len(lives))}
	for _, life := range lives {
		k.want[life] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over != nil {
		return 0, nil, c.over
	}
	c.last++
	c.waiting[c.last] = k
	return c.last, k, nil
}

func (c *calls) end(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// answer gives an answer to a call that waits for this life.
func (c *calls) answer(id uint64, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.waiting[id]
	if k == nil || !k.want[a.from] {
		c.late++
		return
	}
	delete(k.want, a.from)
	k.answers <- a
}

// peerGone ends the calls to a life, and those that it made here.
func (c *calls) peerGone(life uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.waiting {
		k.fail(life, err)
	}
	for who, cancel := range c.running {
		if who.life == life {
			cancel()
		}
	}
}

// failAll ends all calls; there will be no further ones.
func (c *calls) failAll(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = err
	for _, k := range c.waiting {
		for life := range k.want {
			k.fail(life, err)
		}
	}
	for _, cancel := range c.running {
		cancel()
	}
}

func (k *call) fail(life uint64, err error) {
	if k.want[life] {
		delete(k.want, life)
		k.answers <- answer{from: life, err: err}
	}
}

// Request asks a member and waits for its answer. The error is what the
// handler returned (a *[Failure], [ErrNoTarget], [ErrBusy] or one of context),
// ctx's own, [ErrPeerGone] when the member is or goes out of the mesh, or why
// the request was not accepted. A request that ends early is cancelled there. It
// runs at most once. This server does not answer itself: the error is
// [ErrPeerGone].
func (l *Link) Request(ctx context.Context, id string, body []byte) ([]byte, error) {
	l.mu.Lock()
	p, err := l.find(id)
	if err != nil {
		l.mu.Unlock()
		return nil, err
	}
	life := p.life
	l.mu.Unlock()
	number, k, err := l.calls.begin(life)
	if err != nil {
		return nil, err
	}
	defer l.calls.end(number)
	if err := l.sendLife(life, opRequest, requestBody(ctx, number, body)); err != nil {
		return nil, err
	}
	select {
	case a := <-k.answers:
		return a.body, a.err
	case <-ctx.Done():
		l.sendLife(life, opCancel, binary.AppendUvarint(nil, number))
		return nil, ctx.Err()
	}
}

// requestBody is id, milliseconds until the deadline (0: none), body.
func requestBody(ctx context.Context, number uint64, body []byte) []byte {
	var ms uint64
	if at, ok := ctx.Deadline(); ok {
		ms = uint64(max(time.Until(at).Milliseconds(), 1))
	}
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(body))
	b = binary.AppendUvarint(b, number)
	b = binary.AppendUvarint(b, ms)
	return append(b, body...)
}

// Part is one member's answer to Ask.
type Part struct {
	From mesh.Member
	Body []byte
	Err  error // as of Request
}

// askTime is the deadline of an Ask without one.
const askTime = time.Second

// Ask asks all members in sight, but not this one, and collects their answers
// until all are there or ctx ends; without a deadline it has one second. missing
// are those that were late or went. An error means that nothing was asked.
func (l *Link) Ask(ctx context.Context, body []byte) (parts []Part, missing []mesh.Member, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, askTime)
		defer cancel()
	}
	want := map[uint64]mesh.Member{}
	l.mu.Lock()
	for _, p := range l.byID {
		if p.state == alive {
			want[p.life] = p.member
		}
	}
	l.mu.Unlock()
	lives := make([]uint64, 0, len(want))
	for life := range want {
		lives = append(lives, life)
	}
	number, k, err := l.calls.begin(lives...)
	if err != nil {
		return nil, nil, err
	}
	defer l.calls.end(number)
	if _, err := l.sendAll(opAsk, requestBody(ctx, number, body)); err != nil {
		return nil, nil, err
	}
	for range lives {
		select {
		case a := <-k.answers:
			if !tooLate(a.err) {
				parts = append(parts, Part{want[a.from], a.body, a.err})
				delete(want, a.from)
			}
		case <-ctx.Done():
			return parts, values(want), nil
		}
	}
	return parts, values(want), nil
}

// tooLate says whether an answer to Ask counts as missing.
func tooLate(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || err == ErrPeerGone || err == ErrClosed || err == mesh.ErrSuperseded
}

func values(m map[uint64]mesh.Member) (list []mesh.Member) {
	for _, v := range m {
		list = append(list, v)
	}
	return list
}
