package ape_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// socket is a WebSocket whose messages a test writes and reads itself.
type socket struct {
	t    *testing.T
	ws   *websocket.Conn
	resp *http.Response
}

// rawSocket opens one. protocol is "" for none.
func rawSocket(t *testing.T, s *site, protocol string, header http.Header) *socket {
	t.Helper()
	hc, _ := s.dialer()
	opt := &websocket.DialOptions{HTTPClient: hc, HTTPHeader: header}
	if protocol != "" {
		opt.Subprotocols = []string{protocol}
	}
	ws, resp, err := websocket.Dial(context.Background(), "http://memnet/api/ape", opt)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	t.Cleanup(func() {
		ws.CloseNow()
		hc.CloseIdleConnections()
	})
	return &socket{t, ws, resp}
}

func (k *socket) write(text string) {
	k.t.Helper()
	if err := k.ws.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		k.t.Error(err)
	}
}

// read is the next message, or "" within a minute without any or at the end.
func (k *socket) read() string {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, b, err := k.ws.Read(ctx)
	if err != nil {
		return ""
	}
	return string(b)
}

// end is the code with which the server closes.
func (k *socket) end() int {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	for {
		if _, _, err := k.ws.Read(ctx); err != nil {
			return int(websocket.CloseStatus(err))
		}
	}
}
