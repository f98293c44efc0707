package mounttest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape"
)

// program finds an installed program. Without it the test is skipped, or fails
// where it is required.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	required := strings.Split(os.Getenv("APE_REQUIRE"), ",")
	if os.Getenv("CI") != "" || slices.Contains(required, name) || slices.Contains(required, "all") {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed (APE_REQUIRE=%s makes this a failure)", name, name)
	return ""
}

// freePort returns a port of loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// run starts a proxy and waits until it says ready on its standard error. It
// is killed when the test ends.
func run(t *testing.T, cmd *exec.Cmd, ready string) {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		var all strings.Builder
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			fmt.Fprintln(&all, lines.Text())
			if strings.Contains(lines.Text(), ready) {
				said <- ""
				io.Copy(io.Discard, stderr)
				return
			}
		}
		said <- "it said: " + all.String()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-drained
		cmd.Wait()
	})
	guard := time.NewTimer(patience)
	defer guard.Stop()
	select {
	case failure := <-said:
		if failure != "" {
			t.Fatalf("%s has ended: %s", cmd.Path, failure)
		}
	case <-guard.C:
		t.Fatalf("%s does not start", cmd.Path)
	}
}

// behind makes the client of p go through the proxy at port.
func (p *place) behind(port string) {
	p.url = "http://127.0.0.1:" + port
	p.client = &http.Client{Jar: p.client.Jar, Transport: &http.Transport{}}
	p.socket = p.client
}

// nginx starts one in front of p. config is what http { } holds, with the
// addresses of docs/deploy.md.
func (p *place) nginx(t *testing.T, config string) {
	t.Helper()
	path := program(t, "nginx")
	dir, port := t.TempDir(), freePort(t)
	config = adapt(t, config, "127.0.0.1:8080", strings.TrimPrefix(p.url, "http://"))
	config = adapt(t, config, "listen 80;", "listen 127.0.0.1:"+port+";")
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	text := "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr notice;\nevents {}\n" +
		"http {\naccess_log off;\n" + temp.String() + config + "\n}\n"
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// It says how it waits for events when it listens already.
	run(t, exec.Command(path, "-p", dir, "-c", file, "-e", "stderr"), "event method")
	p.behind(port)
}

// location is a server of nginx that holds a location.
func location(text string) string {
	return "server {\nlisten 80;\n" + text + "\n}"
}

// caddy starts one in front of p, with a Caddyfile of docs/deploy.md.
func (p *place) caddy(t *testing.T, config string) {
	t.Helper()
	path := program(t, "caddy")
	dir, port := t.TempDir(), freePort(t)
	config = adapt(t, config, "127.0.0.1:8080", strings.TrimPrefix(p.url, "http://"))
	config = adapt(t, config, "example.com {", "http://127.0.0.1:"+port+" {")
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte("{\n\tadmin off\n\tauto_https off\n}\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	run(t, cmd, "serving initial configuration")
	p.behind(port)
}

// adapt replaces what must occur.
func adapt(t *testing.T, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the configuration lacks %q: %s", old, text)
	}
	return strings.ReplaceAll(text, old, with)
}

func TestNginxUntouched(t *testing.T) {
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprintf("gzip %t", compress), func(t *testing.T) {
			p := open(t, mounting{mount: mountMux, gzip: compress}, ape.Options{}, nil)
			config := location(snippet(t, "nginx untouched"))
			if compress {
				config = "gzip on;\ngzip_types text/plain text/event-stream;\ngzip_min_length 0;\n" + config
			}
			p.nginx(t, config)
			p.prove(t, outcome{socket: "426 ape: this is the address of a WebSocket; the request has no Upgrade header. Behind nginx, " +
				"add: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; proxy_set_header Host $http_host;"})
			p.quiet(t)
		})
	}
}

func TestNginxWithUpgrade(t *testing.T) {
	for name, config := range map[string]string{
		"location":  location(snippet(t, "nginx upgrade")),
		"keepalive": snippet(t, "nginx keepalive"),
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, mounting{mount: mountMux}, ape.Options{}, nil)
			p.nginx(t, config)
			p.prove(t, outcome{})
			p.sameOrigin(t)
			p.quiet(t)
		})
	}
}

// TestTheTextOfTheRefusalMendsNginx adds to an untouched location exactly what
// the 426 tells to add.
func TestTheTextOfTheRefusalMendsNginx(t *testing.T) {
	p := open(t, mounting{mount: mountMux}, ape.Options{}, nil)
	_, text := p.get(t, "/ape")
	_, lines, found := strings.Cut(text, "add: ")
	if !found {
		t.Fatal(text)
	}
	untouched := snippet(t, "nginx untouched")
	p.nginx(t, location(adapt(t, untouched, "proxy_pass ", lines+"\nproxy_pass ")))
	p.prove(t, outcome{})
	p.sameOrigin(t)
}

