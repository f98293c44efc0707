package ape

import (
	"cmp"
	"crypto/subtle"
	"strings"
	"sync"
)

// registry finds the sessions of a server.
type registry struct {
	mu      sync.RWMutex
	byID    map[string]*session
	byToken map[string]*session // ape.1, by secret
	shared  map[string]*session // classic streaming, by browser and identity
	browser map[string]int      // sessions of each apeClientId cookie
	streams map[string]int      // open GETs of each of them, over HTTP/1
}

func (r *registry) init() {
	r.byID, r.byToken = map[string]*session{}, map[string]*session{}
	r.shared, r.browser = map[string]*session{}, map[string]int{}
	r.streams = map[string]int{}
}

// add makes a session findable. It returns a refusal above the limits.
func (r *registry) add(s *session) *Error {
	opt := &s.server.opt
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.byID) >= opt.MaxClients:
		return Errorf(Unavailable, "the server has %d clients, which is its limit (Options.MaxClients)", opt.MaxClients)
	case s.cookie != "" && r.browser[s.cookie] >= opt.MaxClientsPerBrowser:
		return Errorf(Busy, "this browser has %d sessions, which is the limit (Options.MaxClientsPerBrowser)", opt.MaxClientsPerBrowser)
	}
	r.byID[s.id] = s
	if s.secret != "" {
		r.byToken[s.secret] = s
	}
	if s.cookie != "" {
		r.browser[s.cookie]++
	}
	return nil
}

func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID[s.id] != s {
		return
	}
	delete(r.byID, s.id)
	delete(r.byToken, s.secret)
	if r.browser[s.cookie]--; r.browser[s.cookie] <= 0 {
		delete(r.browser, s.cookie)
	}
}

func (r *registry) find(id string) *session {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

// token finds the session of a resume token, server.secret.
func (r *registry) token(token string) *session {
	secret := token[strings.LastIndexByte(token, '.')+1:]
	r.mu.RLock()
	s := r.byToken[secret]
	r.mu.RUnlock()
	if s == nil || subtle.ConstantTimeCompare([]byte(s.token()), []byte(token)) != 1 {
		return nil
	}
	return s
}

// join returns the classic streaming session of a key, or puts s there when
// there is none. mine tells which.
func (r *registry) join(key string, s *session) (_ *session, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.shared[key]; old != nil {
		return old, false
	}
	if s != nil {
		r.shared[key] = s
	}
	return s, true
}

// leave undoes join.
func (r *registry) leave(key string, s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shared[key] == s {
		delete(r.shared, key)
	}
}

// manyStreams open GETs of one browser leave too few of its six HTTP/1.1
// connections for anything else.
const manyStreams = 4

// openStream counts an open GET until closeStream, and reports whether the
// browser has too many.
func (r *registry) openStream(cookie string, major int) (crowded bool) {
	if cookie == "" || major > 1 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams[cookie]++
	return r.streams[cookie] >= manyStreams
}

func (r *registry) closeStream(cookie string, major int) {
	if cookie == "" || major > 1 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams[cookie]--; r.streams[cookie] <= 0 {
		delete(r.streams, cookie)
	}
}

func (r *registry) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.byID)
}

// all is a copy, for what may call back.
func (r *registry) all() []*session {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := make([]*session, 0, len(r.byID))
	for _, s := range r.byID {
		list = append(list, s)
	}
	return list
}

// each calls f under the registry's lock: f must not wait nor come back here.
func (r *registry) each(f func(*session)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.byID {
		f(s)
	}
}

// longest is the session that keeps the most bytes: of the detached ones, and
// of the others when those keep nothing. Nil when nobody keeps any.
func (r *registry) longest() *session {
	var longest [2]*session
	var most [2]int
	r.each(func(s *session) {
		kept, attached := s.kept()
		i := 0
		if attached {
			i = 1
		}
		if kept > most[i] {
			longest[i], most[i] = s, kept
		}
	})
	return cmp.Or(longest[0], longest[1])
}
