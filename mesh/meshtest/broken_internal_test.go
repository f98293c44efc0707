package meshtest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape/mesh"
)

// recorder is a test that fails without failing the test that runs it.
type recorder struct {
	testing.TB
	mu      sync.Mutex
	failed  bool
	skipped bool
	text    string
}

func (r *recorder) note(failed bool, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || failed
	r.text += text + "\n"
}

func (r *recorder) Helper()                     {}
func (r *recorder) Log(args ...any)             { r.note(false, fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, a ...any)   { r.note(true, fmt.Sprintf(f, a...)) }
func (r *recorder) Fatal(args ...any)           { r.note(true, fmt.Sprint(args...)); runtime.Goexit() }
func (r *recorder) Fatalf(f string, a ...any)   { r.note(true, fmt.Sprintf(f, a...)); runtime.Goexit() }
func (r *recorder) Skip(args ...any)            { r.skipped = true; runtime.Goexit() }
func (r *recorder) Skipf(_ string, args ...any) { r.skipped = true; runtime.Goexit() }

// try runs a rule on a goroutine that it may end.
func (r *recorder) try(which rule, c *Cluster) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		which.run(r, c)
	}()
	<-done
	time.Sleep(3 * time.Hour) // in a bubble: whatever a broken backend waits for is over
}

// sound is a Cluster over a Memory, which keeps all rules.
func sound(o *mesh.MemoryOptions) (*Cluster, *mesh.Memory) {
	s := mesh.NewMemory(o)
	return &Cluster{
		Mesh:    func(namespace, _ string) mesh.Mesh { return s.Mesh(namespace) },
		Cut:     func() { s.Cut() },
		Stop:    func() { s.Stop() },
		Start:   func() { s.Start() },
		Wipe:    s.Wipe,
		Advance: s.Advance,
		Trips:   func() int { return int(s.Stats().Calls) },
		Left: func(string) (left []string) {
			if st := s.Stats(); st.Records+st.Rows+st.Inboxes+st.Waiting > 0 {
				left = append(left, fmt.Sprintf("%+v", st))
			}
			return left
		},
	}, s
}

// wrap changes each Mesh that a Cluster gives.
func (c *Cluster) wrap(change func(m mesh.Mesh, namespace, id string) mesh.Mesh) {
	whole := c.Mesh
	c.Mesh = func(namespace, id string) mesh.Mesh { return change(whole(namespace, id), namespace, id) }
}

// push, pull and receive wrap one method each.
func (c *Cluster) push(push func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error) {
	c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
		return &otherMesh{Mesh: m, channels: &otherChannels{Channels: m.Channels(), push: push}}
	})
}

func (c *Cluster) pull(pull func(ctx context.Context, inner mesh.Channels, id string) (mesh.Inbox, error)) {
	c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
		return &otherMesh{Mesh: m, channels: &otherChannels{Channels: m.Channels(), pull: pull}}
	})
}

func (c *Cluster) receive(receive func(ctx context.Context, inner mesh.Inbox) ([]byte, error)) {
	c.pull(func(ctx context.Context, inner mesh.Channels, id string) (mesh.Inbox, error) {
		inbox, err := inner.Pull(ctx, id)
		return &otherInbox{Inbox: inbox, receive: receive}, err
	})
}

type otherMesh struct {
	mesh.Mesh
	self     mesh.Member
	join     func(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error)
	renew    func(ctx context.Context) error
	leave    func(ctx context.Context) error
	members  func(ctx context.Context) ([]mesh.Member, error)
	lookup   mesh.Lookup
	channels mesh.Channels
}

func (m *otherMesh) Join(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error) {
	m.self = self
	if m.join != nil {
		return m.join(ctx, self, lease, propose)
	}
	return m.Mesh.Join(ctx, self, lease, propose)
}

func (m *otherMesh) Renew(ctx context.Context) error {
	if m.renew != nil {
		return m.renew(ctx)
	}
	return m.Mesh.Renew(ctx)
}

func (m *otherMesh) Leave(ctx context.Context) error {
	if m.leave != nil {
		return m.leave(ctx)
	}
	return m.Mesh.Leave(ctx)
}

func (m *otherMesh) Members(ctx context.Context) ([]mesh.Member, error) {
	if m.members != nil {
		return m.members(ctx)
	}
	return m.Mesh.Members(ctx)
}

func (m *otherMesh) Lookup() mesh.Lookup {
	if m.lookup != nil {
		return m.lookup
	}
	return m.Mesh.Lookup()
}

func (m *otherMesh) Channels() mesh.Channels {
	if m.channels != nil {
		return m.channels
	}
	return m.Mesh.Channels()
}

