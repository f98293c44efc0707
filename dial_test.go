package ape_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

func TestDialConnects(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		s := &states{}
		c := p.dial(over, &ape.DialOptions{OnState: s.note})
		ask(t, c, "echo", "hi", "hi")
		transport := ape.Streaming
		if over == bySocket {
			transport = ape.WebSocket
		}
		want(t, c.Transport(), transport)
		want(t, c.State(), ape.StateConnected)
		want(t, p.app().Client(c.ID()).ID(), c.ID())
		want(t, c.Err(), nil)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-c.Done()
		want(t, c.Err(), ape.ErrGone)
		want(t, c.State(), ape.StateClosed)
		want(t, c.Transport(), ape.Detached)
		want(t, s, "connecting|connected "+string(transport)+"|closed closed")
		synctest.Wait()
		if over != byPoll { // its first response was given up, and a session with it
			want(t, p.app().Online(), 0)
		}
	})
}

func TestDialSaysWhyItFails(t *testing.T) {
	refuse := &ape.Options{OnConnect: func(context.Context, *ape.Client, *http.Request) (context.Context, error) {
		return nil, ape.Errorf("unauthenticated", "no such user")
	}}
	crowded := &ape.Options{MaxClients: -1, OnConnect: func(context.Context, *ape.Client, *http.Request) (context.Context, error) {
		return nil, ape.Errorf(ape.Unavailable, "come back on Monday")
	}}
	answer := func(status int, text string) func(*place) {
		return func(p *place) {
			p.front.blocks(func(w http.ResponseWriter, r *http.Request) bool { http.Error(w, text, status); return true })
		}
	}
	for name, test := range map[string]struct {
		opt    *ape.Options
		change func(*place)
		texts  []string
		is     error
		code   ape.CloseCode
	}{
		"unreachable":   {change: func(p *place) { p.Refuse(true) }, texts: []string{"connection refused"}, is: syscall.ECONNREFUSED},
		"OnConnect":     {opt: refuse, texts: []string{"refuses", "denied", "no such user"}, code: ape.CloseDenied},
		"unavailable":   {opt: crowded, texts: []string{"unavailable", "come back on Monday"}, code: ape.CloseUnavailable},
		"wrong URL":     {change: answer(404, "404 page not found"), texts: []string{"404 Not Found", "ape server at this URL", "/ape"}},
		"a login page":  {change: answer(200, "<html>Welcome"), texts: []string{"200 OK", "ape server at this URL"}},
		"a proxy":       {change: answer(502, "upstream is gone"), texts: []string{"502 Bad Gateway", "upstream is gone"}},
		"cut at once":   {change: func(p *place) { p.CutAfter(20) }, texts: []string{"connection reset"}, is: syscall.ECONNRESET},
		"nobody speaks": {change: func(p *place) { p.Delay(time.Hour) }, texts: []string{"not one byte"}},
	} {
		for _, over := range []road{bySocket, byStream, ""} {
			t.Run(name+" "+string(over), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPlace(t, test.opt)
					if test.change != nil {
						test.change(p)
					}
					s := &states{}
					c, err := ape.Dial(t.Context(), p.URL(), p.options(over, &ape.DialOptions{OnState: s.note}))
					if err == nil {
						c.Close()
						t.Fatal("connected")
					}
					for _, text := range append(test.texts, "ape: dial "+p.URL()+": ") {
						if !strings.Contains(err.Error(), text) {
							t.Errorf("%q does not say %q", err, text)
						}
					}
					if strings.Contains(err.Error(), " ape: ") {
						t.Errorf("%q says more than once who speaks", err)
					}
					if test.is != nil && !errors.Is(err, test.is) {
						t.Errorf("%v is no %v", err, test.is)
					}
					if refusal := (*ape.CloseError)(nil); test.code != 0 && (!errors.As(err, &refusal) || refusal.Code != test.code) {
						t.Errorf("%#v does not have the code %v", err, test.code)
					}
					if got := s.String(); !strings.HasPrefix(got, "connecting|closed ") {
						t.Errorf("states %s", got)
					}
				})
			})
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	for _, over := range []road{bySocket, byStream, ""} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t, nil)
			p.front.blocks(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			began := time.Now()
			_, err := ape.Dial(ctx, p.URL(), p.options(over, nil))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			want(t, time.Since(began), 3*time.Second)
			synctest.Wait()
			want(t, p.Conns(), 0)

			ctx, cancel = context.WithCancel(t.Context())
			cancel()
			if _, err := ape.Dial(ctx, p.URL(), p.options(over, nil)); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			// Behind Dial the context does not matter any more.
			p.front.block.Store(nil)
			ctx, cancel = context.WithCancel(t.Context())
			c, err := ape.Dial(ctx, p.URL(), p.options(over, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			cancel()
			synctest.Wait()
			ask(t, c, "echo", 1, "1")
		})
	}
}

