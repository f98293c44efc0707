package hostile_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/internal/memnet"
)

// stuck opens n connections of every kind whose peers never read again.
func (w *world) stuck(n int) {
	w.t.Helper()
	for i := range n {
		switch i % 4 {
		case 0:
			w.hello(`{}`, nil)
		case 1:
			w.classic(nil)
		case 2:
			w.get(request("GET", "/api/ape/poll", head{"Ape-Protocol": "ape.1", "Ape-Hello": `{}`})).status(200)
		case 3:
			w.get(request("GET", "/api/ape/poll", head{"Cookie": "apeClientId=" + cookieOf(string(rune('A'+i%26)))})).status(200)
		}
	}
}

// TestStuckClientsDisturbNobody: 64 clients read nothing while broadcasts go
// on until all of them are closed as slow. The bystander is served, and what
// waits for the others is bounded.
func TestStuckClientsDisturbNobody(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		t.Run(map[bool]string{false: "memnet", true: "loopback"}[tcp], func(t *testing.T) {
			w := start(t, setup{tcp: tcp})
			w.stuck(64)
			before := heap()
			payload := strings.Repeat("x", 64<<10)
			for rounds := 0; w.app.Stats().Slow < 64; rounds++ {
				if err := w.app.Broadcast("to/all", payload); err != nil {
					t.Fatal(err)
				}
				w.served()
				if rounds == 1000 {
					t.Fatalf("%d of 64 clients were closed as slow", w.app.Stats().Slow)
				}
			}
			bounded(t, before, 64<<20)
		})
	}
}

// TestPingsOfAPeerThatReadsNothing: 10,000 pings, of the protocol below and of
// ape.1's own, are answered with bounded memory.
func TestPingsOfAPeerThatReadsNothing(t *testing.T) {
	floods := map[string][]byte{
		"ping frames":     bytes.Repeat(frame(fin|opPing, bytes.Repeat([]byte("p"), 125)), 100),
		"p lines":         bytes.Repeat(text("p\n"), 100),
		"p lines, joined": text(strings.Repeat("p\n", 2000)),
		"pongs":           bytes.Repeat(frame(fin|opPong, []byte("unasked")), 100),
		"empty lines":     text(strings.Repeat("\n", 10000)),
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			inside(t, setup{buffer: 4096}, func(t *testing.T, w *world) {
				p := w.hello(`{}`, nil)
				// One byte is read now and then, so that the connection stays.
				over := make(chan struct{})
				go func() {
					defer close(over)
					for few := make([]byte, 64); ; time.Sleep(time.Second) {
						if _, err := p.Read(few); err != nil {
							return
						}
					}
				}()
				before := heap()
				for range 100 {
					if p.send(flood) != nil {
						break
					}
				}
				bounded(t, before, 2<<20)
				w.served()
				p.Close()
				<-over
			})
		})
	}
}

// TestAThousandCallsWithoutReading: what waits for the peer is bounded, however
// big the answers.
func TestAThousandCallsWithoutReading(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		q := w.classic(nil)
		before := heap()
		for i := range 1000 {
			p.lines(fmt.Sprintf(`c %d big {"n":1000000}`, 2*i+1))
			q.send(text(fmt.Sprintf(`{"type":"/big","data":{"n":1000000,"i":%d}}`, i)))
		}
		synctest.Wait()
		bounded(t, before, 64<<20)
		w.served()
		for _, c := range []*peer{p, q} {
			c.Close()
		}
		synctest.Wait()
		bounded(t, before, 64<<20)
	})
}

// TestManyBigCallsThatWait: the inputs of calls that have not run are bounded,
// too.
func TestManyBigCallsThatWait(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		before := heap()
		big := strings.Repeat("x", 1<<20-100)
		for i := range 48 {
			p.lines(fmt.Sprintf(`c %d wait "%s"`, 2*i+1, big))
		}
		synctest.Wait()
		bounded(t, before, 32<<20)
		p.alive(time.Minute)
		p.want(`e `)
		w.served()
	})
}

// TestPeersThatAcknowledgeNothing: MaxBacklog bounds what is kept for all
// clients together, also for those that stay connected.
func TestPeersThatAcknowledgeNothing(t *testing.T) {
	const backlog = 4 << 20
	inside(t, setup{Options: ape.Options{MaxBacklog: backlog}}, func(t *testing.T, w *world) {
		for range 16 {
			p := w.hello(`{}`, nil)
			p.lines(`c 1 big {"n":900000}`)
			p.want("r 1 ")
			w.served()
		}
		synctest.Wait()
		if got := w.app.Stats().QueuedBytes; got > backlog {
			t.Errorf("%d bytes are kept, the limit is %d", got, backlog)
		}
	})
}

