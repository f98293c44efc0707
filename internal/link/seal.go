package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
)

// Where the MAC lies in a packet.
const (
	macStart = 2
	macSize  = 16
	macEnd   = macStart + macSize
)

// sealer seals and verifies packets under one key: HMAC-SHA-256 over the
// namespace, a zero byte, version and flags, and everything behind the MAC. It
// keeps its hash, so that a packet costs no allocation, and so belongs to one
// goroutine.
type sealer struct {
	hash   hash.Hash
	prefix []byte
	sum    []byte
}

func newSealer(key []byte, namespace string) *sealer {
	return &sealer{
		hash:   hmac.New(sha256.New, key),
		prefix: append([]byte(namespace), 0),
		sum:    make([]byte, 0, sha256.Size),
	}
}

func (s *sealer) seal(packet []byte) {
	copy(packet[macStart:macEnd], s.mac(packet))
}

func (s *sealer) verify(packet []byte) bool {
	return len(packet) >= macEnd && hmac.Equal(s.mac(packet), packet[macStart:macEnd])
}

func (s *sealer) mac(packet []byte) []byte {
	s.hash.Reset()
	s.hash.Write(s.prefix)
	s.hash.Write(packet[:macStart])
	s.hash.Write(packet[macEnd:])
	s.sum = s.hash.Sum(s.sum[:0])
	return s.sum[:macSize]
}
