package ape_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape"
)

// link is one connection of a lineUser.
type link struct {
	ws     *websocket.Conn // nil: streaming
	raw    func() io.Closer
	cancel func()
	quit   string // code of the q line
	status int    // of a WebSocket's close frame
	hello  chan struct{}
	done   chan struct{}
}

func (u *lineUser) openSocket(ctx context.Context, l *link, hc *http.Client, hello string) {
	ws, _, err := websocket.Dial(ctx, "http://memnet/api/ape", &websocket.DialOptions{
		Subprotocols: []string{"ape.1"}, HTTPClient: hc, HTTPHeader: u.b.headers(),
	})
	if err != nil {
		l.quit = err.Error()
		close(l.done)
		return
	}
	ws.SetReadLimit(-1)
	l.ws = ws
	cancel := l.cancel
	l.cancel = func() { ws.CloseNow(); cancel() }
	go u.readSocket(ctx, l)
	if err := ws.Write(ctx, websocket.MessageText, []byte("h "+hello+"\n")); err != nil {
		u.site.t.Error(err)
	}
}

func (u *lineUser) readSocket(ctx context.Context, l *link) {
	defer close(l.done)
	for {
		kind, b, err := l.ws.Read(ctx)
		if err != nil {
			l.status = int(websocket.CloseStatus(err))
			return
		}
		lines, err := cutLines(b, kind == websocket.MessageBinary)
		if err != nil {
			u.site.t.Error(err)
		}
		for _, line := range lines {
			u.take(l, line)
		}
		select {
		case <-l.hello:
			<-u.gate
		default: // the welcome must be read
		}
	}
}

func (u *lineUser) openStream(ctx context.Context, l *link, hc *http.Client, hello string) (refused string) {
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://memnet/api/ape/poll", nil)
	req.Header = u.b.headers()
	req.Header.Set("Ape-Protocol", "ape.1")
	req.Header.Set("Ape-Hello", hello)
	resp, err := hc.Do(req)
	if err != nil {
		return err.Error()
	}
	body := bufio.NewReader(resp.Body)
	if resp.StatusCode != http.StatusOK {
		line, _ := body.ReadString('\n')
		var q struct{ Code string }
		if json.Unmarshal([]byte(strings.TrimPrefix(line, "q ")), &q) != nil {
			return resp.Status + ": " + line
		}
		return q.Code
	}
	go func() {
		defer close(l.done)
		for {
			line, err := body.ReadString('\n')
			if err != nil {
				return
			}
			u.take(l, strings.TrimSuffix(line, "\n"))
			select {
			case <-l.hello:
				<-u.gate
			default:
			}
		}
	}()
	return ""
}

// code is the name of the close code that the connection ended with.
func (l *link) code() string {
	if l.quit == "" && l.ws != nil {
		return ape.CloseCode(l.status).String()
	}
	return l.quit
}

func (u *lineUser) end() string {
	u.t.Helper()
	u.listen()
	l := u.current()
	select {
	case <-l.done:
	case <-time.After(5 * time.Minute):
		u.t.Fatal("the connection did not end")
	}
	if name := ape.CloseCode(l.status).String(); l.ws != nil && l.quit != "" && name != l.quit {
		u.t.Errorf("the last line said %q, the close code %q", l.quit, name)
	}
	return l.code()
}

func (u *lineUser) close() {
	u.write(`q {"code":"bye"}`, false)
	l := u.current()
	if l.ws != nil {
		l.ws.Close(websocket.StatusNormalClosure, "")
	}
	<-l.done
	l.cancel()
	synctest.Wait()
}

func (u *lineUser) cut() {
	l := u.current()
	if c := l.raw(); c != nil && l.ws != nil {
		c.Close()
	}
	l.cancel()
	u.listen()
	<-l.done
	synctest.Wait()
}
