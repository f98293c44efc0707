package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// server is a child process and the connections to it.
type server struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	addr  string
	conns []*client
}

// client is one connection. Frames are made beforehand: the load must cost
// little.
type client struct {
	net.Conn
	br    *bufio.Reader
	acks  bool
	taken uint64 // counted lines
}

func start(name string, pin bool) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{self}
	if tool, err := exec.LookPath("taskset"); err == nil && pin && runtime.NumCPU() > 1 {
		args = []string{tool, "-c", "0", self}
	}
	s := &server{name: name, cmd: exec.Command(args[0], args[1:]...)}
	s.cmd.Env = append(os.Environ(), serveVariable+"="+name)
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	s.addr, err = s.out.ReadString('\n')
	s.addr = strings.TrimSpace(s.addr)
	return s, err
}

func (s *server) stop() {
	s.disconnect()
	s.in.Close()
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// usage asks the server's process, which collects garbage first if told to.
func (s *server) usage(collect bool) (u usage, err error) {
	word := "tell"
	if collect {
		word = "collect"
	}
	fmt.Fprintln(s.in, word)
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return u, err
	}
	return u, json.Unmarshal(line, &u)
}

// connect opens n connections, each of which makes one call.
func (s *server) connect(n int) error {
	s.conns = make([]*client, n)
	errs := make(chan error, 16)
	for k := range 16 {
		go func() {
			for i := k; i < n; i += 16 {
				c, err := s.dial()
				if err != nil {
					errs <- err
					return
				}
				s.conns[i] = c
			}
			errs <- nil
		}()
	}
	var all error
	for range 16 {
		all = errors.Join(all, <-errs)
	}
	return all
}

func (s *server) dial() (*client, error) {
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(3 * time.Minute))
	c := &client{Conn: nc, br: bufio.NewReaderSize(nc, 4<<10), acks: s.name == "ape"}
	head := "GET /api/ape HTTP/1.1\r\nHost: " + s.addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if s.name == "ape" {
		head += "Sec-WebSocket-Protocol: ape.1\r\n"
	}
	if _, err := io.WriteString(nc, head+"\r\n"); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	hello := ""
	if s.name == "ape" {
		hello = "h {}\n"
	}
	if _, err := nc.Write(frame(hello + call(1, "echo"))); err != nil {
		return nil, err
	}
	for answers := 0; answers == 0; {
		if err := c.lines(func(l []byte) {
			if l[0] == 'r' {
				answers++
			}
		}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s *server) disconnect() {
	for _, c := range s.conns {
		if c != nil {
			c.Close()
		}
	}
	s.conns = nil
}

// call is a call's line.
func call(id int, path string) string {
	return fmt.Sprintf("c %d %s {\"text\":%q,\"count\":7}\n", id, path, strings.Repeat("x", 64))
}

// frame makes a masked text frame.
func frame(text string) []byte {
	b := []byte{0x81}
	if n := len(text); n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i := range len(text) {
		b = append(b, text[i]^mask[i&3])
	}
	return b
}

// lines reads at least one message, and all that have come with it.
func (c *client) lines(handle func(line []byte)) error {
	for {
		b, err := c.br.Peek(2)
		if err != nil {
			return err
		}
		size, head := int(b[1]), 2
		if size == 126 {
			if b, err = c.br.Peek(4); err != nil {
				return err
			}
			size, head = int(binary.BigEndian.Uint16(b[2:])), 4
		}
		c.br.Discard(head)
		if size <= c.br.Size() {
			b, err = c.br.Peek(size)
		} else {
			b, size = make([]byte, size), 0
			_, err = io.ReadFull(c.br, b)
		}
		if err != nil {
			return err
		}
		for line := range bytes.Lines(b) {
			if len(line) > 1 {
				c.count(line)
				handle(line)
			}
		}
		c.br.Discard(size)
		if c.br.Buffered() < 2 {
			return nil
		}
	}
}

// count acknowledges every 64th line, as clients of ape do.
func (c *client) count(line []byte) {
	if !c.acks || strings.IndexByte("wapq", line[0]) >= 0 {
		return
	}
	if c.taken++; c.taken%64 == 0 {
		c.Write(frame("a " + strconv.FormatUint(c.taken, 10) + "\n"))
	}
}

// calls makes total calls, with window of them open on each connection. The
// answers that come together are answered by calls that leave together.
func (s *server) calls(total, window int) error {
	texts := make([]string, window)
	for i := range texts {
		texts[i] = call(2*i+1, "echo")
	}
	send := s.together()
	errs := make(chan error, len(s.conns))
	for _, c := range s.conns {
		go func() {
			left := total/len(s.conns) - window
			_, err := c.Write(send(texts))
			var next []string
			for open := window; open > 0 && err == nil; {
				next = next[:0]
				err = c.lines(func(line []byte) {
					if line[0] != 'r' {
						return
					}
					open--
					if left > 0 {
						id, _ := strconv.Atoi(string(line[2 : 2+bytes.IndexByte(line[2:], ' ')]))
						next = append(next, texts[id/2])
						left--
						open++
					}
				})
				if len(next) > 0 && err == nil {
					_, err = c.Write(send(next))
				}
			}
			errs <- err
		}()
	}
	var all error
	for range s.conns {
		all = errors.Join(all, <-errs)
	}
	return all
}

// together makes frames of calls that leave together: in one message to ape, as
// its clients do, unless -joined is off; in one for each to the others.
func (s *server) together() func(calls []string) []byte {
	if s.name == "ape" && *joined {
		return func(calls []string) []byte { return frame(strings.Join(calls, "")) }
	}
	frames := map[string][]byte{} // made beforehand
	var mu sync.RWMutex
	return func(calls []string) (b []byte) {
		for _, text := range calls {
			mu.RLock()
			f := frames[text]
			mu.RUnlock()
			if f == nil {
				f = frame(text)
				mu.Lock()
				frames[text] = f
				mu.Unlock()
			}
			b = append(b, f...)
		}
		return b
	}
}

// broadcasts publishes n times, window in a row; the next row goes out when
// everybody has the one before.
func (s *server) broadcasts(n, window int) error {
	n = (n + window - 1) / window * window
	var got atomic.Int64
	row := make(chan struct{}, 1)
	var group sync.WaitGroup
	errs := make(chan error, len(s.conns))
	for _, c := range s.conns {
		group.Go(func() {
			for k := 0; k < n; {
				m := 0
				err := c.lines(func(line []byte) {
					if line[0] == 'm' {
						m++
					}
				})
				if err != nil {
					errs <- err
					return
				}
				k += m
				size := int64(len(s.conns) * window)
				if after := got.Add(int64(m)); after/size != (after-int64(m))/size {
					row <- struct{}{}
				}
			}
		})
	}
	for sent := 0; sent < n; sent += window {
		var b []byte
		for i := range window {
			b = append(b, frame(call(2*i+1, "pub"))...)
		}
		if _, err := s.conns[0].Write(b); err != nil {
			return err
		}
		select {
		case <-row:
		case err := <-errs:
			return err
		case <-time.After(time.Minute):
			return errors.New("a row of broadcasts took more than a minute")
		}
	}
	group.Wait()
	return nil
}
