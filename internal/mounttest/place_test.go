package mounttest_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape"
)

// patience is how long anything may take before a test gives up.
const patience = 20 * time.Second

// place is where a client reaches a mounted server.
type place struct {
	url    string       // of the site, without a path
	base   string       // where ape is mounted, without a slash at the end
	client *http.Client // with a cookie jar
	socket *http.Client // for WebSockets; HTTP/1.1
	users  string       // the path of the program's own route
	gzip   bool         // streams of ape.1 arrive compressed

	app   *ape.Server
	log   *journal    // of ape
	http  *journal    // of the http.Server
	ended chan string // method and path of each request that ServeHTTP is done with
}

// journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// newPlace makes a server, mounts it and makes ready what a server of HTTP
// needs; start starts that.
func newPlace(t *testing.T, mount mounting, o ape.Options) (*place, http.Handler) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{
		base:   strings.TrimSuffix(cmp.Or(mount.base, "/api"), "/"),
		users:  cmp.Or(mount.users, "/api/v1/users"),
		gzip:   mount.gzip,
		client: &http.Client{Jar: jar},
		log:    new(journal), http: new(journal), ended: make(chan string, 256),
	}
	p.socket = p.client
	o.Logger = slog.New(slog.NewTextHandler(p.log, nil))
	o.NotFound = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "not of ape", http.StatusNotFound)
	})
	p.app = ape.New(&o)
	p.app.Handle("hello", ape.Func(func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "!", nil
	}))
	p.app.Handle("notify", ape.Do(func(ctx context.Context, text string) error {
		return ape.From(ctx).Client().Send("note", text)
	}))
	p.app.Handle("whoami", ape.Get(func(ctx context.Context) (string, error) {
		user, _ := ctx.Value(userKey{}).(string)
		return user, nil
	}))
	h := mount.mount(p.app, users)
	return p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Method + " " + r.URL.Path
		defer func() { p.ended <- name }()
		h.ServeHTTP(w, r)
	})
}

// userKey is where OnConnect leaves who a client is.
type userKey struct{}

// users is a route of the program's own.
func users(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "all users")
}

// open starts a server on loopback. configure, if not nil, may change it before.
func open(t *testing.T, mount mounting, o ape.Options, configure func(*httptest.Server)) *place {
	t.Helper()
	p, h := newPlace(t, mount, o)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(p.http, "", 0)
	if configure != nil {
		configure(srv)
	}
	if srv.EnableHTTP2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	jar := p.client.Jar
	p.client = srv.Client()
	p.client.Jar = jar
	p.socket = p.client
	p.url = srv.URL
	t.Cleanup(func() {
		p.stop(t)
		srv.Close()
	})
	return p
}

// stop ends the server, which must leave no goroutine behind.
func (p *place) stop(t *testing.T) {
	t.Helper()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	p.app.Shutdown(now)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.app.Shutdown(ctx); err != nil {
		t.Errorf("goroutines of the server are left over: %v", err)
	}
}

// request sends a request and fails unless there is a response.
func (p *place) request(t *testing.T, ctx context.Context, method, path, body string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, p.url+p.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	set(req.Header, header)
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func set(h http.Header, header []string) {
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
}

// get returns status and body.
func (p *place) get(t *testing.T, path string, header ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return read(t, p.request(t, ctx, http.MethodGet, path, "", header...))
}

func read(t *testing.T, res *http.Response) (int, string) {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// returned waits until ServeHTTP is done with a request.
func (p *place) returned(t *testing.T, method, path string) {
	t.Helper()
	guard := time.NewTimer(patience)
	defer guard.Stop()
	for {
		select {
		case one := <-p.ended:
			if one == method+" "+p.base+path {
				return
			}
		case <-guard.C:
			t.Fatalf("the handler of %s %s does not return", method, path)
		}
	}
}

// quiet fails when the http.Server or ape had something to complain about.
func (p *place) quiet(t *testing.T) {
	t.Helper()
	if text := p.http.String(); text != "" {
		t.Errorf("the http.Server logged: %s", text)
	}
	if text := p.log.String(); text != "" {
		t.Errorf("ape logged: %s", text)
	}
}
