package ape

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// newID returns 26 random characters, 130 bits.
func newID() string { return rand.Text() }

// hello is the JSON of an ape.1 client's first line.
type hello struct {
	Client string          `json:"client"`
	Auth   json.RawMessage `json:"auth"`
	Limits struct {
		Line  int `json:"line"`
		Calls int `json:"calls"`
	} `json:"limits"`
	Poll   bool   `json:"poll"`
	Resume string `json:"resume"`
	Seen   uint64 `json:"seen"`
	Try    uint64 `json:"try"`
}

// welcome is the JSON of the answer.
type welcome struct {
	ID        string         `json:"id"`
	Resume    string         `json:"resume"`
	Recovered *uint64        `json:"recovered,omitempty"`
	Got       *uint64        `json:"got,omitempty"`
	Gap       string         `json:"gap,omitempty"`
	Keeper    string         `json:"keeper,omitempty"`
	Server    string         `json:"server"`
	Limits    *welcomeLimits `json:"limits,omitempty"`
}

type welcomeLimits struct {
	Line   int   `json:"line"`
	Calls  int   `json:"calls"`
	Subs   int   `json:"subs"`
	Beat   int64 `json:"beat"`
	Window int64 `json:"window"`
	Buffer int   `json:"buffer"`
	Keys   int64 `json:"keys"`
}

// refusal is why a client does not get a session.
type refusal struct {
	code    CloseCode
	message string
	why     *Error // for HTTP
}

// refused makes a refusal of what OnConnect, Identify or a limit returned.
func refused(e *Error) *refusal {
	code := CloseDenied
	switch e.Code {
	case Unavailable, Busy, Internal:
		code = CloseUnavailable
	}
	return &refusal{code: code, message: e.Message, why: e}
}

// identify says who a request comes from.
func (s *Server) identify(r *http.Request, auth json.RawMessage) (id string, refuse *refusal) {
	if hook := s.opt.Identify; hook != nil {
		err := s.try("Identify", func() (err error) {
			id, err = hook(r, auth)
			return err
		})
		return id, s.refusedBy("Identify", err)
	}
	session := ""
	if k, err := r.Cookie(s.opt.SessionCookie); err == nil {
		session = k.Value
	}
	bearer := r.Header.Get("Authorization")
	if session == "" && bearer == "" && len(auth) == 0 {
		return "", nil
	}
	h := sha256.New()
	for _, part := range [...]string{session, bearer, string(auth)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}

// refusedBy turns a hook's error into a refusal: only an *Error's text is told.
func (s *Server) refusedBy(hook string, err error) *refusal {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return refused(e)
	}
	if err == errPanic {
		return refused(Errorf(Internal, "internal error"))
	}
	s.opt.Logger.Warn("ape: client refused", "hook", hook, "err", err)
	return refused(Errorf(Denied, "not allowed"))
}

// admit runs OnConnect for a new session and makes it findable. It is called on
// the HTTP handler's goroutine; gone ends when the client goes.
func (s *Server) admit(x *session, r *http.Request, gone context.Context) *refusal {
	if s.draining.Load() {
		return refused(Errorf(Unavailable, "the server is shutting down"))
	}
	if hook := s.opt.OnConnect; hook != nil {
		cause := &CloseError{CloseUnavailable, "the client was not let in in time"}
		timer := time.AfterFunc(s.opt.HandshakeTimeout, func() { x.cancel(cause) })
		stop := context.AfterFunc(gone, func() { x.cancel(&CloseError{Code: closeAbnormal}) })
		var values context.Context
		err := s.try("OnConnect", func() (err error) {
			values, err = hook(x.ctx, &x.client, r)
			return err
		})
		timer.Stop()
		stop()
		ended := x.ctx.Err()
		if errors.Is(err, ended) || errors.Is(err, context.Cause(x.ctx)) {
			err = nil // the hook has noticed: that is no word against the client
		}
		if refuse := s.refusedBy("OnConnect", err); refuse != nil {
			return refuse
		}
		if ended != nil {
			return x.interrupted()
		}
		x.embed(values)
	}
	if e := s.sessions.add(x); e != nil {
		return refused(e)
	}
	draining := s.draining.Load() // since then Shutdown does not see x
	x.mu.Lock()
	x.open = !x.ended && !draining
	open := x.open
	x.mu.Unlock()
	if !open {
		s.sessions.remove(x)
		if draining {
			return refused(Errorf(Unavailable, "the server is shutting down"))
		}
		return x.interrupted()
	}
	s.counters.sessions.Add(1)
	return nil
}

// interrupted is the refusal of a session that ended before it was let in.
func (s *session) interrupted() *refusal {
	why := &CloseError{Code: CloseUnavailable}
	errors.As(context.Cause(s.ctx), &why)
	code := Denied
	if why.Code == CloseUnavailable || why.Code == CloseRestart {
		code = Unavailable
	}
	return &refusal{why.Code, why.Reason, Errorf(code, "%s", why.Reason)}
}

