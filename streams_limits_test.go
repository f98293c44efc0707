package ape_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// heapInUse is the size of the heap behind a collection.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // pools lose their content at the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAReaderThatStallsHoldsNoMoreThanTheQueue(t *testing.T) {
	const size, items = 64 << 10, 1024 // 64 MiB
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{WriteTimeout: time.Hour, Heartbeat: time.Hour})
		var yielded atomic.Int64
		blob := strings.Repeat("x", size)
		s.app.Handle("blob", ape.Stream(func(context.Context, any) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for range items {
					yielded.Add(1)
					if !yield(blob, nil) {
						return
					}
				}
			}
		}))
		p := s.pen(w, "")
		var took atomic.Int64
		p.state.Lock()
		p.sink = func(line string) {
			if strings.HasPrefix(line, "n 1 ") {
				took.Add(1)
			}
		}
		p.state.Unlock()
		synctest.Wait()
		before := heapInUse()
		p.state.Lock()
		p.gate = make(chan struct{})
		p.state.Unlock()
		p.write("c 1 blob;g=9007199254740991")
		for range 5 {
			time.Sleep(time.Minute)
			if n := yielded.Load(); n*size > 2<<20 {
				t.Fatalf("%d items were yielded, of 64 KiB each", n)
			}
			if grown := heapInUse() - before; grown > 8<<20 {
				t.Fatalf("the heap has grown by %d KiB", grown>>10)
			}
		}
		// What cannot wait has room beside it.
		if err := p.client().Send("note", strings.Repeat("x", 100<<10)); err != nil {
			t.Error(err)
		}
		p.listen()
		time.Sleep(time.Minute)
		want(t, took.Load(), items)
		want(t, s.app.Stats().Slow, 0)
		if grown := heapInUse() - before; grown > 8<<20 {
			t.Errorf("the heap has grown by %d KiB", grown>>10)
		}
	})
}

func TestStreamsTakePlacesOfTheirOwn(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxStreams: 3, MaxRunning: 1, MaxCalls: 8})
		var k counter
		s.app.Handle("count", k.stream())
		s.app.Handle("echo", ape.Func(func(_ context.Context, in any) (any, error) { return in, nil }))
		s.app.Handle("sum", sum())
		p := s.pen(w, "")
		p.asks("c 1 count;g=1 -1", "n 1 1")
		p.asks("c 3 count;g=1 -1", "n 3 1")
		p.asks("c 5 sum;i", "g 5 8")
		p.asks("c 7 count;g=1 1", "e 7 busy")
		p.asks("c 9 sum;i", "e 9 busy")
		p.asks("c 11 echo;g=1 1", "e 11 busy") // who takes a stream may get one
		p.asks("c 13 echo 13", "r 13 13")
		p.asks("x 3", "e 3 cancelled")
		p.asks("c 15 count;g=1 1", "n 15 1", "z 15")
		p.asks("c 17 nowhere;i;g=1", "e 17 not_found")
		p.asks("c 19 count;g=1 -1", "n 19 1")
		p.asks("c 21 count;g=1 1", "e 21 busy")
		want(t, k.running.Load(), 2)
	})
}

// sum adds the items that it gets.
func sum() ape.Controller {
	return ape.Collect(func(_ context.Context, items iter.Seq2[int, error]) (total int, _ error) {
		for n, err := range items {
			if err != nil {
				return 0, err
			}
			total += n
		}
		return total, nil
	})
}

func TestStreamsOfALaneFollowEachOther(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var k counter
		s.app.Handle("count", ape.Serial(k.stream()))
		s.app.Handle("free", k.stream())
		p := s.pen(w, "")
		p.asks("c 1 count;g=1 2", "n 1 1")
		p.write("c 3 count;g=9 1", "c 5 count;g=9 1", "c 7 count;g=9 1")
		p.asks("c 9 free;g=9 1", "n 9 1", "z 9")
		p.none()
		p.asks("x 5", "e 5 cancelled")
		p.asks("n 7 1", "e 7 credit") // while it waits
		p.asks("g 1 1", "n 1 2", "z 1", "n 3 1", "z 3")
		p.none()
		want(t, k.running.Load(), 0)
	})
}

func TestShutdownEndsStreamsThatHaveNoEnd(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var k counter
		s.app.Handle("count", k.stream())
		s.app.Handle("sum", sum())
		p := s.pen(w, "")
		p.asks("c 1 count;g=1 -1", "n 1 1")
		p.asks("c 3 sum;i", "g 3 8")
		asked := streamed[int](t.Context(), p.client(), nil, closed())
		p.wants("c 2 count;g=8 null")
		begin := time.Now()
		want(t, s.app.Shutdown(t.Context()), nil)
		want(t, time.Since(begin), 5*time.Second) // Options.DrainWindow
		want(t, k.running.Load(), 0)
		want(t, await(asked), "ErrGone")
	})
}

// closed is a channel that gives false without end.
func closed() <-chan bool {
	c := make(chan bool)
	close(c)
	return c
}

func TestAnswersOfStreamsThatWaitTakeTheirPlaces(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxStreams: 4, MaxMessage: 64 << 10, MaxQueue: 256 << 10, WriteTimeout: time.Hour, Heartbeat: time.Hour})
		var ran atomic.Int64
		s.app.Handle("big", ape.Get(func(context.Context) (string, error) {
			ran.Add(1)
			return strings.Repeat("x", 60<<10), nil
		}))
		p := s.pen(w, "")
		p.stop()
		for i := range 30 {
			p.write(fmt.Sprintf("c %d big;g=1", 2*i+1))
			synctest.Wait()
		}
		// 64 KiB in the network, twice, 256 KiB in the queue, and those that wait.
		if n := ran.Load(); n > 12 {
			t.Errorf("%d answers of 60 KiB wait for a client that reads nothing", n)
		}
		p.listen()
		got := map[string]int{}
		for range 30 {
			line := p.next()
			got[line[:2]]++
		}
		want(t, got["r "], ran.Load())
		want(t, got["r "]+got["e "], 30)
		want(t, s.app.Stats().Slow, 0)
		p.write("c 999 big;g=1")
		want(t, p.next()[:6], "r 999 ")
	})
}
