package link

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/goape/ape/mesh"
)

var testKey = bytes.Repeat([]byte{3}, 32)

func testPacket() []byte {
	h := header{flags: flagAll | flagTarget, epoch: 77<<16 | 2, id: []byte("srv-1"), target: 5, stream: 6, first: 7}
	b := appendPart(h.append(nil), kindMessage+byte(OpPublish), []byte("body"))
	b = appendPart(b, kindLast, nil)
	newSealer(testKey, "app").seal(b)
	return b
}

func TestPacketComesBackAsItWas(t *testing.T) {
	h, parts, err := parseHeader(testPacket())
	if err != nil {
		t.Fatal(err)
	}
	if h.flags != flagAll|flagTarget || h.epoch != 77<<16|2 || string(h.id) != "srv-1" || h.target != 5 || h.stream != 6 || h.first != 7 {
		t.Errorf("%+v", h)
	}
	kind, body, parts, ok := nextPart(parts)
	if kind != 0x17 || string(body) != "body" || !ok {
		t.Errorf("%x %q %v", kind, body, ok)
	}
	kind, body, parts, ok = nextPart(parts)
	if kind != kindLast || len(body) != 0 || len(parts) != 0 || !ok {
		t.Errorf("%x %q %q %v", kind, body, parts, ok)
	}
}

