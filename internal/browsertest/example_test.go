package browsertest_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/input"
)

// example is a running program of examples.
type example struct {
	t       *testing.T
	name    string
	program string
	args    []string
	cmd     *exec.Cmd
	url     string
}

// startExample builds and starts a program on a free port. It must end well.
func startExample(t *testing.T, name string, args ...string) *example {
	t.Helper()
	needBrowser(t)
	e := &example{t: t, name: name, program: filepath.Join(t.TempDir(), name), args: args}
	if out, err := exec.Command("go", "build", "-o", e.program, "github.com/goape/ape/examples/"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	e.start("127.0.0.1:0")
	t.Cleanup(e.stop)
	return e
}

func (e *example) start(addr string) {
	e.t.Helper()
	e.cmd = exec.Command(e.program, append([]string{"-addr", addr}, e.args...)...)
	e.cmd.Stderr = os.Stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, found := strings.Cut(strings.TrimSpace(line), e.name+": ")
	if err != nil || !found {
		e.t.Fatalf("the program printed %q: %v", line, err)
	}
	e.url = url
}

// stop interrupts the program as Ctrl-C does.
func (e *example) stop() {
	e.t.Helper()
	if err := e.cmd.Process.Signal(os.Interrupt); err != nil {
		e.t.Error(err)
	}
	if err := e.cmd.Wait(); err != nil {
		e.t.Errorf("%s ended with %v", e.name, err)
	}
}

// crash kills the program and starts it again at the same address.
func (e *example) crash() {
	e.t.Helper()
	e.cmd.Process.Kill()
	e.cmd.Wait()
	e.start(strings.TrimPrefix(e.url, "http://"))
}

// gate is a TCP proxy before an example, which can be shut: then everything is
// broken, and nothing gets through.
type gate struct {
	listener net.Listener

	mu     sync.Mutex
	isShut bool
	conns  conns
}

func (e *example) gate() *gate {
	e.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatal(err)
	}
	g := &gate{listener: listener}
	target := strings.TrimPrefix(e.url, "http://")
	var done sync.WaitGroup
	e.t.Cleanup(func() {
		listener.Close()
		g.shut()
		done.Wait()
	})
	done.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far := g.through(near, target)
			if far == nil {
				near.Close()
				continue
			}
			done.Go(func() { io.Copy(near, far); near.Close() })
			done.Go(func() { io.Copy(far, near); far.Close() })
		}
	})
	return g
}

// through lets a connection in, unless the gate is shut.
func (g *gate) through(near net.Conn, target string) (far net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isShut {
		return nil
	}
	far, err := net.Dial("tcp", target)
	if err != nil {
		return nil
	}
	g.conns.add(near)
	g.conns.add(far)
	return far
}

func (g *gate) url() string { return "http://" + g.listener.Addr().String() }

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = true
	g.conns.breakAll()
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = false
}

// point moves the mouse to a place of an element: parts of its width and height.
func (p *page) point(selector string, x, y float64) {
	p.t.Helper()
	box := eval[struct{ Left, Top, Width, Height float64 }](p, `return document.querySelector("`+selector+`").getBoundingClientRect()`)
	p.do(command(input.DispatchMouseEvent, input.DispatchMouseEventParams{
		Type: input.DispatchMouseEventTypeMouseMoved, X: box.Left + x*box.Width, Y: box.Top + y*box.Height,
	}))
}

// calm checks that the page has not complained.
func (p *page) calm() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.console) > 0 {
		p.t.Errorf("the page has complained: %q", p.console)
	}
}
