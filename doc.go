// Package ape adds real-time RPC to a Go HTTP server that already exists.
//
// One [Server] is one [http.Handler]. Mounted once, it gives a program
// controllers (plain Go funcs registered by path) that browsers call as
// api.users.list({limit: 3}), pushes and broadcasts back to them, channels
// that they subscribe to, and an HTTP streaming fallback where WebSocket is
// blocked. It owns no listener and starts no goroutine before the first client.
//
//	app := ape.New(nil)
//	app.Handle("hello", ape.Func(func(ctx context.Context, name string) (string, error) {
//		return "Hello, " + name + "!", nil
//	}))
//	app.Handle("chat/send", ape.Do(func(ctx context.Context, text string) error {
//		return app.Broadcast("chat/message", text)
//	}))
//	http.Handle("/api/", app)
//	http.ListenAndServe(":8080", nil)
//
// In the page, <script src="/api/ape.js"></script> gives window.api:
//
//	await api.hello("Ann")                     // "Hello, Ann!"
//	api.on("chat/message", text => show(text))
//	api.news.sport(item => show(item))         // subscribes to the channel news/sport
//
// # Words
//
// A Server is one instance in a process. A [Client] is a connected peer as the
// server sees it. A path names a controller ("users/list"), an event names a
// push ("chat/message"), a channel is what clients subscribe to ("news/sport").
// The transport is websocket or streaming. The dialect is how messages look on
// the wire: ape.1 for ape's own clients, classic for the browsers of the npm
// package api-ape; both are served at the same URL, unasked.
//
// # Order and delivery
//
// To one client, everything goes out in the order in which it was sent: events,
// channel messages and answers alike. Calls of one client start in the order of
// arrival and run concurrently; [Serial] runs them one at a time. In ape.1 a
// lost connection loses nothing for [Options.ResumeWindow]: the client resumes
// its session, over either transport, and both sides send what the other has
// not had. A classic session over WebSocket ends with its socket.
//
// A push never waits for a client. What cannot be written is queued up to
// [Options.MaxQueue] bytes; a client further behind is closed as slow.
//
// # Concurrency
//
// Every method of Server, Client and Call may be called from any goroutine,
// but for the registration methods (Handle, Register, Group, Use), which belong
// before the first request. Controllers run on goroutines of their own. Hooks
// never run on a connection's reader, nor under a lock.
//
// # Errors
//
// Only the text of an [*Error] reaches a client. Any other error, and a panic,
// is answered as code internal and logged with its cause.
package ape
