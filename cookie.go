package ape

import (
	"net/http"
)

// cookieName is the cookie that tells browsers apart. It is a secret: it binds
// a session to the browser that began it, and is no client id.
const cookieName = "apeClientId"

// cookieLength is the length of what newID returns.
const cookieLength = 26

// presented is the cookie that a request carries, "" for none and for one that
// this server cannot have made.
func presented(r *http.Request) string {
	k, err := r.Cookie(cookieName)
	if err != nil || len(k.Value) != cookieLength {
		return ""
	}
	for _, c := range []byte(k.Value) { // RFC 4648 base32, as crypto/rand.Text
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return ""
		}
	}
	return k.Value
}

// cookie returns the browser's cookie and sets a new one when the request
// carries none.
func (s *Server) cookie(w http.ResponseWriter, r *http.Request) string {
	if id := presented(r); id != "" {
		return id
	}
	id := newID()
	k := &http.Cookie{Name: cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	k.Secure = r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
	if k.Secure && len(s.opt.TrustedOrigins) > 0 {
		k.SameSite = http.SameSiteNoneMode // pages of other sites may use the server
	}
	http.SetCookie(w, k)
	return id
}
