package hostile_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// abuse is what a peer sends, and the close codes that may answer it.
type abuse struct {
	name  string
	bytes []byte
	codes []int
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// abuses are frames that RFC 6455 forbids.
func abuses() []abuse {
	protocol := []int{1002}
	list := []abuse{
		{"unmasked frame", append(sized(fin|opText, 0, 4), "c 1 "...), protocol},
		{"unmasked close", append(sized(fin|opClose, 0, 2), 3, 232), protocol},
		{"reserved bit 1", frame(fin|0x40|opText, []byte("{}")), protocol},
		{"reserved bit 2", frame(fin|0x20|opText, []byte("{}")), protocol},
		{"reserved bit 3", frame(fin|0x10|opText, []byte("{}")), protocol},
		{"reserved bit on a ping", frame(fin|0x40|opPing, nil), protocol},
		{"length 1<<63", append(sized(fin|opText, 0x80, 1<<63), 1, 2, 3, 4), protocol},
		{"length 1<<64-1", append(sized(fin|opBinary, 0x80, 1<<64-1), 1, 2, 3, 4), protocol},
		{"ping of 126 bytes", frame(fin|opPing, make([]byte, 126)), protocol},
		{"ping of 1<<62 bytes", append(sized(fin|opPing, 0x80, 1<<62), 1, 2, 3, 4), protocol},
		{"close of 200 bytes", frame(fin|opClose, closing(1000, strings.Repeat("x", 198))), protocol},
		{"fragmented ping", frame(opPing, nil), protocol},
		{"fragmented close", frame(opClose, closing(1000, "")), protocol},
		{"continuation of nothing", frame(fin|opMore, []byte("x")), protocol},
		{"continuation behind a whole message", join(frame(fin|opText, []byte("\n")), frame(fin|opMore, []byte("x"))), protocol},
		{"message inside a message", join(frame(opText, []byte("\n")), frame(fin|opText, []byte("\n"))), protocol},
		{"binary inside text", join(frame(opText, []byte("\n")), frame(opMore, nil), frame(fin|opBinary, []byte("\n"))), protocol},
		{"close of one byte", frame(fin|opClose, []byte{3}), protocol},
		{"text that is not UTF-8", frame(fin|opText, []byte("m x \"\xff\"\n")), []int{1007}},
		{"a surrogate in UTF-8", frame(fin|opText, []byte("m x \"\xed\xa0\x80\"\n")), []int{1007}},
		{"a rune cut by the end", frame(fin|opText, []byte("m x \"\xe2\x82")), []int{1007, 4005}},
		{"a rune broken by a fragment", join(frame(opText, []byte("m x \"\xe2\x82")), frame(fin|opMore, []byte("\"\n"))), []int{1007}},
		{"close with a reason that is not UTF-8", frame(fin|opClose, closing(1000, "\xff\xfe")), []int{1000, 1002, 1007}},
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		list = append(list, abuse{fmt.Sprint("opcode ", op), frame(fin|op, nil), protocol})
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535} {
		list = append(list, abuse{fmt.Sprint("close code ", code), frame(fin|opClose, closing(code, "")), protocol})
	}
	return list
}

// bothDialects runs f with a peer of each dialect that is past the handshake.
func bothDialects(t *testing.T, o setup, f func(t *testing.T, w *world, p *peer)) {
	t.Run("ape.1", func(t *testing.T) {
		inside(t, o, func(t *testing.T, w *world) { f(t, w, w.hello(`{}`, nil)) })
	})
	t.Run("classic", func(t *testing.T) {
		inside(t, o, func(t *testing.T, w *world) { f(t, w, w.classic(nil)) })
	})
}

// TestForbiddenFramesCloseTheConnection: each is answered with its close code,
// and nothing of the peer is left when the resume window is over.
func TestForbiddenFramesCloseTheConnection(t *testing.T) {
	for _, a := range abuses() {
		t.Run(a.name, func(t *testing.T) {
			bothDialects(t, setup{}, func(t *testing.T, w *world, p *peer) {
				p.send(a.bytes)
				p.wantClose(a.codes...)
				w.served()
				time.Sleep(61 * time.Second)
				w.online(0)
			})
		})
	}
}

// TestForbiddenFramesBeforeTheHello: the same, when there is no session yet.
func TestForbiddenFramesBeforeTheHello(t *testing.T) {
	for _, a := range abuses() {
		t.Run(a.name, func(t *testing.T) {
			inside(t, setup{}, func(t *testing.T, w *world) {
				p := w.upgrade(line1)
				p.send(a.bytes)
				p.wantClose(append(a.codes, 4200)...)
				w.online(0)
			})
		})
	}
}

// TestFramesBehindACloseFrameDoNothing: neither a call nor a second close is
// looked at.
func TestFramesBehindACloseFrameDoNothing(t *testing.T) {
	bothDialects(t, setup{}, func(t *testing.T, w *world, p *peer) {
		before := w.app.Stats().Calls
		p.send(join(frame(fin|opClose, closing(1000, "")), text("c 1 echo 1\n"), text(`{"type":"/echo"}`),
			frame(fin|opClose, closing(4000, ""))))
		for _, l := range p.wantClose(1000) {
			if l != "" && !strings.HasPrefix(l, "a ") && !strings.HasPrefix(l, "q ") {
				t.Errorf("behind the close frame came %q", l)
			}
		}
		if got := w.app.Stats().Calls - before; got != 0 {
			t.Errorf("%d calls were begun behind the close frame", got)
		}
		w.online(0)
	})
}

// TestEveryByteInAFrameOfItsOwn: a message may come in as many fragments as it
// has bytes, with pings between them.
func TestEveryByteInAFrameOfItsOwn(t *testing.T) {
	bothDialects(t, setup{}, func(t *testing.T, w *world, p *peer) {
		message := "c 1 echo \"drop by drop, €\"\n"
		if !p.isLine {
			message = `{"type":"/echo","data":"drop by drop, €"}`
		}
		first := byte(opText)
		for i := range len(message) {
			last := byte(0)
			if i == len(message)-1 {
				last = fin
			}
			for _, b := range join(frame(first|last, []byte{message[i]}), frame(opMore, nil), frame(fin|opPing, []byte{byte(i)})) {
				if last == 0 || i < len(message)-1 {
					p.send([]byte{b})
				}
			}
			if last != 0 {
				p.send(frame(first|last, []byte{message[i]}))
			}
			first = opMore
		}
		w.served()
		if p.isLine {
			p.want(`r 1 "drop by drop, €"`)
		} else if got := p.message(); !strings.Contains(got, `"drop by drop, €"`) {
			t.Errorf("got %q", got)
		}
	})
}

// TestEmptyFragmentsForEver: a million empty fragments cost time only.
func TestEmptyFragmentsForEver(t *testing.T) {
	bothDialects(t, setup{}, func(t *testing.T, w *world, p *peer) {
		before := heap()
		p.send(frame(opText, nil))
		block := bytes.Repeat(frame(opMore, nil), 1000)
		for range 100 {
			p.send(block)
		}
		w.served()
		bounded(t, before, 4<<20)
		p.send(frame(fin|opMore, []byte("\n")))
	})
}

// TestAFrameOfAQuarterOfAllBytes: a length is a promise, not an allocation.
func TestAFrameOfAQuarterOfAllBytes(t *testing.T) {
	bothDialects(t, setup{Options: ape.Options{MaxMessage: 1 << 16}}, func(t *testing.T, w *world, p *peer) {
		before := heap()
		p.send(append(sized(fin|opBinary, 0x80, 1<<62), 0, 0, 0, 0))
		synctest.Wait()
		bounded(t, before, 1<<20)
		go p.send(bytes.Repeat([]byte("x"), 2<<20)) // until the server closes
		codes := []int{4102}
		if !p.isLine {
			codes = []int{1009}
		}
		p.wantClose(codes...)
		w.served()
		w.online(0)
	})
}

// TestHalfAFrameForEver: a peer that stops inside of a frame is given up after
// three heartbeats; its session can be resumed.
func TestHalfAFrameForEver(t *testing.T) {
	for _, half := range [][]byte{
		{fin | opText}, {fin | opText, 0xff}, {fin | opText, 0xfe, 1}, {fin | opText, 0x85, 1, 2}, text("c 1 echo 1\n")[:9],
		append(sized(opText, 0x80, 1000), 1, 2, 3, 4, 5),
	} {
		t.Run(fmt.Sprintf("% x", half), func(t *testing.T) {
			bothDialects(t, setup{}, func(t *testing.T, w *world, p *peer) {
				p.alive(10 * time.Minute)
				begin := time.Now()
				p.send(half)
				p.wantClose(4001)
				if d := time.Since(begin); d < 75*time.Second || d > 90*time.Second {
					t.Errorf("given up after %v, want three heartbeats", d)
				}
				if p.isLine {
					again := w.hello(`{"resume":"`+p.token+`","try":1}`, nil)
					again.lines("c 1 echo 1")
					again.want("r 1 1")
				}
			})
		})
	}
}
