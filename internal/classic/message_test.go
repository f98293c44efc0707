package classic_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goape/ape/internal/classic"
)

// show is a message in one readable text.
func show(m *classic.Message) string {
	s := fmt.Sprintf("type=%s", m.Type)
	for _, part := range []struct {
		name string
		text []byte
	}{{"data", m.Data}, {"tag", m.Tag}, {"subscribe", m.Subscribe}, {"unsubscribe", m.Unsubscribe}} {
		if part.text != nil {
			s += fmt.Sprintf(" %s=%s", part.name, part.text)
		}
	}
	if m.HasCreatedAt {
		s += fmt.Sprintf(" at=%d", m.CreatedAt)
	}
	return s
}

func TestScanReadsWhatTheClientsSend(t *testing.T) {
	for doc, want := range map[string]string{
		`{"type":"/hello","data":{"name":"World"},"createdAt<!D>":1795168201198,"requestedAt<!D>":1795168201198}`: `type=/hello data={"name":"World"} at=1795168201198`,
		`{"type":"/hello","data":{"name":"World"},"createdAt<!D>":1767225600000}`:                                 `type=/hello data={"name":"World"} at=1767225600000`,
		`{"type":"/ping","createdAt<!D>":1767225600000,"requestedAt<!D>":1767225600001}`:                          `type=/ping at=1767225600000`,
		`{"type":"/nested/deep","data":1,"createdAt<!D>":1795168202033,"requestedAt<!D>":1795168202033}`:          `type=/nested/deep data=1 at=1795168202033`,
		`{"type":"/upload","data":{"name":"a.bin","file<!A>":"1vd6k"},"createdAt<!D>":1795168296635}`:             `type=/upload data={"name":"a.bin","file<!A>":"1vd6k"} at=1795168296635`,
		`{"type":"/a","data":{"when<!D>":5,"s<!S>":[1]},"createdAt":1795168296635}`:                               `type=/a data={"when<!D>":5,"s<!S>":[1]} at=1795168296635`,
		`{"subscribe":"/news"}`:                             `type= subscribe=/news`,
		`{"unsubscribe":"/news"}`:                           `type= unsubscribe=/news`,
		`{"type":"/a","data<![D,]>":[7, 1] }`:               `type=/a data=[7, 1] tag=[D,]`,
		`{"type":"/a","data<!A><!B>tail":1}`:                `type=/a`,
		`{"type":"/a","data<!A>tail":1}`:                    `type=/a data=1 tag=A`,
		`{"type":"/a","data<!A":1,"<!D>":2}`:                `type=/a`,
		`{"type":"/a","data<!D>":7,"data":8}`:               `type=/a data=8`,
		`{"type":"/a","data":8,"data<!D>":7,"type":"/b"}`:   `type=/b data=7 tag=D`,
		`{"type":5,"type":"/a","subscribe":null}`:           `type=/a`,
		`{"\u0074ype":"\/a\n\ud83e\udd8d","d\u0061ta":"x"}`: "type=/a\n🦍 data=\"x\"",
		`{"type":"/a","data":null}`:                         `type=/a data=null`,
		`{"type":"/a","createdAt":null}`:                    `type=/a`,
		`{"type":"/a","createdAt":1.5e3}`:                   `type=/a at=1500`,
		`{"type":"/a","createdAt":-12.9}`:                   `type=/a at=-12`,
		`{"type":"/a","subscribe":""}`:                      `type=/a subscribe=`,
		" {\t\"type\" :\r\n\"/a\" , \"data\" : [ ] } ":      `type=/a data=[ ]`,
		`{"type":"","Type":"/a","data2":1}`:                 `type=`,
		`{"type":"/a","data":"}\"]\\"}`:                     `type=/a data="}\"]\\"`,
	} {
		var m classic.Message
		if err := classic.Scan([]byte(doc), &m); err != nil {
			t.Errorf("%s: %v", doc, err)
		} else if got := show(&m); got != want {
			t.Errorf("%s\n got %s\nwant %s", doc, got, want)
		}
	}
}

func TestScanSaysWhatIsWrong(t *testing.T) {
	deep := strings.Repeat("[", 1023) + strings.Repeat("]", 1023)
	mixed := strings.Repeat(`{"a":[`, 512) + strings.Repeat("]}", 512)
	for doc, want := range map[string]string{
		`not json`:                              "message must be a JSON object",
		``:                                      "message must be a JSON object",
		`[]`:                                    "message must be a JSON object",
		`5`:                                     "message must be a JSON object",
		`{}`:                                    "type is missing",
		`{"type":null}`:                         "type is missing",
		`{"subscribe":"","unsubscribe":""}`:     "type is missing",
		`{"type":5}`:                            "type must be a string",
		`{"type":["x"]}`:                        "type must be a string",
		`{"type":"/a","subscribe":true}`:        "subscribe must be a string",
		`{"type":"/a","unsubscribe":{}}`:        "unsubscribe must be a string",
		`{"type":"/a","createdAt":"now"}`:       "createdAt must be a number of milliseconds",
		`{"type":"/a","createdAt":1e400}`:       "createdAt must be a number of milliseconds",
		`{"type":"/a","createdAt":1e19}`:        "createdAt must be a number of milliseconds",
		"{\"type\":\"\xff\"}":                   "message is not UTF-8",
		`{"type":"/a"`:                          "message is not JSON: it ends too early",
		`{"type":"/a`:                           "message is not JSON: it ends too early",
		`{"type":"/a"}}`:                        "message is not JSON at byte 13",
		`{"type":"/a" "data":1}`:                "message is not JSON at byte 13",
		`{"data":` + deep[1:2045] + `}`:         "type is missing",
		`{"data":` + "[" + deep + "]}":          "message is nested deeper than 1024",
		`{"data":` + mixed + "}":                "message is nested deeper than 1024",
		`{"data":` + strings.Repeat("[", 1<<20): "message is nested deeper than 1024",
	} {
		var m classic.Message
		err := classic.Scan([]byte(doc), &m)
		if err == nil || err.Error() != want {
			t.Errorf("%.100s: got %v, want %s", doc, err, want)
		}
	}
	var m classic.Message
	if err := classic.Scan([]byte(`{"type":"/a","data":`+deep+`}`), &m); err != nil {
		t.Errorf("1024 levels: %v", err)
	}
}

