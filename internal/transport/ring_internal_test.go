package transport

import (
	"math/rand/v2"
	"testing"
)

func numbered(n int) Frame { return Frame{data: make([]byte, n%7), octets: uint32(n)} }

func TestRingKeepsOrderWhileItGrowsAndShrinks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var r ring
	first, last := 0, 0
	for range 20_000 {
		grow := rnd.IntN(1000) < 500
		for range rnd.IntN(40) {
			if grow {
				r.push(numbered(last))
				last++
			} else if first < last {
				if size := r.pop(); size != first%7+slot {
					t.Fatalf("frame %d has size %d", first, size)
				}
				first++
			}
		}
		if r.n != last-first {
			t.Fatalf("%d frames, want %d", r.n, last-first)
		}
		for i := range min(r.n, 3) {
			if got := r.at(i).octets; int(got) != first+i {
				t.Fatalf("frame %d is %d", first+i, got)
			}
		}
		if len(r.frames) > max(idleRing, 8*r.n) {
			t.Fatalf("%d places for %d frames", len(r.frames), r.n)
		}
	}
}

func TestRingIsLetGoOfBehindABurst(t *testing.T) {
	var r ring
	for i := range 1000 {
		r.push(numbered(i))
	}
	for range 1000 {
		r.pop()
	}
	if len(r.frames) > idleRing {
		t.Errorf("an empty ring keeps %d places", len(r.frames))
	}
	for i := range r.frames {
		if r.frames[i].data != nil {
			t.Error("an empty ring keeps a frame")
		}
	}
}

func TestTextIsCheckedWhereverItIsCut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	for range 20_000 {
		var text []byte
		for range rnd.IntN(12) {
			switch rnd.IntN(8) {
			case 0:
				text = append(text, byte(rnd.Uint32()))
			case 1:
				text = append(text, "\xed\xa0\x80"...)
			default:
				text = append(text, string([]rune{'a', 'é', '€', '😀'}[rnd.IntN(4)])...)
			}
		}
		m := message{text: true}
		good, rest := true, text
		for len(rest) > 0 && good {
			n := 1 + rnd.IntN(len(rest))
			good = m.valid(rest[:n])
			rest = rest[n:]
		}
		good = good && m.part == 0
		if want := string([]rune(string(text))) == string(text); good != want {
			t.Fatalf("%q: %v, want %v", text, good, want)
		}
	}
}
