package line

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// Heads. Each is followed by AppendParam as often as needed and by exactly one of AppendNone, AppendJSON, AppendBase64
// and AppendOctets; or by a space, JSON that an encoder writes in place, and LF.

// AppendCall begins a call.
func AppendCall(dst []byte, id uint64, path string) []byte {
	return appendName(appendID(dst, Call, id), path)
}

// AppendSubscribe begins a subscription.
func AppendSubscribe(dst []byte, id uint64, channel string) []byte {
	return appendName(appendID(dst, Subscribe, id), channel)
}

// AppendUnsubscribe begins the end of a subscription, as a client asks for it.
func AppendUnsubscribe(dst []byte, id uint64, channel string) []byte {
	return appendName(appendID(dst, Unsubscribe, id), channel)
}

// AppendAnswer begins the answer to a call or subscription.
func AppendAnswer(dst []byte, id uint64) []byte { return appendID(dst, Answer, id) }

// AppendItem begins one item of a stream.
func AppendItem(dst []byte, id uint64) []byte { return appendID(dst, Item, id) }

// AppendCancel begins the cancelling of a call.
func AppendCancel(dst []byte, id uint64) []byte { return appendID(dst, Cancel, id) }

// AppendEvent begins an event.
func AppendEvent(dst []byte, name string) []byte {
	return appendName(append(dst, byte(Event)), name)
}

// AppendMessage begins a message of a channel; last marks the last value, which is not news.
func AppendMessage(dst []byte, channel string, last bool) []byte {
	dst = appendName(append(dst, byte(Message)), channel)
	if last {
		dst = append(dst, ";l"...)
	}
	return dst
}

// AppendParam adds a param to a head. The key must be 1 to 16 letters.
func AppendParam(dst []byte, key, value string) []byte {
	dst = append(append(dst, ';'), key...)
	if value == "" {
		return dst
	}
	return AppendName(append(dst, '='), value)
}

// What ends a head.

// AppendNone ends a line that has no payload.
func AppendNone(dst []byte) []byte { return append(dst, '\n') }

// AppendJSON ends a line with a payload of JSON text, which must not hold an LF.
func AppendJSON(dst, json []byte) []byte {
	return append(append(append(dst, ' '), json...), '\n')
}

// AppendBase64 ends a line of a text message, POST or stream with a payload of raw bytes.
func AppendBase64(dst, octets []byte) []byte {
	dst = base64.StdEncoding.AppendEncode(append(dst, " ="...), octets)
	return append(dst, '\n')
}

// AppendOctets ends a line of a binary message with a payload of raw bytes, and adds these behind it.
func AppendOctets(dst, octets []byte) []byte {
	dst = strconv.AppendInt(append(dst, " ="...), int64(len(octets)), 10)
	return append(append(dst, '\n'), octets...)
}

// Whole lines.

// AppendHello writes the hello line; json is its object.
func AppendHello(dst, json []byte) []byte { return AppendJSON(append(dst, byte(Hello)), json) }

// AppendWelcome writes the welcome line; json is its object.
func AppendWelcome(dst, json []byte) []byte { return AppendJSON(append(dst, byte(Welcome)), json) }

// AppendAck writes the line that acknowledges all counted lines up to n.
func AppendAck(dst []byte, n uint64) []byte {
	return append(appendID(dst, Ack, n), '\n')
}

// AppendPing writes the line that asks for an acknowledgement.
func AppendPing(dst []byte) []byte { return append(dst, byte(Ping), '\n') }

// AppendEnd writes the line that ends a stream of items or, from the callee, a call without a value.
func AppendEnd(dst []byte, id uint64) []byte { return append(appendID(dst, End, id), '\n') }

// AppendCredit writes the line that lets n more items come.
func AppendCredit(dst []byte, id, n uint64) []byte {
	dst = append(appendID(dst, Credit, id), ' ')
	return append(strconv.AppendUint(dst, n, 10), '\n')
}

// AppendFail writes the failure of a call. An empty message and nil data are left out; data is JSON without LF.
func AppendFail(dst []byte, id uint64, code, message string, data []byte) []byte {
	return appendFailure(appendID(dst, Fail, id), code, message, data)
}

// AppendEnded writes the line by which a server ends a subscription, with a failure as in [AppendFail].
func AppendEnded(dst []byte, channel, code, message string, data []byte) []byte {
	return appendFailure(appendName(appendID(dst, Unsubscribe, 0), channel), code, message, data)
}

// AppendQuit writes the line that announces a leave. then is "resume", "new", "final" or "" to leave it to the close
// code; within is in milliseconds and left out when 0, like an empty message.
func AppendQuit(dst []byte, code, then string, within int64, message string) []byte {
	dst = AppendString(append(dst, `q {"code":`...), code)
	if then != "" {
		dst = AppendString(append(dst, `,"then":`...), then)
	}
	if within != 0 {
		dst = strconv.AppendInt(append(dst, `,"within":`...), within, 10)
	}
	if message != "" {
		dst = AppendString(append(dst, `,"message":`...), message)
	}
	return append(dst, "}\n"...)
}

// Parts.

// AppendName appends a name or a param's value, with the bytes escaped that the grammar excludes.
func AppendName(dst []byte, name string) []byte {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if reserved[c] {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendString appends s as a JSON string in quotes. Invalid UTF-8 becomes U+FFFD, and the line separators U+2028
// and U+2029 are escaped, so that the text may stand in a script.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' || c == '"' || c == '\\' {
				dst = appendEscape(append(dst, s[from:i]...), c)
				from = i + 1
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			dst = append(append(dst, s[from:i]...), `\u`...)
			dst = append(dst, lowerHex[r>>12], lowerHex[r>>8&15], lowerHex[r>>4&15], lowerHex[r&15])
			from = i + size
		}
		i += size
	}
	return append(append(dst, s[from:]...), '"')
}

const (
	upperHex = "0123456789ABCDEF"
	lowerHex = "0123456789abcdef"
)

// reserved are the bytes that a name or a param's value holds only as %XX.
var reserved = func() (r [256]bool) {
	for c := range byte(' ' + 1) {
		r[c] = true
	}
	r[0x7f], r[';'], r['%'] = true, true, true
	return r
}()

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
}

func appendID(dst []byte, op Op, id uint64) []byte {
	return strconv.AppendUint(append(dst, byte(op), ' '), id, 10)
}

func appendName(dst []byte, name string) []byte { return AppendName(append(dst, ' '), name) }

func appendFailure(dst []byte, code, message string, data []byte) []byte {
	dst = AppendString(append(dst, ` {"code":`...), code)
	if message != "" {
		dst = AppendString(append(dst, `,"message":`...), message)
	}
	if data != nil {
		dst = append(append(dst, `,"data":`...), data...)
	}
	return append(dst, "}\n"...)
}
