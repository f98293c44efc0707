package memnet_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/memnet"
)

func TestDelayMakesBytesLateAndKeepsTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(0)
		start := time.Now()
		a.Delay(3 * time.Second)
		a.Write([]byte("ab"))
		time.Sleep(time.Second)
		a.Write([]byte("cd"))
		a.Delay(time.Millisecond)
		a.Write([]byte("ef")) // faster, but behind
		a.Delay(0)
		a.Write([]byte("gh"))
		a.Close()
		for _, want := range []struct {
			text  string
			after time.Duration
		}{{"ab", 3 * time.Second}, {"cdefgh", 4 * time.Second}} {
			p := make([]byte, 10)
			n, err := b.Read(p)
			if string(p[:n]) != want.text || err != nil || time.Since(start) != want.after {
				t.Errorf("read %q, %v after %s, want %q after %s", p[:n], err, time.Since(start), want.text, want.after)
			}
		}
		if _, err := b.Read(make([]byte, 1)); err != io.EOF || time.Since(start) != 4*time.Second {
			t.Errorf("the end: %v after %s", err, time.Since(start))
		}
	})
}

func TestDelayedReadsHonourDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(0)
		a.Delay(time.Minute)
		a.Write([]byte("x"))
		b.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		b.SetReadDeadline(time.Time{})
		if n, err := b.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read: %d, %v", n, err)
		}
	})
}

func TestDelayedEndIsNoticedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(0)
		start := time.Now()
		a.Delay(time.Second)
		a.Close()
		if n, err := b.Write([]byte("too late")); n != 8 || err != nil {
			t.Errorf("write before the news has come: %d, %v", n, err)
		}
		if _, err := b.Read(make([]byte, 1)); err != io.EOF || time.Since(start) != time.Second {
			t.Errorf("read: %v after %s", err, time.Since(start))
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write behind the news: %v", err)
		}
	})
}

func TestLimitPacesEachDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(0)
		a.Limit(1000)
		start := time.Now()
		for _, ends := range [][2]*memnet.Conn{{a, b}, {b, a}} {
			ends[0].Write(make([]byte, 10_000))
		}
		for _, c := range []*memnet.Conn{a, b} {
			if _, err := io.ReadFull(c, make([]byte, 5000)); err != nil || time.Since(start) != 5*time.Second {
				t.Errorf("half: %v after %s", err, time.Since(start))
			}
		}
		if _, err := io.ReadFull(b, make([]byte, 5000)); err != nil || time.Since(start) != 10*time.Second {
			t.Errorf("all: %v after %s", err, time.Since(start))
		}
		a.Limit(0)
		a.Write(make([]byte, 10_000))
		if _, err := io.ReadFull(b, make([]byte, 10_000)); err != nil || time.Since(start) != 10*time.Second {
			t.Errorf("without limit: %v after %s", err, time.Since(start))
		}
	})
}

func TestCutAfterCutsBehindTheByte(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			a, b := memnet.Pipe(0)
			a.Delay(delay)
			a.Write([]byte("before "))
			a.CutAfter(5)
			b.Write([]byte("four"))
			if n, err := a.Write([]byte("12345")); n != 5 || err != nil {
				t.Errorf("a write that just fits: %d, %v", n, err)
			}
			if n, err := a.Write([]byte("6")); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a write behind the cut: %d, %v", n, err)
			}
			if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a write of the other end: %v", err)
			}
			if a.Open() || b.Open() {
				t.Error("a cut connection is open")
			}
			for c, want := range map[*memnet.Conn]string{a: "four", b: "before 12345"} {
				got, err := io.ReadAll(c)
				if string(got) != want || !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("read %q, %v, want %q and a reset", got, err, want)
				}
			}
		})
	}
	a, b := memnet.Pipe(0)
	a.CutAfter(3)
	if n, err := b.Write([]byte("12345")); n != 3 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a write that does not fit: %d, %v", n, err)
	}
	a, b = memnet.Pipe(0)
	a.CutAfter(3)
	a.CutAfter(0)
	if n, err := b.Write([]byte("12345")); n != 5 || err != nil {
		t.Errorf("taken back: %d, %v", n, err)
	}
}

func TestDropLosesEverythingAndTellsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(10)
		a.Write([]byte("old"))
		a.Drop()
		if n, err := a.Write([]byte("1234567")); n != 7 || err != nil {
			t.Errorf("a write that fits into the buffer: %d, %v", n, err)
		}
		if n, err := b.Read(make([]byte, 10)); n != 3 || err != nil {
			t.Errorf("what was written before: %d, %v", n, err)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write([]byte("890xyz")); n != 3 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a write into a full buffer: %d, %v", n, err)
		}
		a.Close()
		b.SetReadDeadline(time.Now().Add(time.Hour))
		if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %d, %v", n, err)
		}
		if n, err := b.Write([]byte("x")); n != 1 || err != nil {
			t.Errorf("a write to an end that has closed in silence: %d, %v", n, err)
		}
		if a.Open() || !b.Open() {
			t.Errorf("open: %v and %v, want only the end that does not know", a.Open(), b.Open())
		}
		b.SetDeadline(time.Time{})
		b.Reset()
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read behind a reset: %v", err)
		}
	})
}

func TestHandGivesAConnectionThatExists(t *testing.T) {
	ln := memnet.Listen()
	a, b := memnet.Pipe(0)
	b.SetAddrs(&net.TCPAddr{Port: 1}, &net.TCPAddr{Port: 2})
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := ln.Accept()
		accepted <- c
	}()
	if err := ln.Hand(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if c := <-accepted; c != b || c.LocalAddr().String() != ":1" || c.RemoteAddr().String() != ":2" {
		t.Errorf("accepted %v: %s, %s", c, c.LocalAddr(), c.RemoteAddr())
	}
	if name := a.LocalAddr().String(); !strings.HasPrefix(name, "memnet:") {
		t.Errorf("the address of the other end is %q", name)
	}
	ln.Close()
	if err := ln.Hand(t.Context(), b); err != net.ErrClosed {
		t.Errorf("hand behind close: %v", err)
	}
}

func TestCutAndResetBehindAnEndThatWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(0)
		a.CutAfter(3)
		a.CloseWrite()
		b.Write([]byte("123"))
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("what had ended before the cut: %v", err)
		}

		a, b = memnet.Pipe(0)
		start := time.Now()
		a.Delay(time.Second)
		a.CutAfter(3)
		a.CloseWrite()
		b.Write([]byte("123"))
		if _, err := b.Read(make([]byte, 1)); err != io.EOF || time.Since(start) != time.Second {
			t.Errorf("an end that was on its way: %v after %s", err, time.Since(start))
		}

		a, b = memnet.Pipe(0)
		start = time.Now()
		a.Delay(time.Hour)
		a.CloseWrite()
		a.Reset()
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) || time.Since(start) != 0 {
			t.Errorf("a reset while the end is on its way: %v after %s", err, time.Since(start))
		}
	})
}
