package ape_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape"
)

// muteSocket accepts a WebSocket, says one thing and then nothing.
func muteSocket(w http.ResponseWriter, r *http.Request, text string) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"ape.1"}})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	if text != "" {
		ws.Write(r.Context(), websocket.MessageText, []byte(text))
	}
	for { // until the client gives up
		if _, _, err := ws.Read(r.Context()); err != nil {
			return
		}
	}
}

// script is a server that does as it is told, one connection after the other.
type script struct {
	t      *testing.T
	mu     sync.Mutex
	hellos []string
	steps  []func(ws *websocket.Conn, r *http.Request)
}

// blocks is for front.blocks.
func (s *script) blocks(w http.ResponseWriter, r *http.Request) bool {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"ape.1"}})
	if err != nil {
		s.t.Error(err)
		return true
	}
	defer ws.CloseNow()
	_, hello, err := ws.Read(r.Context())
	if err != nil {
		return true
	}
	s.mu.Lock()
	s.hellos = append(s.hellos, strings.TrimSpace(string(hello)))
	var step func(*websocket.Conn, *http.Request)
	if len(s.steps) > 0 {
		step, s.steps = s.steps[0], s.steps[1:]
	}
	s.mu.Unlock()
	if step != nil {
		step(ws, r)
	}
	return true
}

// heard are the resume tokens, sequence numbers and tries of the hellos so far.
func (s *script) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, text := range s.hellos {
		var h struct {
			Resume    string
			Seen, Try int
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "h ")), &h); err != nil {
			s.t.Error(err)
		}
		all = append(all, fmt.Sprintf("%s/%d/%d", h.Resume, h.Seen, h.Try))
	}
	return strings.Join(all, " ")
}

// say writes lines, one message each.
func say(ws *websocket.Conn, r *http.Request, lines ...string) {
	for _, l := range lines {
		ws.Write(r.Context(), websocket.MessageText, []byte(l+"\n"))
	}
}

// stay reads until the client goes.
func stay(ws *websocket.Conn, r *http.Request) {
	for {
		if _, _, err := ws.Read(r.Context()); err != nil {
			return
		}
	}
}

func TestConnActsOnCloseCodes(t *testing.T) {
	const resume, anew, final = "again", "anew", "final"
	cases := map[string]struct {
		quit string
		code int
		then string
	}{
		"cut":      {code: 0, then: resume},
		"restart":  {code: 4000, then: resume},
		"idle":     {code: 4001, then: resume},
		"stale":    {code: 4002, then: resume},
		"unknown":  {code: 4042, then: resume},
		"away":     {code: 1001, then: resume},
		"internal": {code: 1011, then: resume},
		"none":     {code: 1005, then: resume},
		"foreign":  {code: 3000, then: resume},
		"replaced": {code: 4100, then: anew},
		"slow":     {code: 4101, then: anew},
		"ended":    {code: 4102, then: anew},
		"41xx":     {code: 4150, then: anew},
		"utf8":     {code: 1007, then: anew},
		"too big":  {code: 1009, then: anew},
		"protocol": {code: 1002, then: anew},
		"hello":    {code: 4200, then: final},
		"denied":   {code: 4201, then: final},
		"kicked":   {code: 4203, then: final},
		"42xx":     {code: 4321, then: final},
		"bye":      {code: 1000, then: final},
		"q new":    {quit: `q {"code":"maintenance","then":"new"}`, code: 4000, then: anew},
		"q final":  {quit: `q {"code":"kicked","then":"final","message":"go"}`, code: 4000, then: final},
		"q resume": {quit: `q {"code":"odd","then":"resume"}`, code: 4203, then: resume},
		"q alone":  {quit: `q {"code":"replaced","then":"new"}`, then: anew},
		"q broken": {quit: `q {"code":7}`, then: resume},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, nil)
				again := `w {"id":"b","resume":"tok2","gap":"","limits":{"beat":600000}}`
				if test.then == resume {
					again = `w {"id":"a","resume":"tok2","recovered":0,"got":0}`
				}
				s := &script{t: t, steps: []func(*websocket.Conn, *http.Request){
					func(ws *websocket.Conn, r *http.Request) {
						say(ws, r, `w {"id":"a","resume":"tok","limits":{"beat":600000}}`, "m tick 1")
						if test.quit != "" {
							say(ws, r, test.quit)
						}
						if test.code != 0 {
							ws.Close(websocket.StatusCode(test.code), "")
						}
					},
					func(ws *websocket.Conn, r *http.Request) { say(ws, r, again); stay(ws, r) },
				}}
				p.front.blocks(s.blocks)
				st := &states{}
				c := p.dial("", &ape.DialOptions{OnState: st.note})
				time.Sleep(time.Second)
				switch test.then {
				case resume:
					want(t, s.heard(), "/0/0 tok/1/2")
					want(t, c.ID(), "a")
					if got := st.String(); !strings.HasSuffix(got, "|connecting|connected websocket resumed 0") {
						t.Error(got)
					}
				case anew:
					want(t, s.heard(), "/0/0 /0/0")
					want(t, c.ID(), "b")
					got := st.String()
					_, after, _ := strings.Cut(got, "|disconnected ")
					code, _, _ := strings.Cut(after, "|")
					if !strings.HasSuffix(got, "|disconnected "+code+"|connecting|connected websocket gap "+code+" lost []") {
						t.Error(got)
					}
				case final:
					want(t, s.heard(), "/0/0")
					<-c.Done()
					want(t, c.State(), ape.StateClosed)
					why, ok := c.Err().(*ape.CloseError)
					if got := st.String(); !ok || !strings.HasSuffix(got, "|closed "+why.Code.String()) && !strings.Contains(got, "closed.") && name != "42xx" {
						t.Errorf("%v: %s", c.Err(), got)
					}
					_, err := ape.Invoke[any](t.Context(), c, "echo", 1)
					want(t, err == ape.ErrGone, true)
					want(t, c.Send("echo", 1) == ape.ErrGone, true)
				}
			})
		})
	}
}

