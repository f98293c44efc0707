package keys_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/goape/ape/internal/keys"
)

func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = prefix + fmt.Sprintf("%010d", i)
	}
	return all
}

// BenchmarkRun is a key that is new, and its answer: with a window so short
// that each key also is forgotten, as in the long run it is.
func BenchmarkRun(b *testing.B) {
	for _, identities := range []int{1, 10_000} {
		b.Run(strconv.Itoa(identities), func(b *testing.B) {
			table := keys.New(keys.Options{Window: 100 * time.Microsecond})
			defer table.Close()
			users, calls := names("user", identities), names("key", 1<<16)
			a := answer(`{"order":4711}`)
			b.ReportAllocs()
			refused := 0
			for i := range b.N {
				e, verdict, _, _ := table.Begin(users[i%identities], "/orders/create", calls[i%(1<<16)], nil)
				if verdict != keys.Run {
					refused++
					continue
				}
				e.Done(a)
			}
			b.ReportMetric(float64(refused)/float64(b.N), "refused/op")
		})
	}
}

// BenchmarkHave is a call that comes again.
func BenchmarkHave(b *testing.B) {
	table := keys.New(keys.Options{})
	defer table.Close()
	users, calls := names("user", 100), names("key", 100)
	for _, u := range users {
		for _, k := range calls {
			e, _, _, _ := table.Begin(u, "/orders/create", k, nil)
			e.Done(answer(`{"order":4711}`))
		}
	}
	b.ReportAllocs()
	for i := range b.N {
		if _, verdict, _, _ := table.Begin(users[i%100], "/orders/create", calls[i/100%100], nil); verdict != keys.Have {
			b.Fatal(verdict)
		}
	}
}

// BenchmarkWait is one who waits and leaves while many others do.
func BenchmarkWait(b *testing.B) {
	table := keys.New(keys.Options{})
	defer table.Close()
	table.Begin("ann", "/pay", "1", nil)
	for range 10_000 {
		table.Begin("ann", "/pay", "1", func(keys.Answer) {})
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _, _, leave := table.Begin("ann", "/pay", "1", func(keys.Answer) {})
		leave()
	}
}
