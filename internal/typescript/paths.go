package typescript

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/goape/ape/codec"
)

// call returns the type of a path.
func (p *printer) call(path Path) (string, error) {
	if path.Unknown {
		return p.helper("Call", "any", "any"), nil
	}
	p.user = fmt.Sprintf("path %q: result", path.Name)
	out := "void"
	if path.Out != nil && path.Out != reflect.TypeFor[codec.UndefinedType]() {
		e, err := p.of(path.Out)
		if err != nil {
			return "", err
		}
		out = e.String()
	}
	p.user = fmt.Sprintf("path %q: input", path.Name)
	in, err := p.input(path)
	if err != nil {
		return "", err
	}
	switch {
	case path.Item != nil && path.Streams:
		return p.helper("DuplexCall", in, out), nil
	case path.Item != nil:
		return p.helper("CollectCall", in, out), nil
	case path.Streams:
		return p.helper("StreamCall", in, out), nil
	}
	return p.helper("Call", in, out), nil
}

// input returns the type of what a path takes. A client may leave it out where
// the zero value is one that it could have sent.
func (p *printer) input(path Path) (string, error) {
	if path.Item != nil {
		e, err := p.of(path.Item)
		return e.String(), err
	}
	if isNothing(path.In) || isEmpty(path.In) {
		return "void", nil
	}
	e, err := p.of(path.In)
	if err != nil {
		return "", err
	}
	if e.null || p.isObject(path.In) && !slices.ContainsFunc(fieldsOf(path.In), func(f field) bool { return !f.optional }) {
		return e.String() + " | undefined", nil
	}
	return e.String(), nil
}

// isEmpty reports whether t is a struct that holds nothing.
func isEmpty(t reflect.Type) bool { return t.Kind() == reflect.Struct && t.NumField() == 0 }

// isObject reports whether t is a struct that is written as one.
func (p *printer) isObject(t reflect.Type) bool {
	_, isFixed := fixed(t)
	_, hasMethods := byMethods(t)
	return t.Kind() == reflect.Struct && !isFixed && !hasMethods && p.values[t] == nil
}

// helper names a type of the module, with its arguments, and imports it.
func (p *printer) helper(name, in, out string) string {
	p.imports[name] = true
	switch {
	case out != "void":
		return name + "<" + in + ", " + out + ">"
	case in != "void":
		return name + "<" + in + ">"
	}
	return name
}

// node is a segment of the tree of paths.
type node struct {
	doc, call string // empty: only paths below it can be called
	below     map[string]*node
	rest      *node // for a segment "*"
}

func (p *printer) paths(list []Path) (*node, error) {
	root := &node{}
	for _, path := range byName(list) {
		if path.Name == "$" || strings.HasPrefix(path.Name, "$/") {
			continue // is where events, channels and handlers stand
		}
		at := root
		for segment := range strings.SplitSeq(path.Name, "/") {
			at = at.child(segment)
		}
		var err error
		if at.call, err = p.call(path); err != nil {
			return nil, err
		}
		at.doc = p.src.FuncDoc(path.Func)
	}
	return root, nil
}

func (n *node) child(segment string) *node {
	if segment == "*" {
		if n.rest == nil {
			n.rest = &node{}
		}
		return n.rest
	}
	if n.below == nil {
		n.below = map[string]*node{}
	}
	if n.below[segment] == nil {
		n.below[segment] = &node{}
	}
	return n.below[segment]
}

// members returns what stands below a node, but for its rest.
func (n *node) members(indent string) []member {
	var list []member
	for _, name := range slices.Sorted(maps.Keys(n.below)) {
		child := n.below[name]
		list = append(list, member{child.doc, property(name), child.text(indent)})
	}
	return list
}

// text returns the type of a node: an intersection of what it is. Names and the
// index signature stand apart, so that a name has the type that it is given.
func (n *node) text(indent string) string {
	var parts []string
	if n.call != "" {
		parts = append(parts, n.call)
	}
	if members := n.members(indent + "  "); members != nil {
		parts = append(parts, block(members, indent))
	}
	if n.rest != nil {
		rest := member{n.rest.doc, "readonly [path: string]", n.rest.text(indent + "  ")}
		parts = append(parts, block([]member{rest}, indent))
	}
	return strings.Join(parts, " & ")
}
