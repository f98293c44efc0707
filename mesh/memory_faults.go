package mesh

import "time"

// SetFaults replaces what goes wrong all the time.
func (s *Memory) SetFaults(f MemoryFaults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Cut breaks the connections of the members named, or of all when none is. What
// is under way to them is lost; their Inboxes say ErrInterrupted and go on.
func (s *Memory) Cut(members ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each(members, func(b *memoryInbox) { b.interrupt() })
}

// Block loses all frames from one member to another, until Unblock.
func (s *Memory) Block(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked[[2]string{from, to}] = true
}

// Unblock ends Block.
func (s *Memory) Unblock(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blocked, [2]string{from, to})
}

// Pause lets every call that a member makes wait, as if its process were
// stopped, until Resume. Frames to it are kept as long as its Inbox has room.
func (s *Memory) Pause(member string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused[member] == nil {
		s.paused[member] = make(chan struct{})
	}
}

// Resume ends Pause.
func (s *Memory) Resume(member string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.paused[member]; wait != nil {
		close(wait)
		delete(s.paused, member)
	}
}

// Kill ends a member as a crash would: its calls fail from now on, those that
// wait as well, and its record and rows stay. A Mesh that uses the ID for the
// first time after that is a new process.
func (s *Memory) Kill(member string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills[member]++
	s.each([]string{member}, func(b *memoryInbox) { b.fail(errMemoryKilled) })
	for _, sp := range s.spaces {
		sp.drop(func(b *memoryInbox) bool { return b.id == member })
	}
	if wait := s.paused[member]; wait != nil {
		close(wait) // they fail now
		delete(s.paused, member)
	}
}

// Stop takes the store away from the members named, or from all when none is:
// calls fail, Inboxes end. The store keeps its records and rows, and leases run
// out.
func (s *Memory) Stop(members ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(members) == 0 {
		s.stopped = true
	}
	for _, id := range members {
		s.away[id] = true
	}
	s.each(members, func(b *memoryInbox) { b.fail(errMemoryAway) })
}

// Start ends Stop for the members named. When none is, it ends every Stop.
func (s *Memory) Start(members ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(members) == 0 {
		s.stopped = false
		clear(s.away)
	}
	for _, id := range members {
		delete(s.away, id)
	}
}

// Wipe empties the store: records, rows and keys are gone. Inboxes stay.
func (s *Memory) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range s.spaces {
		sp.key = nil
		clear(sp.records)
		clear(sp.rows)
	}
}

// Advance moves the store's clock forward, and nobody else's.
func (s *Memory) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew += d
}

// each calls f for the Inboxes of these members, or of all when none is named.
func (s *Memory) each(members []string, f func(*memoryInbox)) {
	for _, sp := range s.spaces {
		for _, b := range sp.inboxes {
			hit := len(members) == 0
			for _, id := range members {
				hit = hit || id == b.id
			}
			if hit {
				f(b)
			}
		}
	}
}