func TestConnSurvivesAnOddServer(t *testing.T) {
	// Each of these makes it begin anew, or again, and never stop.
	for name, lines := range map[string][]string{
		"counted before the welcome": {"m tick 1"},
		"welcome without a token":    {`w {"id":"a"}`},
		"welcome that is no JSON":    {`w {`},
		"not UTF-8":                  {`w {"id":"a","resume":"t"}`, "m \xff"},
		"a second welcome":           {`w {"id":"a","resume":"t"}`, `w {"id":"b","resume":"u"}`, "m tick 1"},
		"got from the future":        {`w {"id":"a","resume":"t","recovered":0,"got":77}`},
		"unknown lines":              {`w {"id":"a","resume":"t"}`, "zap 7", "Zap", "c 1 odd", "c 2", "r 99", "n 5 1", "u 0 nothing", "s 2 news", "a 99"},
		"too long":                   {`w {"id":"a","resume":"t"}`, "m tick \"" + strings.Repeat("x", 20<<10) + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, nil)
				s := &script{t: t, steps: []func(*websocket.Conn, *http.Request){
					func(ws *websocket.Conn, r *http.Request) {
						say(ws, r, `w {"id":"o","resume":"o"}`)
					},
					func(ws *websocket.Conn, r *http.Request) {
						say(ws, r, lines...)
						time.Sleep(time.Second)
					},
				}}
				p.front.blocks(func(w http.ResponseWriter, r *http.Request) bool {
					s.mu.Lock()
					left := len(s.steps)
					s.mu.Unlock()
					return left > 0 && s.blocks(w, r)
				})
				c := p.dial(bySocket, &ape.DialOptions{MaxMessage: 1 << 10})
				heard := &trail{}
				ape.On(c, "tick", func(v any) { heard.add("%v", v) })
				time.Sleep(5 * time.Second)
				want(t, heard, "")
				ask(t, c, "echo", 1, "1") // by the real server now
			})
		})
	}
}

func TestConnWaitsAsLongAsItIsTold(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"Retry-After": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "40")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"within": func(w http.ResponseWriter, r *http.Request) {
			if !isUpgrade(r) {
				w.Header().Set("Ape-Protocol", "ape.1")
				w.WriteHeader(http.StatusTooManyRequests)
				fmt.Fprintln(w, `q {"code":"limit","then":"resume","within":40000}`)
				return
			}
			ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"ape.1"}})
			if err != nil {
				return
			}
			say(ws, r, `q {"code":"limit","then":"resume","within":40000}`)
			ws.Close(4004, "")
		},
	} {
		for _, over := range []road{bySocket, byStream, ""} {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, nil)
				c := p.dial(over, nil)
				p.front.blocks(func(w http.ResponseWriter, r *http.Request) bool { answer(w, r); return true })
				p.Cut()
				time.Sleep(2 * time.Second)
				p.front.block.Store(nil)
				dials := p.Dials()
				time.Sleep(37 * time.Second)
				if p.Dials() != dials {
					t.Errorf("%s %s: came back too early", name, over)
				}
				time.Sleep(40 * time.Second)
				want(t, c.State(), ape.StateConnected)
				ask(t, c, "echo", 1, "1")
			})
		}
	}
}

func TestConnBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, nil)
		c := p.dial(bySocket, nil)
		p.Refuse(true)
		p.Cut()
		dials := p.Dials()
		time.Sleep(10 * time.Minute)
		n := p.Dials() - dials
		if n < 20 || n > 90 { // below 0.5, 1, 2, 4, 8, 16 s, then below 30 s
			t.Errorf("%d attempts in ten minutes", n)
		}
		p.Refuse(false)
		time.Sleep(time.Minute)
		want(t, c.State(), ape.StateConnected) // the session was lost, the Conn was not
		ask(t, c, "echo", 1, "1")
	})
}

// A server, or a proxy, that ends every response at once is not asked all the time.
func TestConnDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, nil)
		var gets atomic.Int64
		p.front.blocks(func(w http.ResponseWriter, r *http.Request) bool {
			gets.Add(1)
			w.Header().Set("Ape-Protocol", "ape.1")
			if strings.Contains(r.Header.Get("Ape-Hello"), `"resume"`) {
				fmt.Fprintln(w, `w {"id":"a","resume":"tok","recovered":0,"got":0}`)
			} else {
				fmt.Fprintln(w, `w {"id":"a","resume":"tok"}`)
			}
			return true
		})
		c := p.dial(byStream, nil)
		time.Sleep(10 * time.Minute)
		if n := gets.Load(); n < 10 || n > 200 {
			t.Errorf("%d requests in ten minutes", n)
		}
		p.front.block.Store(nil)
		ask(t, c, "echo", 1, "1")
	})
}
