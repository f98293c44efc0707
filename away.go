package ape

// A client that has lost its connection is away: its session goes on, and most
// often it is back within a second.

// away is what OnAway was told of a session. The session's mu guards it.
type away struct {
	told    bool // that it is away
	telling bool
}

// noteAway sees to it that OnAway learns how the session stands. It is called
// when a connection has come or gone; mu is held.
func (s *session) noteAway() {
	if s.server.opt.OnAway == nil || !s.open || s.away.telling {
		return
	}
	s.away.telling = s.later(s.tellAway)
}

// tellAway calls OnAway until it knows. It is a job of the session: what changes
// meanwhile is told in order, and what has changed back is not told at all.
func (s *session) tellAway() {
	for {
		s.mu.Lock()
		is := s.conn == nil && len(s.streams) == 0
		if s.ended || is == s.away.told {
			s.away.telling = false
			s.mu.Unlock()
			return
		}
		s.away.told = is
		s.mu.Unlock()
		s.server.guard("OnAway", func() { s.server.opt.OnAway(&s.client, is) })
	}
}

// volatileBytes is how far a client may be behind and still get what is volatile.
const volatileBytes = 16 << 10

// keepsUp reports whether what is sent now reaches the client soon.
func (s *session) keepsUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		return len(s.streams) > 0
	}
	_, waits := s.out.Bytes()
	return s.conn != nil && waits <= volatileBytes
}
