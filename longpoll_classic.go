package ape

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/goape/ape/internal/classic"
	"github.com/goape/ape/internal/transport"
)

// openClassic makes the session of a classic WebSocket, which lives as long as
// its socket.
func (s *Server) openClassic(r *http.Request, cookie string, c *conn) (*session, *refusal) {
	identity, refuse := s.identify(r, nil)
	if refuse != nil {
		return nil, refuse
	}
	x := s.newSession(r, classicWire, cookie, identity, nil)
	x.out = transport.NewOutbox(s.opt.MaxQueue, false, s.budget)
	c.session = x
	x.out.Append(connected(x.id), false)
	if refuse := s.admit(x, r, c.gone); refuse != nil {
		s.abandon(x, refuse.code)
		return nil, refuse
	}
	return s.begin(x, c, nil)
}

// connected is the first message to a classic client.
func connected(id string) transport.Frame {
	return transport.Text(classic.AppendConnected(transport.Begin(nil), id))
}

// joinClassic finds the streaming session of a browser and identity, or opens
// it: all tabs that share the cookie are one client. c, if not nil, is a GET,
// which is one of the session's streams from here on; what is sent in OnConnect
// waits in its queue.
func (s *Server) joinClassic(r *http.Request, cookie string, c *conn) (*session, *refusal) {
	identity, no := s.identify(r, nil)
	if no != nil {
		return nil, no
	}
	key := cookie + " " + identity
	for {
		x, mine := s.sessions.join(key, nil)
		if mine {
			fresh := s.newSession(r, classicWire, cookie, identity, nil)
			fresh.shared, fresh.ready = key, make(chan struct{})
			if x, mine = s.sessions.join(key, fresh); !mine {
				fresh.cancel(nil)
			}
		}
		if !mine {
			select {
			case <-x.ready:
			case <-r.Context().Done():
				return nil, &refusal{code: CloseUnavailable, message: "the client is gone"}
			}
			if x.addStream(c) {
				return x, nil
			}
			s.sessions.leave(key, x) // it has ended meanwhile
			continue
		}
		x.addStream(c)
		refuse := refused(Errorf(Unavailable, "the server is shutting down or full"))
		if done, ok := s.handshake(); ok {
			refuse = s.admit(x, r, r.Context())
			done()
		}
		if refuse != nil {
			x.mu.Lock()
			x.streams = nil // the response of c is the refusal
			x.mu.Unlock()
			s.abandon(x, refuse.code)
			close(x.ready)
			return nil, refuse
		}
		close(x.ready)
		if c == nil {
			x.mu.Lock()
			x.linger(classicLinger)
			x.mu.Unlock()
		}
		return x, nil
	}
}

// addStream makes c one of the streams; the oldest one goes when there are too
// many. It reports false when the session has ended.
func (s *session) addStream(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if c == nil {
		return true
	}
	if len(s.streams) >= s.server.opt.MaxClientsPerBrowser {
		s.streams[0].close(CloseLimit, "", true)
		s.streams = s.streams[1:]
	}
	c.session = s
	c.out.Append(connected(s.id), false)
	s.streams = append(s.streams, c)
	s.noteAway()
	if s.window != nil {
		s.window.Stop()
	}
	return true
}

// removeStream takes a GET that has ended away; the last one starts the time in
// which the client may come back.
func (s *session) removeStream(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams = slices.DeleteFunc(s.streams, func(other *conn) bool { return other == c })
	if len(s.streams) == 0 && !s.ended {
		s.linger(classicLinger)
		s.noteAway()
	}
}

// queueStreams appends a frame to every open GET. There is no backlog: a stock
// page never comes back for one. A GET that is too far behind is closed.
func (s *session) queueStreams(f transport.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams = slices.DeleteFunc(s.streams, func(c *conn) bool {
		full := c.out.Append(f, false) == transport.ErrFull
		if full {
			s.server.counters.slow.Add(1)
			c.close(CloseSlow, "", true)
		}
		return full
	})
	return nil
}

// framing chooses how messages stand in a classic stream: bare JSON, as 2.3.0's
// server wrote it, for who asks for JSON, else the events of 4.1.1's. The
// clients of both versions ask for JSON, and read either.
func framing(accept string) (form transport.Form, contentType, pulse string) {
	if strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/event-stream") {
		return transport.StreamMessages, "application/json", classic.Heartbeat + "\n"
	}
	return transport.StreamEvents, "text/event-stream", ":\n\n"
}

