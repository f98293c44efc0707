package line_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/goape/ape/internal/line"
)

// split gives the units of an input in one readable text, and Split's error.
func split(s line.Splitter, r io.Reader, binary bool) (string, error) {
	var b strings.Builder
	err := s.Split(r, binary, func(u line.Unit) error {
		if u.Binary != binary {
			return errors.New("a unit must know whether it came in a binary message")
		}
		fmt.Fprintf(&b, "%s", u.Head)
		if u.Octets != nil {
			fmt.Fprintf(&b, " + % x", u.Octets)
		}
		if u.Long {
			fmt.Fprintf(&b, " (long, %d)", u.Size)
		} else if u.Size != len(u.Head)+len(u.Octets) {
			fmt.Fprintf(&b, " (size %d?)", u.Size)
		}
		b.WriteString(" | ")
		return nil
	})
	return strings.TrimSuffix(b.String(), " | "), err
}

func TestSplit(t *testing.T) {
	x := strings.Repeat("x", 300)
	for _, c := range []struct {
		name, in string
		binary   bool
		want     string
		err      error
	}{
		{"nothing", "", false, "", nil},
		{"lines, empty ones skipped", "\nm bump\n\n\nc 1 add 5\n\n", false, "m bump | c 1 add 5", nil},
		{"only empty lines", "\n\n\n", false, "", nil},
		{"text has no octets", "c 1 size =3\nabc\n", false, "c 1 size =3 | abc", nil},
		{"torn line", "m bump\nc 1 ad", false, "m bump", line.ErrTorn},
		{"torn octets", "m bump\nc 1 size =3\nab", true, "m bump", line.ErrTorn},
		{"torn before any octet", "c 1 size =3\n", true, "", line.ErrTorn},
		{"octets among lines", "m bump\nc 3 size =4\n\n\n\x00\xffm bump\n", true, "m bump | c 3 size =4 + 0a 0a 00 ff | m bump", nil},
		{"no octets announced", "c 3 size =0\nm a\n", true, "c 3 size =0 + " + " | m a", nil},
		{"a name is no size", "c 3 =4\nm =4\nm a\n", true, "c 3 =4 | m =4 | m a", nil},
		{"a text is no size", "c 3 echo \"a =4\"\nc 3 echo {\"a\": \"b =4\"}\nm a\n", true, "c 3 echo \"a =4\" | c 3 echo {\"a\": \"b =4\"} | m a", nil},
		{"no number, no size", "m a =04\nm a =\nm a =x\nm a =99999999999999999\n", true, "m a =04 | m a = | m a =x | m a =99999999999999999", nil},
		{"ops without payload announce octets too", "z 1 =1\nap =1\nb", true, "z 1 =1 + 61 | p =1 + 62", nil},
		{"unknown op", "y 1 2 3 4 =2\nabY =1\nc7x =1\nd", true, "y 1 2 3 4 =2 + 61 62 | Y =1 + 63 | 7x =1 + 64", nil},
		{"long line", "m a\nc 1 " + x + "\nm b\n", false, "m a | c 1 " + x[:252] + " (long, 304) | m b", nil},
		{"long line torn", "m a\nc 1 " + x, false, "m a", line.ErrTorn},
		{"long octets", "r 1 =290\n" + x[:290] + "m b\n", true, "r 1 =290 (long, 298) | m b", nil},
		{"long octets torn", "r 1 =290\n" + x[:289], true, "", line.ErrTorn},
		{"long line with octets", "c 1 a;" + x + " =3\nabcm b\n", true, "c 1 a;" + x[:250] + " (long, 312) | m b", nil},
		{"long line of unknown op with octets", "y 1 " + x + " =3\nabcm b\n", true, "y 1 " + x[:252] + " (long, 310) | m b", nil},
		{"long text is no size", "c 1 a \"" + x + " =3\nm b\n", true, "c 1 a \"" + x[:249] + " (long, 310) | m b", nil},
		{"long word is no size", "y 1 =3" + x + "3\nm b\n", true, "y 1 =3" + x[:250] + " (long, 307) | m b", nil},
		{"above the hard limit", "m a\nc 1 " + strings.Repeat(x, 14) + "\nm b\n", false, "m a", line.ErrTooLong},
		{"octets above the hard limit", "m a\nr 1 =4090\n", true, "m a", line.ErrTooLong},
		{"octets beyond all limits", "m a\nr 1 =9007199254740991\n", true, "m a", line.ErrTooLong},
		{"long line, octets above the hard limit", "c 1 a;" + x + " =3990\n", true, "", line.ErrTooLong},
		{"not UTF-8", "m a\nm \xff\nm b\n", false, "m a", line.ErrUTF8},
		{"half a character", "m a\nm \xc3\n\xa9\n", false, "m a", line.ErrUTF8},
		{"long, not UTF-8", "m a\nm " + x + "\xff" + x + "\n", false, "m a", line.ErrUTF8},
		{"long, many characters", "m " + strings.Repeat("🦍é", 60) + "\nm b\n", false, "m " + strings.Repeat("🦍é", 42) + "\xf0\x9f (long, 362) | m b", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := line.Splitter{Limit: 256}
			for name, r := range map[string]io.Reader{
				"whole":        strings.NewReader(c.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
				"halves":       iotest.HalfReader(strings.NewReader(c.in)),
				"end at once":  iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				if got, err := split(s, r, c.binary); got != c.want || err != c.err {
					t.Errorf("%s:\n got %q, %v\nwant %q, %v", name, got, err, c.want, c.err)
				}
			}
		})
	}
}

