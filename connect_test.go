package ape_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

type connectFunc = func(ctx context.Context, c *ape.Client, r *http.Request) (context.Context, error)

func TestOnConnectEmbedsValuesForEveryCall(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		times := 0
		s := newSite(t, &ape.Options{OnConnect: func(ctx context.Context, c *ape.Client, r *http.Request) (context.Context, error) {
			times++
			within, cancel := context.WithTimeout(context.WithValue(ctx, point{}, r.Header.Get("X-User")), time.Millisecond)
			cancel() // its end is not the calls'
			return within, nil
		}})
		s.app.Handle("who", ape.Get(func(ctx context.Context) (any, error) {
			return []any{ctx.Value(point{}), ctx.Err() == nil, ape.From(ctx).Client().Context().Value(point{})}, nil
		}))
		a := s.joinAs(w, browser{header: http.Header{"X-User": {"ann"}}})
		b := s.joinAs(w, browser{header: http.Header{"X-User": {"bob"}}})
		for range 3 {
			want(t, a.call("who", ""), `["ann",true,"ann"]`)
			want(t, b.call("who", ""), `["bob",true,"bob"]`)
		}
		want(t, times, 2)
	})
}

func TestOnConnectMayReturnNoContext(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{OnConnect: func(context.Context, *ape.Client, *http.Request) (context.Context, error) { return nil, nil }})
		one(s.app, "one")
		want(t, s.join(w).call("one", ""), "1")
	})
}

func TestOnConnectRefuses(t *testing.T) {
	for _, c := range []struct {
		name          string
		err           error
		code, classic string // refused with
		logged        string
	}{
		{"told", ape.Errorf(ape.Unauthenticated, "log in first"), "denied", "401 Unauthorized", ""},
		{"full", ape.Errorf(ape.Unavailable, "full"), "unavailable", "503 Service Unavailable", ""},
		{"busy", ape.Errorf(ape.Busy, "slow down"), "unavailable", "429 Too Many Requests", ""},
		{"untold", errors.New("secret"), "denied", "403 Forbidden", "secret"},
		{"panic", nil, "unavailable", "503 Service Unavailable", "secret panic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				disconnects := 0
				s := newSite(t, &ape.Options{
					OnConnect: func(ctx context.Context, client *ape.Client, _ *http.Request) (context.Context, error) {
						client.Subscribe("room")
						client.Send("unheard", 1)
						if c.err == nil {
							panic("secret panic")
						}
						return ctx, c.err
					},
					OnDisconnect: func(*ape.Client, error) { disconnects++ },
				})
				u, refused := s.tryJoin(w, browser{})
				if u != nil {
					t.Fatal("the client was let in")
				}
				if w == classicStream {
					want(t, refused, c.classic)
				} else {
					want(t, refused, c.code)
				}
				synctest.Wait()
				want(t, s.app.Online(), 0)
				want(t, s.app.Subscribers("room"), 0)
				want(t, disconnects, 0)
				want(t, s.app.Stats().QueuedBytes, 0)
				if !strings.Contains(s.log.String(), c.logged) {
					t.Errorf("the log lacks %q: %s", c.logged, s.log)
				}
			})
		})
	}
}

func TestOnConnectHasHandshakeTimeoutToReturn(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var cause error
		s := newSite(t, &ape.Options{HandshakeTimeout: 3 * time.Second, OnConnect: func(ctx context.Context, _ *ape.Client, _ *http.Request) (context.Context, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx, nil
		}})
		begin := time.Now()
		_, refused := s.tryJoin(w, browser{})
		if w == classicStream {
			want(t, refused, "503 Service Unavailable")
		} else {
			want(t, refused, "unavailable")
		}
		want(t, time.Since(begin), 3*time.Second)
		want(t, cause, "ape: session ended: unavailable: the client was not let in in time")
		want(t, s.app.Online(), 0)
	})
}

func TestOnConnectSeesThatTheClientHasGone(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		gone, inside := make(chan error, 1), make(chan struct{})
		s := newSite(t, &ape.Options{OnConnect: func(ctx context.Context, _ *ape.Client, _ *http.Request) (context.Context, error) {
			close(inside)
			<-ctx.Done()
			gone <- context.Cause(ctx)
			return ctx, nil
		}})
		begin := time.Now()
		cancel := halfway(s, w)
		<-inside
		cancel()
		want(t, <-gone, "ape: session ended: lost")
		want(t, time.Since(begin) < time.Second, true)
		synctest.Wait()
		want(t, s.app.Online(), 0)
	})
}

// halfway begins a connection that stays in OnConnect. The result breaks it.
func halfway(s *site, w way) (breakOff func()) {
	ctx, cancel := context.WithCancel(context.Background())
	hc, raw := s.dialer()
	header, path := http.Header{}, "/api/ape/poll"
	if w.transport == ape.WebSocket {
		path = "/api/ape"
		header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
	}
	if w == lineSocket {
		header.Set("Sec-WebSocket-Protocol", "ape.1")
	} else if w == lineStream {
		header.Set("Ape-Protocol", "ape.1")
		header.Set("Ape-Hello", "{}")
	}
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://memnet"+path, nil)
	req.Header = header
	done := make(chan struct{})
	go func() {
		defer close(done)
		resp, err := hc.Do(req)
		if err == nil && w == lineSocket {
			raw().Write([]byte("\x81\x85\x00\x00\x00\x00h {}\n"))
		}
		<-ctx.Done()
		if err == nil {
			resp.Body.Close()
		}
		if c := raw(); c != nil {
			c.Close()
		}
		hc.CloseIdleConnections()
	}()
	return func() { cancel(); <-done }
}

