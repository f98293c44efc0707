// Package memnet is a network inside the process: a listener, connections with
// bounded buffers and deadlines, and connections that fail on purpose.
//
//	ln := memnet.Listen()
//	defer ln.Close()
//	go http.Serve(ln, handler)
//	res, err := ln.HTTPClient().Get("http://memnet/")
//
// A [Conn] buffers a bounded number of bytes in each direction, so that a
// writer needs no reader until the buffer is full. Everything waits on
// channels only: inside a bubble of testing/synctest time costs nothing, and
// what is left over is noticed. All functions may be called concurrently.
//
// [Faulty] wraps one end of a connection and breaks it: after a number of
// bytes, by silence, or by cutting writes into pieces.
package memnet
