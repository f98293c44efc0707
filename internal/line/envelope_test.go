package line_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/goape/ape/internal/line"
)

// show is an envelope in one readable text.
func show(e *line.Envelope) string {
	var b strings.Builder
	b.WriteString(e.Op.String())
	for _, n := range []uint64{e.ID, e.Count} {
		b.WriteByte(' ')
		b.WriteString(string(bytes.TrimSuffix(line.AppendAck(nil, n), []byte("\n"))[2:]))
	}
	b.WriteString(" [" + string(e.Name) + "] [" + string(e.Params) + "]")
	switch {
	case e.Payload == nil:
		b.WriteString(" none")
	case e.Octets:
		b.WriteString(" octets [" + string(e.Payload) + "]")
	default:
		b.WriteString(" json [" + string(e.Payload) + "]")
	}
	return b.String()
}

func TestParseReadsEveryOp(t *testing.T) {
	for head, want := range map[string]string{
		`h {"client":"t/1"}`:               `h 0 0 [] [] json [{"client":"t/1"}]`,
		`w {}`:                             `w 0 0 [] [] json [{}]`,
		`a 8`:                              `a 0 8 [] [] none`,
		`p`:                                `p 0 0 [] [] none`,
		`p;later=1`:                        `p 0 0 [] [;later=1] none`,
		`q {"code":"bye"}`:                 `q 0 0 [] [] json [{"code":"bye"}]`,
		`c 1 add 5`:                        `c 1 0 [add] [] json [5]`,
		`c 3 echo`:                         `c 3 0 [echo] [] none`,
		`c 5 echo null`:                    `c 5 0 [echo] [] json [null]`,
		`c 3 say%20hi%3b%20100%25;k=a%20b`: `c 3 0 [say hi; 100%] [;k=a%20b] none`,
		`c 1 count;g=2 {"n":3}`:            `c 1 0 [count] [;g=2] json [{"n":3}]`,
		`c 9007199254740991 é`:             `c 9007199254740991 0 [é] [] none`,
		`c 7 =5`:                           `c 7 0 [=5] [] none`,
		`c 7 a;b=c=d "; x"`:                `c 7 0 [a] [;b=c=d] json ["; x"]`,
		`c 7 a%00%C3%A9;b;c=`:              "c 7 0 [a\x00é] [;b;c=] none",
		`r 1 6`:                            `r 1 0 [] [] json [6]`,
		`r 5 =AAEC`:                        "r 5 0 [] [] octets [\x00\x01\x02]",
		`r 5 =`:                            `r 5 0 [] [] octets []`,
		`r 5;x=1 2`:                        `r 5 0 [] [;x=1] json [2]`,
		`e 0 {"code":"malformed"}`:         `e 0 0 [] [] json [{"code":"malformed"}]`,
		`x 1`:                              `x 1 0 [] [] none`,
		`x 1 "why"`:                        `x 1 0 [] [] json ["why"]`,
		`n 1  1`:                           `n 1 0 [] [] json [ 1]`,
		`z 1`:                              `z 1 0 [] [] none`,
		`g 1 2`:                            `g 1 2 [] [] none`,
		`s 5 news;l`:                       `s 5 0 [news] [;l] none`,
		`u 0 news {"code":"denied"}`:       `u 0 0 [news] [] json [{"code":"denied"}]`,
		`m tick 1`:                         `m 0 0 [tick] [] json [1]`,
		`b news;l "old"`:                   `b 0 0 [news] [;l] json ["old"]`,
		"m " + strings.Repeat("%41", 255):  "m 0 0 [" + strings.Repeat("A", 255) + "] [] none",
	} {
		var e line.Envelope
		if err := line.Parse([]byte(head), nil, false, &e); err != nil {
			t.Errorf("%s: %v", head, err)
		} else if got := show(&e); got != want {
			t.Errorf("%s\n got %s\nwant %s", head, got, want)
		}
	}
}