// TestTheHelloNeverComes: whoever does not say it in ten seconds is sent away.
func TestTheHelloNeverComes(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		begin := time.Now()
		p := w.upgrade(line1)
		q := w.upgrade(line1)
		go func() {
			for range 20 {
				time.Sleep(time.Second)
				if q.send(text("h {\"auth\":\"never")[:5]) != nil {
					return
				}
			}
		}()
		for _, l := range p.wantClose(4200) {
			if l != "" && !strings.HasPrefix(l, "q ") {
				t.Errorf("before the close frame came %q", l)
			}
		}
		if d := time.Since(begin); d < 10*time.Second || d > 13*time.Second {
			t.Errorf("closed after %v", d)
		}
		time.Sleep(20 * time.Second)
		w.online(0)
	})
}

// TestAPostThatDripsForEver: a body has ten seconds, in either dialect; then
// the request is over and its connection too.
func TestAPostThatDripsForEver(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		session := w.hello(`{}`, nil)
		session.alive(time.Hour)
		heads := map[string]head{
			"classic": {"Cookie": "apeClientId=" + cookieOf("A")},
			"ape.1":   {"Ape-Protocol": "ape.1", "Ape-Session": session.token, "Ape-Seq": "1"},
		}
		for name, h := range heads {
			for drip, length := range map[string]head{"x": {"Content-Length": "100000"}, "1\r\nx\r\n": {"Transfer-Encoding": "chunked"}} {
				p := w.raw()
				p.alive(time.Hour)
				p.send([]byte(request("POST", "/api/ape/poll", h, length)))
				begin := time.Now()
				over := make(chan struct{})
				go func() {
					defer close(over)
					for p.send([]byte(drip)) == nil && time.Since(begin) < 10*time.Minute {
						time.Sleep(500 * time.Millisecond)
					}
				}()
				io.Copy(io.Discard, p) // the response, and the end of the connection
				p.Close()
				<-over
				if d := time.Since(begin); d > 15*time.Second {
					t.Errorf("%s %v: given up after %v", name, length, d)
				}
			}
		}
		session.lines("c 1 echo 1")
		session.want("r 1 1")
	})
}

// TestHalfOpenConnectionsAreGivenUp: a peer that has vanished, and into which
// writes vanish too, is given up after three heartbeats.
func TestHalfOpenConnectionsAreGivenUp(t *testing.T) {
	var last *memnet.Faulty
	o := setup{wrap: func(c *memnet.Conn) net.Conn {
		last = memnet.NewFaulty(c, memnet.Faults{})
		return last
	}}
	open := map[string]func(w *world) *peer{
		"ape.1":   func(w *world) *peer { return w.hello(`{}`, nil) },
		"classic": func(w *world) *peer { return w.classic(nil) },
		"stream": func(w *world) *peer {
			return w.get(request("GET", "/api/ape/poll", head{"Ape-Protocol": "ape.1", "Ape-Hello": `{}`}))
		},
	}
	for name, dial := range open {
		t.Run(name, func(t *testing.T) {
			var gone atomic.Pointer[time.Time]
			o.OnDisconnect = func(*ape.Client, error) {
				now := time.Now()
				gone.CompareAndSwap(nil, &now)
			}
			inside(t, o, func(t *testing.T, w *world) {
				dial(w)
				last.HalfOpen()
				begin := time.Now()
				window := time.Minute
				if name == "classic" {
					window = 0
				}
				w.app.Broadcast("into/the/void", 1)
				time.Sleep(window + 105*time.Second)
				switch at := gone.Load(); {
				case at == nil:
					t.Error("never given up")
				case at.Sub(begin)-window < 75*time.Second:
					t.Errorf("given up after %v, want three heartbeats", at.Sub(begin)-window)
				}
				w.online(0)
			})
		})
	}
}

// TestTooManyHandshakes: connections that are not yet established are bounded;
// those above get 503, and the place is free again when one is given up.
func TestTooManyHandshakes(t *testing.T) {
	inside(t, setup{Options: ape.Options{MaxHandshakes: 10}}, func(t *testing.T, w *world) {
		for range 10 {
			w.upgrade(line1)
		}
		synctest.Wait()
		for range 20 {
			w.get(request("GET", "/api/ape", line1)).status(503)
		}
		w.served()
		time.Sleep(11 * time.Second)
		w.hello(`{}`, nil)
	})
}

// TestSlowReadersKeepTheirPlace: a client that reads little by little, but
// reads, is no victim of the others.
func TestSlowReadersKeepTheirPlace(t *testing.T) {
	inside(t, setup{buffer: 1024}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		p.alive(time.Hour)
		p.lines(`c 1 big {"n":200000}`)
		go func() {
			for range 3 {
				w.hello(`{}`, nil).reset()
			}
		}()
		slow := &dripping{Conn: p.Conn}
		p.br.Reset(slow)
		p.want("r 1 ")
	})
}

// dripping reads a little a moment.
type dripping struct{ net.Conn }

func (d *dripping) Read(b []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return d.Conn.Read(b[:min(len(b), 700)])
}
