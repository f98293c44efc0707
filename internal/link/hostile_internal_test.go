package link

import (
	"fmt"
	"testing"
	"time"

	"github.com/goape/ape/mesh"
)

// quietLink is a link whose goroutines do not run, and that has one peer.
func quietLink(t testing.TB, m Limits) (*Link, *peer) {
	t.Helper()
	o := Options{ID: "here", Limits: m}
	l := newLink(mesh.NewMemory(nil).Mesh("app"), o)
	if err := l.prepare(o); err != nil {
		t.Fatal(err)
	}
	l.joined, l.applied, l.sound = true, 1, time.Now()
	l.see([]mesh.Member{{ID: "there", Epoch: 9 << 16}}, time.Now())
	return l, l.byID["there"]
}

// packetOfPeer is a packet of the peer.
func (l *Link) packetOfPeer(h header, parts []byte) []byte {
	h.epoch, h.id, h.target = 9<<16, []byte("there"), l.self.Life()
	b := append(h.append(nil), parts...)
	newSealer(l.key, "app").seal(b)
	return b
}

// A member that says anything at all costs no more memory than the limits say,
// and no panic.
func FuzzPeerSaysAnything(f *testing.F) {
	all := position{base: 3, allSent: 9, progress: progress{1, 5, 1, 0, 0}}
	f.Add(byte(flagTarget), uint64(1), uint64(1), appendPart(appendPart(nil, kindPosition, all.append(nil)), 0x17, []byte("hello")))
	f.Add(byte(flagAll), uint64(0), uint64(6), appendPart(appendPart(nil, kindFirst, []byte{7, 20, 1, 2}), kindMiddle, []byte("more")))
	f.Add(byte(flagTarget), uint64(2), uint64(9), appendPart(appendPart(nil, kindGone, gone{false, 2, 12}.append(nil)), kindLast, []byte("more")))
	f.Add(byte(flagTarget), uint64(1), uint64(0), appendPart(nil, kindNack, nack{true, 0, []span{{1, maxNumber}}}.append(nil)))
	f.Add(byte(flagAll), uint64(1), uint64(0), appendPart(nil, kindBeat, beatEntry{life: 4, progress: testProgress}.append(beat{7, 2, 3}.append(nil))))
	// It begins anew in the middle of a packet.
	f.Add(byte(flagTarget), uint64(0), uint64(1), append(appendPart(nil, kindPosition, position{progress: testProgress}.append(nil)), "\x0500000"...))
	f.Fuzz(func(t *testing.T, flags byte, stream, first uint64, parts []byte) {
		m := Limits{Message: 1 << 10, Pending: 1 << 10, PendingParts: 8, In: 4 << 10}
		l, p := quietLink(t, m)
		defer l.Close()
		l.all.accept(part{kind: 0x17, body: []byte("x")})
		l.collect(nil, time.Now())
		now := time.Now()
		for i := range uint64(6) {
			l.onPacket(l.packetOfPeer(header{flags: flags, stream: stream, first: first + i*3}, parts), now)
			now = now.Add(700 * time.Millisecond)
			l.mu.Lock()
			l.onTimer(now)
			l.collect(nil, now)
			l.mu.Unlock()
		}
		checkMemory(t, l, p)
	})
}

// checkMemory compares what is counted with what is there.
func checkMemory(t *testing.T, l *Link, p *peer) {
	t.Helper()
	pending, assembled := 0, 0
	for _, in := range p.sequences() {
		sum := 0
		for number, k := range in.pending {
			sum += len(k.body) + partCost
			if in.known && number < in.next {
				t.Errorf("number %d is kept, though %d is next", number, in.next)
			}
		}
		if sum != in.pendingBytes || sum > l.limits.Pending || len(in.pending) > l.limits.PendingParts {
			t.Errorf("%d bytes are kept in %d parts, %d are counted", sum, len(in.pending), in.pendingBytes)
		}
		pending += sum
		if in.assembly != nil {
			assembled += in.assembly.total
		}
	}
	waiting := 0
	for i := range l.inbox {
		waiting += l.inbox[i].cost()
	}
	held := l.all.queueBytes + l.all.ringBytes + p.out.queueBytes + p.out.ringBytes
	counted := fmt.Sprint(l.pendBytes, l.asmBytes, l.inBytes, l.held)
	if there := fmt.Sprint(pending, assembled, waiting, held); there != counted {
		t.Errorf("there are %s, counted %s", there, counted)
	}
	if len(p.gones) > maxGones || len(p.nacks) > 2 {
		t.Errorf("%d gones and %d nacks wait", len(p.gones), len(p.nacks))
	}
}

