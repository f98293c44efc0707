package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/memnet"
	"github.com/goape/ape/internal/transport"
)

// The rules of writing to a WebSocket, by their numbers in the design.

func TestRule01BytesBehindTheHandshakeAreRead(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		var glued []byte
		want := 0
		for i := range 100 { // more than the small reader holds
			line := fmt.Sprintf("%d early, behind the handshake\n", i)
			glued = append(glued, message(line)...)
			want += len(line)
		}
		c, _ := v.dial("", glued...)
		got := ""
		for len(got) < want {
			_, p, err := c.next(time.Second)
			if err != nil {
				t.Fatalf("%d of %d bytes: %v", len(got), want, err)
			}
			got += p
		}
		for i, line := range strings.SplitAfter(strings.TrimSuffix(got, "\n"), "\n") {
			if !strings.HasPrefix(line, fmt.Sprint(i, " ")) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
	})
}

func TestRule02TheWriteLockLetsTheClockMove(t *testing.T) {
	inside(t, setup{buffer: 200}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		s.out.Append(text(strings.Repeat("x", 1000)), false)
		synctest.Wait() // the writer is stuck and holds the lock
		start := time.Now()
		c.Write(masked(true, opClose, "\x03\xe8")) // the close answer waits for the lock
		<-s.gone
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("a stuck writer and a close answer behind it were gone after %s", d)
		}
	})
}

func TestRule02ClosingNeedsNoLock(t *testing.T) {
	inside(t, setup{buffer: 200}, func(t *testing.T, v *world) {
		_, s := v.dial("")
		s.out.Append(text(strings.Repeat("x", 1000)), false)
		synctest.Wait()
		start := time.Now()
		s.w.Abort()
		<-s.gone
		if d := time.Since(start); d != 0 {
			t.Errorf("closing beside a stuck write took %s", d)
		}
	})
}

func TestRule03TheOriginIsNotCheckedAgain(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, _ := v.dial("Origin: https://elsewhere.test\r\n")
		if c.status != http.StatusSwitchingProtocols {
			t.Errorf("status %d", c.status)
		}
	})
}

func TestRule03NothingIsCompressed(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, _ := v.dial("Sec-WebSocket-Extensions: permessage-deflate\r\n")
		if got := c.header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("negotiated %q", got)
		}
	})
}

func TestRule04PingsAreLeftToTheWriter(t *testing.T) {
	var read atomic.Int32
	handle := func(*session, []byte) { read.Add(1) }
	inside(t, setup{buffer: 200, handle: handle}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		s.out.Append(text(strings.Repeat("x", 1000)), false) // not read for 6 s
		synctest.Wait()
		c.Write(masked(true, opPing, "beat"))
		c.Write(message("a call"))
		time.Sleep(6 * time.Second)
		if read.Load() != 1 {
			t.Error("the message behind a ping that could not be answered was not read")
		}
		c.wants(t, "1000 bytes", "pong beat")
	})
}

func TestRule04OnlyTheLastPingIsAnswered(t *testing.T) {
	inside(t, setup{buffer: 200}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		s.out.Append(text(strings.Repeat("x", 1000)), false)
		synctest.Wait()
		for i := range 10_000 {
			c.Write(masked(true, opPing, fmt.Sprint(i)))
		}
		synctest.Wait()
		s.out.Append(text("data\n"), false)
		c.wants(t, "1000 bytes", "pong 9999", "data\n", "silence")
	})
}

func TestRule04OurPingsAreFramesOfOurOwn(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		s.w.Ping()
		c.wants(t, "ping")
		heard := s.Heard()
		time.Sleep(time.Minute)
		c.Write(masked(true, opPong, ""))
		synctest.Wait()
		if got := s.Heard().Sub(heard); got != time.Minute {
			t.Errorf("the pong was heard %s later", got)
		}
	})
}

// sizes is a connection that reports the length of every Write.
type sizes struct {
	net.Conn
	seen chan int
}

