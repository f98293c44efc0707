package ape

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// parting is why a connection ended, or did not come about, and what to do next.
type parting struct {
	code, then, message string
	within              time.Duration // the least time before the next attempt
	told                bool          // by the server: so this transport works
	here                bool          // made at this end: no transport would help
	err                 error         // what it was, where that is known
}

// Error says it, as what StateChange.Err holds.
func (p *parting) Error() string { return "ape: connection ended: " + p.code + ": " + p.reason() }

// reason is the cause without the code, or the code where there is no more.
func (p *parting) reason() string {
	switch {
	case p.message != "":
		return p.message
	case p.err != nil:
		return p.err.Error()
	}
	return p.code
}

func (p *parting) Unwrap() error { return p.err }

var (
	errMute      = &parting{code: "silent", then: "resume", message: "not one byte came from the server"}
	errSilent    = &parting{code: "silent", then: "resume", message: "nothing was heard from the server for too long"}
	errUnwelcome = &parting{code: "silent", then: "resume", message: "the server did not answer the hello in time"}
	errMismatch  = &parting{code: "mismatch", then: "new", message: "the server's numbers are not those of this client"}
	errReplaced  = &parting{code: "replaced", then: "resume", message: "another connection of this client has taken over"}
	errGivenUp   = &parting{code: "lost", then: "resume", message: "the connection was given up"}
)

// partingOf makes one of any error.
func partingOf(err error) *parting {
	var p *parting
	if errors.As(err, &p) {
		if p.then == "" {
			known := *p
			known.then = "resume"
			return &known
		}
		return p
	}
	return &parting{code: "lost", then: "resume", err: plain(err)}
}

// plain leaves out what net/http and the WebSocket library say around the cause.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// closeError is a server's refusal as the error that users know.
func (p *parting) closeError() *CloseError {
	code := CloseEnded
	for known, name := range closeNames {
		if name == p.code {
			code = known
		}
	}
	return &CloseError{Code: code, Reason: p.message}
}

// dialError is the error of Dial.
type dialError struct {
	url  string
	text string
	err  error
}

func (e *dialError) Error() string { return "ape: dial " + e.url + ": " + e.text }
func (e *dialError) Unwrap() error { return e.err }

// dialFailed says why the first connection did not come about. A refusal by the
// server is a *CloseError.
func dialFailed(base string, err error) error {
	var p *parting
	switch {
	case !errors.As(err, &p):
		return &dialError{base, plain(err).Error(), err}
	case p.told:
		refusal := p.closeError()
		text := "the server refuses: " + p.code
		if p.message != "" {
			text += ": " + p.message
		}
		return &dialError{base, text, refusal}
	}
	return &dialError{base, p.reason(), err}
}

// neither is why both transports failed.
func neither(socket, stream error) error {
	a, b := partingOf(socket), partingOf(stream)
	if a.reason() == b.reason() {
		return b
	}
	return &parting{
		code: b.code, then: b.then, within: max(a.within, b.within),
		message: "by WebSocket: " + a.reason() + "; by streaming: " + b.reason(), err: errors.Join(a.err, b.err),
	}
}

// refusedUpgrade is why no WebSocket came about.
func refusedUpgrade(res *http.Response, err error) error {
	p := &parting{code: "blocked", then: "resume", err: plain(err)}
	if q := (*parting)(nil); errors.As(err, &q) {
		p.message = q.reason()
	}
	if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
		p.message, p.err, p.within = answeredBy(res), nil, retryAfterOf(res)
	}
	return p
}

// answeredBy describes a response that no ape server gives to its client.
func answeredBy(res *http.Response) string {
	text := "the answer was " + res.Status
	if res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusOK {
		text += "; is there an ape server at this URL? It is the one of the mount with /ape at its end"
	}
	if res.Body == nil {
		return text
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 200))
	first, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	if len(first) > 0 && first[0] != '<' {
		text += ": " + string(bytes.ToValidUTF8(first, nil))
	}
	return text
}

// refusedStream reads why a GET got no stream.
func refusedStream(res *http.Response) error {
	p := &parting{code: strconv.Itoa(res.StatusCode), then: "resume", within: retryAfterOf(res)}
	if res.Header.Get(headerProtocol) != lineProtocol {
		p.message = answeredBy(res)
		return p
	}
	p.told = true
	if res.StatusCode == http.StatusBadRequest || res.StatusCode == http.StatusForbidden {
		p.then = "final"
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if text, ok := bytes.CutPrefix(bytes.TrimSpace(body), []byte("q ")); ok {
		if q, err := readQuit(text); err == nil {
			q.within = max(q.within, p.within)
			if q.then == "" {
				q.then = p.then
			}
			return q
		}
	}
	return p
}

// readQuit reads the JSON of a q line.
func readQuit(text []byte) (*parting, error) {
	var q struct {
		Code, Then, Message string
		Within              int64
	}
	if err := json.Unmarshal(text, &q); err != nil {
		return nil, &parting{code: "malformed", then: "resume", message: "the server's last line cannot be read"}
	}
	within := time.Duration(max(0, min(q.Within, time.Hour.Milliseconds()))) * time.Millisecond
	return &parting{code: q.Code, then: q.Then, message: q.Message, within: within, told: true}, nil
}

// retryAfterOf is the header Retry-After, of at most an hour.
func retryAfterOf(res *http.Response) time.Duration {
	s, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || s < 0 {
		return 0
	}
	return time.Duration(min(s, 3600)) * time.Second
}

// socketParting reads a close code, where no q line has said more.
func socketParting(err error) error {
	code := CloseCode(websocket.CloseStatus(err))
	switch {
	case code == -1:
		return err
	case code == closeNormal || code >= 4200:
		return &parting{code: code.String(), then: "final", told: true}
	case code >= 4100, code == 1002, code == 1003, code == 1007, code == 1009, code == 1010:
		return &parting{code: code.String(), then: "new", told: code >= 4000}
	}
	return &parting{code: code.String(), then: "resume", told: code >= 4000}
}