// What a dead member was asked waits for nobody: it is void, but its numbers
// stay.
func TestRequestsToTheDeadBecomeVoid(t *testing.T) {
	l, p := quietLink(t, Limits{})
	defer l.Close()
	for _, op := range []Op{opRequest, OpPublish, opRequest} {
		if err := l.sendTo(p, op, []byte("body")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.sendTo(p, opRequest, make([]byte, l.fragment+1)); err != nil {
		t.Fatal(err)
	}
	l.depart(p, dead, "lease lapsed")
	var got []byte
	for i := range p.out.queue.len() {
		q := p.out.queue.at(i)
		got = append(got, q.kind, q.op)
	}
	if want := []byte{0x10, 0, 0x17, 0, 0x10, 0, kindFirst, byte(opVoid), kindLast, 0}; string(got) != string(want) {
		t.Errorf("%x, want %x", got, want)
	}
	if l.held != p.out.queueBytes {
		t.Errorf("%d bytes are counted, %d are there", l.held, p.out.queueBytes)
	}
}

// The departed are remembered, but not without end.
func TestDepartedAreForgottenInTheEnd(t *testing.T) {
	l, _ := quietLink(t, Limits{})
	defer l.Close()
	for i := range uint64(maxDeparted + 50) {
		l.see([]mesh.Member{{ID: "there", Epoch: (10 + i) << 16}}, time.Now())
	}
	if n := len(l.peers); n != maxDeparted+1 {
		t.Errorf("%d are remembered", n)
	}
}

// A peer that had forgotten this member begins a new stream: what was
// outstanding in the old one is a gap, and nothing of the old one counts any
// more.
func TestNewStreamEndsTheOldOneWithAGap(t *testing.T) {
	l, p := quietLink(t, Limits{})
	defer l.Close()
	say := func(stream, first uint64, kind byte, body string) {
		h := header{flags: flagTarget, stream: stream, first: first}
		l.onPacket(l.packetOfPeer(h, appendPart(nil, kind, []byte(body))), time.Now())
	}
	say(1, 1, 0x17, "one")
	say(1, 2, kindFirst, "\x07\x05he")
	say(1, 4, 0x17, "four")
	say(2, 1, 0x17, "new")
	say(1, 3, 0x17, "late")
	say(2, 2, 0x17, "newer")
	var got string
	for _, it := range l.inbox[1:] {
		got += fmt.Sprintf("%d %d-%d %s, ", it.kind, it.first, it.last, it.body)
	}
	if want := "0 1-1 one, 1 2-3 , 0 4-4 four, 1 5-5 , 0 1-1 new, 0 2-2 newer, "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if l.counters.Stale != 1 {
		t.Errorf("%d were stale", l.counters.Stale)
	}
	checkMemory(t, l, p)
}

// A message that was passed on twice is not passed on again: its sender is told.
func TestThirdHopIsNotTaken(t *testing.T) {
	l, p := quietLink(t, Limits{})
	defer l.Close()
	for _, hops := range []byte{2, 3, 255} {
		m := routed{hops: hops, token: 5, origin: p.life, client: "c"}
		if !l.onClient(p.member, m.append(nil)) {
			t.Error("it was not read")
		}
	}
	if len(l.routes.passed) > 0 || l.routes.noRoute != 3 {
		t.Errorf("%d wait, %d went nowhere", len(l.routes.passed), l.routes.noRoute)
	}
	if n := p.out.queue.len(); n != 3 || p.out.queue.at(0).kind != kindMessage+byte(opMoved) {
		t.Errorf("the sender was told %d times", n)
	}
}

// A part that is kept for want of room, and comes once more when there is some,
// is taken once.
func TestKeptPartThatComesAgainIsTakenOnce(t *testing.T) {
	l, p := quietLink(t, Limits{In: 500})
	defer l.Close()
	say := func(first uint64, body string) {
		h := header{flags: flagTarget, stream: 1, first: first}
		l.onPacket(l.packetOfPeer(h, appendPart(nil, 0x17, []byte(body))), time.Now())
	}
	say(2, "two")
	l.inBytes = 500
	say(1, "one, which fills it up")
	if p.in.next != 2 || len(p.in.pending) != 1 {
		t.Fatalf("next is %d, %d are kept", p.in.next, len(p.in.pending))
	}
	l.inBytes = 400
	say(2, "two")
	say(4, "four")
	if p.in.next != 3 || len(p.in.pending) != 1 {
		t.Errorf("next is %d, %d are kept", p.in.next, len(p.in.pending))
	}
	if got := p.in.missing(9, 9); len(got) != 1 || got[0] != (span{3, 3}) {
		t.Errorf("missing %v", got)
	}
}
