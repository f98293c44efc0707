package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goape/ape/mesh"
	"github.com/redis/go-redis/v9"
)

const (
	// maxWaiting is how many bytes wait to be received before the connection is
	// not read any more. Redis then keeps up to 32 MB by default, and cuts it.
	maxWaiting = 8 << 20

	// defaultPatience is how long a connection may be silent before it is asked to
	// answer, and then before it is given up.
	defaultPatience = 5 * time.Second

	maxPause = time.Second // between attempts to connect
)

// inbox listens on one connection, in a cluster on two. It does not use the
// client's own way to read subscriptions, which drops messages when it is full.
type inbox struct {
	ctx     context.Context // ends when the inbox does
	cancel  context.CancelFunc
	running sync.WaitGroup
	stands  chan struct{} // closed when everything is listened at
	note    chan struct{} // wakes Receive

	mu      sync.Mutex
	room    *sync.Cond // something was received
	waiting []sound
	size    int
	err     error // why it ended
	missing int   // channels that are not listened at yet, while Pull waits
}

// sound is a frame, or says that some may be missing.
type sound struct {
	body        []byte
	interrupted bool
}

// ear is one connection. go-redis connects again by itself, and listens again.
type ear struct {
	*redis.PubSub
	channels []string
	sharded  bool
	heard    atomic.Uint64 // counts what came
	full     atomic.Bool   // it is not read: nothing can come
}

// listen returns once all channels are listened at.
func listen(ctx context.Context, m *Mesh, names ...string) (mesh.Inbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := &inbox{stands: make(chan struct{}), note: make(chan struct{}, 1), missing: len(names)}
	b.room = sync.NewCond(&b.mu)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	var ears []*ear
	if m.cluster {
		for _, name := range names { // they are in different places
			ears = append(ears, &ear{PubSub: m.client.SSubscribe(b.ctx), channels: []string{name}, sharded: true})
		}
	} else {
		ears = append(ears, &ear{PubSub: m.client.Subscribe(b.ctx), channels: names})
	}
	for _, e := range ears {
		b.running.Go(func() {
			if err := b.read(e); err != nil {
				m.moved(b.ctx, err)
				b.fail(fmt.Errorf("mesh: redis: pull: %w", err))
			}
		})
	}
	b.running.Go(func() { b.watch(ears, m.patience) })

	select {
	case <-b.stands:
		return b, nil
	case <-b.ctx.Done():
	case <-ctx.Done():
		b.fail(ctx.Err())
		return nil, ctx.Err()
	}
	return nil, b.reason()
}

func (b *inbox) Receive(ctx context.Context) ([]byte, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err, ok := b.take()
		if s.interrupted {
			return nil, mesh.ErrInterrupted
		}
		if ok || err != nil {
			return s.body, err
		}
		select {
		case <-b.note:
		case <-ctx.Done():
		}
	}
}

func (b *inbox) Close() error {
	b.fail(mesh.ErrClosed)
	b.mu.Lock()
	b.err, b.waiting, b.size = mesh.ErrClosed, nil, 0
	b.mu.Unlock()

	// A client that connects just now, to a server that hangs, cannot be stopped;
	// it ends by its own timeout.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.running.Wait()
	}()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
	return nil
}

// take returns what waits; why there will be nothing; or neither.
func (b *inbox) take() (s sound, err error, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return sound{}, b.err, false
	}
	s = b.waiting[0]
	b.waiting[0] = sound{}
	b.waiting = b.waiting[1:]
	if b.size -= len(s.body); b.size < maxWaiting {
		b.room.Broadcast()
	}
	return s, nil, true
}

// put adds what was heard, and waits while there is too much.
func (b *inbox) put(e *ear, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.size >= maxWaiting && b.err == nil {
		e.full.Store(true)
		b.room.Wait()
	}
	e.full.Store(false)
	if b.err == nil {
		b.waiting = append(b.waiting, sound{body: body})
		b.size += len(body)
		b.wake()
	}
}

// subscribed is told that a channel is listened at: for the first time, or again
// after the connection was lost. Then what was published meanwhile is missing.
func (b *inbox) subscribed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.missing > 0 {
		if b.missing--; b.missing == 0 {
			close(b.stands)
		}
		return
	}
	if n := len(b.waiting); b.err == nil && (n == 0 || !b.waiting[n-1].interrupted) {
		b.waiting = append(b.waiting, sound{interrupted: true})
		b.wake()
	}
}

// fail ends the inbox. What waits can still be received.
func (b *inbox) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.cancel()
	b.room.Broadcast()
	b.wake()
}

func (b *inbox) reason() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *inbox) wake() {
	select {
	case b.note <- struct{}{}:
	default:
	}
}

func (b *inbox) standing() bool {
	select {
	case <-b.stands:
		return true
	default:
		return false
	}
}

// read brings what one connection hears into the inbox, until one of them ends.
// It never gives Receive a context that has a deadline: that would end the
// connection.
func (b *inbox) read(e *ear) error {
	if err := e.subscribe(b.ctx); err != nil {
		return err
	}
	pause := time.Duration(0)
	for b.ctx.Err() == nil {
		got, err := e.Receive(b.ctx)
		if refused := redis.Error(nil); errors.As(err, &refused) || err != nil && !b.standing() {
			return err
		}
		if err != nil { // the connection is lost, and so may the next one be
			b.rest(pause)
			pause = min(2*pause+10*time.Millisecond, maxPause)
			continue
		}
		pause = 0
		e.heard.Add(1)
		switch got := got.(type) {
		case *redis.Message:
			b.put(e, []byte(got.Payload))
		case *redis.Subscription:
			if got.Kind != "subscribe" && got.Kind != "ssubscribe" {
				return fmt.Errorf("%w of %s", errUnsubscribed, got.Channel)
			}
			b.subscribed()
		}
	}
	return nil
}

// errUnsubscribed is for a channel that went to another node of the cluster.
var errUnsubscribed = errors.New("the server has ended the subscription")

// moved lets a cluster's client look where everything is, if a channel is not
// where it was: the next Pull goes there.
func (m *Mesh) moved(ctx context.Context, err error) {
	c, ok := m.client.(*redis.ClusterClient)
	if refused := redis.Error(nil); ok && (errors.Is(err, errUnsubscribed) || errors.As(err, &refused)) {
		c.ReloadState(ctx)
	}
}

func (b *inbox) rest(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.ctx.Done():
	}
}

// watch ends the inbox when a connection does not answer, and the connections
// when the inbox ends.
func (b *inbox) watch(ears []*ear, patience time.Duration) {
	ticker := time.NewTicker(patience)
	defer ticker.Stop()
	seen, asked := make([]uint64, len(ears)), make([]bool, len(ears))
	for {
		select {
		case <-b.ctx.Done():
			for _, e := range ears {
				_ = e.Close()
			}
			return
		case <-ticker.C:
		}
		for i, e := range ears {
			switch n := e.heard.Load(); {
			case n != seen[i] || e.full.Load():
				seen[i], asked[i] = n, false
			case !asked[i]:
				_ = e.Ping(b.ctx) // the answer counts
				asked[i] = true
			default:
				b.fail(fmt.Errorf("mesh: redis: no answer for %v on a connection that listens", patience))
			}
		}
	}
}

func (e *ear) subscribe(ctx context.Context) error {
	if e.sharded {
		return e.SSubscribe(ctx, e.channels...)
	}
	return e.Subscribe(ctx, e.channels...)
}
