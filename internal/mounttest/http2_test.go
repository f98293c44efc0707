package mounttest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/goape/ape"
)

// TestHTTP2 streams over HTTP/2 and opens WebSockets over HTTP/1.1 at the same
// server, which is what browsers do.
func TestHTTP2(t *testing.T) {
	for _, m := range []mounting{
		{name: "ServeMux", mount: mountMux},
		{name: "chi", mount: mountChi, gzip: true},
		{name: "gin", mount: mountGin},
		{name: "echo", mount: mountEcho, gzip: true},
	} {
		t.Run(m.name, func(t *testing.T) {
			p := open(t, m, ape.Options{}, func(srv *httptest.Server) { srv.EnableHTTP2 = true })
			transport := p.client.Transport.(*http.Transport)
			first := transport.Clone()
			first.TLSClientConfig.NextProtos = []string{"http/1.1"}
			first.ForceAttemptHTTP2 = false
			first.Protocols = new(http.Protocols)
			first.Protocols.SetHTTP1(true)
			defer first.CloseIdleConnections()
			p.socket = &http.Client{Transport: first}
			p.prove(t, outcome{})
			res := p.send(t, http.MethodGet, "/ape")
			if res.ProtoMajor != 2 {
				t.Errorf("the requests went over %s", res.Proto)
			}
			if res.StatusCode != http.StatusUpgradeRequired || res.Header.Get("Upgrade") != "" {
				t.Errorf("a plain GET over HTTP/2: %d, Upgrade %q, which HTTP/2 forbids", res.StatusCode, res.Header.Get("Upgrade"))
			}
			p.quiet(t)
		})
	}
}