func TestParseRefusesWhatTheGrammarDoesNotName(t *testing.T) {
	for _, head := range []string{
		"", " ", "c", "c ", "c 1", "c 1 ", "c  1 a", "c 1  a", "c 1 a ", "c x a", "c 7x echo", "c 01 a", "c -1 a", "c +1 a",
		"c 9007199254740992 a", "c 99999999999999999 a", "c 1 a%", "c 1 a%4", "c 1 a%4g", "c 1 a\x01", "c 1 a\x7f", "c 1 a\tb",
		"c 1 %FF", "c 1 %C3", "c 1 \xff", "c;k=1 1 a", "c 1;k=1 a", "c 1 ;k=1", "m " + strings.Repeat("a", 256), "m " + strings.Repeat("é", 128),
		"c 1 a;", "c 1 a;;k", "c 1 a;=1", "c 1 a;k1=2", "c 1 a;k=%", "c 1 a;k=%FF", "c 1 a;k;k=1", "c 1 a;k=1;j;k", "c 1 a;k=\x02",
		"c 1 a;abcdefghijklmnopq", "z 1 2", "z 1 ", "g 1", "g 1 2 3", "g 1 x", "a", "a 1 2", "a x", "p 1", "p ", "h", "h 1", "h []", `h "x"`, "h =",
		"e 1", "e 1 2", "e 1 =AAEC", "q", "r 1 =A", "r 1 =AAE", "r 1 =AAE=\r", "r 1 =A-E=", "r 1 =AAF=", "r 1 =AA\r\nEC", "r 1 =3x",
		"7 1 a", "c! 1 a", "abcdefghijklmnopq 1", "\x00", "é 1",
	} {
		var e line.Envelope
		if err := line.Parse([]byte(head), nil, false, &e); err != line.ErrMalformed {
			t.Errorf("%q: got %v, want ErrMalformed", head, err)
		}
	}
	for _, head := range []string{"nonsense", `y 13 whatever {"a":1}`, "Zoo", "call 1", "y;k=1", "abcdefghijklmnop 1", "C 1 a"} {
		var e line.Envelope
		if err := line.Parse([]byte(head), nil, false, &e); err != line.ErrUnsupported {
			t.Errorf("%q: got %v, want ErrUnsupported", head, err)
		}
	}
}

func TestOctetsOnlyInABinaryMessageAndBase64OnlyElsewhere(t *testing.T) {
	for _, c := range []struct {
		head   string
		octets []byte
		binary bool
		want   error
	}{
		{"c 3 size =4", []byte("\n\n\x00\xff"), true, nil},
		{"c 3 size =0", []byte{}, true, nil},
		{"c 3 size 4", nil, true, nil},
		{"m bump", nil, true, nil},
		{"c 3 size =4", nil, true, line.ErrMalformed},
		{"c 3 size =4", []byte("abc"), true, line.ErrMalformed},
		{"c 3 size =04", []byte("abcd"), true, line.ErrMalformed},
		{"c 3 size =4;", []byte("abcd"), true, line.ErrMalformed},
		{"c 3 size =AAEC", nil, true, line.ErrMalformed},
		{"c 3 size 4", []byte("abcd"), true, line.ErrMalformed},
		{"c 3 size", []byte{}, true, line.ErrMalformed},
		{"z 3 =4", []byte("abcd"), true, line.ErrMalformed},
		{"e 3 =4", []byte("abcd"), true, line.ErrMalformed},
		{"c 3 size =AAEC", []byte("abc"), false, line.ErrMalformed},
		{"c 3 size", []byte("abc"), false, line.ErrMalformed},
		{"c 3 size 1", []byte("abc"), false, line.ErrMalformed},
	} {
		var e line.Envelope
		err := line.Parse([]byte(c.head), c.octets, c.binary, &e)
		if err != c.want {
			t.Errorf("%q + %q, binary %v: got %v, want %v", c.head, c.octets, c.binary, err, c.want)
		} else if c.octets != nil && err == nil && (!e.Octets || e.Payload == nil || !bytes.Equal(e.Payload, c.octets)) {
			t.Errorf("%q: got payload %q, octets %v", c.head, e.Payload, e.Octets)
		}
	}
}

