package apetest

import (
	"net"
	"os"
	"syscall"
	"time"

	"github.com/goape/ape/internal/memnet"
)

// faults are those of the network that connections to come have as well.
type faults struct {
	delay    time.Duration
	rate     int
	cutAfter int64
}

func (f faults) apply(c *memnet.Conn) {
	c.Delay(f.delay)
	c.Limit(f.rate)
	c.CutAfter(f.cutAfter)
}

// Cut cuts all connections now, as a network does that died and came back: what
// is under way is lost, and both ends get syscall.ECONNRESET.
func (s *Server) Cut() {
	s.change(func(*faults) {}, (*memnet.Conn).Reset)
}

// CutAfter cuts each connection, those that exist and those to come, as soon as
// n more bytes were written in one of its directions. Those n bytes and what the
// other direction carries by then arrive; behind them both ends get
// syscall.ECONNRESET. n counts everything, HTTP headers too. 0 takes it back.
func (s *Server) CutAfter(n int64) {
	s.change(func(f *faults) { f.cutAfter = n }, func(c *memnet.Conn) { c.CutAfter(n) })
}

// Delay makes the network slow: what is written on any connection from now on
// arrives d later, in its order, and a dial takes 2d. With a d longer than
// everybody's patience, the network is silent. What is under way keeps its time
// when d changes. 0 takes it back.
func (s *Server) Delay(d time.Duration) {
	s.change(func(f *faults) { f.delay = max(0, d) }, func(c *memnet.Conn) { c.Delay(d) })
}

// Limit makes each direction of any connection carry so many bytes a second;
// a writer waits when 64 KiB are under way. 0 takes it back.
func (s *Server) Limit(bytesPerSecond int) {
	s.change(func(f *faults) { f.rate = bytesPerSecond }, func(c *memnet.Conn) { c.Limit(bytesPerSecond) })
}

// Drop makes all connections half-open for ever, as a phone does that moves to
// another network: nothing that is written from now on arrives, and neither end
// is told, not even when the other one closes. Writes succeed until 64 KiB wait
// for an acknowledgement. New connections work.
func (s *Server) Drop() {
	s.change(func(*faults) {}, (*memnet.Conn).Drop)
}

// Refuse refuses new connections with syscall.ECONNREFUSED, as a server does
// that is down; those that exist go on. Refuse(false) takes it back.
func (s *Server) Refuse(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = refuse
}

// change changes the connections to come and those that exist.
func (s *Server) change(coming func(*faults), existing func(*memnet.Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	coming(&s.network)
	for _, c := range s.conns {
		existing(c.client)
	}
}

var serverAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 80}

// errRefused is what a dial fails with where nobody listens.
var errRefused = os.NewSyscallError("connect", syscall.ECONNREFUSED)

func dialError(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: serverAddr, Err: err}
}
