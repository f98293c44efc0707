package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape"
)

// serveVariable names the server that a child process is to run.
const serveVariable = "APE_COMPARE_SERVE"

var names = []string{"ape", "coder", "bare"}

var servers = map[string]func(net.Listener){"ape": serveApe, "coder": serveCoder, "bare": serveBare}

// What every call carries and is answered with.
type question struct {
	Text  string `json:"text"`
	Count int    `json:"count"`
}

type reply struct {
	Text string `json:"text"`
	Next int    `json:"next"`
}

func (q question) answer() reply { return reply{q.Text, q.Count + 1} }

// usage is what a server's process says of itself.
type usage struct {
	CPU    float64 // seconds, user and system
	Allocs uint64
	Heap   uint64
	Stack  uint64
}

// serve runs a server: it prints its address, and usage for every line on
// standard input, until that ends.
func serve(name string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go servers[name](ln)
	fmt.Println(ln.Addr())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if in.Text() == "collect" {
			runtime.GC()
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
		json.NewEncoder(os.Stdout).Encode(usage{cpu, m.Mallocs, m.HeapAlloc, m.StackInuse})
	}
}

func serveApe(ln net.Listener) {
	app := ape.New(&ape.Options{Rate: ape.Rate{PerSecond: -1}, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	app.Handle("echo", ape.Func(func(_ context.Context, q question) (reply, error) { return q.answer(), nil }))
	app.Handle("pub", ape.Func(func(_ context.Context, q question) (reply, error) {
		return q.answer(), app.Broadcast("news", q)
	}))
	http.Serve(ln, app)
}

// parts cuts `c id path payload`.
func parts(line []byte) (id, path, payload []byte) {
	_, line, _ = bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	id, line, _ = bytes.Cut(line, []byte(" "))
	path, payload, _ = bytes.Cut(line, []byte(" "))
	return id, path, payload
}

// respond decodes a call and encodes its answer.
func respond(dst, id, payload []byte) []byte {
	var q question
	if err := json.Unmarshal(payload, &q); err != nil {
		panic(err)
	}
	b, err := json.Marshal(q.answer())
	if err != nil {
		panic(err)
	}
	return append(append(append(append(append(dst, "r "...), id...), ' '), b...), '\n')
}

// announce encodes a broadcast.
func announce(dst, payload []byte) []byte {
	var q question
	if err := json.Unmarshal(payload, &q); err != nil {
		panic(err)
	}
	b, err := json.Marshal(q)
	if err != nil {
		panic(err)
	}
	return append(append(append(dst, "m news "...), b...), '\n')
}

// serveCoder is coder/websocket with its own Read and Write.
func serveCoder(ln net.Listener) {
	ctx := context.Background()
	var mu sync.RWMutex
	all := map[*websocket.Conn]bool{}
	http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		mu.Lock()
		all[c] = true
		mu.Unlock()
		defer func() { mu.Lock(); delete(all, c); mu.Unlock() }()
		for {
			_, m, err := c.Read(ctx)
			if err != nil {
				return
			}
			id, path, payload := parts(m)
			if string(path) == "pub" {
				b := announce(nil, payload)
				mu.RLock()
				for other := range all {
					other.Write(ctx, websocket.MessageText, b)
				}
				mu.RUnlock()
			}
			c.Write(ctx, websocket.MessageText, respond(nil, id, payload))
		}
	}))
}

// bare is a connection without any library: no pings, no limits, no closing.
type bare struct {
	net.Conn
	mu         sync.Mutex
	out, spare []byte
	writing    bool
}

// serveBare is the floor: frames are read and written by hand, and answers join
// in one write as long as there is something to read.
func serveBare(ln net.Listener) {
	var mu sync.RWMutex
	all := map[*bare]bool{}
	each := func(f func(*bare)) {
		mu.RLock()
		defer mu.RUnlock()
		for c := range all {
			f(c)
		}
	}
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		c := &bare{Conn: nc}
		mu.Lock()
		all[c] = true
		mu.Unlock()
		go func() {
			c.serve(each)
			mu.Lock()
			delete(all, c)
			mu.Unlock()
			c.Close()
		}()
	}
}

func (c *bare) put(message []byte) {
	c.mu.Lock()
	c.out = append(appendHeader(c.out, len(message)), message...)
	c.mu.Unlock()
}

func (c *bare) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing {
		return
	}
	c.writing = true
	for len(c.out) > 0 {
		b := c.out
		c.out = c.spare[:0]
		c.mu.Unlock()
		c.Write(b)
		c.mu.Lock()
		c.spare = b
	}
	c.writing = false
}

func (c *bare) serve(each func(func(*bare))) {
	buf, have := make([]byte, 2048), 0
	for !bytes.Contains(buf[:have], []byte("\r\n\r\n")) {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
	}
	have = 0 // our own client sends nothing behind the handshake
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	var message []byte
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		used, published := 0, false
		for {
			payload, size := frameAt(buf[used:have])
			if size == 0 {
				break
			}
			used += size
			id, path, body := parts(payload)
			if string(path) == "pub" {
				published = true
				message = announce(message[:0], body)
				each(func(other *bare) { other.put(message) })
			}
			message = respond(message[:0], id, body)
			c.put(message)
		}
		have = copy(buf, buf[used:have])
		if published {
			each((*bare).flush)
		}
		c.flush()
	}
}

// frameAt unmasks the frame at the beginning of b; size 0 when it is not whole.
func frameAt(b []byte) (payload []byte, size int) {
	if len(b) < 8 {
		return nil, 0
	}
	n, head := int(b[1]&127), 6
	if n == 126 {
		n, head = int(binary.BigEndian.Uint16(b[2:])), 8
	}
	if len(b) < head+n {
		return nil, 0
	}
	payload = b[head : head+n]
	for i := range payload {
		payload[i] ^= b[head-4+i&3]
	}
	return payload, head + n
}

// appendHeader appends the header of an unmasked text frame.
func appendHeader(dst []byte, n int) []byte {
	if n < 126 {
		return append(dst, 0x81, byte(n))
	}
	return append(dst, 0x81, 126, byte(n>>8), byte(n))
}