// abandon takes back a session that was refused.
func (s *Server) abandon(x *session, why CloseCode) {
	x.end(&CloseError{Code: why}, true)
}

// welcomeLine answers a hello over c: it resumes a session or opens one. When it
// returns no refusal, c is attached and its first line is the welcome.
func (s *Server) welcomeLine(r *http.Request, h *hello, cookie string, c *conn) (*session, *refusal) {
	identity, refuse := s.identify(r, h.Auth)
	if refuse != nil {
		return nil, refuse
	}
	gap := ""
	if h.Resume != "" {
		x, why := s.resume(h, cookie, identity, c)
		if x != nil {
			return x, nil
		}
		if why == stale {
			return nil, &refusal{CloseStale, "a newer request has resumed this session", Errorf(Conflict, "stale")}
		}
		gap = why
		s.observeGap(gap)
	}
	x := s.newSession(r, lineWire, cookie, identity, h.Auth)
	x.secret = newID()
	x.try = h.Try
	if h.Limits.Line > 0 {
		x.line.Store(int64(min(defaultLine, max(h.Limits.Line, 1024))))
	}
	if h.Limits.Calls > 0 {
		x.asks.limit = min(x.asks.limit, h.Limits.Calls)
	}
	x.out = transport.NewOutbox(s.opt.MaxQueue, true, s.budget)
	c.session, c.fresh = x, true
	if refuse := s.admit(x, r, c.gone); refuse != nil {
		s.abandon(x, refuse.code)
		return nil, refuse
	}
	return s.begin(x, c, func(uint64) []byte {
		w := welcome{ID: x.id, Resume: x.token(), Gap: gap, Server: s.id, Limits: s.limits(x)}
		if x.keys != nil {
			w.Keeper = s.id
		}
		return w.line()
	})
}

// begin attaches the first connection of a session that has been let in.
func (s *Server) begin(x *session, c *conn, first func(uint64) []byte) (*session, *refusal) {
	x.mu.Lock()
	if x.ended {
		defer x.mu.Unlock()
		return nil, &refusal{x.endCode(), "the session has ended", Errorf(Closed, "the session has ended")}
	}
	x.attach(c, 0, first)
	x.mu.Unlock()
	s.observeConnect(x, c)
	return x, nil
}

// stale is the verdict on a hello that was overtaken by a newer one.
const stale = "stale"

// resume gives a session back to a client that has its token. Nil, and why,
// when it cannot.
func (s *Server) resume(h *hello, cookie, identity string, c *conn) (*session, string) {
	x := s.sessions.token(h.Resume)
	if x == nil || x.identity != identity || x.cookie != "" && x.cookie != cookie {
		return nil, "unknown"
	}
	x.mu.Lock()
	if x.ended {
		x.mu.Unlock()
		return nil, "unknown"
	}
	if h.Try <= x.try {
		x.mu.Unlock()
		return nil, stale
	}
	old, got := x.conn, x.got
	gap := x.attach(c, h.Seen, func(recovered uint64) []byte {
		w := welcome{ID: x.id, Resume: x.token(), Recovered: &recovered, Got: &got, Server: s.id}
		if x.keys != nil {
			w.Keeper = s.id
		}
		return w.line()
	})
	if gap != "" {
		x.mu.Unlock()
		x.end(&CloseError{CloseEnded, "the client cannot resume: " + gap}, true)
		return nil, gap
	}
	x.try, x.unacked, c.base = h.Try, 0, got
	x.mu.Unlock()
	if old != nil {
		old.close(CloseReplaced, "", true)
	}
	s.counters.resumed.Add(1)
	s.observeConnect(x, c)
	return x, ""
}

func (s *Server) limits(x *session) *welcomeLimits {
	o := &s.opt
	l := &welcomeLimits{
		Line: o.MaxMessage, Calls: o.MaxCalls, Subs: o.MaxSubscriptions, Buffer: o.MaxQueue,
		Beat: o.Heartbeat.Milliseconds(), Window: o.ResumeWindow.Milliseconds(),
	}
	if x.keys != nil {
		l.Keys = o.KeyWindow.Milliseconds()
	}
	return l
}

// line returns the w line.
func (w *welcome) line() []byte {
	b, err := json.Marshal(w)
	if err != nil { // strings and numbers only
		panic(err)
	}
	return line.AppendWelcome(nil, b)
}

// maxHello bounds a hello: it is kept for as long as the session.
const maxHello = 6 << 10

// parseHello reads the JSON of an h line.
func parseHello(text []byte) (*hello, error) {
	if len(text) > maxHello {
		return nil, fmt.Errorf("the hello has %d bytes, at most %d are allowed", len(text), maxHello)
	}
	if text = bytes.TrimSpace(text); !bytes.HasPrefix(text, []byte("{")) {
		return nil, errors.New("the hello is no object")
	}
	h := new(hello)
	if err := json.Unmarshal(text, h); err != nil {
		return nil, err
	}
	if string(h.Auth) == "null" {
		h.Auth = nil
	}
	return h, nil
}