type otherChannels struct {
	mesh.Channels
	push func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error
	pull func(ctx context.Context, inner mesh.Channels, id string) (mesh.Inbox, error)
}

func (c *otherChannels) Push(ctx context.Context, frames ...mesh.Frame) error {
	if c.push != nil {
		return c.push(ctx, c.Channels, frames)
	}
	return c.Channels.Push(ctx, frames...)
}

func (c *otherChannels) Pull(ctx context.Context, id string) (mesh.Inbox, error) {
	if c.pull != nil {
		return c.pull(ctx, c.Channels, id)
	}
	return c.Channels.Pull(ctx, id)
}

type otherInbox struct {
	mesh.Inbox
	receive func(ctx context.Context, inner mesh.Inbox) ([]byte, error)
	close   func() error
}

func (i *otherInbox) Receive(ctx context.Context) ([]byte, error) {
	if i.receive != nil {
		return i.receive(ctx, i.Inbox)
	}
	return i.Inbox.Receive(ctx)
}

func (i *otherInbox) Close() error {
	if i.close != nil {
		return i.close()
	}
	return i.Inbox.Close()
}

// table is a Lookup that keeps the rules of rows, but for what is set.
type table struct {
	mu   sync.Mutex
	rows map[string]mesh.Owner

	firstWins, lowerWins, textual, slow    bool
	anybody, newerToo, otherLives, termToo bool
	counted                                map[string]int
	name                                   func(client string) string
	tripEach                               func()
	noZero, reversed                       bool
	sweep                                  func(t *table) int
}

// rows gives all members a table.
func (c *Cluster) rows(t *table) {
	t.rows = map[string]mesh.Owner{}
	c.wrap(func(m mesh.Mesh, namespace, _ string) mesh.Mesh {
		o := &otherMesh{Mesh: m}
		o.lookup = &tableLookup{m.Lookup(), t, o, namespace}
		return o
	})
}

type tableLookup struct {
	mesh.Lookup
	t         *table
	m         *otherMesh
	namespace string
}

func (l *tableLookup) key(client string) string {
	if l.t.tripEach != nil {
		l.t.tripEach()
	}
	if l.t.name != nil {
		client = l.t.name(client)
	}
	return l.namespace + " " + client
}

func (l *tableLookup) Add(_ context.Context, claims ...mesh.Claim) error {
	t, self := l.t, l.m.self
	for _, c := range claims {
		key := l.key(c.Client)
		t.mu.Lock()
		has, ok := t.rows[key]
		t.mu.Unlock()
		if t.slow {
			time.Sleep(time.Millisecond)
		}
		loses := has.Gen > c.Gen
		switch {
		case t.lowerWins:
			loses = false
		case t.firstWins:
			loses = has.Gen >= c.Gen
		case t.textual:
			loses = fmt.Sprint(has.Gen) > fmt.Sprint(c.Gen)
		}
		t.mu.Lock()
		if !ok || !loses {
			t.rows[key] = mesh.Owner{ID: self.ID, Epoch: self.Epoch, Gen: c.Gen}
		}
		if t.counted != nil {
			t.counted[key]++
		}
		t.mu.Unlock()
	}
	return nil
}

func (l *tableLookup) Read(_ context.Context, clients ...string) (owners []mesh.Owner, err error) {
	t := l.t
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range clients {
		if o, ok := t.rows[l.key(c)]; ok || !t.noZero {
			owners = append(owners, o)
		}
	}
	if t.reversed {
		for i, j := 0, len(owners)-1; i < j; i, j = i+1, j-1 {
			owners[i], owners[j] = owners[j], owners[i]
		}
	}
	return owners, nil
}

func (l *tableLookup) Remove(_ context.Context, claims ...mesh.Claim) error {
	t, self := l.t, l.m.self
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range claims {
		key := l.key(c.Client)
		o := t.rows[key]
		mine := o.Life() == self.Life() || t.anybody || t.otherLives && o.ID == self.ID
		if t.termToo {
			mine = o.Epoch == self.Epoch
		}
		if !mine || o.Gen > c.Gen && !t.newerToo {
			continue
		}
		if t.counted[key] > 1 {
			t.counted[key]--
			continue
		}
		delete(t.rows, key)
		delete(t.counted, key)
	}
	return nil
}

// Sweep of a table without one of its own is that of the Memory, whose rows are
// none.
func (l *tableLookup) Sweep(ctx context.Context) (int, error) {
	if l.t.sweep == nil {
		return l.Lookup.Sweep(ctx)
	}
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	return l.t.sweep(l.t), nil
}
