package ape

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// Headers of ape.1 over streaming.
const (
	headerProtocol = "Ape-Protocol"
	headerHello    = "Ape-Hello"
	headerSession  = "Ape-Session"
	headerSeq      = "Ape-Seq"
	headerGot      = "Ape-Got"
)

// servePoll serves the streaming fallback: GET streams down, POST goes up.
func (s *Server) servePoll(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		r = s.prompt(w, r)
	}
	if s.origins.preflight(w, r) || !s.origins.allow(w, r) {
		return
	}
	versions := r.Header.Get(headerProtocol)
	isLine := versions != ""
	if isLine {
		w.Header().Set(headerProtocol, lineProtocol)
		if !offers(versions, lineProtocol) {
			refuseStream(w, http.StatusBadRequest, CloseVersion, "this server speaks "+lineProtocol)
			return
		}
	}
	switch {
	case r.Method == http.MethodGet && isLine:
		s.streamLines(w, r)
	case r.Method == http.MethodPost && isLine:
		s.postLines(w, r)
	case r.Method == http.MethodGet:
		s.streamClassic(w, r)
	case r.Method == http.MethodPost:
		s.postClassic(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "ape: poll takes GET and POST", http.StatusMethodNotAllowed)
	}
}

// offers reports whether a comma-separated list holds version.
func offers(list, version string) bool {
	for v := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(v) == version {
			return true
		}
	}
	return false
}

// streamHeaders are what proxies need to pass a stream on as it comes.
func streamHeaders(h http.Header, contentType string) {
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
}

// refuseStream answers a GET that gets no stream with a q line.
func refuseStream(w http.ResponseWriter, status int, code CloseCode, message string) {
	streamHeaders(w.Header(), "text/plain; charset=utf-8")
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	w.Write(quitLine(code, message))
}

// streamLines serves a GET of ape.1 until its connection ends.
func (s *Server) streamLines(w http.ResponseWriter, r *http.Request) {
	text := r.Header.Get(headerHello)
	h, err := parseHello([]byte(text))
	if err != nil {
		refuseStream(w, http.StatusBadRequest, CloseHello, "the header "+headerHello+" must hold the JSON of a hello, at most 6 KiB")
		return
	}
	st, ok := s.stream(w, r, transport.StreamLines)
	if !ok {
		return
	}
	defer s.tasks.Done()
	s.cookie(w, r)
	cookie := presented(r)
	streamHeaders(w.Header(), "text/plain; charset=utf-8")
	c := &conn{w: st.Writer(), transport: Streaming, dialect: lineWire, gone: r.Context()}
	crowded := s.sessions.openStream(cookie, r.ProtoMajor)
	defer s.sessions.closeStream(cookie, r.ProtoMajor)
	poll := h.Poll || crowded
	if poll {
		c.w.Poll()
	}
	c.w.Hold() // nothing leaves before it is known that the status is 200
	done, ok := s.handshake()
	if !ok {
		st.Finish()
		refuseStream(w, http.StatusServiceUnavailable, CloseUnavailable, "the server is shutting down or full")
		return
	}
	x, refuse := s.welcomeLine(r, h, cookie, c)
	done()
	if refuse != nil {
		st.Finish()
		refuseStream(w, refuse.status(), refuse.code, refuse.message)
		return
	}
	s.serveStream(c, st, r, poll)
	x.detach(c, nil)
}

// serveStream lets a stream's writer work until it has ended or the client is
// gone. In poll mode it ends by itself.
func (s *Server) serveStream(c *conn, st *transport.Stream, r *http.Request, poll bool) {
	c.w.Release()
	switch {
	case poll && c.fresh:
		c.w.End(0, "", nil, false)
	case poll:
		timer := time.AfterFunc(s.opt.Heartbeat, func() { c.w.End(0, "", nil, false) })
		defer timer.Stop()
	default:
		c.startHeart(s.opt.Heartbeat)
		defer c.stopHeart()
	}
	select {
	case <-c.w.Done():
	case <-r.Context().Done():
	}
	st.Finish()
}

