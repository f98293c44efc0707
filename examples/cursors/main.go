// Command cursors shows who is here and where everybody points: live cursors,
// who is away because the connection is lost, and who has left. It keeps
// everything in memory.
//
//	go run ./examples/cursors
//
// Open it in several windows. The board is in board.go, the page in page.html,
// cursors.css and cursors.js.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	keep := flag.Duration("keep", 30*time.Second, "how long somebody whose connection is lost is shown as away")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, *addr, *keep, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cursors:", err)
		os.Exit(1)
	}
}

// run serves the board until ctx ends, and tells out where it is.
func run(ctx context.Context, addr string, keep time.Duration, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	b := newBoard(keep)
	server := &http.Server{Handler: b.handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "cursors: http://%s\n", listener.Addr())

	var failed error
	select {
	case failed = <-served:
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(failed, b.app.Shutdown(end), server.Shutdown(end))
}

//go:embed page.html cursors.css cursors.js
var files embed.FS

// handler serves the page, and ape below /api/.
func (b *board) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", b.app)
	for path, name := range map[string]string{"/{$}": "page.html", "/cursors.css": "cursors.css", "/cursors.js": "cursors.js"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Security-Policy", "default-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, files, name)
		})
	}
	return mux
}
