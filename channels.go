package ape

import (
	"container/list"
	"sync"
)

// membership says who made a session a subscriber.
type membership byte

const (
	byClient membership = 1 << iota
	byServer
)

// hub holds the channels that have subscribers or a last value.
type hub struct {
	mu       sync.RWMutex
	channels map[string]*channel
	kept     *list.List // of *channel with a last value, newest first
	limit    int        // of kept
}

// channel is one of them. Everything that must stand in one order (who is a
// subscriber, the last value, what is queued) happens under its mu, so that a
// new subscriber gets the last value and then every later message.
type channel struct {
	name string

	mu   sync.Mutex
	subs map[*session]struct{}
	last *push
	gone bool // no longer in the hub: look it up again

	place *list.Element // in kept; the hub's mu guards it
}

func (h *hub) init(limit int) {
	h.channels, h.kept, h.limit = map[string]*channel{}, list.New(), limit
}

// lock finds a channel, makes it when create is set, and locks it. Nil when
// there is none.
func (h *hub) lock(name string, create bool) *channel {
	for {
		h.mu.RLock()
		c := h.channels[name]
		h.mu.RUnlock()
		if c == nil {
			if !create {
				return nil
			}
			c = h.create(name)
		}
		c.mu.Lock()
		if !c.gone {
			return c
		}
		c.mu.Unlock()
	}
}

func (h *hub) create(name string) *channel {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.channels[name]
	if c == nil {
		c = &channel{name: name}
		h.channels[name] = c
	}
	return c
}

// tidy removes a channel that holds nothing any more. No lock is held.
func (h *hub) tidy(c *channel) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.subs) == 0 && c.last == nil && !c.gone {
		c.gone = true
		delete(h.channels, c.name)
	}
}

// subscribe makes s a subscriber. answered, if not nil, queues the answer to a
// client's request, which comes before any message of the channel; last asks
// for the last value behind it.
func (h *hub) subscribe(s *session, name string, by membership, answered func(), last bool) error {
	c := h.lock(name, true)
	err := s.join(name, by)
	if err != nil {
		c.mu.Unlock()
		h.tidy(c)
		return err
	}
	defer c.mu.Unlock()
	if c.subs == nil {
		c.subs = map[*session]struct{}{}
	}
	c.subs[s] = struct{}{}
	if answered != nil {
		answered()
	}
	if last && c.last != nil {
		s.pushLast(c.last)
	}
	return nil
}

// unsubscribe takes back what by names; the subscription ends when nothing is
// left of it. answered runs in either case, behind the channel's last message;
// with none to end only for a client's own request.
func (h *hub) unsubscribe(s *session, name string, by membership, answered func()) {
	c := h.lock(name, false)
	was, now := s.part(name, by)
	if c == nil {
		if was == 0 && by == byClient && answered != nil {
			answered()
		}
		return
	}
	if now == 0 {
		delete(c.subs, s)
	}
	if answered != nil && (was != 0 || by == byClient) {
		answered()
	}
	empty := len(c.subs) == 0 && c.last == nil
	c.mu.Unlock()
	if empty {
		h.tidy(c)
	}
}

// forget ends all subscriptions of a session, for good.
func (h *hub) forget(s *session) {
	s.subsMu.Lock()
	names := s.subs
	s.subs, s.left = nil, true
	s.subsMu.Unlock()
	for name := range names {
		c := h.lock(name, false)
		if c == nil {
			continue
		}
		delete(c.subs, s)
		empty := len(c.subs) == 0 && c.last == nil
		c.mu.Unlock()
		if empty {
			h.tidy(c)
		}
	}
}

// publish queues p for every subscriber and keeps it as the last value. The
// result tells who could not take it, and why.
func (h *hub) publish(p *push) (missed map[*session]error) {
	c := h.lock(p.name, h.limit > 0)
	if c == nil {
		return nil
	}
	for s := range c.subs {
		if err := s.push(p); err != nil {
			if missed == nil {
				missed = map[*session]error{}
			}
			missed[s] = err
		}
	}
	if h.limit > 0 {
		p.data = nil
		c.last = p
	}
	c.mu.Unlock()
	if h.limit > 0 {
		h.keep(c)
	}
	return missed
}

// subscribers is a copy, for hooks that must not run under a lock.
func (h *hub) subscribers(name string) []*session {
	c := h.lock(name, false)
	if c == nil {
		return nil
	}
	defer c.mu.Unlock()
	all := make([]*session, 0, len(c.subs))
	for s := range c.subs {
		all = append(all, s)
	}
	return all
}

// keep notes that c's last value is the newest, and drops the oldest above the
// limit.
func (h *hub) keep(c *channel) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.mu.Lock()
	dropped := c.last == nil // by other publishers, while nobody held c
	c.mu.Unlock()
	if dropped {
		return
	}
	if c.place != nil {
		h.kept.MoveToFront(c.place)
		return
	}
	c.place = h.kept.PushFront(c)
	if h.kept.Len() <= h.limit {
		return
	}
	old := h.kept.Remove(h.kept.Back()).(*channel)
	old.place = nil
	old.mu.Lock()
	defer old.mu.Unlock()
	old.last = nil
	if len(old.subs) == 0 {
		old.gone = true
		delete(h.channels, old.name)
	}
}

// size counts the channels.
func (h *hub) size() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.channels)
}

// join notes a subscription at the session.
func (s *session) join(name string, by membership) error {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	if s.left {
		return ErrGone
	}
	limit := s.server.opt.MaxSubscriptions
	if s.subs[name] == 0 && len(s.subs) >= limit {
		return Errorf(Busy, "the client has %d subscriptions, which is the limit; end some first", limit)
	}
	if s.subs == nil {
		s.subs = map[string]membership{}
	}
	s.subs[name] |= by
	return nil
}

// part takes by from a subscription and returns what was and what is left.
func (s *session) part(name string, by membership) (was, now membership) {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	was = s.subs[name]
	now = was &^ by
	if now == 0 {
		delete(s.subs, name)
	} else {
		s.subs[name] = now
	}
	return was, now
}

// member reports whether the session has a subscription, whoever made it.
func (s *session) member(name string) bool {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	return s.subs[name] != 0
}
