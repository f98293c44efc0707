package link

import (
	"encoding/binary"

	"github.com/goape/ape/mesh"
)

// routed is a message to a client on its way.
type routed struct {
	hops   byte   // how often it was passed on
	token  uint64 // of the sender who sent it first; it rises
	origin uint64 // that sender's life; 0: this one
	client string
	body   []byte

	// what became of it here, guarded by routes.mu
	settled bool
	err     error
	known   chan struct{} // closed when settled, if somebody waits
	then    func(error)   // called when settled, if it is to be passed on; does not wait
	off     bool          // the caller gave up
}

// settle says what became of the message here; routes.mu is held.
func (m *routed) settle(err error) {
	m.settled, m.err = true, err
	if m.known != nil {
		close(m.known)
	}
	if m.then != nil {
		m.then(err)
	}
}

// append gives the body of an opClient message.
func (m *routed) append(b []byte) []byte {
	b = append(b, m.hops)
	b = binary.AppendUvarint(b, m.token)
	if m.hops > 0 {
		b = binary.BigEndian.AppendUint64(b, m.origin)
	}
	b = appendText(b, m.client)
	return append(b, m.body...)
}

func (m *routed) size() int { return 1 + 2*binary.MaxVarintLen64 + 8 + len(m.client) + len(m.body) }

func parseRouted(b []byte) (m *routed, ok bool) {
	r := reader{b: b}
	m = &routed{hops: r.byte(), token: r.uvarint()}
	if m.hops > 0 {
		m.origin = r.fixed()
	}
	m.client = r.text()
	m.body = r.b
	return m, !r.bad && mesh.CheckClient(m.client) == nil
}

// moved tells a sender where its message with a token reached a client, after it
// was passed on, or that nobody has the client.
type moved struct {
	owner  mesh.Owner // without ID; zero: nobody
	token  uint64
	client string
}

func (t moved) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, t.owner.Epoch)
	b = binary.AppendUvarint(b, t.owner.Gen)
	b = binary.AppendUvarint(b, t.token)
	return append(b, t.client...)
}

func parseMoved(b []byte) (t moved, ok bool) {
	r := reader{b: b}
	t.owner.Epoch, t.owner.Gen, t.token = r.fixed(), r.uvarint(), r.uvarint()
	t.client = string(r.b)
	return t, !r.bad
}

func appendFailure(b []byte, f *Failure) []byte {
	b = appendText(b, f.Code)
	b = appendText(b, f.Message)
	return append(b, f.Data...)
}

func parseFailure(b []byte) (f *Failure, ok bool) {
	r := reader{b: b}
	f = &Failure{Code: r.text(), Message: r.text()}
	if len(r.b) > 0 {
		f.Data = r.b
	}
	return f, !r.bad
}
