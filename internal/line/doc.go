// Package line is the grammar of the ape.1 dialect: one envelope is one line of UTF-8 text, and a line in a binary
// WebSocket message may be followed by raw octets. docs/protocol.md is the specification.
//
// The package knows lines and nothing above them: no sessions, no numbers, no JSON values. Reading takes two steps.
// A [Splitter] cuts what a reader yields into whole units, and [Parse] reads the header of one unit:
//
//	s := line.Splitter{Limit: 1 << 20}
//	err := s.Split(message, binary, func(u line.Unit) error {
//		if u.Long {
//			return tooLarge(line.OpOf(u.Head), line.FirstID(u.Head))
//		}
//		var e line.Envelope
//		if err := line.Parse(u.Head, u.Octets, u.Binary, &e); err != nil {
//			return refuse(err, line.Counted(u.Head), line.FirstID(u.Head))
//		}
//		return dispatch(&e)
//	})
//
// Writing is appending: a head, params if there are any, and what ends the line.
//
//	dst = line.AppendAnswer(dst, id)     // r 5
//	dst = line.AppendJSON(dst, payload)  // r 5 {"total":6}⏎
//
// Nothing here keeps state between calls: every function, and a Splitter that is not being changed, may be used from
// many goroutines at once. An Envelope and a Unit point into the bytes they were read from.
package line
