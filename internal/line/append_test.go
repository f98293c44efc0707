package line_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/goape/ape/internal/line"
)

func TestAppendedLines(t *testing.T) {
	for want, got := range map[string][]byte{
		"c 1 say%20hi%3B%20100%25;k=a%20b;l \"x\"\n": line.AppendJSON(line.AppendParam(line.AppendParam(line.AppendCall(nil, 1, "say hi; 100%"), "k", "a b"), "l", ""), []byte(`"x"`)),
		"s 5 news;l\n":                   line.AppendNone(line.AppendParam(line.AppendSubscribe(nil, 5, "news"), "l", "")),
		"u 9 news\n":                     line.AppendNone(line.AppendUnsubscribe(nil, 9, "news")),
		"r 5 null\n":                     line.AppendJSON(line.AppendAnswer(nil, 5), []byte("null")),
		"r 5\n":                          line.AppendNone(line.AppendAnswer(nil, 5)),
		"r 5 =AAEC\n":                    line.AppendBase64(line.AppendAnswer(nil, 5), []byte{0, 1, 2}),
		"r 5 =3\n\x00\x01\x02":           line.AppendOctets(line.AppendAnswer(nil, 5), []byte{0, 1, 2}),
		"r 5 =0\n":                       line.AppendOctets(line.AppendAnswer(nil, 5), nil),
		"n 1 20\n":                       line.AppendJSON(line.AppendItem(nil, 1), []byte("20")),
		"x 1\n":                          line.AppendNone(line.AppendCancel(nil, 1)),
		"m tick 1\n":                     line.AppendJSON(line.AppendEvent(nil, "tick"), []byte("1")),
		"b news;l \"old\"\n":             line.AppendJSON(line.AppendMessage(nil, "news", true), []byte(`"old"`)),
		"b news\n":                       line.AppendNone(line.AppendMessage(nil, "news", false)),
		"h {}\n":                         line.AppendHello(nil, []byte("{}")),
		"w {}\n":                         line.AppendWelcome(nil, []byte("{}")),
		"a 9007199254740991\n":           line.AppendAck(nil, 1<<53-1),
		"p\n":                            line.AppendPing(nil),
		"z 3\n":                          line.AppendEnd(nil, 3),
		"g 3 2\n":                        line.AppendCredit(nil, 3, 2),
		"e 7 {\"code\":\"not_found\"}\n": line.AppendFail(nil, 7, "not_found", "", nil),
		"e 1 {\"code\":\"not_found\",\"message\":\"no user 9\",\"data\":{\"id\":9}}\n":                       line.AppendFail(nil, 1, "not_found", "no user 9", []byte(`{"id":9}`)),
		"u 0 a%20b {\"code\":\"denied\"}\n":                                                                  line.AppendEnded(nil, "a b", "denied", "", nil),
		"q {\"code\":\"bye\"}\n":                                                                             line.AppendQuit(nil, "bye", "", 0, ""),
		"q {\"code\":\"restart\",\"then\":\"resume\",\"within\":5000,\"message\":\"new \\\"version\\\"\"}\n": line.AppendQuit(nil, "restart", "resume", 5000, `new "version"`),
	} {
		if string(got) != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestNamesSurviveTheWire(t *testing.T) {
	for _, name := range []string{"a", "=5", "%41", "a\x00\n\x7f;% b", "é\u2028🦍", "/x/y"} {
		head := bytes.TrimSuffix(line.AppendNone(line.AppendEvent(nil, name)), []byte("\n"))
		var e line.Envelope
		if err := line.Parse(head, nil, false, &e); err != nil || string(e.Name) != name {
			t.Errorf("%q came back as %q (%v)", name, e.Name, err)
		}
	}
}

func TestStringsAreJSONForEveryParser(t *testing.T) {
	all := make([]byte, 0, 512)
	for c := range 256 {
		all = append(all, byte(c), 'x')
	}
	for in, want := range map[string]string{
		"":                             "",
		"plain":                        "plain",
		"\"\\/\b\f\n\r\t\x00\x1f\x7f<": "\"\\/\b\f\n\r\t\x00\x1f\x7f<",
		"é🦍\u2028\u2029\ufffd":         "é🦍\u2028\u2029\ufffd",
		"a\xffb\xe2\x82":               "a\ufffdb\ufffd\ufffd",
		string(all):                    string(bytes.ToValidUTF8(all, []byte("\ufffd"))),
	} {
		text := line.AppendString([]byte("x"), in)[1:]
		var got string
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Errorf("%q became %s (%v)", in, text, err)
		}
		if !utf8.Valid(text) || bytes.ContainsAny(text, "\n\u2028\u2029") {
			t.Errorf("%q became %q", in, text)
		}
	}
}
