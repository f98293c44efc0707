package ape

import (
	"fmt"
	"strings"
)

// route is a registered path.
type route struct {
	pattern string
	serve   Controller // with its middleware
	lane    *serial    // set when one client's calls run one at a time
	desc    description
	source  string // the Go func behind it, for its doc comment
}

// routes finds the controller of a path. It is written before the first
// request and only read after.
type routes struct {
	exact  map[string]*route // "users/list"
	wild   map[string]*route // "files" for "files/*", "" for "*"
	folded map[string]*route // both, as patterns in lower case
}

func newRoutes() routes {
	return routes{exact: map[string]*route{}, wild: map[string]*route{}, folded: map[string]*route{}}
}

func (t *routes) add(path string, c Controller, mws []Middleware) {
	mustPath(path)
	mustController(path, c)
	low := strings.ToLower(path)
	if r := t.folded[low]; r != nil {
		if r.pattern == path {
			panic(fmt.Sprintf("ape: handle %q: the path is registered already", path))
		}
		panic(fmt.Sprintf("ape: handle %q: %q is registered and differs only in case, which classic clients do not tell apart", path, r.pattern))
	}
	r := &route{pattern: path, desc: describe(c), source: sourceOf(c)}
	r.lane, _ = c.(*serial)
	for i := len(mws) - 1; i >= 0; i-- {
		c = mws[i](c)
		if c == nil {
			panic(fmt.Sprintf("ape: handle %q: a middleware returned a nil controller", path))
		}
	}
	r.serve = c
	t.folded[low] = r
	if prefix, ok := strings.CutSuffix(path, "*"); ok {
		t.wild[strings.TrimSuffix(prefix, "/")] = r
		return
	}
	t.exact[path] = r
}

// find returns the route of a path, nil when there is none. fold also compares
// with both sides in lower case, for classic clients.
func (t *routes) find(path []byte, fold bool) *route {
	if len(path) > maxName {
		return nil // looking for wildcards above it would take too long
	}
	if r := t.exact[string(path)]; r != nil {
		return r
	}
	if !fold {
		return t.rest(t.wild, path, "")
	}
	low := []byte(strings.ToLower(string(path)))
	if r := t.folded[string(low)]; r != nil {
		return r
	}
	return t.rest(t.folded, low, "/*")
}

// rest finds the longest wildcard above path.
func (t *routes) rest(in map[string]*route, path []byte, suffix string) *route {
	if len(t.wild) == 0 {
		return nil
	}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] != '/' {
			continue
		}
		if suffix == "" {
			if r := in[string(path[:i])]; r != nil {
				return r
			}
		} else if r := in[string(path[:i])+suffix]; r != nil {
			return r
		}
	}
	return t.wild[""]
}

// suggestion ends the text for an unknown path: the nearest registered one, or
// nothing when none is near.
func (t *routes) suggestion(path string) string {
	const far = 3
	best, name := far+1, ""
	low := strings.ToLower(path)
	for key, r := range t.folded {
		if len(key)-len(low) > far || len(low)-len(key) > far {
			continue
		}
		d := distance(low, key, far)
		if d < best || d == best && d <= far && r.pattern < name {
			best, name = d, r.pattern
		}
	}
	if name == "" || best*2 > len(path) {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", name)
}

// distance is the number of bytes to change, add or remove between a and b, or
// above limit as soon as that is sure. Its cost is len(a) times limit, so that
// asking for paths that do not exist stays cheap.
func distance(a, b string, limit int) int {
	prev, next := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		lo, hi := max(1, i-limit), min(len(b), i+limit)
		least := limit + 1
		next[0] = i
		if lo > 1 {
			next[lo-1] = limit + 1
		}
		for j := lo; j <= hi; j++ {
			d := prev[j-1]
			if a[i-1] != b[j-1] {
				d++
			}
			if j < i+limit {
				d = min(d, prev[j]+1)
			}
			next[j] = min(d, next[j-1]+1)
			least = min(least, next[j])
		}
		if hi < len(b) {
			next[hi+1] = limit + 1
		}
		if least > limit {
			return limit + 1
		}
		prev, next = next, prev
	}
	return prev[len(b)]
}
