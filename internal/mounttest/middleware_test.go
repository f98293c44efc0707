package mounttest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/sessions"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/cors"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/goape/ape"
)

// around is a mounting in a ServeMux with middleware around all of it.
func around(wrap func(http.Handler) http.Handler) func(*ape.Server, http.HandlerFunc) http.Handler {
	return func(app *ape.Server, users http.HandlerFunc) http.Handler { return wrap(mountMux(app, users)) }
}

var wrappings = []mounting{
	{name: "http.MaxBytesHandler", mount: around(func(h http.Handler) http.Handler {
		return http.MaxBytesHandler(h, 2<<20)
	})},
	{name: "http.CrossOriginProtection", mount: around(func(h http.Handler) http.Handler {
		return http.NewCrossOriginProtection().Handler(h)
	})},
	{name: "http.AllowQuerySemicolons", mount: around(http.AllowQuerySemicolons)},
	{name: "rs/cors", mount: around(cors.Default().Handler)},
	{name: "otelhttp", mount: around(otelhttp.NewMiddleware("api"))},
	{name: "promhttp", mount: around(instrumented)},
	{name: "scs", mount: around(scs.New().LoadAndSave)},
	{name: "a recorder with Unwrap", mount: around(recorded)},
	{
		name:  "gin inside of a recorder with Unwrap alone", // gin's Flush and Hijack do not look beneath it
		mount: func(app *ape.Server, users http.HandlerFunc) http.Handler { return recorded(mountGin(app, users)) },
		says:  "http: response.WriteHeader on hijacked connection from ",
	},
	{
		name: "http.TimeoutHandler",
		mount: around(func(h http.Handler) http.Handler {
			return http.TimeoutHandler(h, time.Minute, "too slow")
		}),
		want: outcome{
			socket: "501 ape: *http.timeoutWriter cannot hand over its connection: mount the handler outside of http.TimeoutHandler",
			stream: "501 ape: *http.timeoutWriter cannot flush: mount the handler outside of http.TimeoutHandler",
		},
	},
	{
		name: "a recorder without Unwrap",
		mount: around(func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(&naiveRecorder{ResponseWriter: w}, r)
			})
		}),
		want: outcome{
			socket: "501 ape: *mounttest_test.naiveRecorder cannot hand over its connection: " + giveUnwrap,
			stream: "501 ape: *mounttest_test.naiveRecorder cannot flush: " + giveUnwrap,
		},
	},
	{
		name: "a recorder of before Go 1.20, with Flush and Hijack but without Unwrap",
		mount: around(func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(oldRecorder{w, w.(http.Flusher), w.(http.Hijacker)}, r)
			})
		}),
		want: outcome{
			stream: "501 ape: mounttest_test.oldRecorder cannot set deadlines: feature not supported: " + giveUnwrap,
		},
	},
}

const giveUnwrap = "give that type a method Unwrap() http.ResponseWriter (see http.ResponseController), or mount the handler outside of its middleware"

func TestMiddleware(t *testing.T) {
	for _, m := range wrappings {
		t.Run(m.name, func(t *testing.T) {
			p := open(t, m, ape.Options{}, nil)
			p.prove(t, m.want)
			if m.want == (outcome{}) && m.says == "" {
				p.quiet(t)
				return
			}
			for _, refused := range []string{m.want.socket, m.want.stream} {
				if text := strings.TrimPrefix(refused, "501 ape: "); !strings.Contains(p.log.String(), text) {
					t.Errorf("the log lacks %q: %s", text, p.log)
				}
			}
			if text := p.http.String(); !strings.HasPrefix(text, m.says) || m.says == "" && text != "" {
				t.Errorf("the http.Server logged: %s", text)
			}
		})
	}
}

// statusRecorder is the recorder that docs/deploy.md shows.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func recorded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&statusRecorder{ResponseWriter: w}, r)
	})
}

type naiveRecorder struct {
	http.ResponseWriter
	status int
}

func (w *naiveRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

type oldRecorder struct {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
}

func instrumented(h http.Handler) http.Handler {
	labels := []string{"code", "method"}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests"}, labels)
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "seconds"}, labels)
	bytes := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "bytes"}, labels)
	first := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "first"}, labels)
	open := prometheus.NewGauge(prometheus.GaugeOpts{Name: "open"})
	h = promhttp.InstrumentHandlerTimeToWriteHeader(first, h)
	h = promhttp.InstrumentHandlerResponseSize(bytes, h)
	h = promhttp.InstrumentHandlerDuration(seconds, h)
	h = promhttp.InstrumentHandlerCounter(requests, h)
	return promhttp.InstrumentHandlerInFlight(open, h)
}

// TestSessionsOfTheProgramReachOnConnect logs in over an ordinary route; the
// connections made with the cookie are that user's.
func TestSessionsOfTheProgramReachOnConnect(t *testing.T) {
	t.Run("scs", func(t *testing.T) {
		manager := scs.New()
		login := func(w http.ResponseWriter, r *http.Request) { manager.Put(r.Context(), "user", "ann") }
		p := open(t, mounting{mount: func(app *ape.Server, users http.HandlerFunc) http.Handler {
			return manager.LoadAndSave(mountMux(app, login))
		}}, withSCS(manager), nil)
		p.loggedIn(t)
	})
	t.Run("gorilla/sessions", func(t *testing.T) {
		store := sessions.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
		store.Options.Secure = false // the test has no TLS
		login := func(w http.ResponseWriter, r *http.Request) {
			session, _ := store.Get(r, "login")
			session.Values["user"] = "ann"
			if err := session.Save(r, w); err != nil {
				t.Error(err)
			}
		}
		p := open(t, mounting{mount: func(app *ape.Server, users http.HandlerFunc) http.Handler {
			return mountMux(app, login)
		}}, withGorilla(store), nil)
		p.loggedIn(t)
	})
}