func (c sizes) Write(p []byte) (int, error) {
	select {
	case c.seen <- len(p):
	default:
	}
	return c.Conn.Write(p)
}

func drained(c chan int) (all []int) {
	for len(c) > 0 {
		all = append(all, <-c)
	}
	return all
}

func TestRule05ACloseAnswerIsOneWrite(t *testing.T) {
	seen := make(chan int, 100)
	wrap := func(c *memnet.Conn) net.Conn { return sizes{c, seen} }
	inside(t, setup{wrap: wrap}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		drained(seen)
		reason := strings.Repeat("x", 100)
		c.Write(masked(true, opClose, "\x03\xe8"+reason))
		c.wants(t, "close 1000 "+reason, "end")
		<-s.gone
		if got := drained(seen); len(got) != 1 || got[0] != 104 {
			t.Errorf("a close frame of 104 bytes left in writes of %v", got)
		}
		var code *transport.CloseError
		if !errors.As(s.err, &code) || code.Code != 1000 {
			t.Errorf("got %v", s.err)
		}
	})
}

func TestRule05NothingFollowsOurCloseFrame(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		s.out.Append(text("before\n"), false)
		s.w.End(4000, "restart", []byte("q\n"), false)
		s.out.Append(text("late\n"), false)
		s.w.Control([]byte("p\n"))
		s.w.Pong([]byte("late"))
		s.w.Ping()
		s.w.End(4101, "again", nil, true)
		time.Sleep(time.Second)
		s.out.Append(text("later\n"), true)
		c.wants(t, "before\n", "q\n", "close 4000 restart")
		c.Write(masked(true, opClose, "\x0f\xa0"))
		c.wants(t, "end") // no second close frame
	})
}

func TestRule05NothingFollowsTheCloseAnswer(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		c.Write(masked(true, opClose, "\x0f\xa0"))
		c.wants(t, "close 4000")
		s.out.Append(text("late\n"), false)
		s.w.End(4000, "", nil, false)
		c.wants(t, "end")
		if s.out.Ack(1) {
			t.Error("a frame behind the close frame counts as written")
		}
	})
}

func TestRule05NothingFollowsTheCloseFrameOfAnError(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		c.Write(masked(true, 7, "no such opcode"))
		if got := c.say(time.Second); !strings.HasPrefix(got, "close 1002") {
			t.Fatalf("got %q", got)
		}
		s.out.Append(text("late\n"), false)
		start := time.Now()
		// What follows is no frame, and is read still: a connection that is
		// closed before is reset, and the peer may not see the close frame.
		if _, err := c.Write([]byte(strings.Repeat("\xff", 1<<20))); err != nil {
			t.Error(err)
		}
		c.wants(t, "end")
		<-s.gone
		if s.err != transport.ErrProtocol {
			t.Errorf("Next returned %v", s.err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("gone after %s", d)
		}
	})
}

func TestRule05ASilentPeerIsGoneAfterTheCloseTimeout(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, s := v.dial("")
		start := time.Now()
		s.w.End(4000, "", nil, false)
		c.wants(t, "close 4000") // and never answers it
		<-s.gone
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("gone after %s", d)
		}
	})
}

func TestRule06LongMessagesAreReadWhole(t *testing.T) {
	var size atomic.Int64
	handle := func(s *session, m []byte) { size.Store(int64(len(m))) }
	inside(t, setup{handle: handle}, func(t *testing.T, v *world) {
		c, _ := v.dial("")
		c.Write(message(strings.Repeat("x", 3<<20)))
		synctest.Wait()
		if size.Load() != 3<<20 {
			t.Errorf("read %d bytes", size.Load())
		}
	})
}

