// Package transport moves encoded messages from a session to its peer, over a
// WebSocket or over the body of a streaming HTTP response.
//
// A [Frame] is one encoded message. It never changes, so a broadcast is
// encoded once and stands in any number of queues. An [Outbox] is the queue of
// one session: it numbers frames 1, 2, 3 … and, when told to, keeps them until
// the peer has acknowledged them, so that a session can go on over another
// connection. A [Writer] drains an Outbox into one connection and joins what
// has gathered into few writes. [Socket] and [Stream] are the two kinds of
// connection:
//
//	s, err := transport.Accept(w, r, transport.SocketOptions{Form: transport.SocketLines})
//	if err != nil {
//		return // a response has been written
//	}
//	out := transport.NewOutbox(1<<20, true, nil)
//	out.Attach(s.Writer(), 0)
//	go func() {
//		defer s.Finish()
//		for {
//			_, message, err := s.Next()
//			if err != nil {
//				s.Writer().End(1000, "", nil, false)
//				return
//			}
//			answer, err := io.ReadAll(message)
//			if err == nil {
//				err = out.Append(transport.Text(append(transport.Begin(nil), answer...)), false)
//			}
//			…
//		}
//	}()
//
// # Who writes
//
// Append with alone set writes in the goroutine that calls it, when no other
// goroutine writes and the reader has nothing more at hand: the answer to a
// lone call leaves at once. In all other cases a flusher goroutine yields once
// and then writes what has gathered. Frames also gather by themselves while a
// write is under way. So code that may not wait (a broadcast, a reader) passes
// false and never touches the network, and nobody calls Append with alone set
// while holding a lock.
//
// # Dialling
//
// A session that dials out uses the same Outbox, from [NewStrictOutbox], and a
// Writer of its own on a [Sink] of its own, by [NewWriter] with [DialLines] for
// a WebSocket and [StreamLines] for POSTs. Control takes the hello before the
// Outbox is attached, and Attach the welcome's number:
//
//	w := transport.NewWriter(&sink{ctx, cancel, ws, nil}, transport.DialLines, nil)
//	w.Control(hello)
//	…                                  // read the welcome
//	gap := out.Attach(w, welcome.Got)  // not "": begin anew, with out.Unsent()
//
// Each Write then is one or more whole lines and ends with a line feed, and so
// is one message or one POST. Only a line longer than 64 KiB comes in several
// Writes, which all but the last have no line feed at their end and hold
// nothing else:
//
//	func (s *sink) Write(p []byte) (err error) {
//		if s.message == nil {
//			s.message, err = s.ws.Writer(s.ctx, websocket.MessageText)
//		}
//		if err == nil {
//			_, err = s.message.Write(p)
//		}
//		if err == nil && p[len(p)-1] == '\n' {
//			err = s.message.Close()
//			s.message = nil
//		}
//		return err
//	}
//
//	func (s *sink) Close() { s.cancel() } // ends a write; CloseNow would wait
//
// Such a Writer does all that others do, with these differences: it sends no
// pings, pongs and close frames; End writes its last line and leaves the
// connection, which its owner closes behind Done; and a Sink that sets no
// limit to its writes can keep End waiting, until Abort or Stop.
//
// # Concurrency
//
// All methods of Outbox and Writer may be called concurrently. A Socket has
// one reader: Next, the message it returns and Finish belong to one goroutine.
// Locks are taken in the order Writer, Outbox; no mutex is held while bytes
// are written or while a goroutine waits. What is held across writes is a
// one-slot channel, which a bubble of testing/synctest knows how to wait for.
package transport