// The window over the input moves and grows many times here.
func TestUnitsSurviveALongInput(t *testing.T) {
	var in, want strings.Builder
	for n := range 2000 {
		head := fmt.Sprintf("m a;k=%d", n)
		octets := strings.Repeat(string(rune('a'+n%26)), n*7%900)
		switch n % 3 {
		case 0:
			fmt.Fprintf(&in, "%s =%d\n%s", head, len(octets), octets)
			fmt.Fprintf(&want, "%s =%d + % x | ", head, len(octets), octets)
		default:
			fmt.Fprintf(&in, "%s %q\n", head, octets)
			fmt.Fprintf(&want, "%s %q | ", head, octets)
		}
	}
	for size := range 8 {
		got, err := split(line.Splitter{}, &pieces{in: []byte(in.String()), size: size * 501}, true)
		if err != nil {
			t.Fatal(err)
		}
		if w := strings.TrimSuffix(want.String(), " | "); got != w {
			i := 0
			for i < min(len(got), len(w)) && got[i] == w[i] {
				i++
			}
			t.Fatalf("pieces of %d: at %d\n got %.80q\nwant %.80q", size*501, i, got[i:], w[i:])
		}
	}
}

func TestLimitsCountBytesExactly(t *testing.T) {
	s := line.Splitter{Limit: 10, Hard: 20}
	for in, want := range map[string]string{
		"m 34567890\n":            "m 34567890",
		"m 345678901\n":           "m 345678901 (long, 11)",
		"m aa =4\nabcd":           "m aa =4 (long, 11)",
		"m a =4\nabcd":            "m a =4 + 61 62 63 64",
		"m 34567890123456 =0\n":   "m 34567890123456 =0 (long, 19)",
		"m aaaaaaaaaaaa =3\nabc":  "m aaaaaaaaaaaa =3 (long, 20)",
		"m aaaaaaaaaaaaa =3\nabc": "line: line above the hard limit",
		"m 3456789012345678901\n": "line: line above the hard limit",
		"m 345678901234567890\n":  "m 345678901234567890 (long, 20)",
	} {
		got, err := split(s, strings.NewReader(in), true)
		if err != nil {
			got += err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestUnitsAreHandedOnBeforeTheInputEnds(t *testing.T) {
	r, w := io.Pipe()
	got := make(chan string)
	done := make(chan error)
	go func() {
		done <- new(line.Splitter).Split(r, false, func(u line.Unit) error {
			got <- string(u.Head)
			return nil
		})
	}()
	for _, l := range []string{"w {}", "m tick 1"} {
		fmt.Fprintf(w, "%s\n", l)
		if g := <-got; g != l {
			t.Errorf("got %q, want %q", g, l)
		}
	}
	w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSplitReturnsForeignErrorsAsTheyAre(t *testing.T) {
	mine := errors.New("mine")
	r := io.MultiReader(strings.NewReader("m a\nm b\nm c"), iotest.ErrReader(mine))
	if got, err := split(line.Splitter{}, r, false); got != "m a | m b" || err != mine {
		t.Errorf("reader: got %q, %v", got, err)
	}
	n := 0
	err := new(line.Splitter).Split(strings.NewReader("m a\nm b\n"), false, func(line.Unit) error { n++; return mine })
	if err != mine || n != 1 {
		t.Errorf("handle: called %d times, got %v", n, err)
	}
	if _, err := split(line.Splitter{}, stuck{}, false); err != io.ErrNoProgress {
		t.Errorf("a reader that yields nothing: got %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// What is announced costs nothing until it comes.
func TestAnnouncedOctetsAreNotReserved(t *testing.T) {
	r := &greed{r: strings.NewReader("r 1 =1000000\n" + strings.Repeat("x", 5000))}
	if _, err := split(line.Splitter{}, r, true); err != line.ErrTorn {
		t.Fatal(err)
	}
	if r.most > 16<<10 {
		t.Errorf("Split asked for %d bytes at once after 5 kB of input", r.most)
	}
}

// greed notes how much it was asked for.
type greed struct {
	r    io.Reader
	most int
}

func (g *greed) Read(p []byte) (int, error) {
	g.most = max(g.most, len(p))
	return g.r.Read(p)
}