func TestOnlyWellFormedValuesArePassedOn(t *testing.T) {
	for _, value := range []string{
		`0`, `-0`, `10`, `-1.5`, `1e5`, `1E+5`, `1e-05`, `0.0`, `true`, `false`, `null`, `""`, `"\"\\\/\b\f\n\r\t\u00aF"`, `"\ud800"`, "\"\x7f\"",
		`[]`, `{}`, `[1]`, `[[],{}]`, `[1 , 2]`, `{"a":{"b":[]},"c":1}`, `{"":""}`, `[{"a":[{}]},[]]`,
		`01`, `-`, `+1`, `1.`, `.5`, `1e`, `1e+`, `0x1`, `1_0`, `tru`, `nul`, `True`, `NaN`, `'a'`, `"`, `"\x"`, `"\u12g4"`, `"\u123"`, "\"\n\"", "\"\x00\"",
		`[`, `]`, `{`, `}`, `[1,]`, `[,1]`, `[1 2]`, `[1}`, `{"a":1]`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1,}`, `{,}`, `{"a" 1}`, `[1:2]`, `{"a":1:2}`, `{1:2}`, ``, `1 2`, `"a""b"`,
	} {
		doc := []byte(`{"type":"/a","data":` + value + `}`)
		var m classic.Message
		err := classic.Scan(doc, &m)
		if want := json.Valid(doc); (err == nil) != want {
			t.Errorf("%s: got %v, encoding/json says %v", value, err, want)
		} else if want && string(m.Data) != value {
			t.Errorf("%s: got %s", value, m.Data)
		}
	}
}

func TestPlainMessagesAreScannedWithoutAllocation(t *testing.T) {
	doc := []byte(`{"type":"/hello","data<![D,]>":[5,{"name":"World"}],"createdAt<!D>":1795168201198,"requestedAt<!D>":1795168201198}`)
	var m classic.Message
	if allocs := testing.AllocsPerRun(100, func() {
		if classic.Scan(doc, &m) != nil || m.CreatedAt != 1795168201198 {
			t.Fatal("refused")
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// keyPattern is the clients' own pattern, with Go's flag for a dot that matches all.
var keyPattern = regexp.MustCompile(`^((?s:.+))<!((?s:.*))>`)

// FuzzScan compares with encoding/json: what is a message, and what its members are.
func FuzzScan(f *testing.F) {
	for _, doc := range []string{
		`{"type":"/hello","data":{"name":"World"},"createdAt<!D>":1795168201198}`, `{"subscribe":"/news"}`, `{"type":"/a","data<![D,]>":[7,1]}`,
		`{"\u0074ype":"\/a\n","data":"\ud83e\udd8d"}`, `{"type":"/a","data<!A>":[{"b":[1,-2.5e3,true,null]}],"x":"\\"}`, `{"data":[[[[]]]]}`, `[]`,
		`{"type":"a","type":5}`, `{"type<!<!>>":"a","createdAt":1e3}`, " {\t} ", `{"type":"a","data":1,"data<!<!D>x>y":2}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var m classic.Message
		err := classic.Scan(doc, &m)
		if err != nil && strings.Contains(err.Error(), "deeper") {
			return
		}
		if !json.Valid(doc) || !utf8.Valid(doc) || doc[strings.IndexFunc(string(doc), func(r rune) bool { return !strings.ContainsRune(" \t\r\n", r) })] != '{' {
			if err == nil {
				t.Fatalf("%q was accepted", doc)
			}
			return
		}
		if err != nil {
			if strings.HasPrefix(err.Error(), "message ") {
				t.Fatalf("%q: %v", doc, err)
			}
			return
		}
		want := oracle(t, doc)
		if got := show(&m); got != want {
			t.Fatalf("%q\n got %s\nwant %s", doc, got, want)
		}
	})
}

// oracle reads an accepted message with encoding/json and the pattern.
func oracle(t *testing.T, doc []byte) string {
	var want classic.Message
	d := json.NewDecoder(strings.NewReader(string(doc)))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		name, tag := token.(string), []byte(nil)
		if part := keyPattern.FindStringSubmatch(name); part != nil {
			name, tag = part[1], []byte(part[2])
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		var s []byte
		var text string
		if json.Unmarshal(raw, &text) == nil && raw[0] == '"' {
			s = []byte(text)
		}
		switch name {
		case "type":
			want.Type = s
		case "subscribe":
			want.Subscribe = s
		case "unsubscribe":
			want.Unsubscribe = s
		case "data":
			want.Data, want.Tag = raw, tag
		case "createdAt":
			want.CreatedAt, want.HasCreatedAt = 0, raw[0] != 'n'
			var number json.Number
			if want.HasCreatedAt && json.Unmarshal(raw, &number) == nil {
				ms, err := number.Int64()
				if err != nil {
					f, _ := number.Float64()
					ms = int64(f)
				}
				want.CreatedAt = ms
			}
		}
	}
	return show(&want)
}