func TestRule06OfAMessageThatIsRefusedTheRestIsReadAndDropped(t *testing.T) {
	o := setup{most: 100_000}
	o.code = func(err error) int {
		if err == transport.ErrTooBig {
			return 4102
		}
		return 0
	}
	inside(t, o, func(t *testing.T, v *world) {
		c, s := v.dial("")
		c.Write(message(strings.Repeat("x", 100_000)))
		c.wants(t, "100000 bytes")
		// The peer can send all of it, and a message behind it, and still
		// reads the code.
		for _, n := range []int{8 << 20, 10} {
			if _, err := c.Write(message(strings.Repeat("y", n))); err != nil {
				t.Fatal(err)
			}
		}
		c.wants(t, "close 4102")
		c.Write(masked(true, opClose, "\x10\x06"))
		c.wants(t, "end")
		<-s.gone
		if s.err != transport.ErrTooBig {
			t.Errorf("reading failed with %v", s.err)
		}
	})
}

func TestRule07WhatWasHeldBackLeavesBeforeTheReaderWaits(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, _ := v.dial("")
		start := time.Now()
		second := message("two\n")
		c.Write(append(message("one\n"), second[:8]...)) // a frame and a half
		go func() { time.Sleep(30 * time.Second); c.Write(second[8:]) }()
		c.wants(t, "one\n")
		if d := time.Since(start); d != 0 {
			t.Errorf("the first answer left after %s", d)
		}
		time.Sleep(time.Minute)
		c.wants(t, "two\n")
	})
}

func TestRule07AnswersToOneReadLeaveTogether(t *testing.T) {
	seen := make(chan int, 100)
	wrap := func(c *memnet.Conn) net.Conn { return sizes{c, seen} }
	// Even an appender that may write itself waits for the reader.
	handle := func(s *session, m []byte) { s.out.Append(text(string(m)), true) }
	inside(t, setup{wrap: wrap, handle: handle}, func(t *testing.T, v *world) {
		c, _ := v.dial("")
		drained(seen)
		var calls []byte
		for range 20 {
			calls = append(calls, message("call\n")...)
		}
		c.Write(calls)
		c.wants(t, strings.Repeat("call\n", 20))
		if got := drained(seen); len(got) != 1 {
			t.Errorf("20 answers left in writes of %v bytes", got)
		}
	})
}

func TestRule08AContextOfTheRequestEndsNothing(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, v *world) {
		c, _ := v.dial("") // ServeHTTP has returned, which ends the context
		time.Sleep(time.Hour)
		c.Write(message("still there\n"))
		c.wants(t, "still there\n")
	})
}

func TestRule08AnIdlePeerGetsACloseFrame(t *testing.T) {
	o := setup{options: transport.SocketOptions{Idle: time.Minute}}
	o.code = func(err error) int {
		if err == transport.ErrIdle {
			return 4001
		}
		return 0
	}
	inside(t, o, func(t *testing.T, v *world) {
		c, s := v.dial("")
		for range 20 { // not idle
			time.Sleep(50 * time.Second)
			c.Write(masked(true, opPong, ""))
		}
		start := time.Now()
		if got := c.say(2 * time.Minute); got != "close 4001" {
			t.Fatalf("got %q", got)
		}
		if d := time.Since(start); d < time.Minute || d > 70*time.Second {
			t.Errorf("idle after %s", d)
		}
		c.Write(masked(true, opClose, "\x0f\xa1"))
		c.wants(t, "end")
		<-s.gone
	})
}

func TestRule12ACutMessageIsNoMessage(t *testing.T) {
	whole := message(strings.Repeat("x", 600))
	for name, sent := range map[string][]byte{
		"half a frame":   whole[:520],
		"header only":    whole[:8],
		"first fragment": masked(false, opText, "a whole line\n"),
		"nothing":        nil,
	} {
		t.Run(name, func(t *testing.T) {
			handle := func(_ *session, m []byte) { t.Errorf("got a message of %d bytes", len(m)) }
			inside(t, setup{handle: handle}, func(t *testing.T, v *world) {
				c, s := v.dial("")
				c.Write(sent)
				c.CloseWrite()
				<-s.gone
				if s.err != transport.ErrLost {
					t.Errorf("got %v", s.err)
				}
				if _, _, err := s.Next(); err == nil || errors.Is(err, io.EOF) {
					t.Errorf("behind it: %v", err)
				}
			})
		})
	}
}
