package ape

import (
	"fmt"
	"testing"
	"time"
)

// A classic call costs the same however many came before it.
func TestReplaysStayTheSameSize(t *testing.T) {
	var r replays
	now := time.Now()
	next := 0
	add := func(n int) {
		for range n {
			next++
			r.again(fmt.Sprint(next), now)
		}
	}
	cost := func() float64 {
		return testing.AllocsPerRun(200, func() { add(1) })
	}
	add(1000)
	young := cost()
	add(1_000_000)
	old := cost()
	if old > young+1 {
		t.Errorf("a call costs %v allocations after a million calls, %v after a thousand", old, young)
	}
	if n := len(r.new) + len(r.old); n > 2*replayLimit {
		t.Errorf("%d calls are remembered, at most %d should be", n, 2*replayLimit)
	}
}

func TestReplaysRememberAndForget(t *testing.T) {
	var r replays
	start := time.Now()
	steps := []struct {
		id    string
		after time.Duration
		again bool
	}{
		{"a", 0, false},
		{"a", time.Second, true},
		{"b", 2 * skew, false},
		{"a", 2*skew + time.Second, true}, // the older generation from here on
		{"b", 2*skew + 2*time.Second, true},
		{"a", 7 * skew, false}, // long past what the age check lets through
	}
	for _, s := range steps {
		if got := r.again(s.id, start.Add(s.after)); got != s.again {
			t.Errorf("%s after %v: seen before is %v, want %v", s.id, s.after, got, s.again)
		}
	}
	for i := range replayLimit {
		r.again(fmt.Sprint("x", i), start.Add(7*skew))
	}
	if !r.again("x0", start.Add(7*skew)) {
		t.Errorf("of the last %d calls the first is forgotten", replayLimit)
	}
}
