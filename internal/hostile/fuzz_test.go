package hostile_test

import (
	"io"
	"testing"
	"time"

	"github.com/goape/ape"
)

// FuzzConnection sends arbitrary bytes behind a valid upgrade of either
// dialect, raw or as the payload of frames. Nothing panics, the server only
// says what it may, and a bystander is still served.
func FuzzConnection(f *testing.F) {
	for _, a := range abuses() {
		f.Add(byte(0), a.bytes)
		f.Add(byte(1), a.bytes)
	}
	for _, s := range []string{
		"c 1 echo 1\n", "s 1 news;l\nu 3 news\n", "c 1 typed {\"count\":1,\"at<!D>\":5,\"tags<!S>\":[1]}\n", "c 1 echo =3\nabc", "a 5\np\nq {\"code\":\"bye\"}\n",
		`{"type":"/echo","data<!D>":5}`, `{"type":"/echo","data":{"a<!P>":["data"],"b<![D,]>":[1,2]}}`, `{"subscribe":"/news"}`, `{"type":"/files/x/y"}`,
	} {
		for mode := range byte(8) {
			f.Add(mode, []byte(s))
		}
	}
	for _, b := range bombs() {
		if len(b.text) < 8<<10 {
			f.Add(byte(4), []byte("c 1 echo "+b.text+"\n"))
			f.Add(byte(5), []byte(`{"type":"/echo","data":`+b.text+`}`))
		}
	}
	w := start(f, setup{Options: ape.Options{Rate: ape.Rate{PerSecond: -1}, ResumeWindow: time.Millisecond, MaxMessage: 1 << 16, MaxClientsPerBrowser: 1 << 20}})
	f.Cleanup(func() { w.t = f })
	n := 0
	f.Fuzz(func(t *testing.T, mode byte, data []byte) {
		w.t = t
		var p *peer
		if mode&1 == 0 {
			p = w.hello(`{}`, nil)
		} else {
			p = w.classic(nil)
		}
		w.peers = w.peers[:0]
		defer p.Close()
		read := make(chan struct{})
		go func() { // strictly, up to the end
			defer close(read)
			for {
				if op, _, err := p.next(); err != nil || op == opClose {
					io.Copy(io.Discard, p.br)
					return
				}
			}
		}()
		switch {
		case mode&4 == 0:
			p.send(data)
		case mode&2 == 0:
			p.send(frame(fin|opText, data))
		default:
			p.send(frame(fin|opBinary, data))
		}
		p.send(frame(fin|opClose, closing(1000, "")))
		p.Close()
		<-read
		w.by.p.t = t
		if n++; n%16 == 0 {
			w.served()
		}
	})
}
