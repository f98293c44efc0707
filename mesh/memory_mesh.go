package mesh

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// memoryMesh is one member's way to a Memory. Its fields are guarded by the
// store's lock.
type memoryMesh struct {
	store     *Memory
	namespace string
	self      Member
	lease     time.Duration
	joined    bool // Join was called
	id        string
	kills     int // of id, when this Mesh began to use it
}

func (m *memoryMesh) Lookup() Lookup     { return memoryLookup{m} }
func (m *memoryMesh) Channels() Channels { return memoryChannels{m} }

func (m *memoryMesh) Join(ctx context.Context, self Member, lease time.Duration, propose []byte) ([]byte, error) {
	if err := errors.Join(CheckNamespace(m.namespace), CheckMember(self)); err != nil {
		return nil, err
	}
	s := m.store
	m.become(self.ID)
	s.mu.Lock()
	m.self, m.lease, m.joined = self, lease, true
	m.self.Meta = maps.Clone(self.Meta)
	s.mu.Unlock()

	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	sp, now := s.space(m.namespace), s.now()
	r, ok := sp.records[self.ID]
	if ok && now.Before(r.until) && r.member.Life() != self.Life() && self.Term() > 0 {
		return nil, ErrSuperseded
	}
	if len(sp.key) == 0 {
		sp.key = bytes.Clone(propose)
	}
	sp.records[self.ID] = record{m.self, now.Add(lease)}
	return bytes.Clone(sp.key), nil
}

func (m *memoryMesh) Renew(ctx context.Context) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	s := m.store
	defer s.mu.Unlock()
	sp, now := s.space(m.namespace), s.now()
	r, ok := sp.records[m.self.ID]
	switch {
	case !ok || !now.Before(r.until):
		return ErrLapsed
	case r.member.Life() != m.self.Life():
		return ErrSuperseded
	case r.member.Epoch != m.self.Epoch:
		return ErrLapsed
	}
	r.until = now.Add(m.lease)
	sp.records[m.self.ID] = r
	return nil
}

func (m *memoryMesh) Leave(ctx context.Context) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	s := m.store
	defer s.mu.Unlock()
	sp := s.space(m.namespace)
	if r, ok := sp.records[m.self.ID]; ok && r.member.Epoch == m.self.Epoch {
		delete(sp.records, m.self.ID)
	}
	return nil
}

func (m *memoryMesh) Members(ctx context.Context) ([]Member, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	s := m.store
	defer s.mu.Unlock()
	now := s.now()
	var all []Member
	for _, r := range s.space(m.namespace).records {
		if now.Before(r.until) {
			one := r.member
			one.Meta = maps.Clone(one.Meta)
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// become says which member this Mesh is.
func (m *memoryMesh) become(id string) {
	s := m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.id != id {
		m.id, m.kills = id, s.kills[id]
	}
}

// enter waits until the member can use the store. If there is no error, the
// caller holds the store's lock and unlocks it.
func (m *memoryMesh) enter(ctx context.Context) error {
	s := m.store
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		wait, err := m.gate()
		if err == nil && wait == nil {
			s.stats.Calls++
			return nil
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
}

// gate returns what keeps the member from its store: an error, or what to wait
// for.
func (m *memoryMesh) gate() (wait <-chan struct{}, err error) {
	s := m.store
	switch {
	case m.kills != s.kills[m.id]:
		return nil, errMemoryKilled
	case s.paused[m.id] != nil:
		return s.paused[m.id], nil
	case s.stopped || s.away[m.id]:
		return nil, errMemoryAway
	}
	return nil, nil
}

// pause waits for d, as a slow store does.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
