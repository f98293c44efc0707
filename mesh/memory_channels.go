package mesh

import (
	"context"
	"errors"
	"slices"
	"time"
)

type memoryChannels struct{ m *memoryMesh }

// frameCost is what a frame that waits counts beside its bytes.
const frameCost = 64

func (c memoryChannels) Traits() Traits {
	o := c.m.store.options
	return Traits{Namespace: c.m.namespace, MaxFrame: o.MaxFrame, Durable: o.Durable, Spacing: o.Spacing, RowTTL: o.RowTTL}
}

func (c memoryChannels) Push(ctx context.Context, frames ...Frame) error {
	s := c.m.store
	if err := CheckFrames(frames, s.options.MaxFrame); err != nil {
		return err
	}
	s.mu.Lock()
	takes := s.faults.Push
	s.mu.Unlock()
	if err := pause(ctx, takes); err != nil {
		return err
	}
	if err := c.m.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.stats.Pushes++
	sp := s.space(c.m.namespace)
	var unheard []string
	for _, f := range frames {
		heard := false
		for _, b := range sp.inboxes {
			if b.err == nil && (f.To == All || f.To == b.id) {
				heard = true
				c.m.carry(b, f.Body)
			}
		}
		if !heard && f.To != All && !slices.Contains(unheard, f.To) {
			unheard = append(unheard, f.To)
		}
	}
	if unheard != nil && !s.options.Deaf {
		return &UnheardError{unheard}
	}
	return nil
}

func (c memoryChannels) Pull(ctx context.Context, id string) (Inbox, error) {
	if err := errors.Join(CheckNamespace(c.m.namespace), CheckID(id)); err != nil {
		return nil, err
	}
	s := c.m.store
	s.mu.Lock()
	named := c.m.joined
	s.mu.Unlock()
	if !named {
		c.m.become(id)
	}
	if err := c.m.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	b := &memoryInbox{of: c.m, id: id, note: make(chan struct{}, 1)}
	sp := s.space(c.m.namespace)
	sp.inboxes = append(sp.inboxes, b)
	return b, nil
}

// carry brings one body to one Inbox, as far as faults let it. The caller holds
// the store's lock.
func (m *memoryMesh) carry(b *memoryInbox, body []byte) {
	s, f := m.store, m.store.faults
	s.stats.Frames++
	if m.id == b.id {
		b.put(body, 0)
		return
	}
	if s.blocked[[2]string{m.id, b.id}] {
		s.stats.Lost++
		return
	}
	if f.Loss <= 0 && f.Repeat <= 0 && f.Delay <= 0 {
		b.put(body, 0)
		return
	}
	// All is decided for every frame, so that the n-th one has the same fate
	// whatever the others'.
	dice := s.dice(chanceKey{m.namespace, m.id, b.id})
	lost, twice := dice.Float64() < f.Loss, dice.Float64() < f.Repeat
	late, later := dice.Float64(), dice.Float64()
	if lost {
		s.stats.Lost++
		return
	}
	b.put(body, time.Duration(late*float64(f.Delay)))
	if twice {
		s.stats.Repeated++
		b.put(body, time.Duration(later*float64(f.Delay)))
	}
}

// drop takes Inboxes out.
func (sp *space) drop(gone func(*memoryInbox) bool) {
	sp.inboxes = slices.DeleteFunc(slices.Clone(sp.inboxes), gone)
}

// put is for a body that is late by this much. It is copied: the sender's buffer
// is not ours, and neither is what a reader does with its slice.
func (b *memoryInbox) put(body []byte, late time.Duration) {
	if b.err != nil {
		return
	}
	if b.size+len(body)+frameCost > b.of.store.options.MaxInbox {
		b.interrupt()
		return
	}
	b.size += len(body) + frameCost
	body = append(make([]byte, 0, len(body)), body...) // not nil
	if late > 0 {
		b.of.store.serial++
		b.late.push(lateFrame{time.Now().Add(late), b.of.store.serial, body})
	} else {
		b.ready = append(b.ready, body)
	}
	b.wake()
}
