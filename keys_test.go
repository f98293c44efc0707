package ape_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
)

// ann and eve are identities.
const (
	ann = `"auth":"ann"`
	eve = `"auth":"eve"`
)

// tally answers with the number of its calls.
func tally() ape.Controller {
	var n atomic.Int64
	return ape.Get(func(context.Context) (int64, error) { return n.Add(1), nil })
}

func TestAKeyRunsOnceForAnIdentityAndAPath(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("add", tally())
		s.app.Handle("other", tally())
		s.app.Handle("all/*", tally())
		p, same, other := s.pen(w, ann), s.pen(w.other(), ann), s.pen(w, eve)
		p.asks("c 1 add;k=o-17", "r 1 1")
		p.asks("c 3 add;k=o-17", "r 3 1")        // again
		same.asks("c 1 add;k=o-17", "r 1 1")     // in another session
		same.asks("c 3 add;k=o-1%37 5", "r 3 1") // escaped, and with another input
		other.asks("c 1 add;k=o-17", "r 1 2")    // another identity
		p.asks("c 5 other;k=o-17", "r 5 1")      // another path
		p.asks("c 7 add;k=o-18", "r 7 3")        // another key
		p.asks("c 9 add;k=", "r 9 4")            // the empty key is one
		p.asks("c 11 add;k", "r 11 4")
		p.asks("c 13 all/a;k=1", "r 13 1")
		p.asks("c 15 all/b;k=1", "r 15 2") // what was called counts, not what was registered
		p.asks("c 17 all/a;k=1", "r 17 1")
		p.asks("c 19 add", "r 19 5") // and without a key
		p.asks("c 21 add;K=o-17", "e 21 unsupported")
		p.leave()
		late := s.pen(w, ann)
		late.asks("c 1 add;k=o-17", "r 1 1") // in a later session
	})
}

func TestEveryKindOfAnswerIsRemembered(t *testing.T) {
	results := map[string]func() (any, error){
		"text":      func() (any, error) { return "yes", nil },
		"null":      func() (any, error) { return nil, nil },
		"undefined": func() (any, error) { return codec.Undefined, nil },
		"bytes":     func() (any, error) { return []byte{0, 10, 255}, nil },
		"no bytes":  func() (any, error) { return []byte{}, nil },
		"time":      func() (any, error) { return time.UnixMilli(7), nil },
		"failure":   func() (any, error) { return nil, &ape.Error{Code: ape.Conflict, Message: "no", Data: 5} },
		"secret":    func() (any, error) { return nil, fmt.Errorf("the disk is full") },
		"panic":     func() (any, error) { panic("ouch") },
		"goexit":    func() (any, error) { runtime.Goexit(); return nil, nil },
		"too long":  func() (any, error) { return strings.Repeat("x", 2<<20), nil },
		"strange":   func() (any, error) { return make(chan int), nil },
	}
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		runs := map[string]int{}
		s.app.Handle("give", ape.Func(func(_ context.Context, name string) (any, error) {
			runs[name]++
			return results[name]()
		}))
		u, again := s.joinAs(w, browser{hello: ann}), s.joinAs(w, browser{hello: ann})
		for name := range results {
			path := "give;k=" + strings.ReplaceAll(name, " ", "%20")
			first := u.call(path, `"`+name+`"`)
			want(t, u.call(path, `"`+name+`"`), first)
			want(t, again.call(path, `"`+name+`"`), first)
			want(t, runs[name], 1)
		}
		first := u.call("nowhere;k=1", "")
		want(t, first.code, ape.NotFound)
		want(t, again.call("nowhere;k=1", ""), first)
	})
}

func TestADuplicateWaitsForTheFirst(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxRunning: 1})
		k := newStubborn()
		s.app.Handle("stay", k.controller())
		s.app.Handle("echo", ape.Func(func(_ context.Context, in any) (any, error) { return in, nil }))
		p, same := s.pen(w, ann), s.pen(w.other(), ann)
		p.write("c 1 stay;k=1")
		synctest.Wait()
		p.write("c 3 stay;k=1")
		same.write("c 1 stay;k=1", "c 3 stay;k=1", "c 5 stay;k=1;t=3000")
		same.asks("c 7 echo 7", "r 7 7") // they take no place to run
		same.wants("e 5 deadline")
		same.asks("x 3", "e 3 cancelled")
		same.write("x 3", "x 5")
		p.none()
		k.on <- "yes"
		p.unordered(`r 1 "yes"`, `r 3 "yes"`)
		same.wants(`r 1 "yes"`)
		same.asks("c 9 stay;k=1", `r 9 "yes"`)
		p.none()
		same.none()
		want(t, k.ran.Load(), 1)
		want(t, s.app.Stats().Late, 0)
	})
}

