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
		"c 1 count;g=9 3\ng 1 9007199254740991\nx 1\n", "c 1 count;g=9007199254740991 -1\n", "c 1 sum;i\nn 1 1\nz 1\n", "c 1 sum;i\nn 1 1\nn 1 1\nn 1 1\nn 1 1\nn 1 1\nn 1 1\nn 1 1\nn 1 1\nn 1 1\n",
		"c 1 double;i;g=5\nn 1 4\nz 1\n", "c 1 ask\nr 2 1\nr 2 1\nr 4 1\n", "c 1 ask/count\nn 2 1\nz 2\n", "c 1 ask/sum\ng 2 9\nr 2 1\n", "c 1 wait;t=1\nc 1 wait\nx 1\n",
		"c 1 wait\nr 1 1\ne 1 {}\nn 1\nz 1\ng 1 1\nx 1\nx 2\ng 2 1\n", "c 1 echo;k=1 1\nc 3 echo;k=1 1\nc 5 count;k=1;g=1 1\n", "a 9007199254740991\nr 9007199254740990\nc 9007199254740991 echo\n",
		`{"type":"/count","data":3}`, `{"type":"/count","data":-1}`, `{"type":"/sum","data":3}`, `{"type":"/double","data":3}`, `{"type":"/ask"}`,
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