func TestDialChecksItsArguments(t *testing.T) {
	for url, text := range map[string]string{
		"ftp://example.org/ape":       "must begin with",
		"example.org/ape":             "must begin with",
		"http:///ape":                 "no host",
		"http://exa mple.org/api/ape": "invalid character",
	} {
		if _, err := ape.Dial(t.Context(), url, nil); err == nil || !strings.HasPrefix(err.Error(), "ape: dial") || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := ape.Dial(t.Context(), "http://example.org/ape", &ape.DialOptions{Transport: "pigeon"}); err == nil || !strings.Contains(err.Error(), "pigeon") {
		t.Error(err)
	}
	defer func() {
		if p := recover(); p == nil {
			t.Error("a nil handler was taken")
		}
	}()
	ape.Dial(t.Context(), "http://example.org/ape", &ape.DialOptions{Handlers: map[string]ape.Controller{"x": nil}})
}

func TestDialAsksAuthBeforeEveryConnection(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		var asked atomic.Int64
		var seen sync.Map
		var header atomic.Int64
		p := newPlace(t, &ape.Options{Identify: func(r *http.Request, auth json.RawMessage) (string, error) {
			seen.Store(string(auth), true)
			if r.Header.Get("X-Tenant") == "zoo" {
				header.Add(1)
			}
			return "ann", nil
		}})
		c := p.dial(over, &ape.DialOptions{
			Header: http.Header{"X-Tenant": {"zoo"}},
			Auth: func(context.Context) (any, error) {
				return map[string]any{"user": "änn", "n": asked.Add(1)}, nil
			},
		})
		ask(t, c, "echo", 1, "1")
		p.Cut()
		time.Sleep(time.Minute)
		ask(t, c, "echo", 2, "2")
		n := asked.Load()
		if n < 2 {
			t.Errorf("asked %d times", n)
		}
		if _, ok := seen.Load(`{"n":2,"user":"änn"}`); !ok && over == bySocket {
			t.Error("the second answer did not arrive")
		}
		if header.Load() < 2 {
			t.Errorf("the header came %d times", header.Load())
		}
	})
}

func TestDialAuthThatFails(t *testing.T) {
	broken := errors.New("the vault is locked")
	for name, auth := range map[string]func(context.Context) (any, error){
		"the vault is locked": func(context.Context) (any, error) { return nil, broken },
		"panic":               func(context.Context) (any, error) { panic("oops") },
		"unsupported type":    func(context.Context) (any, error) { return make(chan int), nil },
		"6144 bytes":          func(context.Context) (any, error) { return strings.Repeat("x", 7000), nil },
		"deadline exceeded":   func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() },
	} {
		for _, over := range []road{bySocket, byStream, ""} {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, nil)
				_, err := ape.Dial(t.Context(), p.URL(), p.options(over, &ape.DialOptions{Auth: auth}))
				if err == nil || !strings.Contains(err.Error(), "DialOptions.Auth: ") || !strings.Contains(err.Error(), name) {
					t.Errorf("%s: %v", name, err)
				}
				if name == broken.Error() && !errors.Is(err, broken) {
					t.Errorf("%v is not what Auth returned", err)
				}
				if over == "" && strings.Contains(err.Error(), "streaming") {
					t.Errorf("asked twice: %v", err)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) { // later it is tried again
		var fail atomic.Bool
		p := newPlace(t, nil)
		s := &states{}
		c := p.dial(bySocket, &ape.DialOptions{OnState: s.note, Auth: func(context.Context) (any, error) {
			if fail.Swap(false) {
				return nil, broken
			}
			return nil, nil
		}})
		fail.Store(true)
		p.Cut()
		ask(t, c, "echo", 1, "1")
		want(t, s, "connecting|connected websocket|disconnected lost|connecting|disconnected auth|connecting|connected websocket resumed 0")
	})
}

func TestDialOverTLS(t *testing.T) {
	app := ape.New(nil)
	app.Handle("echo", ape.Func(func(_ context.Context, in string) (string, error) { return in, nil }))
	srv := httptest.NewUnstartedServer(app)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	srv.StartTLS()
	defer srv.Close()
	defer stop(t, app)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	config := &tls.Config{RootCAs: roots}
	for range 2 { // HTTP/2 must not get into the config that WebSocket uses
		for _, transport := range []ape.Transport{ape.Streaming, ape.WebSocket, ""} {
			var dials atomic.Int64
			c, err := ape.Dial(t.Context(), srv.URL+"/api/ape/", &ape.DialOptions{
				Transport: transport, TLSConfig: config,
				DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					dials.Add(1)
					return new(net.Dialer).DialContext(ctx, network, address)
				},
			})
			if err != nil {
				t.Fatal(transport, err)
			}
			ask(t, c, "echo", "hi", "hi")
			c.Close()
			if dials.Load() == 0 {
				t.Error("DialContext was not asked")
			}
		}
	}
	if _, err := ape.Dial(t.Context(), strings.Replace(srv.URL, "https", "wss", 1)+"/api/ape", nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
}