func TestADuplicateRunsWhenTheFirstNeverDid(t *testing.T) {
	ends := map[string]struct {
		end    func(p *pen)
		answer string
	}{
		"cancelled": {func(p *pen) { p.asks("x 3", "e 3 cancelled") }, ""},
		"deadline":  {func(p *pen) { time.Sleep(5 * time.Second); p.wants("e 3 deadline") }, ""},
		"bye":       {func(p *pen) { p.leave() }, ""},
		"lost":      {func(p *pen) { p.cut(); time.Sleep(61 * time.Second) }, ""},
	}
	for name, x := range ends {
		t.Run(name, func(t *testing.T) {
			eachLine(t, func(t *testing.T, w way) {
				s := newSite(t, &ape.Options{MaxRunning: 1})
				k := newStubborn()
				s.app.Handle("stay", k.controller())
				s.app.Handle("lane", ape.Serial(tally()))
				s.app.Handle("add", tally())
				p, same := s.pen(w, ann), s.pen(w.other(), ann)
				p.write("c 1 stay")
				synctest.Wait()
				p.write("c 3 add;k=1;t=5000")
				synctest.Wait()
				same.write("c 1 add;k=1", "c 3 add;k=1")
				same.none()
				x.end(p)
				same.unordered("r 1 1", "r 3 1")
				close(k.on)
			})
		})
	}
}

func TestACallThatIsCancelledBeforeItsControllerDoesNotTakeTheKey(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		hold := make(chan struct{}, 10)
		s := newSite(t, &ape.Options{OnReceive: func(_ context.Context, c *ape.Call) func(any, error) {
			if c.Path() == "add" {
				<-hold
			}
			return nil
		}})
		s.app.Handle("add", tally())
		p, same := s.pen(w, ann), s.pen(w, ann)
		p.write("c 1 add;k=1")
		synctest.Wait()
		same.write("c 1 add;k=1")
		p.write("x 1")
		p.none()
		hold <- struct{}{}
		p.wants("e 1 cancelled")
		same.none()
		hold <- struct{}{}
		same.wants("r 1 1")
		p.asks("c 3 add;k=1", "r 3 1")
	})
}

func TestAKeyIsRememberedForItsWindow(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{KeyWindow: time.Minute})
		k := newStubborn()
		s.app.Handle("stay", k.controller())
		p := s.pen(w, ann)
		want(t, *p.welcome.Limits.Keys, 60_000)
		p.write("c 1 stay;k=1")
		time.Sleep(time.Hour) // it counts from the answer on
		p.write("c 3 stay;k=1")
		synctest.Wait()
		want(t, k.ran.Load(), 1)
		k.on <- "first"
		p.unordered(`r 1 "first"`, `r 3 "first"`)
		time.Sleep(time.Minute - 1)
		p.asks("c 5 stay;k=1", `r 5 "first"`)
		time.Sleep(1)
		p.write("c 7 stay;k=1")
		k.on <- "second"
		p.wants(`r 7 "second"`)
		want(t, k.ran.Load(), 2)
	})
}

func TestAKeyedCallBehindItsDeadlineIsRememberedAsItWas(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		k := newStubborn()
		s.app.Handle("stay", k.controller())
		p, same := s.pen(w, ann), s.pen(w, ann)
		p.asks("c 1 stay;k=1;t=1000", "e 1 deadline")
		p.write("c 3 stay;k=1")
		same.write("c 1 stay;k=1")
		p.none()
		want(t, k.ran.Load(), 1)
		k.on <- "it was done"
		p.wants(`r 3 "it was done"`)
		same.wants(`r 1 "it was done"`)
		same.asks("c 3 stay;k=1", `r 3 "it was done"`)
		want(t, s.app.Stats().Late, 1)
		// The same when its session has ended.
		p.write("c 5 stay;k=2")
		synctest.Wait()
		p.leave()
		same.write("c 5 stay;k=2")
		synctest.Wait()
		k.on <- "that too"
		same.wants(`r 5 "that too"`)
		want(t, k.ran.Load(), 2)
	})
}

func TestWithoutIdentityThereAreNoKeys(t *testing.T) {
	for name, opt := range map[string]*ape.Options{"nobody": nil, "switched off": {KeyWindow: -1}} {
		t.Run(name, func(t *testing.T) {
			eachLine(t, func(t *testing.T, w way) {
				s := newSite(t, opt)
				var k counter
				s.app.Handle("add", tally())
				s.app.Handle("count", k.stream())
				hello := ""
				if opt != nil {
					hello = ann
				}
				p := s.pen(w, hello)
				want(t, *p.welcome.Limits.Keys, 0)
				want(t, p.welcome.Keeper, "")
				p.asks("c 1 add;k=1", "r 1 1")
				p.asks("c 3 add;k=1", "r 3 2")
				p.asks("c 5 count;k=1;g=1 1", "n 5 1", "z 5")
			})
		})
	}
}

func TestTheKeeperIsNamed(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p, other := s.pen(w, ann), s.pen(w, eve)
		keeper := p.welcome.Keeper
		if keeper == "" || keeper != other.welcome.Keeper {
			t.Errorf("the keepers are %q and %q", keeper, other.welcome.Keeper)
		}
		want(t, *p.welcome.Limits.Keys, 300_000)
		p.cut()
		p.connect(w.other())
		want(t, p.welcome.Keeper, keeper)
		next := newSite(t, nil)
		if p := next.pen(w, ann); p.welcome.Keeper == keeper {
			t.Error("two servers have one keeper")
		}
	})
}