// streamClassic serves a classic GET, for as long as the client stays: a stock
// page does not reconnect a stream that ends.
func (s *Server) streamClassic(w http.ResponseWriter, r *http.Request) {
	form, contentType, pulse := framing(r.Header.Get("Accept"))
	st, ok := s.stream(w, r, form)
	if !ok {
		return
	}
	defer s.tasks.Done()
	cookie := s.cookie(w, r)
	streamHeaders(w.Header(), contentType)
	c := &conn{w: st.Writer(), transport: Streaming, dialect: classicWire, gone: r.Context(), pulse: pulse}
	c.out = transport.NewOutbox(s.opt.MaxQueue, false, s.budget)
	x, refuse := s.joinClassic(r, cookie, c)
	if refuse != nil {
		c.out.End()
		st.Finish()
		refuseClassic(w, refuse.why, refuse.status())
		return
	}
	c.out.Attach(c.w, 0)
	s.observeConnect(x, c)
	s.serveStream(c, st, r, false)
	x.removeStream(c)
	c.out.End()
}

// postClassic serves one message: a call, whose answer is the response, or a
// subscription.
func (s *Server) postClassic(w http.ResponseWriter, r *http.Request) {
	cookie := presented(r)
	if cookie == "" {
		s.cookie(w, r)
		refuseClassic(w, Errorf(Unauthenticated, "the cookie %s is missing; GET this address first", cookieName), http.StatusUnauthorized)
		return
	}
	doc, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.opt.MaxMessage)))
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			s.counters.tooLarge.Add(1)
			err = Errorf(TooLarge, "a message may have %d bytes (Options.MaxMessage)", s.opt.MaxMessage)
		} else {
			err = Errorf(Malformed, "the body was cut short")
		}
		refuseClassic(w, asError(err), 0)
		return
	}
	x, refuse := s.joinClassic(r, cookie, nil)
	if refuse != nil {
		refuseClassic(w, refuse.why, refuse.status())
		return
	}
	answer, outcome := x.takePost(doc)
	select {
	case r := <-answer:
		writeClassic(w, httpStatus(r.err), r.body)
	case err := <-outcome:
		if err != nil {
			refuseClassic(w, asError(err), 0)
			return
		}
		writeClassic(w, http.StatusOK, []byte(`{"data":null}`))
	case <-r.Context().Done(): // the call runs on; nobody waits for its answer
	case <-x.ctx.Done():
		select {
		case r := <-answer: // it was there just before
			writeClassic(w, httpStatus(r.err), r.body)
		default:
			refuseClassic(w, Errorf(Closed, "the session has ended"), 0)
		}
	}
}

// takePost begins what a POST asks for. One of the channels gets the outcome.
func (s *session) takePost(doc []byte) (<-chan reply, <-chan error) {
	answer, outcome := make(chan reply, 1), make(chan error, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	var m classic.Message
	switch err := classic.Scan(doc, &m); {
	case s.ended:
		outcome <- Errorf(Closed, "the session has ended")
	case err != nil:
		s.server.counters.malformed.Add(1)
		outcome <- Errorf(Malformed, "%v", err)
	case s.takeClassicSubscription(&m, func(err error) { outcome <- err }):
	default:
		if fail := s.takeClassicCall(doc, &m, classic.QueryID(doc), answer); fail != nil {
			outcome <- fail
		}
	}
	return answer, outcome
}

// refuseClassic answers with an error in both members that the clients read.
func refuseClassic(w http.ResponseWriter, e *Error, status int) {
	if e == nil {
		e = Errorf(Denied, "not allowed")
	}
	if status == 0 || status == http.StatusForbidden {
		status = httpStatus(e)
	}
	var retry retryAfter
	if data, ok := e.Data.(retryAfter); ok {
		retry = data
		w.Header().Set("Retry-After", strconv.FormatInt((retry.RetryAfter+999)/1000, 10))
	}
	writeClassic(w, status, appendClassicError(nil, "", e))
}

func writeClassic(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}

// httpStatus is the status of a POST's answer.
func httpStatus(e *Error) int {
	if e == nil {
		return http.StatusOK
	}
	switch e.Code {
	case Malformed, Unsupported, Invalid:
		return http.StatusBadRequest
	case Unauthenticated:
		return http.StatusUnauthorized
	case Denied:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case Conflict, Exists:
		return http.StatusConflict
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Busy:
		return http.StatusTooManyRequests
	case Unavailable:
		return http.StatusServiceUnavailable
	case Deadline:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}
