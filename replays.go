package ape

import "time"

// replays remembers which classic calls have come. It is made of two
// generations, so that looking up, adding and forgetting cost the same however
// many calls there were. What is older than twice the allowed skew is refused
// by its age; of a client that calls without pause at least the last
// replayLimit calls are remembered.
type replays struct {
	new, old map[string]struct{}
	since    time.Time
}

const replayLimit = 1024

// again reports whether id has come before, and remembers it.
func (r *replays) again(id string, now time.Time) bool {
	if age := now.Sub(r.since); age > 2*skew || len(r.new) >= replayLimit {
		r.old, r.new, r.since = r.new, nil, now
		if age > 4*skew {
			r.old = nil
		}
	}
	_, early := r.old[id]
	_, late := r.new[id]
	if early || late {
		return true
	}
	if r.new == nil {
		r.new = make(map[string]struct{})
	}
	r.new[id] = struct{}{}
	return false
}