func TestOriginBehindNginx(t *testing.T) {
	upgrade := snippet(t, "nginx upgrade")
	const host = "proxy_set_header Host $http_host;"
	for _, c := range []struct {
		name, host       string
		withPort, normal bool // whether a page of a site with a port, and of one without, may connect
	}{
		{"no Host", "", false, false},
		{"$host", "proxy_set_header Host $host;", false, true},
		{"$http_host", host, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, mounting{mount: mountMux}, ape.Options{}, nil)
			p.nginx(t, location(adapt(t, upgrade, host, c.host)))
			p.page(t, strings.TrimPrefix(p.url, "http://"), c.withPort)
			p.page(t, "www.example.com", c.normal)
			// A secure page says by itself that the request is its own.
			s := p.listen(t, "Origin", "https://www.example.com", "Sec-Fetch-Site", "same-origin", "Ape-Protocol", "ape.1", "Ape-Hello", "{}")
			s.want("w {")
			s.cancel()
		})
	}
}

// page opens a WebSocket as a page of that host does.
func (p *place) page(t *testing.T, host string, allowed bool) {
	t.Helper()
	c, res, err := p.dial(t, []string{"ape.1"}, "Host", host, "Origin", "http://"+host)
	if err == nil {
		c.CloseNow()
	}
	if allowed && err != nil {
		t.Errorf("a page of %s cannot connect: %v", host, err)
	}
	if allowed {
		return
	}
	if err == nil || res == nil {
		t.Fatalf("a page of %s can connect, or fails with no response: %v", host, err)
	}
	status, text := read(t, res)
	if status != http.StatusForbidden || !strings.Contains(text, "proxy_set_header Host $http_host") || !strings.Contains(text, "TrustedOrigins") {
		t.Errorf("a page of %s: %d %s", host, status, text)
	}
}

// sameOrigin connects as a page of the proxy's own address, and of another
// site.
func (p *place) sameOrigin(t *testing.T) {
	t.Helper()
	p.page(t, strings.TrimPrefix(p.url, "http://"), true)
	p.stranger(t)
}

// stranger tries to open a WebSocket as a page of another site does.
func (p *place) stranger(t *testing.T) {
	t.Helper()
	c, res, err := p.dial(t, []string{"ape.1"}, "Origin", "http://evil.example")
	if err == nil {
		c.CloseNow()
		t.Error("a page of another site can connect")
		return
	}
	if res == nil {
		t.Fatal(err)
	}
	if status, text := read(t, res); status != http.StatusForbidden || !strings.Contains(text, "http://evil.example") {
		t.Errorf("a page of another site: %d %s", status, text)
	}
}

// TestHeartbeatsKeepAProxyFromGivingUp waits for more heartbeats than fit into
// the time after which nginx closes a silent connection.
func TestHeartbeatsKeepAProxyFromGivingUp(t *testing.T) {
	t.Parallel()
	p := open(t, mounting{mount: mountMux}, ape.Options{Heartbeat: time.Second}, nil)
	upgrade := snippet(t, "nginx upgrade")
	p.nginx(t, location(adapt(t, upgrade, "proxy_pass ", "proxy_read_timeout 3s;\nproxy_send_timeout 3s;\nproxy_pass ")))
	s := p.connect(t, []string{"ape.1"})
	s.write("h {}\n")
	s.want("w {")
	g := p.listenLines(t, "{}")
	for range 4 {
		for s.next() != "p" {
		}
		s.write("a 0\n")
		for g.next() != "p" {
		}
		p.post(t, g, "1", "a 0\n")
	}
	s.write("c 1 hello \"Ann\"\n")
	s.want(`r 1 "Hello, Ann!"`)
	p.post(t, g, "1", "c 1 hello \"Ann\"\n")
	g.want(`r 1 "Hello, Ann!"`)
	g.cancel()
}

// TestSeveralServersBehindNginx: a session is in one server's memory, and all
// requests of a client must get there.
func TestSeveralServersBehindNginx(t *testing.T) {
	p, other := open(t, mounting{mount: mountMux}, ape.Options{}, nil), open(t, mounting{mount: mountMux}, ape.Options{}, nil)
	config := adapt(t, snippet(t, "nginx servers"), "127.0.0.1:8081", strings.TrimPrefix(other.url, "http://"))
	p.nginx(t, config+"\n"+location(adapt(t, snippet(t, "nginx upgrade"), "http://127.0.0.1:8080", "http://app")))
	for range 4 {
		g := p.listenLines(t, "{}")
		p.post(t, g, "1", "c 1 hello \"Ann\"\n")
		g.want(`r 1 "Hello, Ann!"`)
		p.post(t, g, "2", "c 3 hello \"Bob\"\n")
		g.want(`r 3 "Hello, Bob!"`)
		g.cancel()
	}
}

func TestCaddy(t *testing.T) {
	for _, title := range []string{"caddyfile plain", "caddyfile gzip"} {
		t.Run(title, func(t *testing.T) {
			p := open(t, mounting{mount: mountMux}, ape.Options{}, nil) // encode leaves streams as they are
			p.caddy(t, snippet(t, title))
			p.prove(t, outcome{})
			p.sameOrigin(t)
			p.quiet(t)
		})
	}
}
