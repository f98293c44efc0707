package ape

import (
	"fmt"
	"net/http"

	"github.com/rs/cors"
)

// origins decides which web pages may use the server: those of its own origin
// and the trusted ones. Requests without an origin come from programs, which
// hold no visitor's cookies.
type origins struct {
	opt   *Options
	check *http.CrossOriginProtection
	cors  *cors.Cors // nil: no other origin
}

func newOrigins(opt *Options) *origins {
	o := &origins{opt: opt, check: http.NewCrossOriginProtection()}
	for _, origin := range opt.TrustedOrigins {
		if err := o.check.AddTrustedOrigin(origin); err != nil {
			panic(fmt.Sprintf("ape: Options.TrustedOrigins: %v; write scheme and host, as in \"https://app.example.com\"", err))
		}
	}
	if len(opt.TrustedOrigins) > 0 || opt.InsecureAnyOrigin {
		c := cors.Options{
			AllowedOrigins:   opt.TrustedOrigins,
			AllowCredentials: true,
			AllowedMethods:   []string{http.MethodGet, http.MethodPost},
			AllowedHeaders:   []string{"Content-Type", "Authorization", headerProtocol, headerHello, headerSession, headerSeq},
			ExposedHeaders:   []string{headerProtocol, headerGot, "Retry-After"},
		}
		if opt.InsecureAnyOrigin {
			c.AllowOriginFunc = func(string) bool { return true }
		}
		o.cors = cors.New(c)
	}
	return o
}

// allow checks a request and answers it when it may not pass. The check is that
// of a request that changes something, since a WebSocket handshake is a GET
// that does.
func (o *origins) allow(w http.ResponseWriter, r *http.Request) bool {
	if o.opt.InsecureAnyOrigin {
		return true
	}
	as := new(http.Request)
	*as = *r
	as.Method = http.MethodPost
	if o.check.Check(as) == nil {
		return true
	}
	origin := r.Header.Get("Origin")
	err := Errorf(Denied, "the page's origin %q is not %q, the host of this request. If the page belongs to another site, add it to "+
		"Options.TrustedOrigins. If a proxy changes the host, let it pass on what the browser sent (nginx: proxy_set_header Host $http_host;)", shown(origin), shown(r.Host))
	if hook := o.opt.OnError; hook != nil {
		hook(nil, fmt.Errorf("ape: request refused: %w", err))
	}
	refuseClassic(w, err, 0)
	return false
}

// preflight adds the headers of CORS and reports whether the request was a
// preflight, which is answered then.
func (o *origins) preflight(w http.ResponseWriter, r *http.Request) bool {
	if o.cors == nil {
		return false
	}
	o.cors.HandlerFunc(w, r)
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	return false
}
