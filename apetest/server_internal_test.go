package apetest

import (
	"net/http"
	"testing"
	"testing/synctest"
)

func TestEndedConnectionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(t, http.NotFoundHandler())
		for range 1000 {
			c, err := s.DialContext(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			synctest.Wait()
		}
		if n := len(s.conns); n > 100 {
			t.Errorf("%d of 1000 connections, which have ended, are kept", n)
		}
	})
}