// stream prepares a streaming response; Shutdown waits for it until
// tasks.Done.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, form transport.Form) (*transport.Stream, bool) {
	s.life.Lock()
	closed := s.closed || s.draining.Load()
	if !closed {
		s.tasks.Add(1)
	}
	s.life.Unlock()
	switch {
	case closed && form == transport.StreamLines:
		refuseStream(w, http.StatusServiceUnavailable, CloseUnavailable, "the server is shutting down")
		return nil, false
	case closed:
		unavailable(w)
		return nil, false
	}
	st, err := transport.NewStream(w, r, transport.StreamOptions{Form: form, WriteTimeout: s.opt.WriteTimeout, Group: &s.tasks})
	if err != nil {
		s.tasks.Done()
		s.opt.Logger.Error("ape: streaming does not work here", "err", err)
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return nil, false
	}
	return st, true
}

// unavailable answers while the server shuts down or is full.
func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "ape: the server is shutting down or full; try again", http.StatusServiceUnavailable)
}

// status is the HTTP status of a refused GET.
func (f *refusal) status() int {
	switch f.code {
	case CloseStale:
		return http.StatusConflict
	case CloseUnavailable, CloseRestart:
		if f.why != nil && f.why.Code == Busy {
			return http.StatusTooManyRequests
		}
		return http.StatusServiceUnavailable
	case CloseDenied, CloseKicked:
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

// postLines takes the lines of one POST of ape.1. Its answers go down the
// stream.
func (s *Server) postLines(w http.ResponseWriter, r *http.Request) {
	x := s.sessions.token(r.Header.Get(headerSession))
	if x == nil || !x.mayPost(s, r) {
		w.WriteHeader(http.StatusGone)
		w.Write(quitLine(CloseEnded, "no such session"))
		return
	}
	first, err := strconv.ParseUint(r.Header.Get(headerSeq), 10, 53)
	if r.Header.Get(headerSeq) == "" {
		first, err = 0, nil
	}
	if err != nil {
		http.Error(w, "ape: "+headerSeq+" must be the number of the body's first counted line", http.StatusBadRequest)
		return
	}
	status := x.takeBody(first, http.MaxBytesReader(w, r.Body, int64(hardFactor*s.opt.MaxMessage)))
	if status == http.StatusGone {
		w.WriteHeader(status)
		return
	}
	w.Header().Set(headerGot, strconv.FormatUint(x.posted(), 10))
	w.WriteHeader(status)
}

// prompt gives the body of r HandshakeTimeout to come. The result is read
// instead of r.
func (s *Server) prompt(w http.ResponseWriter, r *http.Request) *http.Request {
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(s.opt.HandshakeTimeout)) != nil {
		return r
	}
	timed := r.WithContext(r.Context())
	timed.Body = promptBody{r.Body, control}
	return timed
}

// promptBody takes the deadline away at its end, and only there: what a handler
// leaves unread is read by net/http, which must not wait for it longer.
type promptBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b promptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// mayPost reports whether a POST comes from the browser that the session is
// bound to.
func (x *session) mayPost(s *Server, r *http.Request) bool {
	return x.dialect == lineWire && (x.cookie == "" || x.cookie == presented(r))
}

// takeBody takes the whole lines of a POST body and returns the status.
func (s *session) takeBody(first uint64, body io.Reader) int {
	num := first - 1
	err := s.server.split.Split(body, false, func(u line.Unit) error {
		if line.Counted(u.Head) {
			if first == 0 {
				return errNoSeq
			}
			num++
		}
		return s.takeLine(nil, num, u)
	})
	switch {
	case err == nil:
		return http.StatusNoContent
	case err == errAhead:
		return http.StatusConflict
	case err == errBye:
		s.end(&CloseError{Code: CloseEnded, Reason: "bye"}, false)
		return http.StatusNoContent
	case err == errOver:
		return http.StatusGone
	case errors.Is(err, line.ErrTooLong), errors.As(err, new(*http.MaxBytesError)):
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

var errNoSeq = errors.New("ape: counted lines without " + headerSeq)

// posted notes that a POST came, and returns what its response acknowledges.
func (s *session) posted() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.heard.Store(time.Now().UnixNano())
	}
	s.unacked = 0
	return s.got
}
