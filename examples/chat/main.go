// Command chat is a chat room for the browser: names, messages, who is online,
// who is typing, and what newcomers missed. It keeps everything in memory.
//
//	go run ./examples/chat
//
// The room is in room.go, the page in page.html, chat.css and chat.js.
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
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// run serves the chat until ctx ends, and tells out where it is.
func run(ctx context.Context, addr string, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	r := newRoom()
	server := &http.Server{Handler: r.handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "chat: http://%s\n", listener.Addr())

	var failed error
	select {
	case failed = <-served:
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(failed, r.app.Shutdown(end), server.Shutdown(end))
}

//go:embed page.html chat.css chat.js
var files embed.FS

// handler serves the page, and ape below /api/.
func (r *room) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", r.app)
	for path, name := range map[string]string{"/{$}": "page.html", "/chat.css": "chat.css", "/chat.js": "chat.js"} {
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
