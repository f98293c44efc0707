package line_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/goape/ape/internal/line"
)

// write puts an envelope back on the wire with the functions that a peer writes with. ok is false for the ops whose
// payload they build themselves.
func write(e *line.Envelope, binary bool) (wire []byte, ok bool) {
	name := string(e.Name)
	switch e.Op {
	case line.Call:
		wire = line.AppendCall(wire, e.ID, name)
	case line.Answer:
		wire = line.AppendAnswer(wire, e.ID)
	case line.Cancel:
		wire = line.AppendCancel(wire, e.ID)
	case line.Item:
		wire = line.AppendItem(wire, e.ID)
	case line.Subscribe:
		wire = line.AppendSubscribe(wire, e.ID, name)
	case line.Unsubscribe:
		wire = line.AppendUnsubscribe(wire, e.ID, name)
	case line.Event:
		wire = line.AppendEvent(wire, name)
	case line.Message:
		wire = line.AppendMessage(wire, name, false)
	default:
		return nil, false
	}
	for _, p := range strings.Split(string(e.Params), ";")[1:] {
		key, _, _ := strings.Cut(p, "=")
		value, _ := e.Param(key)
		wire = line.AppendParam(wire, key, value)
	}
	switch {
	case e.Payload == nil:
		return line.AppendNone(wire), true
	case e.Octets && binary:
		return line.AppendOctets(wire, e.Payload), true
	case e.Octets:
		return line.AppendBase64(wire, e.Payload), true
	}
	return line.AppendJSON(wire, e.Payload), true
}

// FuzzParse: what is read and written again reads the same, and is then written the same.
func FuzzParse(f *testing.F) {
	for _, head := range []string{
		"c 1 add 5", "c 3 say%20hi%3B%20100%25;k=a%20b;l \"x\"", "r 5 =AAEC", "m tick", "b news;l \"old\"", "x 1", "s 5 news", "u 0 news {}",
		"g 1 2", "e 0 {\"code\":\"x\"}", "p;a=1", "a 8", "Zoo 1", "c 7x echo", "n 1 {\"a =4\":1}",
	} {
		f.Add([]byte(head), []byte(nil), false)
	}
	f.Add([]byte("c 3 size =4"), []byte("\n\n\x00\xff"), true)
	f.Fuzz(func(t *testing.T, head, octets []byte, binary bool) {
		if !binary || len(octets) == 0 {
			octets = nil
		}
		head = bytes.ReplaceAll(head, []byte("\n"), nil)
		line.Counted(head)
		line.FirstID(head)
		var e, again line.Envelope
		err := line.Parse(head, octets, binary, &e)
		if err == nil && line.OpOf(head) != e.Op {
			t.Fatalf("%q: OpOf %v, Parse %v", head, line.OpOf(head), e.Op)
		}
		if err != nil && err != line.ErrMalformed && err != line.ErrUnsupported {
			t.Fatalf("%q: %v", head, err)
		}
		if err != nil || len(e.Name) > 255 {
			if err == nil {
				t.Fatalf("a name of %d bytes", len(e.Name))
			}
			return
		}
		wire, ok := write(&e, binary)
		if !ok {
			return
		}
		n := 0
		s := line.Splitter{}
		if err := s.Split(bytes.NewReader(wire), binary, func(u line.Unit) error {
			n++
			return line.Parse(bytes.Clone(u.Head), bytes.Clone(u.Octets), binary, &again)
		}); err == line.ErrUTF8 {
			return // Parse leaves that to Split
		} else if err != nil || n != 1 {
			t.Fatalf("%q became %q: %d units, %v", head, wire, n, err)
		}
		if e.Op != again.Op || e.ID != again.ID || string(e.Name) != string(again.Name) || e.Octets != again.Octets ||
			string(e.Payload) != string(again.Payload) || (e.Payload == nil) != (again.Payload == nil) {
			t.Fatalf("%q became %q:\n got %s\nwant %s", head, wire, show(&again), show(&e))
		}
		if twice, _ := write(&again, binary); !bytes.Equal(twice, wire) {
			t.Fatalf("%q was written as %q and then as %q", head, wire, twice)
		}
	})
}

// FuzzSplit: how a reader cuts its input does not matter, and no unit is lost.
func FuzzSplit(f *testing.F) {
	for _, in := range []string{
		"m bump\nc 1 add 5\n", "m bump\nc 3 size =4\n\n\n\x00\xffm bump\n", "c 1 a;" + strings.Repeat("x", 60) + " =3\nabcm b\n",
		strings.Repeat("é", 50) + "\nm a\n", "r 1 =50\n" + strings.Repeat("x", 50) + "m b\n", "m a", "\n\n", "y =5\n", strings.Repeat("z", 1100),
	} {
		f.Add([]byte(in), uint8(3), true)
		f.Add([]byte(in), uint8(50), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint8, binary bool) {
		s := line.Splitter{Limit: 64}
		want, wantErr := split(s, bytes.NewReader(in), binary)
		r := &pieces{in: in, size: int(size)}
		got, err := split(s, r, binary)
		if fatal(err) && fatal(wantErr) {
			err = wantErr // a line that is too long and not UTF-8 ends a connection as either
		}
		if got != want || err != wantErr {
			t.Fatalf("in pieces of %d:\n got %q, %v\nwant %q, %v", size, got, err, want, wantErr)
		}
		if !binary && err == nil {
			count := 0
			for l := range bytes.Lines(in) {
				if len(l) > 1 {
					count++
				}
			}
			n := 0
			_ = s.Split(bytes.NewReader(in), binary, func(line.Unit) error { n++; return nil })
			if n != count {
				t.Fatalf("%d units from %d lines", n, count)
			}
		}
	})
}

// pieces yields its input in pieces whose sizes vary.
type pieces struct {
	in   []byte
	size int
	turn int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	p.turn++
	n := copy(b[:min(len(b), 1+p.size*(p.turn%7)/3)], p.in)
	p.in = p.in[n:]
	return n, nil
}

// fatal is true of the errors that end a connection.
func fatal(err error) bool { return err == line.ErrUTF8 || err == line.ErrTooLong }
