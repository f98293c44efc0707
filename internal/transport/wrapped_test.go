package transport_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/goape/ape/internal/transport"
)

// nearsighted is middleware that has every method, but passes calls on only to
// what is directly beneath it: gin's ResponseWriter is like that.
type nearsighted struct {
	unwrapping
	hijacked *bool
}

func (n nearsighted) Flush() {
	if f, ok := n.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

func (n nearsighted) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	*n.hijacked = true
	return n.ResponseWriter.(http.Hijacker).Hijack()
}

func TestAcceptTellsAWrapperThatTheConnectionIsTaken(t *testing.T) {
	for _, between := range []bool{false, true} {
		told := false
		middle := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if between {
					w = unwrapping{w} // which would make nearsighted panic
				}
				next.ServeHTTP(nearsighted{unwrapping{w}, &told}, r)
			})
		}
		inside(t, setup{middle: middle}, func(t *testing.T, v *world) {
			c, _ := v.dial("")
			c.Write(message("hello\n"))
			c.wants(t, "hello\n")
		})
		if told == between {
			t.Errorf("with a wrapper that has no Hijack between: %t; the outer one's Hijack was called: %t", between, told)
		}
	}
}

func TestStreamFlushesWhatAWrapperDoesNotReach(t *testing.T) {
	told := false
	base := httptest.NewRecorder()
	w := nearsighted{unwrapping{unwrapping{deadlines{base}}}, &told}
	s, err := transport.NewStream(w, httptest.NewRequest("GET", "/", nil), transport.StreamOptions{Form: transport.StreamLines})
	if err != nil {
		t.Fatal(err)
	}
	s.Writer().Control([]byte("p\n"))
	s.Writer().End(0, "", nil, false)
	<-s.Writer().Done()
	s.Finish()
	if !base.Flushed || base.Body.String() != "p\n" {
		t.Errorf("flushed: %t, written: %q", base.Flushed, base.Body)
	}
}

// deadlines adds what a recorder lacks.
type deadlines struct{ *httptest.ResponseRecorder }

func (deadlines) SetReadDeadline(time.Time) error  { return nil }
func (deadlines) SetWriteDeadline(time.Time) error { return nil }
