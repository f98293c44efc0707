package hostile_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/internal/memnet"
)

// dice returns a source whose seed is printed when the test fails. APE_SEED
// repeats a run.
func dice(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("APE_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with APE_SEED=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

// scripts are whole conversations of a client, as bytes.
func scripts() []string {
	cookie := head{"Cookie": "apeClientId=" + cookieOf("A")}
	post := `{"type":"/echo","data":"` + strings.Repeat("x", 300) + `"}`
	return []string{
		request("GET", "/api/ape", line1) + string(join(text(`h {}`+"\n"), text("c 1 echo \"abc\"\ns 3 news\n"), frame(fin|opPing, []byte("x")),
			frame(fin|opBinary, []byte("c 5 echo =4\n\n\n\n\nc 7 big {\"n\":20000}\n")), text("c 9 wait\n"))),
		request("GET", "/api/ape") + string(join(text(`{"type":"/echo","data":1}`), text(`{"subscribe":"/news"}`), text(`{"type":"/big","data":{"n":20000}}`), text(`{"type":"/wait"}`))),
		request("GET", "/api/ape/poll", head{"Ape-Protocol": "ape.1", "Ape-Hello": `{}`}),
		request("GET", "/api/ape/poll", head{"Ape-Protocol": "ape.1", "Ape-Hello": `{"poll":true}`}),
		request("GET", "/api/ape/poll", cookie),
		request("POST", "/api/ape/poll", cookie, head{"Content-Length": fmt.Sprint(len(post))}) + post,
		request("POST", "/api/ape/poll", cookie, head{"Content-Length": "15"}) + `{"type":"/wait"`,
		request("GET", "/api/ape.js"), request("GET", "/api/ape/ping"),
	}
}

// TestResetsAtEveryByte: the peer breaks the connection behind each byte of each
// script, by a reset or a FIN, having read nothing or some; the process lives,
// nothing of it is left, and the bystander never notices.
func TestResetsAtEveryByte(t *testing.T) {
	rnd := dice(t)
	for i, script := range scripts() {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			inside(t, setup{}, func(t *testing.T, w *world) {
				for cut := range len(script) + 1 {
					p := w.raw()
					p.send([]byte(script[:cut]))
					if rnd.IntN(2) == 0 {
						synctest.Wait()
					}
					if rnd.IntN(2) == 0 {
						p.Conn.(*memnet.Conn).Reset()
					}
					p.Close()
					w.peers = w.peers[:0]
					if cut%50 == 0 {
						w.app.Broadcast("to/all", "x")
						w.app.Publish("news", "x")
						w.served()
					}
				}
				time.Sleep(2 * time.Minute)
				w.online(0)
			})
		})
	}
}

// TestResetsOnLoopback: thousands of connections of the kernel's own, from a few
// goroutines, cut anywhere.
func TestResetsOnLoopback(t *testing.T) {
	rnd := dice(t)
	w := start(t, setup{tcp: true, Options: ape.Options{ResumeWindow: time.Millisecond}})
	all := scripts()
	const workers, each = 8, 250
	var group sync.WaitGroup
	seeds := make([]uint64, workers)
	for i := range seeds {
		seeds[i] = rnd.Uint64()
	}
	for i := range workers {
		group.Go(func() {
			rnd := rand.New(rand.NewPCG(seeds[i], 2))
			for range each {
				c, err := w.listen(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				p := &peer{Conn: c, t: t}
				script := all[rnd.IntN(len(all))]
				p.alive(w.guard)
				p.send([]byte(script[:rnd.IntN(len(script)+1)]))
				if rnd.IntN(3) == 0 && !strings.HasPrefix(script, "POST") {
					p.SetReadDeadline(time.Now().Add(time.Millisecond))
					io.CopyN(io.Discard, p, int64(rnd.IntN(500)))
				}
				if rnd.IntN(4) > 0 {
					p.reset()
				}
				p.Close()
			}
		})
	}
	for range 50 {
		w.app.Broadcast("to/all", strings.Repeat("x", 1000))
		w.served()
	}
	group.Wait()
}

// TestACutInsideAFrameKeepsTheSession: the lines before it were taken, what is
// not whole does not exist, and the client goes on from there. The key of the
// mask differs, since masked bytes must never be taken for lines.
func TestACutInsideAFrameKeepsTheSession(t *testing.T) {
	rnd := dice(t)
	inside(t, setup{}, func(t *testing.T, w *world) {
		for range 500 {
			p := w.hello(`{}`, nil)
			p.lines("c 1 echo 1")
			p.want("r 1 1")
			whole := frame(fin|opText, []byte("c 3 echo \"second\"\nc 5 echo \"third\"\nc 7 echo \"fourth\"\n"))
			for i := range whole[6:] { // another mask
				whole[6+i] ^= [4]byte{whole[2], whole[3], whole[4], whole[5]}[i%4]
			}
			for i := range 4 {
				whole[2+i] = byte(rnd.Uint32())
			}
			for i := range whole[6:] {
				whole[6+i] ^= whole[2+i%4]
			}
			cut := 1 + rnd.IntN(len(whole)-1)
			p.send(whole[:cut])
			synctest.Wait()
			if rnd.IntN(2) == 0 {
				p.reset()
			} else {
				p.Close()
			}
			synctest.Wait()
			q := w.upgrade(line1)
			q.lines(`h {"resume":"` + p.token + `","try":1,"seen":1}`)
			got := q.welcome()
			if got.Got == nil || got.Gap != "" {
				t.Fatalf("cut at byte %d of % x: the welcome is %+v", cut, whole, got)
			}
			if *got.Got != 1 {
				t.Fatalf("cut at byte %d of % x: %d lines were taken, want 1", cut, whole, *got.Got)
			}
			q.lines("c 3 echo \"again\"")
			q.want(`r 3 "again"`)
			q.Close()
			w.peers = w.peers[:0]
		}
	})
}

// TestWhoComesBackAndWhoDoesNot: a reset keeps an ape.1 session for the window
// and ends a classic one at once; 1000 ends it, 1001 does not.
func TestWhoComesBackAndWhoDoesNot(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		ends := map[string]func(p *peer){
			"":        func(p *peer) { p.reset() },
			"fin":     func(p *peer) { p.Close() },
			"1001":    func(p *peer) { p.send(frame(fin|opClose, closing(1001, ""))); p.wantClose(1001) },
			"no code": func(p *peer) { p.send(frame(fin|opClose, nil)); p.wantClose(1005) },
			"4999":    func(p *peer) { p.send(frame(fin|opClose, closing(4999, "x"))); p.wantClose(4999) },
			"abuse":   func(p *peer) { p.send(frame(fin|3, nil)); p.wantClose(1002) },
		}
		for name, end := range ends {
			p, q := w.hello(`{}`, nil), w.classic(nil)
			end(p)
			end(q)
			w.online(1)
			again := w.hello(`{"resume":"`+p.token+`","try":1}`, nil)
			if again.id != p.id {
				t.Errorf("%s: the session is lost", name)
			}
			again.send(frame(fin|opClose, closing(1000, "")))
			again.wantClose(1000)
			w.online(0)
		}
	})
}