func TestAKeyTakesNoStream(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var k counter
		s.app.Handle("count", k.stream())
		s.app.Handle("sum", sum())
		s.app.Handle("add", tally())
		p := s.pen(w, ann)
		p.asks("c 1 count;k=1;g=1 1", "e 1 invalid")
		p.asks("c 3 sum;k=1;i", "e 3 invalid")
		p.asks("c 5 add;k=1;g=1", "e 5 invalid")
		p.asks("c 7 sum;k=1 5", "r 7 5")
		p.asks("c 9 add;k=1", "r 9 1")
		want(t, k.yielded.Load(), 0)
	})
}

func TestKeysAreBounded(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{Rate: ape.Rate{PerSecond: -1}})
		s.app.Handle("add", tally())
		var blobs atomic.Int64
		s.app.Handle("blob", ape.Get(func(context.Context) ([]byte, error) {
			blobs.Add(1)
			return make([]byte, 500<<10), nil
		}))
		p, other, many := s.pen(w, ann), s.pen(w, eve), s.pen(w, `"auth":"many"`)
		for i := 0; i < 1024; i += 128 {
			var calls []string
			for j := i; j < i+128; j++ {
				calls = append(calls, fmt.Sprintf("c %d add;k=%d", 2*j+1, j))
			}
			p.write(calls...)
			for range calls {
				p.wants("r *")
			}
		}
		p.asks("c 3001 add;k=x", "e 3001 busy")
		p.asks("c 3003 add;k=5", "r 3003 *") // what is remembered stays so
		p.asks("c 3005 add", "r 3005 1025")
		other.asks("c 1 add;k=x", "r 1 1026")
		many.asks("c 1 add;k="+strings.Repeat("k", 1<<20-100), "r 1 1027")
		lost := 0
		for i := range 20 {
			id := 2*i + 3
			many.write(fmt.Sprintf("c %d blob;k=%d", id, i%10))
			if line := many.next(); i >= 10 && line == fmt.Sprintf("e %d too_large", id) {
				lost++ // it has run, but its answer is not kept
			}
		}
		want(t, blobs.Load(), 10)
		if lost != 4 { // of 4 MiB one is taken by that key
			t.Errorf("of 10 answers of 500 KiB %d are not kept", lost)
		}
		time.Sleep(5*time.Minute + time.Second)
		p.asks("c 3007 add;k=x", "r 3007 1028")
	})
}

func TestRememberedAnswersWaitForASlowReader(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxRunning: 2})
		var ran atomic.Int64
		s.app.Handle("blob", ape.Serial(ape.Get(func(context.Context) (string, error) {
			ran.Add(1)
			return strings.Repeat("x", 400<<10), nil
		})))
		p := s.pen(w, ann)
		for i := range 8 {
			p.write(fmt.Sprintf("c %d blob;k=%d", 2*i+1, i))
			p.wants(fmt.Sprintf("r %d *", 2*i+1))
		}
		// The client has lost its session, and asks again for all that it had open.
		again := s.pen(w, ann)
		again.stop()
		want16 := []string{}
		for i := range 16 {
			again.write(fmt.Sprintf("c %d blob;k=%d", 2*i+1, i%8))
			want16 = append(want16, fmt.Sprint("r ", 2*i+1))
		}
		synctest.Wait()
		if bytes := s.app.Stats().QueuedBytes; bytes > 5<<20 { // the first session's 1 MiB among them
			t.Errorf("%d bytes wait for a client that reads nothing", bytes)
		}
		again.listen()
		got := map[string]bool{}
		for range 16 {
			f := strings.SplitN(again.next(), " ", 3)
			got[f[0]+" "+f[1]] = true
		}
		for _, line := range want16 {
			if !got[line] {
				t.Errorf("no %q", line)
			}
		}
		want(t, ran.Load(), 8)
		want(t, s.app.Stats().Slow, 0)
		again.asks("c 99 blob;k=new", "r 99 *")
	})
}

func TestWhoWaitsForAKeyIsForgottenWithItsSession(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		k := newStubborn()
		s.app.Handle("stay", k.controller())
		p := s.pen(w, ann)
		p.write("c 1 stay;k=1")
		synctest.Wait()
		gone := func() weak.Pointer[ape.Client] {
			other := s.pen(w, ann)
			other.write("c 1 stay;k=1", "c 3 stay;k=1")
			synctest.Wait()
			c := weak.Make(other.client())
			other.leave()
			return c
		}()
		time.Sleep(time.Minute)
		for range 5 {
			runtime.GC()
			synctest.Wait()
		}
		if gone.Value() != nil {
			t.Error("the session that waited for a key is kept when it has ended")
		}
		k.on <- "yes"
		p.wants(`r 1 "yes"`)
	})
}
