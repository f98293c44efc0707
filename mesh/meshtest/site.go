package meshtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape/mesh"
)

const (
	guard = 30 * time.Second       // nothing takes that long unless it hangs
	still = 150 * time.Millisecond // how long nothing must be heard
	lease = 5 * time.Minute        // of members that are not to lapse
)

// site is one case at work: a namespace, and what is to be cleaned up.
type site struct {
	testing.TB
	*Cluster
	ctx       context.Context
	namespace string
	ends      []func()
	running   sync.WaitGroup
}

func newSite(t testing.TB, c *Cluster) *site {
	ctx, cancel := context.WithTimeout(context.Background(), 4*guard)
	return &site{TB: t, Cluster: c, ctx: ctx, namespace: newNamespace(), ends: []func(){cancel}}
}

func newNamespace() string { return fmt.Sprintf("t-%012x", rand.Uint64N(1<<48)) }

// end takes everything back that the case did, the last first, and waits for
// what goes on. What does not end is left behind; the case has failed then.
func (s *site) end() {
	for _, f := range slices.Backward(s.ends) {
		f()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.running.Wait()
	}()
	timer := time.NewTimer(guard)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// start runs f beside the case, and returns where its result will be.
func (s *site) start(f func() error) <-chan error {
	result := make(chan error, 1)
	s.running.Go(func() { result <- f() })
	return result
}

// must fails the case for an error.
func (s *site) must(err error, doing string) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", doing, err)
	}
}

// eventually polls for what a store does in its own time.
func (s *site) eventually(what string, done func() bool) {
	s.Helper()
	for end := time.Now().Add(guard); !done(); s.wait(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not within %v: %s", guard, what)
		}
	}
}

// wait lets time pass.
func (s *site) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// newLife is a life at the upper end, which stores must keep to the last bit.
func newLife() uint64 { return 1<<46 | rand.Uint64N(1<<46) }

// member is somebody who has joined.
type member struct {
	mesh.Mesh
	s    *site
	self mesh.Member
	key  []byte
}

// join makes a member with a long lease.
func (s *site) join(id string) *member {
	s.Helper()
	return s.joinAs(id, newLife()<<16, lease)
}

// joinAs makes a member over a new Mesh.
func (s *site) joinAs(id string, epoch uint64, lease time.Duration) *member {
	s.Helper()
	m := &member{Mesh: s.Mesh(s.namespace, id), s: s, self: mesh.Member{ID: id, Epoch: epoch}}
	s.must(m.rejoin(epoch, lease), "Join")
	s.ends = append(s.ends, func() { m.leave() })
	return m
}

// rejoin calls Join again, over the same Mesh.
func (m *member) rejoin(epoch uint64, lease time.Duration) (err error) {
	m.self.Epoch = epoch
	m.key, err = m.Join(m.s.ctx, m.self, lease, []byte("the key of "+m.self.ID))
	return err
}

// leave is for the end, when the store may be gone.
func (m *member) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = m.Leave(ctx)
}

func (m *member) add(client string, gen uint64) {
	m.s.Helper()
	m.s.must(m.Lookup().Add(m.s.ctx, mesh.Claim{Client: client, Gen: gen}), "Add")
}

func (m *member) remove(client string, gen uint64) {
	m.s.Helper()
	m.s.must(m.Lookup().Remove(m.s.ctx, mesh.Claim{Client: client, Gen: gen}), "Remove")
}

// owns checks what is read of a client: m with this Gen.
func (m *member) owns(client string, gen uint64) {
	m.s.Helper()
	m.s.owner(m, client, mesh.Owner{ID: m.self.ID, Epoch: m.self.Epoch, Gen: gen})
}

// owner checks what by reads of a client.
func (s *site) owner(by *member, client string, want mesh.Owner) {
	s.Helper()
	got, err := by.Lookup().Read(s.ctx, client)
	s.must(err, "Read")
	if len(got) != 1 || got[0] != want {
		s.Fatalf("Read of client %q: got %+v, want %+v", client, got, want)
	}
}

// sees checks which members by finds, in any order.
func (s *site) sees(by mesh.Mesh, want ...*member) {
	s.Helper()
	got, err := by.Members(s.ctx)
	s.must(err, "Members")
	if !sameMembers(got, want) {
		s.Fatalf("Members: got %+v, want %s", got, names(want))
	}
}

func sameMembers(got []mesh.Member, want []*member) bool {
	if len(got) != len(want) {
		return false
	}
	for _, m := range want {
		if !slices.ContainsFunc(got, func(g mesh.Member) bool { return g.ID == m.self.ID && g.Epoch == m.self.Epoch }) {
			return false
		}
	}
	return true
}

func names(members []*member) string {
	text := ""
	for _, m := range members {
		text += fmt.Sprintf("%s (epoch %#x) ", m.self.ID, m.self.Epoch)
	}
	return text
}

// is checks which error came.
func (s *site) is(err, want error, doing string) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("%s: got %v, want %v", doing, err, want)
	}
}
