package typescript

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goape/ape/codec"
)

// api returns the interfaces Events, Channels and Handlers, as far as there is
// something to say, and Api.
func (p *printer) api(s *Schema) (string, error) {
	var out strings.Builder
	var declared []member
	add := func(key, name, doc, text string) {
		if text != "" {
			out.WriteString("\n" + jsdoc(doc, "") + "export " + text)
			declared = append(declared, member{key: key, text: name})
		}
	}
	events, err := p.events(s.Events)
	if err != nil {
		return "", err
	}
	add("events", "Events", "What the server sends: api.on(name, listener).", events)
	channels, err := p.channels(s.Channels)
	if err != nil {
		return "", err
	}
	add("channels", "Channels", "What the server publishes: api.$.subscribe(name, listener).", channels)
	handlers, err := p.handlers(s.Handlers)
	if err != nil {
		return "", err
	}
	add("handlers", "Handlers", "What the server calls: api.$.handle(name, handler).", handlers)

	root, err := p.paths(s.Paths)
	if err != nil {
		return "", err
	}
	doc := "The paths of the server: connect<Api>()."
	if root.rest != nil {
		doc += "\n\nThe server also takes every other path: api.$.call(path, data)."
	}
	members := root.members("  ")
	if declared != nil {
		members = slices.Insert(members, 0, member{key: "$", text: block(declared, "  ")})
	}
	out.WriteString("\n" + jsdoc(doc, "") + "export interface Api " + block(members, "") + "\n")
	return out.String(), nil
}

func (p *printer) events(list []Message) (string, error) {
	members := make([]member, 0, len(list))
	for _, m := range byName(list) {
		p.user = fmt.Sprintf("event %q", m.Name)
		text, err := p.message(m)
		if err != nil {
			return "", err
		}
		members = append(members, member{key: property(m.Name), text: text})
	}
	return interfaceOf("Events", members), nil
}

// interfaceOf returns an interface, nothing where it has no members.
func interfaceOf(name string, members []member) string {
	if len(members) == 0 {
		return ""
	}
	return "interface " + name + " " + block(members, "") + "\n"
}

// channels writes patterns as template literals. Names of channels stand apart
// from them: what has both a name and a pattern has the type of the name.
func (p *printer) channels(list []Message) (string, error) {
	var named, patterns []member
	list = byName(list)
	texts := make([]string, len(list))
	for i, m := range list {
		var err error
		p.user = fmt.Sprintf("channel %q", m.Name)
		if texts[i], err = p.message(m); err != nil {
			return "", err
		}
	}
	for i, m := range list {
		if !strings.Contains(m.Name, "*") {
			named = append(named, member{key: property(m.Name), text: texts[i]})
			continue
		}
		// In a template a star takes slashes as well. Where another pattern is
		// below this one, its type is among those of this one.
		union := []string{texts[i]}
		for k, below := range list {
			if k != i && strings.Contains(below.Name, "*") && covers(m.Name, below.Name) && !slices.Contains(union, texts[k]) {
				union = append(union, texts[k])
			}
		}
		key := "[channel: `" + template(m.Name) + "`]"
		patterns = append(patterns, member{key: key, text: strings.Join(union, " | ")})
	}
	switch {
	case patterns == nil:
		return interfaceOf("Channels", named), nil
	case named == nil:
		return interfaceOf("Channels", patterns), nil
	}
	return "type Channels = " + block(named, "") + " & " + block(patterns, "") + ";\n", nil
}

// covers reports whether a template takes everything that another one takes. A
// star in the other one is a character that only a star takes.
func covers(pattern, other string) bool {
	chunks := strings.Split(pattern, "*")
	first, last := chunks[0], chunks[len(chunks)-1]
	if !strings.HasPrefix(other, first) || !strings.HasSuffix(other[len(first):], last) {
		return false
	}
	other = other[len(first) : len(other)-len(last)]
	for _, chunk := range chunks[1 : len(chunks)-1] {
		i := strings.Index(other, chunk)
		if i < 0 {
			return false
		}
		other = other[i+len(chunk):]
	}
	return true
}

func (p *printer) message(m Message) (string, error) {
	if isNothing(m.Type) {
		return "void", nil
	}
	e, err := p.of(m.Type)
	return e.String(), err
}

// handlers writes what the server calls: the input goes to the client, the
// output comes from there.
func (p *printer) handlers(list []Path) (string, error) {
	members := make([]member, 0, len(list))
	for _, h := range byName(list) {
		p.user = fmt.Sprintf("handler %q", h.Name)
		var parts []member
		out := "out"
		if h.Streams {
			out = "stream"
		}
		for _, part := range []struct {
			key string
			typ reflect.Type
		}{{"in", h.In}, {"items", h.Item}, {out, h.Out}} {
			if isNothing(part.typ) {
				continue
			}
			e, err := p.of(part.typ)
			if err != nil {
				return "", err
			}
			parts = append(parts, member{key: part.key, text: e.String()})
		}
		text := "{}"
		if parts != nil {
			list := make([]string, len(parts))
			for i, m := range parts {
				list[i] = m.key + ": " + m.text
			}
			text = "{ " + strings.Join(list, "; ") + " }"
		}
		members = append(members, member{key: property(h.Name), text: text})
	}
	return interfaceOf("Handlers", members), nil
}

// isNothing reports whether a type stands for no value at all.
func isNothing(t reflect.Type) bool {
	return t == nil || t == reflect.TypeFor[struct{}]() || t == reflect.TypeFor[codec.UndefinedType]()
}

// template returns a pattern as the text of a template literal type.
func template(pattern string) string {
	text := strings.NewReplacer("\\", "\\\\", "`", "\\`", "${", "\\${").Replace(pattern)
	return strings.ReplaceAll(text, "*", "${string}")
}

// quote returns text as a string literal.
func quote(text string) string {
	out, _ := codec.Marshal(text) // a string has no errors
	return string(out)
}

// named is what has a name to be sorted by.
type named interface{ Path | Message }

// byName returns the list in order of names.
func byName[T named](list []T) []T {
	name := func(v T) string {
		switch v := any(v).(type) {
		case Path:
			return v.Name
		case Message:
			return v.Name
		}
		return ""
	}
	return slices.SortedFunc(slices.Values(list), func(a, b T) int { return cmp.Compare(name(a), name(b)) })
}
