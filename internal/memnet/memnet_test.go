package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/memnet"
)

func TestPipeCarriesBytesInOrderBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(1000)
		want := make([]byte, 100_000)
		for i := range want {
			want[i] = byte(rand.Uint32())
		}
		var wg sync.WaitGroup
		for _, ends := range [][2]*memnet.Conn{{a, b}, {b, a}} {
			from, to := ends[0], ends[1]
			wg.Go(func() {
				if n, err := from.Write(want); n != len(want) || err != nil {
					t.Errorf("write: %d, %v", n, err)
				}
				from.CloseWrite()
			})
			wg.Go(func() {
				got, err := io.ReadAll(to)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("read %d bytes of %d, %v", len(got), len(want), err)
				}
			})
		}
		wg.Wait()
		a.Close()
		b.Close()
	})
}

func TestPipeWriterNeedsNoReaderUntilFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(10)
		if n, err := a.Write(make([]byte, 10)); n != 10 || err != nil {
			t.Fatalf("write into an empty buffer: %d, %v", n, err)
		}
		wrote := make(chan int, 1)
		go func() {
			n, _ := a.Write(make([]byte, 15))
			wrote <- n
		}()
		synctest.Wait()
		if len(wrote) != 0 {
			t.Fatal("a write of 15 bytes into a full buffer of 10 has returned")
		}
		if n, err := io.ReadFull(b, make([]byte, 25)); n != 25 || err != nil {
			t.Fatalf("read: %d, %v", n, err)
		}
		if n := <-wrote; n != 15 {
			t.Errorf("write returned %d", n)
		}
	})
}

func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(10)
		start := time.Now()
		b.SetReadDeadline(start.Add(3 * time.Second))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("read: %v after %s", err, time.Since(start))
		}
		var timeout net.Error
		if _, err := b.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read behind the deadline: %v", err)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write(make([]byte, 25)); n != 10 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %d, %v", n, err)
		}
		b.SetReadDeadline(time.Time{})
		if n, err := b.Read(make([]byte, 100)); n != 10 || err != nil {
			t.Errorf("read without deadline: %d, %v", n, err)
		}
		// Set while somebody waits.
		failed := make(chan error, 1)
		go func() {
			_, err := b.Read(make([]byte, 1))
			failed <- err
		}()
		synctest.Wait()
		b.SetDeadline(time.Now().Add(-time.Second))
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read whose deadline was moved into the past: %v", err)
		}
	})
}

func TestPipeEnds(t *testing.T) {
	t.Run("close", func(t *testing.T) {
		a, b := memnet.Pipe(0)
		a.Write([]byte("last"))
		a.Close()
		if got, err := io.ReadAll(b); string(got) != "last" || err != nil {
			t.Errorf("the other end read %q, %v", got, err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write to a closed end: %v", err)
		}
		if _, err := a.Read(make([]byte, 1)); err != net.ErrClosed {
			t.Errorf("read from a closed end: %v", err)
		}
		if _, err := a.Write([]byte("x")); err != net.ErrClosed {
			t.Errorf("write from a closed end: %v", err)
		}
	})
	t.Run("half close", func(t *testing.T) {
		a, b := memnet.Pipe(0)
		a.CloseWrite()
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read: %v", err)
		}
		b.Write([]byte("x"))
		if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("the other direction: %d, %v", n, err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		a, b := memnet.Pipe(0)
		a.Write([]byte("lost"))
		a.Reset()
		for _, c := range []*memnet.Conn{a, b} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read: %v", err)
			}
			if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("write: %v", err)
			}
		}
	})
	t.Run("close wakes who waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := memnet.Pipe(1)
			b.Write([]byte("x"))
			errs := make(chan error, 2)
			go func() { _, err := b.Write([]byte("y")); errs <- err }()
			go func() { _, err := b.Read(make([]byte, 1)); errs <- err }()
			synctest.Wait()
			b.Close()
			for range 2 {
				if err := <-errs; err != net.ErrClosed {
					t.Error(err)
				}
			}
			a.Close()
		})
	})
}

func TestStallHonoursDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(0)
		a.Stall()
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("stalled write: %d, %v", n, err)
		}
		a.SetWriteDeadline(time.Time{})
		go func() { time.Sleep(time.Minute); a.Resume() }()
		start := time.Now()
		if n, err := a.Write([]byte("x")); n != 1 || err != nil || time.Since(start) != time.Minute {
			t.Errorf("write: %d, %v after %s", n, err, time.Since(start))
		}
		b.Close()
		a.Close()
	})
}

func TestFaultyCuts(t *testing.T) {
	for _, reset := range []bool{false, true} {
		a, b := memnet.Pipe(0)
		f := memnet.NewFaulty(a, memnet.Faults{CutAfter: 7, WithReset: reset, Piece: 3})
		n1, err1 := f.Write([]byte("12345"))
		n2, err2 := f.Write([]byte("67890"))
		if n1 != 5 || err1 != nil || n2 != 2 || err2 != net.ErrClosed || f.Written() != 7 {
			t.Errorf("writes: %d, %v; %d, %v; %d in all", n1, err1, n2, err2, f.Written())
		}
		got, err := io.ReadAll(b)
		if want := map[bool]string{false: "1234567", true: ""}[reset]; string(got) != want || errors.Is(err, syscall.ECONNRESET) != reset {
			t.Errorf("reset %v: the other end read %q, %v", reset, got, err)
		}
	}
	a, b := memnet.Pipe(0)
	f := memnet.NewFaulty(a, memnet.Faults{CutReads: 4})
	b.Write([]byte("12345"))
	got := make([]byte, 10)
	if n, err := f.Read(got); n != 4 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if _, err := f.Read(got); err != net.ErrClosed {
		t.Errorf("read behind the cut: %v", err)
	}
}

// pieces counts the writes that reach the other end.
func TestFaultyPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(2)
		f := memnet.NewFaulty(a, memnet.Faults{Piece: 2})
		go f.Write([]byte("abcde"))
		for _, want := range []string{"ab", "cd", "e"} {
			synctest.Wait()
			p := make([]byte, 10)
			if n, err := b.Read(p); string(p[:n]) != want || err != nil {
				t.Errorf("read %q, %v, want %q", p[:n], err, want)
			}
		}
	})
}

func TestFaultyHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe(0)
		f := memnet.NewFaulty(a, memnet.Faults{})
		f.HalfOpen()
		if n, err := f.Write(make([]byte, 1<<20)); n != 1<<20 || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
		b.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %d, %v", n, err)
		}
	})
}

func TestListenerServesHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := memnet.Listen()
		hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			w.Write(append([]byte("got "), b...))
		})}
		go hs.Serve(ln)
		client := ln.HTTPClient()
		for range 3 {
			res, err := client.Post("http://memnet/", "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if string(b) != "got hello" {
				t.Errorf("got %q", b)
			}
		}
		client.CloseIdleConnections()
		hs.Close()
		ln.Close()
		if _, err := ln.Dial(t.Context()); err != net.ErrClosed {
			t.Errorf("dial behind close: %v", err)
		}
		if _, err := ln.Accept(); err != net.ErrClosed {
			t.Errorf("accept behind close: %v", err)
		}
		if _, err := client.Get("http://memnet/"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("get behind close: %v", err)
		}
	})
}

func TestDialEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := memnet.Listen().Dial(ctx); err != context.DeadlineExceeded {
			t.Errorf("nobody accepts: %v", err)
		}
	})
}

func TestListenerWrapsTheServersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := memnet.Listen()
		ln.Buffer(8)
		ln.Wrap(func(c *memnet.Conn) net.Conn { return memnet.NewFaulty(c, memnet.Faults{CutAfter: 3}) })
		go func() {
			c, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			c.Write([]byte("hello"))
		}()
		c, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); string(b) != "hel" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
		c.Close()
	})
}
