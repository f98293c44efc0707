package mesh

import (
	"context"
	"errors"
	"time"
)

type memoryLookup struct{ m *memoryMesh }

var errMemoryNotJoined = errors.New("mesh: memory: Join before Add")

func (l memoryLookup) Add(ctx context.Context, claims ...Claim) error {
	if err := CheckClaims(claims); err != nil {
		return err
	}
	if err := l.dawdle(ctx); err != nil {
		return err
	}
	if err := l.m.enter(ctx); err != nil {
		return err
	}
	s := l.m.store
	defer s.mu.Unlock()
	if !l.m.joined {
		return errMemoryNotJoined
	}
	sp, now := s.space(l.m.namespace), s.now()
	var until time.Time
	if ttl := s.options.RowTTL; ttl > 0 {
		until = now.Add(ttl)
	}
	for _, c := range claims {
		if r, ok := sp.rows[c.Client]; ok && r.lives(now) && r.owner.Gen > c.Gen {
			continue
		}
		sp.rows[c.Client] = row{Owner{l.m.self.ID, l.m.self.Epoch, c.Gen}, until}
	}
	return nil
}

func (l memoryLookup) Read(ctx context.Context, clients ...string) ([]Owner, error) {
	owners, err := l.read(ctx, clients)
	if err != nil {
		return nil, err
	}
	// What was read may be old when it arrives.
	if err := l.dawdle(ctx); err != nil {
		return nil, err
	}
	return owners, nil
}

func (l memoryLookup) read(ctx context.Context, clients []string) ([]Owner, error) {
	if err := l.m.enter(ctx); err != nil {
		return nil, err
	}
	s := l.m.store
	defer s.mu.Unlock()
	sp, now := s.space(l.m.namespace), s.now()
	owners := make([]Owner, len(clients))
	for i, c := range clients {
		if r, ok := sp.rows[c]; ok && r.lives(now) {
			owners[i] = r.owner
		}
	}
	return owners, nil
}

func (l memoryLookup) Remove(ctx context.Context, claims ...Claim) error {
	if err := CheckClaims(claims); err != nil {
		return err
	}
	if err := l.dawdle(ctx); err != nil {
		return err
	}
	if err := l.m.enter(ctx); err != nil {
		return err
	}
	s := l.m.store
	defer s.mu.Unlock()
	sp := s.space(l.m.namespace)
	for _, c := range claims {
		if r := sp.rows[c.Client]; r.owner.Life() == l.m.self.Life() && r.owner.Gen <= c.Gen {
			delete(sp.rows, c.Client)
		}
	}
	return nil
}

func (l memoryLookup) Sweep(ctx context.Context) (int, error) {
	if err := l.m.enter(ctx); err != nil {
		return 0, err
	}
	s := l.m.store
	defer s.mu.Unlock()
	sp, now := s.space(l.m.namespace), s.now()
	swept := 0
	for client, r := range sp.rows {
		owner, ok := sp.records[r.owner.ID]
		if !r.lives(now) || !ok || !now.Before(owner.until) || owner.member.Life() != r.owner.Life() {
			delete(sp.rows, client)
			swept++
		}
	}
	return swept, nil
}

// dawdle takes as long as a call about rows does.
func (l memoryLookup) dawdle(ctx context.Context) error {
	s := l.m.store
	s.mu.Lock()
	d := s.faults.Rows
	if d > 0 {
		d = time.Duration(s.dice(chanceKey{l.m.namespace, l.m.id, ""}).Int64N(int64(d)))
	}
	s.mu.Unlock()
	return pause(ctx, d)
}
