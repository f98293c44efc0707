package mesh

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// DefaultNamespace is used where none is given.
const DefaultNamespace = "ape"

const (
	maxMeta   = 1 << 10
	maxClient = 256
	maxGen    = 1<<53 - 1 // stores whose numbers are doubles hold it
)

// CheckNamespace returns an error that says the rule when a namespace breaks it.
// Backends return it from Join and Pull.
func CheckNamespace(namespace string) error {
	if !made(namespace, 32, "abcdefghijklmnopqrstuvwxyz0123456789_-") {
		return fmt.Errorf("mesh: namespace %.80q: use 1 to 32 of a-z 0-9 _ -", namespace)
	}
	return nil
}

// CheckID is CheckNamespace for the ID of a member.
func CheckID(id string) error {
	if !made(id, 64, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") {
		return fmt.Errorf("mesh: member ID %.80q: use 1 to 64 of A-Z a-z 0-9 . _ -", id)
	}
	return nil
}

// CheckMember checks what a member joins with: its ID, epoch and meta.
func CheckMember(m Member) error {
	if err := CheckID(m.ID); err != nil {
		return err
	}
	if life := m.Life(); life == 0 || life >= 1<<47 {
		return fmt.Errorf("mesh: epoch %#x of member %s: its life, the bits above the lowest 16, must be from 1 to 1<<47 - 1", m.Epoch, m.ID)
	}
	size := 0
	for name, value := range m.Meta {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return fmt.Errorf("mesh: meta %q of member %s: use UTF-8", name, m.ID)
		}
		size += len(name) + len(value)
	}
	if size > maxMeta {
		return fmt.Errorf("mesh: %d bytes of meta at member %s: at most %d fit", size, m.ID, maxMeta)
	}
	return nil
}

// CheckClaims checks what Add and Remove are given: names of clients and Gens.
func CheckClaims(claims []Claim) error {
	for _, c := range claims {
		if err := CheckClient(c.Client); err != nil {
			return err
		}
		if c.Gen == 0 || c.Gen > maxGen {
			return fmt.Errorf("mesh: Gen %d of client %q: use 1 to 1<<53 - 1", c.Gen, c.Client)
		}
	}
	return nil
}

// CheckClient checks the name of a client.
func CheckClient(client string) error {
	if client == "" || len(client) > maxClient || !utf8.ValidString(client) || strings.IndexByte(client, 0) >= 0 {
		return fmt.Errorf("mesh: client %.80q: use 1 to %d bytes of UTF-8 without zero bytes", client, maxClient)
	}
	return nil
}

// CheckFrames checks what Push is given: targets, and sizes against
// Traits.MaxFrame.
func CheckFrames(frames []Frame, limit int) error {
	for _, f := range frames {
		if f.To != All {
			if err := CheckID(f.To); err != nil {
				return err
			}
		}
		if len(f.Body) > limit {
			return fmt.Errorf("%w: a frame of %d bytes to %q, at most %d are carried", ErrTooLarge, len(f.Body), f.To, limit)
		}
	}
	return nil
}

// made reports whether s is 1 to most of these ASCII characters.
func made(s string, most int, of string) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(of, s[i]) < 0 {
			return false
		}
	}
	return true
}
