package keys_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/internal/keys"
)

// begin is Begin by somebody who does not want to wait.
func begin(table *keys.Table, identity, path, key string) (*keys.Entry, keys.Verdict, string) {
	e, verdict, have, _ := table.Begin(identity, path, key, func(keys.Answer) {})
	return e, verdict, string(have.Line)
}

// run begins what must be allowed to run.
func run(t *testing.T, table *keys.Table, identity, path, key string) *keys.Entry {
	t.Helper()
	e, verdict, _ := begin(table, identity, path, key)
	if verdict != keys.Run {
		t.Fatalf("%s %s %s: %s, want run", identity, path, key, verdict)
	}
	return e
}

func wants(t *testing.T, table *keys.Table, identity, path, key string, want keys.Verdict) {
	t.Helper()
	e, verdict, _ := begin(table, identity, path, key)
	if verdict != want {
		t.Errorf("%s %s %s: %s, want %s", identity, path, key, verdict, want)
	}
	if e != nil {
		e.Forget()
	}
}

func answer(line string) keys.Answer { return keys.Answer{Line: []byte(line)} }

func sized(n int) keys.Answer { return keys.Answer{Line: make([]byte, n)} }

func TestAKeyRunsOnce(t *testing.T) {
	table := keys.New(keys.Options{})
	defer table.Close()
	e := run(t, table, "ann", "/pay", "1")
	e.Done(keys.Answer{Line: []byte(" =3\nabc"), Octets: 3})
	again, verdict, have, leave := table.Begin("ann", "/pay", "1", nil)
	if again != nil || verdict != keys.Have || string(have.Line) != " =3\nabc" || have.Octets != 3 || leave != nil {
		t.Errorf("got %v %s %q", again, verdict, have.Line)
	}
}

func TestIdentityPathAndKeyMakeTheDifference(t *testing.T) {
	table := keys.New(keys.Options{})
	defer table.Close()
	for _, k := range [][3]string{
		{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"a", "", "bc"}, {"", "ab", "c"}, {"a", "b", "d"}, {"a", "b\x00", "c"}, {"", "", ""},
	} {
		run(t, table, k[0], k[1], k[2])
		wants(t, table, k[0], k[1], k[2], keys.Wait)
	}
}

func TestThoseWhoWaitAreToldInOrder(t *testing.T) {
	for _, forget := range []bool{false, true} {
		table := keys.New(keys.Options{})
		e := run(t, table, "ann", "/pay", "1")
		var told []string
		var leaves []func() bool
		for i := range 6 {
			_, verdict, _, leave := table.Begin("ann", "/pay", "1", func(a keys.Answer) {
				told = append(told, fmt.Sprint(i, string(a.Line), a.Line == nil))
				// No lock is held: the table can be used.
				table.Stats()
				table.Begin("ann", "/pay", fmt.Sprint("other", i), nil)
			})
			if verdict != keys.Wait {
				t.Fatalf("waiter %d: %s", i, verdict)
			}
			leaves = append(leaves, leave)
		}
		for _, i := range []int{0, 3, 5} {
			if !leaves[i]() {
				t.Errorf("waiter %d cannot leave", i)
			}
			if leaves[i]() {
				t.Errorf("waiter %d can leave twice", i)
			}
		}
		want := "1Afalse 2Afalse 4Afalse"
		if forget {
			e.Forget()
			want = "1true 2true 4true"
		} else {
			e.Done(answer("A"))
		}
		e.Done(answer("B")) // of no effect any more
		e.Forget()
		if got := strings.Join(told, " "); got != want {
			t.Errorf("forget %v: told %q, want %q", forget, got, want)
		}
		if leaves[1]() {
			t.Error("a waiter can leave that was told")
		}
		_, verdict, have := begin(table, "ann", "/pay", "1")
		if forget && verdict != keys.Run || !forget && (verdict != keys.Have || have != "A") {
			t.Errorf("forget %v: then %s %q", forget, verdict, have)
		}
		table.Close()
	}
}

func TestAnAnswerWithoutALineIsAnAnswer(t *testing.T) {
	table := keys.New(keys.Options{})
	defer table.Close()
	e := run(t, table, "ann", "/pay", "1")
	told := false
	table.Begin("ann", "/pay", "1", func(a keys.Answer) { told = a.Line != nil })
	e.Done(keys.Answer{})
	if _, verdict, have, _ := table.Begin("ann", "/pay", "1", nil); !told || verdict != keys.Have || have.Line == nil {
		t.Errorf("told %v, then %s %v", told, verdict, have)
	}
}

func TestAKeyIsForgottenBehindTheWindowAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := keys.New(keys.Options{})
		e := run(t, table, "ann", "/pay", "1")
		time.Sleep(time.Hour)
		wants(t, table, "ann", "/pay", "1", keys.Wait) // what runs is never forgotten
		e.Done(answer("A"))
		time.Sleep(5*time.Minute - 1)
		wants(t, table, "ann", "/pay", "1", keys.Have) // which does not prolong it
		time.Sleep(1)
		wants(t, table, "ann", "/pay", "1", keys.Run)
		table.Close()
	})
}

func TestWhatNobodyAsksForTakesNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := keys.New(keys.Options{Window: time.Minute})
		stays := run(t, table, "ann", "/pay", "runs")
		for i := range 1000 {
			run(t, table, fmt.Sprint(i), "/pay", "1").Done(answer("A"))
			time.Sleep(time.Second / 4)
		}
		if got := table.Stats(); got.Keys > 1+4*(60+2) || got.Keys < 1+4*60 || got.Identities != got.Keys {
			t.Errorf("with four keys a second and a window of a minute there are %+v", got)
		}
		time.Sleep(time.Minute + 2*time.Second)
		synctest.Wait()
		if got := table.Stats(); got.Keys != 1 || got.Identities != 1 {
			t.Errorf("what runs, and %+v", got)
		}
		stays.Forget()
		if got := table.Stats(); got != (keys.Stats{}) {
			t.Errorf("an empty table holds %+v", got)
		}
		// The timer starts again.
		run(t, table, "ann", "/pay", "1").Done(answer("A"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := table.Stats(); got != (keys.Stats{}) {
			t.Errorf("the second time it holds %+v", got)
		}
		table.Close()
	})
}

func TestMoreThanOneLotIsForgottenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := keys.New(keys.Options{})
		for i := range 1000 {
			run(t, table, "ann", "/pay", fmt.Sprint(i)).Done(answer("A"))
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := table.Stats(); got != (keys.Stats{}) {
			t.Errorf("the table still holds %+v", got)
		}
		table.Close()
	})
}

func TestAnIdentityHasSoManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := keys.New(keys.Options{})
		var first *keys.Entry
		for i := range 1024 {
			e := run(t, table, "ann", "/a/path/that/is/not/short", fmt.Sprintf("a key of fifty characters, which is long: %08d", i))
			if i == 0 {
				first = e
			} else if i%2 == 0 {
				e.Done(answer("A"))
			}
		}
		wants(t, table, "ann", "/pay", "1", keys.Full)
		wants(t, table, "bob", "/pay", "1", keys.Run)
		first.Forget()
		wants(t, table, "ann", "/pay", "1", keys.Run)
		run(t, table, "ann", "/pay", "1")
		wants(t, table, "ann", "/pay", "2", keys.Full)
		time.Sleep(5 * time.Minute)
		wants(t, table, "ann", "/pay", "2", keys.Run) // before the timer comes
		table.Close()
	})
}

func TestAnIdentityHasSoManyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := keys.New(keys.Options{})
		for i := range 3 {
			run(t, table, "ann", "/pay", fmt.Sprint(i)).Done(sized(1 << 20))
		}
		e := run(t, table, "ann", "/pay", "rest")
		small := run(t, table, "ann", "/pay", "small")
		e.Done(sized(4<<20 - table.Stats().Bytes + 2<<10)) // with what was reserved for it
		if got := table.Stats().Bytes; got != 4<<20 {
			t.Errorf("%d bytes, want %d", got, 4<<20)
		}
		wants(t, table, "ann", "/pay", "rest", keys.Have)
		wants(t, table, "ann", "/pay", "another", keys.Full)
		wants(t, table, "bob", "/pay", "another", keys.Run)
		small.Done(sized(2 << 10)) // there is always room for this
		wants(t, table, "ann", "/pay", "small", keys.Have)
		time.Sleep(5 * time.Minute)
		wants(t, table, "ann", "/pay", "another", keys.Run)
		table.Close()
	})
}

func TestALongAnswerWithoutRoomIsNotKeptAndDoesNotRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := keys.New(keys.Options{})
		before := run(t, table, "ann", "/pay", "before")
		e := run(t, table, "ann", "/pay", "1")
		var told int
		table.Begin("ann", "/pay", "1", func(a keys.Answer) { told = len(a.Line) })
		before.Done(sized(3 << 20))
		time.Sleep(time.Minute)
		e.Done(sized(1 << 20))
		if told != 1<<20 {
			t.Errorf("who waited got %d bytes", told)
		}
		wants(t, table, "ann", "/pay", "1", keys.Ran)
		if got := table.Stats().Bytes; got > 4<<20 {
			t.Errorf("%d bytes", got)
		}
		time.Sleep(5*time.Minute - 1)
		wants(t, table, "ann", "/pay", "1", keys.Ran)
		time.Sleep(1)
		wants(t, table, "ann", "/pay", "1", keys.Run)
		table.Close()
	})
}

func TestWhatIsOverMakesRoomForAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := keys.New(keys.Options{})
		run(t, table, "ann", "/pay", "first").Done(answer("A"))
		time.Sleep(time.Second)
		late := run(t, table, "ann", "/pay", "late")
		run(t, table, "ann", "/pay", "second").Done(sized(3 << 20))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := table.Stats(); got.Keys != 2 {
			t.Fatalf("the timer was faster than this test: %+v", got)
		}
		late.Done(sized(3 << 20))
		wants(t, table, "ann", "/pay", "late", keys.Have)
		table.Close()
	})
}

func TestAServerHasSoManyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := keys.New(keys.Options{})
		n, full := 0, keys.Run
		for ; full != keys.Full; n++ {
			var e *keys.Entry
			if e, full, _ = begin(table, fmt.Sprint("identity ", n), "/pay", "1"); e != nil {
				e.Done(sized(1 << 20))
			}
			if got := table.Stats().Bytes; got > 64<<20 {
				t.Fatalf("%d bytes behind %d answers of a MiB", got, n+1)
			}
		}
		wants(t, table, "identity 62", "/pay", "1", keys.Have)
		wants(t, table, "identity 0", "/pay", "1", keys.Have)
		wants(t, table, "identity 63", "/pay", "1", keys.Ran)
		wants(t, table, "identity 64", "/pay", "1", keys.Ran)
		time.Sleep(5 * time.Minute)
		wants(t, table, "somebody else", "/pay", "1", keys.Run)
		table.Close()
	})
}

func TestBehindCloseNothingBeginsAndWhatRunsIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := keys.New(keys.Options{})
		run(t, table, "ann", "/pay", "1").Done(answer("A"))
		e := run(t, table, "ann", "/pay", "2")
		told := ""
		table.Begin("ann", "/pay", "2", func(a keys.Answer) { told = string(a.Line) })
		table.Close()
		table.Close()
		wants(t, table, "ann", "/pay", "1", keys.Full)
		wants(t, table, "ann", "/pay", "2", keys.Wait)
		e.Done(answer("B"))
		if told != "B" {
			t.Errorf("who waited was told %q", told)
		}
		if got := table.Stats(); got != (keys.Stats{}) {
			t.Errorf("a closed table holds %+v", got)
		}
		time.Sleep(time.Hour)
	})
}

func TestManyAtOnceRunEachKeyOnce(t *testing.T) {
	table := keys.New(keys.Options{})
	defer table.Close()
	const callers, each = 16, 200
	var mu sync.Mutex
	ran, got := map[string]int{}, 0
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range each {
				key := fmt.Sprint(i)
				told := make(chan keys.Answer, 1)
				for again := true; again; {
					again = false
					e, verdict, have, leave := table.Begin("ann", "/pay", key, func(a keys.Answer) { told <- a })
					switch verdict {
					case keys.Run:
						mu.Lock()
						ran[key]++
						first := ran[key] == 1 && i%3 == 0
						mu.Unlock()
						runtime.Gosched()
						if again = first; first {
							e.Forget()
							continue
						}
						e.Done(answer(key))
						have = answer(key)
					case keys.Wait:
						if i%5 == 0 && leave() {
							again = true
							continue
						}
						have = <-told
						again = have.Line == nil
					}
					if again {
						continue
					}
					mu.Lock()
					if string(have.Line) == key {
						got++
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for key, n := range ran {
		var i int
		fmt.Sscan(key, &i)
		if want := 1 + (3-i%3)/3; n != want {
			t.Errorf("key %s ran %d times, want %d", key, n, want)
		}
	}
	if got != callers*each {
		t.Errorf("%d answers, want %d", got, callers*each)
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestCountedBytesCoverTheHeap(t *testing.T) {
	for _, each := range []int{1, 1000} { // keys of an identity
		for _, n := range []int{4000, 20_000, 29_000} { // just below and above where maps grow
			before := heap()
			table := keys.New(keys.Options{})
			for i := range n {
				e := run(t, table, fmt.Sprintf("user-%08d", i/each), "/orders/create", fmt.Sprintf("key-%032d", i))
				e.Done(sized(64))
			}
			used, counted := heap()-before, table.Stats().Bytes
			t.Logf("%d keys, %d an identity: %d bytes each on the heap, %d counted", n, each, used/n, counted/n)
			if used > counted {
				t.Errorf("%d keys, %d an identity: %d bytes on the heap, only %d counted", n, each, used, counted)
			}
			table.Close()
			if used := heap() - before; used > 64<<10 {
				t.Errorf("an empty table takes %d bytes", used)
			}
			runtime.KeepAlive(table)
		}
	}
}

func TestNamesDoNotHoldTheMessageTheyCameIn(t *testing.T) {
	table := keys.New(keys.Options{})
	defer table.Close()
	before := heap()
	for i := range 20 {
		message := fmt.Sprintf("%02d", i) + strings.Repeat("x", 1<<20)
		run(t, table, message[:2], message[:2], message[2:2]).Done(answer("A"))
	}
	if used := heap() - before; used > 1<<20 {
		t.Errorf("twenty keys take %d bytes", used)
	}
	runtime.KeepAlive(table)
}
