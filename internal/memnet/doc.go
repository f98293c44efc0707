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
// Faults are of two kinds. Those of the network between the ends are methods of
// Conn: [Conn.Delay], [Conn.Limit], [Conn.CutAfter], [Conn.Drop], [Conn.Stall],
// [Conn.Reset]. [Faulty] wraps one end and breaks what that end does: it hangs
// up after a number of bytes written or read, with FIN or reset, loses only its
// own writes, or cuts them into pieces.
package memnet
