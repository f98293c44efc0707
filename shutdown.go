package ape

import (
	"context"
	"math/rand/v2"
	"time"
)

// Shutdown ends the server. It takes no more clients, asks those that it has to
// come back within Options.DrainWindow (to another server, behind a load
// balancer), each at a moment of its own, waits for running calls, ends all
// sessions and returns when every goroutine that the server has started is
// gone. When ctx ends first, contexts of calls are cancelled at once and
// Shutdown returns ctx's error without waiting for calls that go on regardless.
//
// Call it before http.Server.Shutdown, which does not know of WebSockets. Calling
// it again waits likewise.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.draining.CompareAndSwap(false, true) {
		s.announce()
	}
	s.drain(ctx)
	for _, x := range s.sessions.all() {
		code := CloseRestart
		if x.dialect == classicWire {
			code = closeAway
		}
		x.end(&CloseError{Code: code, Reason: "the server is shutting down"}, false)
	}
	s.close(&CloseError{Code: CloseRestart, Reason: "the server is shutting down"})
	s.keys.Close()
	done := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// announce asks ape.1 clients to come back within the window, and closes the
// connections of classic ones, who cannot be asked, at random moments of it.
func (s *Server) announce() {
	window := s.opt.DrainWindow
	for _, x := range s.sessions.all() {
		if x.dialect == lineWire {
			x.askAway(window, "the server is shutting down") // it stays while its calls run
			continue
		}
		s.spawn(func() {
			select {
			case <-time.After(rand.N(window)):
				if x.busy() == 0 { // else when its calls are answered, like all others
					x.end(&CloseError{Code: closeAway, Reason: "the server is shutting down"}, false)
				}
			case <-x.ctx.Done():
			}
		})
	}
}

// drain waits until no connection and no call is left, at most for the window
// and for as long as calls run, and never longer than ctx.
func (s *Server) drain(ctx context.Context) {
	window := time.NewTimer(s.opt.DrainWindow)
	defer window.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	over := false
	for {
		attached, running := s.load()
		if running == 0 && (over || attached == 0) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-window.C:
			over = true
		case <-tick.C:
		}
	}
}

// load counts connected sessions and running calls.
func (s *Server) load() (attached, running int) {
	s.sessions.each(func(x *session) {
		x.mu.Lock()
		if x.conn != nil || len(x.streams) > 0 {
			attached++
		}
		x.mu.Unlock()
		running += x.busy()
	})
	return attached, running
}

// busy counts the calls that have not been answered.
func (s *session) busy() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls.running + len(s.calls.waiting) + int(s.answering.Load())
}