func TestParams(t *testing.T) {
	var e line.Envelope
	head := "c 3 a;k=a%20b;l;t=5000;g=01;Zone=3;o=9007199254740992 =AAEC"
	if err := line.Parse([]byte(head), nil, false, &e); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"k": "a b", "l": "", "t": "5000", "Zone": "3"} {
		if got, ok := e.Param(key); got != want || !ok {
			t.Errorf("%s: got %q %v, want %q", key, got, ok, want)
		}
	}
	if got, ok := e.Param("K"); ok {
		t.Errorf("keys must be compared byte by byte, K is %q", got)
	}
	if n, ok, err := e.ParamNumber("t"); n != 5000 || !ok || err != nil {
		t.Errorf("t: got %d %v %v", n, ok, err)
	}
	for _, key := range []string{"k", "l", "g", "o"} {
		if n, ok, err := e.ParamNumber(key); n != 0 || !ok || err != line.ErrMalformed {
			t.Errorf("%s is no number: got %d %v %v", key, n, ok, err)
		}
	}
	if n, ok, err := e.ParamNumber("absent"); n != 0 || ok || err != nil {
		t.Errorf("absent: got %d %v %v", n, ok, err)
	}
	if !e.UnknownRequired() || !e.UnknownRequired("zone", "k") || e.UnknownRequired("Zone") {
		t.Error("Zone must be required unless it is named")
	}
	if err := line.Parse([]byte("c 3 a;zone=3"), nil, false, &e); err != nil || e.UnknownRequired() {
		t.Errorf("a key in lower case must not be required (%v)", err)
	}
}

// Comparing every key with every other one would take minutes here.
func TestManyParamsAreReadInLinearTime(t *testing.T) {
	var key [8]byte
	head := []byte("c 1 a")
	for n := range 1 << 17 {
		for i := range key {
			key[i] = byte('a' + n>>(2*i)&3)
		}
		head = append(append(head, ';'), key[:]...)
	}
	head = append(head, byte('q'))
	var e line.Envelope
	if err := line.Parse(head, nil, false, &e); err != line.ErrMalformed {
		t.Fatalf("keys repeat after 65536: got %v, want ErrMalformed", err)
	}
	if err := line.Parse(head[:5+9*1<<16], nil, false, &e); err != nil {
		t.Fatalf("65536 keys, no key twice: %v", err)
	}
	if _, ok := e.Param("dddddddd"); !ok {
		t.Error("the last param is missing")
	}
}

func TestWhatIsCountedAndReported(t *testing.T) {
	for _, c := range []struct {
		head    string
		op      line.Op
		counted bool
		id      uint64
	}{
		{"", 0, false, 0}, {"p", 'p', false, 0}, {"p;x=1", 'p', false, 0}, {"a 5", 'a', false, 5}, {"h {}", 'h', false, 0}, {"w {}", 'w', false, 0},
		{"q {}", 'q', false, 0}, {"q;X {}", 'q', false, 0}, {"X-Trace anything", 0, false, 0}, {"C 1 a", 0, false, 1}, {"Zoo", 0, false, 0},
		{"c 1 a", 'c', true, 1}, {"c 7x echo", 'c', true, 0}, {"c 01 echo", 'c', true, 0}, {"c", 'c', true, 0}, {"c ", 'c', true, 0}, {"c;x 1", 'c', true, 0},
		{"c 9007199254740992 a", 'c', true, 0}, {"c 17;x a", 'c', true, 17}, {"y 13 a", 0, true, 13}, {"nonsense", 0, true, 0}, {"c7 13 a", 0, true, 13},
		{"pp 3", 0, true, 3}, {"p\t", 0, true, 0}, {" 5", 0, true, 0}, {";", 0, true, 0}, {"\xff 5", 0, true, 5}, {"m 5", 'm', true, 5},
		{"abcdefghijklmnop 9007199254740991", 0, true, 9007199254740991}, {"abcdefghijklmnopq 5", 0, true, 0},
	} {
		head := []byte(c.head)
		if got := line.OpOf(head); got != c.op {
			t.Errorf("%q: op %v, want %v", c.head, got, c.op)
		}
		if got := line.Counted(head); got != c.counted {
			t.Errorf("%q: counted %v, want %v", c.head, got, c.counted)
		}
		if got := line.FirstID(head); got != c.id {
			t.Errorf("%q: id %d, want %d", c.head, got, c.id)
		}
	}
}

func TestPlainLinesAreParsedWithoutAllocation(t *testing.T) {
	head := []byte(`c 12345 chat/rooms/send;t=5000;k=o-17 {"room":"kitchen","text":"the banana is ripe"}`)
	var e line.Envelope
	var n uint64
	if allocs := testing.AllocsPerRun(100, func() {
		if line.Parse(head, nil, false, &e) != nil || e.UnknownRequired("K") {
			t.Fatal("refused")
		}
		n, _, _ = e.ParamNumber("t")
	}); allocs != 0 || n != 5000 {
		t.Errorf("%v allocations, t is %d", allocs, n)
	}
}
