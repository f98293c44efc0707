package link

import (
	"context"
	"log/slog"
	"sync"
)

// maxNotes is how many lines for the log wait at most.
const maxNotes = 64

// notes are lines for the log that come up under a lock. The keeper writes
// them, without one.
type notes struct {
	log *slog.Logger

	mu     sync.Mutex
	lines  []note
	unsaid uint64
}

type note struct {
	level slog.Level
	text  string
	args  []any
}

func (n *notes) add(level slog.Level, text string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.lines) == maxNotes {
		n.unsaid++
		return
	}
	n.lines = append(n.lines, note{level, text, args})
}

func (n *notes) write() {
	n.mu.Lock()
	lines := n.lines
	n.lines = nil
	n.mu.Unlock()
	for _, line := range lines {
		n.log.Log(context.Background(), line.level, line.text, line.args...)
	}
}

func (n *notes) count() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.unsaid
}

// note hands a line to the keeper.
func (l *Link) note(level slog.Level, text string, args ...any) {
	l.notes.add(level, text, args...)
	poke(l.said)
}
