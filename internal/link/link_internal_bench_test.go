package link

import (
	"testing"
	"time"

	"github.com/goape/ape/mesh"
)

func benchmarkSeal(b *testing.B, size int) {
	s, packet := newSealer(testKey, "app"), make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		s.seal(packet)
	}
}

func BenchmarkSeal200(b *testing.B) { benchmarkSeal(b, 200) }
func BenchmarkSeal64K(b *testing.B) { benchmarkSeal(b, 64<<10) }

// What one message costs from Send to the sealed packet, 256 at a time.
func BenchmarkSendPath(b *testing.B) {
	l, p := quietLink(b, Limits{})
	defer l.Close()
	body, frames := make([]byte, 128), []mesh.Frame(nil)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := l.Send("there", OpPublish, body); err != nil {
			b.Fatal(err)
		}
		if n++; n%256 != 0 {
			continue
		}
		now := time.Now()
		l.mu.Lock()
		frames = l.collect(frames[:0], now)
		l.onProgress(p, progress{gotStream: p.out.stream, got: p.out.last}, now)
		l.mu.Unlock()
		for i := range frames {
			l.sealer.seal(frames[i].Body)
		}
		l.recycle(frames)
	}
}

// What one message costs from the packet to its handler, 256 at a time.
func BenchmarkReceivePath(b *testing.B) {
	l, p := quietLink(b, Limits{})
	defer l.Close()
	l.handlers.Message = func(Message) {}
	var parts []byte
	for range 256 {
		parts = appendPart(parts, kindMessage+byte(OpPublish), make([]byte, 128))
	}
	p.in = &incoming{peer: p, stream: 1, known: true, next: 1}
	packet := l.packetOfPeer(header{flags: flagTarget, stream: 1, first: 1}, parts)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n%256 != 0 {
			continue
		}
		p.in.next, p.in.top = 1, 0
		l.onPacket(packet, time.Now())
		l.mu.Lock()
		items := l.inbox
		n := l.name(items)
		l.hand(items[:n])
		l.handled(items[:n])
		l.inbox, p.tellIt = l.inbox[:0], false
		l.mu.Unlock()
	}
}
