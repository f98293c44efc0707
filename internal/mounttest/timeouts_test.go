package mounttest_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/goape/ape"
	"github.com/goape/ape/internal/memnet"
)

// bubble runs f in a synctest bubble with a server on a network in memory.
func bubble(t *testing.T, mount mounting, srv *http.Server, f func(t *testing.T, p *place)) {
	synctest.Test(t, func(t *testing.T) {
		p, h := newPlace(t, mount, ape.Options{})
		ln := memnet.Listen()
		srv.Handler, srv.ErrorLog = h, log.New(p.http, "", 0)
		go srv.Serve(ln)
		jar := p.client.Jar
		p.client = ln.HTTPClient()
		p.client.Jar = jar
		p.socket, p.url = p.client, "http://ape.test"
		t.Cleanup(func() {
			p.stop(t)
			p.client.CloseIdleConnections()
			srv.Close()
		})
		f(t, p)
	})
}

func TestTimeoutsOfTheServerEndNoConnection(t *testing.T) {
	srv := &http.Server{ReadTimeout: time.Second, ReadHeaderTimeout: time.Second, WriteTimeout: time.Second}
	bubble(t, mounting{mount: mountMux}, srv, func(t *testing.T, p *place) {
		s := p.connect(t, []string{"ape.1"})
		s.write("h {}\n")
		s.want("w {")
		g := p.listenLines(t, "{}")
		c := p.listen(t)
		c.wantEvent("__connected__")
		time.Sleep(5 * time.Second)
		s.write("c 1 notify \"socket\"\n")
		s.want(`m note "socket"`)
		p.post(t, g, "1", "c 1 notify \"stream\"\n")
		g.want(`m note "stream"`)
		if status, body := read(t, p.request(t, t.Context(), http.MethodPost, "/ape/poll", `{"type":"/notify","data":"classic"}`)); status != http.StatusOK {
			t.Errorf("POST: %d %s", status, body)
		}
		c.wantEvent("note")
		g.cancel()
		c.cancel()
		p.quiet(t)
	})
}

func mountChiTimeout(app *ape.Server, users http.HandlerFunc) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.Timeout(time.Second))
	r.Get("/api/v1/users", users)
	r.Mount("/api", app)
	return r
}

func TestTimeoutMiddlewareEndsStreamsButNoSocketAndNoSession(t *testing.T) {
	bubble(t, mounting{mount: mountChiTimeout}, &http.Server{}, func(t *testing.T, p *place) {
		s := p.connect(t, []string{"ape.1"})
		s.write("h {}\n")
		s.want("w {")
		c := p.connect(t, nil)
		c.next()
		g := p.listenLines(t, "{}")
		opened := time.Now()
		if rest, err := io.ReadAll(g.body); len(rest) > 0 || err != nil {
			t.Errorf("the stream went on with %q, %v", rest, err)
		}
		if lived := time.Since(opened); lived != time.Second {
			t.Errorf("the stream lived for %s; docs/deploy.md says that it ends with the request's context", lived)
		}
		p.post(t, g, "1", "c 1 hello \"Ann\"\n") // its answer waits for the client to come back
		token := g.token
		g = p.listenLines(t, fmt.Sprintf(`{"resume":%q,"seen":0,"try":2}`, token))
		g.want(`r 1 "Hello, Ann!"`)
		g.cancel()
		time.Sleep(5 * time.Second)
		s.write("c 1 notify \"socket\"\n")
		s.want(`m note "socket"`)
		c.write(`{"type":"/hello","data":"Ann"}`)
		wantReply(t, c.next(), `{"type":"/hello","data":"Ann"}`, "Hello, Ann!")
	})
}