// The two functions below are what docs/deploy.md shows.

func withSCS(manager *scs.SessionManager) ape.Options {
	return ape.Options{
		SessionCookie: manager.Cookie.Name,
		OnConnect: func(ctx context.Context, c *ape.Client, r *http.Request) (context.Context, error) {
			user := manager.GetString(r.Context(), "user")
			if user == "" {
				return nil, ape.Errorf(ape.Unauthenticated, "log in first")
			}
			return context.WithValue(ctx, userKey{}, user), nil
		},
	}
}

func withGorilla(store sessions.Store) ape.Options {
	return ape.Options{
		SessionCookie: "login",
		OnConnect: func(ctx context.Context, c *ape.Client, r *http.Request) (context.Context, error) {
			session, _ := store.Get(r, "login")
			user, _ := session.Values["user"].(string)
			if user == "" {
				return nil, ape.Errorf(ape.Unauthenticated, "log in first")
			}
			return context.WithValue(ctx, userKey{}, user), nil
		},
	}
}

// loggedIn tries to connect before and after a request to the program's own
// route, which logs in.
func (p *place) loggedIn(t *testing.T) {
	t.Helper()
	s := p.connect(t, []string{"ape.1"})
	s.write("h {}\n")
	if quit := s.want("q {"); !strings.Contains(quit, `"denied"`) || !strings.Contains(quit, "log in first") {
		t.Errorf("before the login: %s", quit)
	}
	if status, body := p.get(t, "/ape/poll", "Ape-Protocol", "ape.1", "Ape-Hello", "{}"); status != http.StatusForbidden || !strings.Contains(body, "log in first") {
		t.Errorf("before the login: %d %s", status, body)
	}
	if status, body := p.get(t, "/v1/users"); status != http.StatusOK {
		t.Fatalf("login: %d %s", status, body)
	}
	s = p.connect(t, []string{"ape.1"})
	s.write("h {}\nc 1 whoami\n")
	s.want("w {")
	s.want(`r 1 "ann"`)
	g := p.listenLines(t, "{}")
	p.post(t, g, "1", "c 1 whoami\n")
	g.want(`r 1 "ann"`)
	p.quiet(t)
}

// TestOtherSitesNeedTheSameOriginsInBothPlaces: middleware that checks origins
// by itself refuses before ape is asked.
func TestOtherSitesNeedTheSameOriginsInBothPlaces(t *testing.T) {
	const site = "https://app.example.com"
	var refused error
	o := ape.Options{TrustedOrigins: []string{site}, OnError: func(_ *ape.Client, err error) { refused = err }}
	p := open(t, mounting{mount: mountMux}, o, nil)

	pre := p.send(t, http.MethodOptions, "/ape/poll", "Origin", site,
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "ape-protocol,ape-seq,ape-session,content-type")
	if pre.StatusCode != http.StatusNoContent || pre.Header.Get("Access-Control-Allow-Origin") != site ||
		pre.Header.Get("Access-Control-Allow-Credentials") != "true" || !strings.Contains(pre.Header.Get("Access-Control-Allow-Headers"), "ape-session") {
		t.Errorf("preflight of a trusted site: %d %v", pre.StatusCode, pre.Header)
	}
	s := p.listen(t, "Origin", site, "Sec-Fetch-Site", "cross-site", "Ape-Protocol", "ape.1", "Ape-Hello", "{}")
	if got := s.res.Header.Get("Access-Control-Allow-Origin"); got != site {
		t.Errorf("stream of a trusted site: Access-Control-Allow-Origin %q", got)
	}
	p.connect(t, []string{"ape.1"}, "Origin", site).conn.CloseNow()

	p.stranger(t)
	var denied *ape.Error
	if !errors.As(refused, &denied) || denied.Code != ape.Denied {
		t.Errorf("OnError was told %v", refused)
	}
	if res := p.send(t, http.MethodGet, "/ape/poll", "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"); res.StatusCode != http.StatusForbidden {
		t.Errorf("stream of a foreign site: %d", res.StatusCode)
	}

	p = open(t, mounting{mount: around(func(h http.Handler) http.Handler {
		return http.NewCrossOriginProtection().Handler(h)
	})}, o, nil)
	if res := p.send(t, http.MethodPost, "/ape/poll", "Origin", site, "Sec-Fetch-Site", "cross-site"); res.StatusCode != http.StatusForbidden {
		t.Errorf("http.CrossOriginProtection let a POST of another site through: %d; docs/deploy.md says that it does not", res.StatusCode)
	}
	p.stranger(t) // it lets each WebSocket through, ape refuses this one
	p = open(t, mounting{mount: around(trusting)}, o, nil)
	if res := p.send(t, http.MethodPost, "/ape/poll", "Origin", site, "Sec-Fetch-Site", "cross-site"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a POST of a site that both trust: %d", res.StatusCode) // 401: it has no cookie yet
	}
}

// trusting is what docs/deploy.md shows.
func trusting(h http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	if err := protection.AddTrustedOrigin("https://app.example.com"); err != nil {
		panic(err)
	}
	return protection.Handler(h)
}

// send sends a request without a body and drops that of the response.
func (p *place) send(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res := p.request(t, ctx, method, path, "", header...)
	read(t, res)
	return res
}