func TestWhatOnConnectSendsComesBehindTheWelcome(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{OnConnect: func(ctx context.Context, c *ape.Client, _ *http.Request) (context.Context, error) {
			if err := c.Send("hello", c.ID()); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			return ctx, c.Subscribe("private/room")
		}})
		s.app.Publish("private/room", "kept")
		u := s.join(w) // reads the welcome first, else it fails
		want(t, u.next(), fmt.Sprintf("hello %q", u.id()))
		want(t, u.next(), `/private/room "kept"`)
		s.app.Publish("private/room", "new")
		want(t, u.next(), `/private/room "new"`)
	})
}

func TestOnConnectMayCloseTheClient(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		disconnects := 0
		s := newSite(t, &ape.Options{
			OnConnect: func(ctx context.Context, c *ape.Client, _ *http.Request) (context.Context, error) {
				c.Close(ape.CloseKicked, "banned")
				return ctx, nil
			},
			OnDisconnect: func(*ape.Client, error) { disconnects++ },
		})
		_, refused := s.tryJoin(w, browser{})
		want(t, refused, "kicked")
		synctest.Wait()
		want(t, s.app.Online(), 0)
		want(t, disconnects, 0)
	}, classicSocket, lineSocket, lineStream)
}

func TestWhatCameDuringOnConnectIsKeptInOrder(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{OnConnect: func(ctx context.Context, _ *ape.Client, _ *http.Request) (context.Context, error) {
			time.Sleep(5 * time.Second)
			return ctx, nil
		}})
		var got, wanted []int
		s.app.Handle("add", ape.Serial(ape.Do(func(_ context.Context, in struct {
			N   int
			Pad string
		}) error {
			got = append(got, in.N)
			return nil
		})))
		begin := time.Now()
		ws, page := rawSocket(t, s, "", nil), &classicUser{}
		if !w.classic() {
			ws = rawSocket(t, s, "ape.1", nil)
			ws.write("h {}\n")
		}
		for i := range 200 { // 1 KiB each: more than is kept, so that reading stops meanwhile
			payload := fmt.Sprintf(`{"n":%d,"pad":%q}`, i, strings.Repeat("x", 1000))
			if w.classic() {
				ws.write(page.document("add", payload))
			} else {
				ws.write(fmt.Sprintf("c %d add %s\n", 2*i+1, payload))
			}
			wanted = append(wanted, i)
		}
		want(t, time.Since(begin), 5*time.Second)
		synctest.Wait()
		want(t, got, wanted)
	}, classicSocket, lineSocket)
}

func TestIdentifyRefuses(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{Identify: func(_ *http.Request, auth json.RawMessage) (string, error) {
			switch string(auth) {
			case `"ann"`:
				return "ann", nil
			case `"panic"`:
				panic("secret panic")
			}
			return "", ape.Errorf(ape.Denied, "who are you?")
		}})
		one(s.app, "one")
		want(t, s.joinAs(w, browser{hello: `"auth":"ann"`}).call("one", ""), "1")
		_, refused := s.tryJoin(w, browser{hello: `"auth":"eve"`})
		want(t, refused, "denied")
		_, refused = s.tryJoin(w, browser{hello: `"auth":"panic"`})
		want(t, refused, "unavailable")
		want(t, s.app.Online(), 1)
	}, lineSocket, lineStream)
}

func TestAuthIsWhatTheHelloCarried(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.joinAs(w, browser{hello: `"auth":{"token":"t1"}`})
		if w.classic() {
			want(t, s.client(u).Auth() == nil, true)
		} else {
			want(t, string(s.client(u).Auth()), `{"token":"t1"}`)
			want(t, s.client(s.joinAs(w, browser{hello: `"auth":null`})).Auth() == nil, true)
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxClients: 3, MaxClientsPerBrowser: 2})
		cookie := testCookie(t, s)
		same := func(i int) browser { // classic streams of one identity are one client
			return browser{cookie: cookie, header: http.Header{"Authorization": {fmt.Sprint(i)}}}
		}
		a := s.joinAs(w, same(1))
		s.joinAs(w, same(2))
		_, refused := s.tryJoin(w, same(3))
		if w == classicStream {
			want(t, refused, "429 Too Many Requests")
		} else {
			want(t, refused, "unavailable")
		}
		s.join(w)
		_, refused = s.tryJoin(w, browser{})
		if w == classicStream {
			want(t, refused, "503 Service Unavailable")
		} else {
			want(t, refused, "unavailable")
		}
		s.client(a).Close(ape.CloseEnded, "")
		s.joinAs(w, same(3))
		want(t, s.app.Online(), 3)
	})
}

func TestHandshakesAreBounded(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		free := make(chan struct{})
		s := newSite(t, &ape.Options{MaxHandshakes: 2, OnConnect: func(ctx context.Context, _ *ape.Client, _ *http.Request) (context.Context, error) {
			<-free
			return ctx, nil
		}})
		cancel1, cancel2 := halfway(s, w), halfway(s, w)
		synctest.Wait()
		_, refused := s.tryJoin(w, browser{})
		if !strings.Contains(refused, "503") {
			t.Errorf("got %q, want 503", refused)
		}
		close(free)
		synctest.Wait()
		s.join(w)
		cancel1()
		cancel2()
	}, classicSocket, lineSocket)
}

func TestAClientMustSayHelloInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		begin := time.Now()
		for _, first := range []string{"", "c 1 echo 1\n", "h\n", "h {\n", "h []\n"} {
			ws := rawSocket(t, s, "ape.1", nil)
			if first != "" {
				ws.write(first)
			}
			want(t, ws.end(), 4200)
			if first == "" {
				want(t, time.Since(begin), 10*time.Second)
			}
		}
		want(t, s.app.Online(), 0)
	})
}
