package ape

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/goape/ape/js"
)

// file is one of the browser client's files as it is served.
type file struct {
	contentType string
	text, gzip  []byte
	etag        string
}

// files are prepared when the first one is asked for.
var files = sync.OnceValue(func() map[string]*file {
	all := map[string]*file{}
	for _, source := range js.Files() {
		f := &file{contentType: source.ContentType, text: []byte(source.Data)}
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(f.text)
		z.Close()
		f.gzip = b.Bytes()
		sum := sha256.Sum256(f.text)
		f.etag = base64.RawURLEncoding.EncodeToString(sum[:12])
		all[source.Name] = f
	}
	return all
})

// serveFile serves the browser client. It is public: pages of any origin may
// load it, and are refused only when they connect.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "ape: this is a file; GET it", http.StatusMethodNotAllowed)
		return
	}
	f := files()[path.Base(r.URL.Path)]
	s.cookie(w, r)
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Access-Control-Allow-Origin", "*") // modules of another origin are not loaded without
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Cache-Control", "no-cache") // asked again each time, by ETag
	if h.Get("Set-Cookie") != "" {
		h.Set("Cache-Control", "private, no-cache") // a shared cache would give everybody this cookie
	}
	h.Add("Vary", "Accept-Encoding")
	body := f.text
	etag := `"` + f.etag + `"`
	if acceptsGzip(r.Header.Get("Accept-Encoding")) && h.Get("Content-Encoding") == "" {
		h.Set("Content-Encoding", "gzip")
		body, etag = f.gzip, `"`+f.etag+`-gzip"`
	}
	h.Set("ETag", etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reports whether a client takes gzip.
func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && !strings.HasPrefix(q, "q=0.0")
		}
	}
	return false
}

// servePing answers the probe by which clients tell a captive portal from this
// server. It is public.
func (s *Server) servePing(w http.ResponseWriter, r *http.Request) {
	s.origins.preflight(w, r)
	s.cookie(w, r)
	if s.draining.Load() {
		unavailable(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	fmt.Fprintf(w, `{"ok":true,"ts":%d}`, time.Now().UnixMilli())
}
