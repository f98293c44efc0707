package transport

import (
	"testing"
	"testing/synctest"
)

// marked is a Sink that knows whether it was closed.
type marked struct{ closed bool }

func (*marked) Write([]byte) error { return nil }
func (m *marked) Close()           { m.closed = true }

// TestStopBetweenTheLastWriteAndRest: closing a stream then would cut what
// net/http writes behind the handler.
func TestStopBetweenTheLastWriteAndRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &marked{}
		w := NewWriter(m, StreamLines, nil)
		w.flushing = true
		w.finish()
		stopped := make(chan bool)
		go func() { w.Stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("Stop did not wait for whoever writes")
		default:
		}
		w.rest()
		<-stopped
		if m.closed {
			t.Error("the connection was closed although all had left")
		}
	})
}
