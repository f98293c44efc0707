package typescript

import (
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// reserved are the names that a file uses itself.
var reserved = map[string]bool{
	"Api": true, "Events": true, "Channels": true, "Handlers": true,
	"Call": true, "StreamCall": true, "CollectCall": true, "DuplexCall": true,
	"Date": true, "Error": true, "Map": true, "Record": true, "RegExp": true, "Set": true, "Uint8Array": true,
}

// maxQualified is how many elements of a package path may stand before a name.
const maxQualified = 3

// nameAll gives each type a name of its own. Where several would have the same
// one, all of them get more of their packages' paths in front, so that none has
// it because it was met first; numbers tell apart what is left.
func nameAll(types []reflect.Type) []string {
	levels := make([]int, len(types))
	names := make([]string, len(types))
	longest := make([]string, len(types))
	for i, t := range types {
		longest[i] = nameOf(t, maxQualified)
	}
	for again := true; again; {
		again = false
		behind := map[string]map[string]bool{} // each name: the longest ones
		for i, t := range types {
			names[i] = nameOf(t, levels[i])
			if behind[names[i]] == nil {
				behind[names[i]] = map[string]bool{}
			}
			behind[names[i]][longest[i]] = true
		}
		for i, name := range names {
			if (len(behind[name]) > 1 || reserved[name]) && levels[i] < maxQualified {
				levels[i]++
				again = true
			}
		}
	}
	taken := map[string]bool{}
	for i, name := range names {
		for n := 2; taken[names[i]] || reserved[names[i]]; n++ {
			names[i] = name + strconv.Itoa(n)
		}
		taken[names[i]] = true
	}
	return names
}

// nameOf returns the name of a type behind so many elements of its package's
// path. The arguments of a generic type get theirs first.
func nameOf(t reflect.Type, level int) string {
	name := t.Name()
	if i := strings.IndexByte(name, '['); i >= 0 {
		return qualified(t.PkgPath(), name[:i], max(0, level-1)) + "Of" + argumentNames(name[i+1:len(name)-1], level)
	}
	return qualified(t.PkgPath(), name, level)
}

func qualified(path, name string, level int) string {
	elements := strings.Split(strings.ReplaceAll(path, "%2e", "."), "/")
	if n := len(elements) - 1; n > 0 && isMajor(elements[n]) {
		elements = elements[:n]
	}
	elements = elements[max(0, len(elements)-level):]
	var out strings.Builder
	for _, e := range elements {
		out.WriteString(word(e))
	}
	out.WriteString(word(name))
	return out.String()
}

// isMajor reports whether an element of a path is a major version, such as v2.
func isMajor(element string) bool {
	return len(element) > 1 && element[0] == 'v' && strings.Trim(element[1:], "0123456789") == ""
}

// word turns text into a part of an identifier, its first letter and those
// behind other characters in upper case.
func word(text string) string {
	var out strings.Builder
	upper := true
	for _, r := range text {
		switch {
		case r == '_' || !unicode.IsLetter(r) && !unicode.IsDigit(r):
			upper = true
			continue
		case upper:
			r = unicode.ToUpper(r)
		}
		upper = false
		out.WriteRune(r)
	}
	name := out.String()
	if first, _ := utf8.DecodeRuneInString(name); !unicode.IsLetter(first) {
		return "_" + name
	}
	return name
}

// argumentNames names the arguments of a generic type, as reflection writes
// them: "example.org/app.User,[]string" is UserAndStringList.
func argumentNames(text string, level int) string {
	var names []string
	depth, start := 0, 0
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == ',' && depth == 0:
			names = append(names, argumentName(text[start:i], level))
			start = i + 1
		case text[i] == '[' || text[i] == '{' || text[i] == '(':
			depth++
		case text[i] == ']' || text[i] == '}' || text[i] == ')':
			depth--
		}
	}
	return strings.Join(names, "And")
}

func argumentName(text string, level int) string {
	switch {
	case strings.HasPrefix(text, "*"):
		return argumentName(text[1:], level)
	case strings.HasPrefix(text, "map["):
		key, value := cutBracket(text[len("map["):])
		return argumentName(value, level) + "By" + argumentName(key, level)
	case strings.HasPrefix(text, "["):
		_, elem := cutBracket(text[1:])
		return argumentName(elem, level) + "List"
	case strings.HasPrefix(text, "interface {"):
		return "Any"
	case strings.HasPrefix(text, "struct {"):
		return "Struct"
	}
	head, arguments, generic := strings.Cut(text, "[")
	dot := strings.LastIndexByte(head, '.')
	path, name := head[:max(dot, 0)], head[dot+1:]
	if i := strings.Index(name, "·"); i >= 0 {
		name = name[:i] // declared inside of a func
	}
	if path == "" {
		level = 0
	}
	name = qualified(path, name, level)
	if generic {
		name += "Of" + argumentNames(strings.TrimSuffix(arguments, "]"), level)
	}
	return name
}

// cutBracket splits text behind an opening bracket at the one that closes it.
func cutBracket(text string) (inside, rest string) {
	depth := 1
	for i := range len(text) {
		switch text[i] {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				return text[:i], text[i+1:]
			}
		}
	}
	return text, ""
}

// property returns a name as a member of an object type, in quotes where it is
// no identifier.
func property(name string) string {
	for i, r := range name {
		if r != '_' && r != '$' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return quote(name)
		}
	}
	if name == "" {
		return quote(name)
	}
	return name
}