func TestEveryByteOfAPacketIsSealed(t *testing.T) {
	v, b := newSealer(testKey, "app"), testPacket()
	if !v.verify(b) {
		t.Fatal("it does not verify")
	}
	if newSealer(testKey, "apq").verify(b) || newSealer(append(bytes.Clone(testKey), 1), "app").verify(b) {
		t.Error("it verifies under another namespace or key")
	}
	for i := range b {
		b[i] ^= 1
		if v.verify(b) {
			t.Errorf("byte %d may be altered", i)
		}
		b[i] ^= 1
		if v.verify(b[:i]) {
			t.Errorf("it verifies when cut at %d", i)
		}
	}
	if n := testing.AllocsPerRun(100, func() { v.seal(b); v.verify(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestVersionsThatAreUnknownAreRefused(t *testing.T) {
	b := testPacket()
	b[0]++
	if _, _, err := parseHeader(b); err != errVersion {
		t.Error(err)
	}
}

var testProgress = progress{3, 4, 5, 6, 7}

func TestControlPartsComeBackAsTheyWere(t *testing.T) {
	p := position{want: true, base: 1, allSent: 2, progress: testProgress}
	if got, ok := parsePosition(p.append(nil)); !ok || got != p {
		t.Errorf("%+v %v", got, ok)
	}
	head := beat{flags: beatWant | beatWatch, allSent: 9, clients: 1000}
	e := beatEntry{life: 1<<47 - 1, waiting: true, progress: testProgress}
	got, entries, ok := parseBeat(e.append(head.append(nil)))
	if !ok || got != head {
		t.Errorf("%+v %v", got, ok)
	}
	if got, rest, ok := parseBeatEntry(entries); !ok || got != e || len(rest) != 0 {
		t.Errorf("%+v %v", got, ok)
	}
	n := nack{all: true, stream: 3, spans: []span{{1, 1}, {3, 900}, {902, maxNumber}}}
	if got, ok := parseNack(n.append(nil)); !ok || !reflect.DeepEqual(got, n) {
		t.Errorf("%+v %v", got, ok)
	}
	g := gone{all: true, stream: 3, upto: 8}
	if got, ok := parseGone(g.append(nil)); !ok || got != g {
		t.Errorf("%+v %v", got, ok)
	}
}

func TestBodiesOfTheLinksOwnComeBackAsTheyWere(t *testing.T) {
	for _, m := range []routed{
		{token: 9, client: "c", body: []byte("x")},
		{hops: 2, token: 1 << 60, origin: 1 << 46, client: "ü", body: []byte{}},
	} {
		if got, ok := parseRouted(m.append(nil)); !ok || !reflect.DeepEqual(*got, m) {
			t.Errorf("%+v %v", got, ok)
		}
		if n := len(m.append(nil)); n > m.size() {
			t.Errorf("%d bytes, %d expected", n, m.size())
		}
	}
	d := moved{owner: mesh.Owner{Epoch: 1<<63 - 1, Gen: 1 << 52}, token: 3, client: "c"}
	if got, ok := parseMoved(d.append(nil)); !ok || got != d {
		t.Errorf("%+v %v", got, ok)
	}
	for _, err := range []error{nil, ErrNoTarget, ErrBusy, context.DeadlineExceeded, context.Canceled} {
		code, body := codeOf([]byte("r"), err)
		if got, back := outcome(code, body); back != err || (err == nil) != (string(got) == "r") {
			t.Errorf("%v came back as %q, %v", err, got, back)
		}
	}
	f := &Failure{"code", "message", []byte("data")}
	code, body := codeOf(nil, errors.Join(errors.New("also"), f))
	if _, err := outcome(code, body); !reflect.DeepEqual(err, f) || err.Error() != "code: message" {
		t.Errorf("%+v", err)
	}
	if _, err := outcome(codeFailed, []byte{200}); err == nil || err.Error() == "" {
		t.Errorf("a reply that cannot be read: %v", err)
	}
}

func TestMissingNamesTheLowestHoles(t *testing.T) {
	in := &incoming{known: true, next: 5, top: 30, pending: map[uint64]kept{7: {}, 8: {}, 12: {}, 30: {}}}
	for _, c := range []struct {
		most, numbers int
		want          []span
	}{
		{9, 999, []span{{5, 6}, {9, 11}, {13, 29}}},
		{2, 999, []span{{5, 6}, {9, 11}}},
		{9, 4, []span{{5, 6}, {9, 10}}},
		{9, 1, []span{{5, 5}}},
	} {
		if got := in.missing(c.most, c.numbers); !slices.Equal(got, c.want) {
			t.Errorf("%d spans, %d numbers: %v, want %v", c.most, c.numbers, got, c.want)
		}
	}
	in.top = maxNumber // it costs no more
	if got := in.missing(9, 999); len(got) != 4 || got[3] != (span{31, 31 + 999 - 22 - 1}) {
		t.Errorf("%v", got)
	}
}

func TestMergeLeavesSpansAscendingAndApart(t *testing.T) {
	got := merge([]span{{5, 6}, {1, 2}}, []span{{3, 3}, {6, 9}, {20, 21}})
	if want := []span{{1, 3}, {5, 9}, {20, 21}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestFifoKeepsOrderAndGivesMemoryBack(t *testing.T) {
	var f fifo[int]
	next, out := 0, 0
	for round := range 200 {
		for range 100 + round {
			f.push(next)
			next++
		}
		for range 90 + round {
			if got := f.pop(); got != out {
				t.Fatalf("%d, want %d", got, out)
			}
			out++
		}
		if got := *f.at(f.len() - 1); got != next-1 {
			t.Fatalf("the last is %d, want %d", got, next-1)
		}
	}
	for f.len() > 0 {
		f.pop()
	}
	if cap(f.items) > fifoKeeps {
		t.Errorf("an empty one keeps room for %d", cap(f.items))
	}
}

func FuzzPacket(f *testing.F) {
	f.Add(testPacket())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, parts, err := parseHeader(b)
		if err != nil {
			return
		}
		if len(h.id) == 0 || len(h.id) > 64 || h.first > maxNumber {
			t.Errorf("%+v", h)
		}
		for n := 0; len(parts) > 0; n++ {
			_, body, rest, ok := nextPart(parts)
			if !ok {
				return
			}
			if len(body)+len(rest) >= len(parts) || cap(body) != len(body) {
				t.Fatalf("part %d: %d and %d bytes of %d", n, len(body), len(rest), len(parts))
			}
			parts = rest
		}
	})
}

func FuzzControl(f *testing.F) {
	f.Add(position{want: true, base: 1, allSent: 2, progress: testProgress}.append(nil))
	f.Add(beatEntry{life: 8, progress: testProgress}.append(beat{1, 2, 3}.append(nil)))
	f.Add(nack{true, 3, []span{{1, 1}, {3, 900}}}.append(nil))
	f.Add(gone{true, 3, 8}.append(nil))
	f.Add((&routed{hops: 1, token: 2, origin: 3, client: "c"}).append(nil))
	f.Add(appendFailure(nil, &Failure{"a", "b", []byte("c")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parsePosition(b); ok {
			if again, ok := parsePosition(p.append(nil)); !ok || again != p {
				t.Errorf("position %+v, again %+v", p, again)
			}
		}
		if n, ok := parseNack(b); ok {
			checkSpans(t, n.spans)
			if again, ok := parseNack(n.append(nil)); !ok || !reflect.DeepEqual(again, n) {
				t.Errorf("nack %+v, again %+v", n, again)
			}
		}
		if g, ok := parseGone(b); ok && g.upto > maxNumber {
			t.Errorf("gone %+v", g)
		}
		if m, ok := parseRouted(b); ok {
			if again, ok := parseRouted(m.append(nil)); !ok || !reflect.DeepEqual(again, m) {
				t.Errorf("to a client %+v, again %+v", m, again)
			}
		}
		if d, ok := parseMoved(b); ok {
			if again, ok := parseMoved(d.append(nil)); !ok || again != d {
				t.Errorf("moved %+v, again %+v", d, again)
			}
		}
		if x, ok := parseFailure(b); ok {
			if again, ok := parseFailure(appendFailure(nil, x)); !ok || !reflect.DeepEqual(again, x) {
				t.Errorf("failure %+v, again %+v", x, again)
			}
		}
		_, entries, ok := parseBeat(b)
		for ok && len(entries) > 0 {
			_, entries, ok = parseBeatEntry(entries)
		}
	})
}

func checkSpans(t *testing.T, spans []span) {
	t.Helper()
	if len(spans) > maxSpans {
		t.Errorf("%d spans", len(spans))
	}
	at := uint64(0)
	for _, s := range spans {
		if s.lo <= at || s.hi < s.lo || s.hi > maxNumber {
			t.Errorf("span %v behind %d", s, at)
		}
		at = s.hi
	}
}
