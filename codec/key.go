package codec

import (
	"bytes"
	"strings"
)

const (
	tagOpen  = "<!"
	dummyTag = "_" // means nothing; protects a key that looks tagged
	dummy    = tagOpen + dummyTag + ">"
)

// splitKey takes the last tag off a key. What stands behind the tag is dropped
// with it, as the browser's codec does. A key that is nothing but a tag has no
// name in front of it, and stays as it is.
func splitKey(key []byte) (name []byte, tag string) {
	end := bytes.LastIndexByte(key, '>')
	if end < 0 {
		return key, ""
	}
	start := bytes.LastIndex(key[:end], []byte(tagOpen))
	if start < 1 {
		return key, ""
	}
	name, tag = key[:start], string(key[start+len(tagOpen):end])
	if tag != "" && tag != dummyTag && isDummies(name) {
		name = name[len(dummy):]
	}
	return name, tag
}

// isDummies reports whether a name consists of dummy tags only, or of nothing.
// Such a name gets one more in front of a tag, because a tag needs some name to
// stand behind, and a name may be empty.
func isDummies[T string | []byte](name T) bool {
	for ; len(name) >= len(dummy) && string(name[:len(dummy)]) == dummy; name = name[len(dummy):] {
	}
	return len(name) == 0
}

// bareTag returns the tag of a key that is nothing but one of the tags that a
// root can have.
func bareTag(key []byte) string {
	if !bytes.HasPrefix(key, []byte(tagOpen)) || key[len(key)-1] != '>' {
		return ""
	}
	tag := key[len(tagOpen) : len(key)-1]
	if len(tag) == 1 && strings.IndexByte("DRESMUI", tag[0]) >= 0 ||
		len(tag) > 1 && tag[0] == '[' && !bytes.Contains(tag, []byte(tagOpen)) {
		return string(tag)
	}
	return ""
}

// mayHoldTags reports whether a key of text can have a tag. It looks at the
// bytes only: a false alarm costs time, and an escaped < or ! counts.
func mayHoldTags(text []byte) bool {
	return bytes.Contains(text, []byte(tagOpen)) || bytes.Contains(text, []byte(`\u00`))
}

// mayHoldPointers reports whether a tag of text, or a part of one, can be P.
func mayHoldPointers(text []byte) bool {
	if bytes.Contains(text, []byte(`\u00`)) {
		return true
	}
	for i := 1; ; i++ {
		next := bytes.IndexByte(text[i:], 'P')
		if next < 0 || i+next+1 >= len(text) {
			return false
		}
		i += next
		if strings.IndexByte("![,", text[i-1]) >= 0 && strings.IndexByte(">],", text[i+1]) >= 0 {
			return true
		}
	}
}

// tagList is the tag of an array, or what is left of it: the tags of its
// elements.
type tagList string

// elementTags returns the list inside tag, which is empty for any other tag.
func elementTags(tag string) tagList {
	if tag == "" || tag[0] != '[' {
		return ""
	}
	return tagList(tag[1:])
}

// next takes the first tag off the list. Lists may be shorter than their
// arrays, and unclosed; elements behind the end have no tag.
func (l *tagList) next() string {
	text, depth := string(*l), 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '[':
			depth++
		case ']':
			if depth == 0 {
				*l = ""
				return text[:i]
			}
			depth--
		case ',':
			if depth == 0 {
				*l = tagList(text[i+1:])
				return text[:i]
			}
		}
	}
	// The bracket of the whole tag is missing, and text may be closed by >.
	*l = ""
	return text
}
