package codec

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// read reads the whole of data into v.
func (o Options) read(data []byte, v any) error {
	target, err := targetOf(v)
	if err != nil {
		return err
	}
	if len(data) > o.MaxSize {
		return sizeError(o.MaxSize)
	}
	if !mayHoldTags(data) {
		if tooDeep(data, o.MaxDepth) {
			return depthError(o.MaxDepth)
		}
		if json.Unmarshal(data, v) == nil {
			return nil
		}
		return o.explain(data, target)
	}
	d, err := o.decoder(data)
	if err != nil {
		return err
	}
	pos, tag := d.root()
	_, err = d.into(pos, tag, target)
	return err
}

// explain returns the error of data, which encoding/json refused, in the words
// of this package. What encoding/json has written into the target stays; the
// text is read again into a new one.
func (o Options) explain(data []byte, target reflect.Value) error {
	d, err := o.decoder(data)
	if err != nil {
		return err
	}
	_, err = d.into(skipSpace(data, 0), "", reflect.New(target.Type()).Elem())
	if err == nil {
		// What the target held before must be the reason.
		_, err = d.into(skipSpace(data, 0), "", target)
	}
	return err
}

// readMember reads one member of doc into v.
func (o Options) readMember(doc []byte, name string, v any) error {
	target, err := targetOf(v)
	if err != nil {
		return err
	}
	if len(doc) > o.MaxSize {
		return sizeError(o.MaxSize)
	}
	d, err := o.decoder(doc)
	if err != nil {
		return err
	}
	d.start = skipSpace(doc, 0)
	if doc[d.start] != '{' {
		return d.mismatch(d.start, "an object")
	}
	pos, tag := d.findMember(name)
	if pos < 0 {
		if target.Kind() == reflect.Interface && target.NumMethod() == 0 {
			target.Set(reflect.ValueOf(Undefined))
		}
		return nil
	}
	if tag == "" {
		text := doc[pos:d.end(pos)]
		if !mayHoldTags(text) && json.Unmarshal(text, v) == nil {
			return nil
		}
	}
	if _, err = d.into(pos, tag, target); err != nil {
		return inMember(err, name)
	}
	return nil
}

// targetOf returns the value that v points to.
func targetOf(v any) (reflect.Value, error) {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return p, fmt.Errorf("codec: cannot read into a %T: pass a pointer that is not nil", v)
	}
	return p.Elem(), nil
}

// findMember returns the last member of the root with that name, -1 if there
// is none.
func (d *decoder) findMember(name string) (pos int, tag string) {
	pos = -1
	for i := skipSpace(d.text, d.start+1); d.text[i] != '}'; {
		key, t, at := d.key(i)
		if string(key) == name {
			pos, tag = at, t
		}
		i = skipComma(d.text, d.end(at))
	}
	return pos, tag
}
