package hostile_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape"
)

// setCookie is the apeClientId that a response sets, "" for none.
func (p *peer) setCookie() string {
	for _, c := range p.response.Cookies() {
		if c.Name == "apeClientId" {
			return c.Value
		}
	}
	return ""
}

// TestCookiesOfOtherFormsAreReplaced: what this server cannot have made is
// answered with a new cookie, and is as good as none.
func TestCookiesOfOtherFormsAreReplaced(t *testing.T) {
	forged := []string{
		"x", "8TE1E9Q23VD95XGT5HF2", cookieOf("a"), cookieOf("1"), cookieOf("8"), strings.Repeat("A", 25), strings.Repeat("A", 27),
		strings.Repeat("A", 5000), strings.Repeat("A", 25) + "=", `"` + strings.Repeat("A", 24) + `"`, "../../etc/passwd", "A; Path=/",
		strings.Repeat("A", 25) + "\xff", strings.Repeat("%41", 26), "undefined", "null", "__proto__",
	}
	inside(t, setup{}, func(t *testing.T, w *world) {
		for _, value := range forged {
			c := head{"Cookie": "apeClientId=" + value}
			for _, text := range []string{request("GET", "/api/ape", c), request("GET", "/api/ape", c, line1), request("GET", "/api/ape/ping", c)} {
				p := w.get(text)
				if got := p.setCookie(); len(got) != 26 || got == value {
					t.Errorf("cookie %.40q: the server sets %q", value, got)
				}
				p.Close()
			}
			w.get(request("POST", "/api/ape/poll", c)).status(401)
		}
		if p := w.get(request("GET", "/api/ape", head{"Cookie": "apeClientId=" + cookieOf("A")})); p.setCookie() != "" {
			t.Error("a good cookie is replaced")
		}
	})
}

// TestAPlantedCookieGivesNoSessionOfAnotherIdentity: who sets a cookie in
// somebody's browser shares neither sessions nor pushes with a user who is
// logged in, in either dialect.
func TestAPlantedCookieGivesNoSessionOfAnotherIdentity(t *testing.T) {
	planted := cookieOf("A")
	user := head{"Cookie": "apeClientId=" + planted + "; sessionId=ann"}
	thief := head{"Cookie": "apeClientId=" + planted}
	inside(t, setup{}, func(t *testing.T, w *world) {
		who := func(h head) string {
			t.Helper()
			body := `{"type":"/who"}`
			p := w.get(request("POST", "/api/ape/poll", h, head{"Content-Length": fmt.Sprint(len(body))}) + body)
			return p.status(200).body()
		}
		stream := w.get(request("GET", "/api/ape/poll", user)).status(200)
		mine := who(user)
		theirs := who(thief)
		id := func(answer string) string { a, _, _ := strings.Cut(answer, `,"type"`); return a }
		if id(mine) == id(theirs) {
			t.Error("a planted cookie reaches the user's session")
		}
		w.app.Broadcast("for/everybody", 1)
		buf := make([]byte, 4096)
		stream.br.Read(buf)
		// ape.1, with the user's token but without being the user.
		p := w.hello(`{}`, user)
		for _, h := range []head{thief, {"Cookie": "apeClientId=" + planted + "; sessionId=eve"}, {"Cookie": "sessionId=ann"}, {}} {
			q := w.upgrade(line1, h)
			q.lines(`h {"resume":"` + p.token + `","try":9}`)
			if got := q.welcome(); got.Gap != "unknown" || got.ID == p.id {
				t.Errorf("%v: the welcome is %+v", h, got)
			}
		}
		p.lines("c 1 who")
		p.want(`r 1 "` + p.id + `"`)
	})
}

// TestForgedTokensAreUnknown: prefixes of a good one, other servers' and public
// ids open nothing, neither in a hello nor in a POST.
func TestForgedTokensAreUnknown(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		server, secret, _ := strings.Cut(p.token, ".")
		if len(secret) < 26 || strings.Contains(p.token, p.id) {
			t.Errorf("the token %q is too short or holds the id", p.token)
		}
		forged := []string{
			secret, "." + secret, p.token[:len(p.token)-1], p.token + "A", p.token + ".", "OTHERSRV." + secret, server + "." + p.id,
			server + "." + p.id + "." + secret, p.id, server + ".", server, ".", strings.ToLower(p.token), " " + p.token,
			p.token + "\x00", strings.Repeat("A", 4000), server + "." + strings.Repeat("A", 26), w.by.p.token[:9] + secret[:13] + w.by.p.token[22:],
		}
		for _, token := range forged {
			q := w.upgrade(line1)
			q.lines(fmt.Sprintf(`h {"resume":%s,"try":99}`, quoted(token)))
			if got := q.welcome(); got.Gap != "unknown" || got.ID == p.id {
				t.Errorf("token %.60q: the welcome is %+v", token, got)
			}
			q.Close()
			if strings.ContainsAny(token, "\x00 ") {
				continue // no header
			}
			body := "c 99 echo 1\n"
			post := w.get(request("POST", "/api/ape/poll", head{
				"Ape-Protocol": "ape.1", "Ape-Session": token, "Ape-Seq": "1", "Content-Length": fmt.Sprint(len(body))}) + body)
			if post.response.StatusCode != http.StatusGone {
				t.Errorf("token %.60q: a POST gets %d, want 410", token, post.response.StatusCode)
			}
		}
		p.lines("c 1 echo 1")
		p.want("r 1 1")
	})
}

func quoted(s string) string { return strings.ReplaceAll(fmt.Sprintf("%q", s), `\x00`, `\u0000`) }

// TestATokenWithoutItsCookie: a session that began with a cookie is given back,
// and takes POSTs, only together with it.
func TestATokenWithoutItsCookie(t *testing.T) {
	mine := head{"Cookie": "apeClientId=" + cookieOf("A")}
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.get(request("GET", "/api/ape/poll", mine, head{"Ape-Protocol": "ape.1", "Ape-Hello": "{}"})).status(200)
		token := streamToken(t, p)
		for i, other := range []head{{}, {"Cookie": "apeClientId=" + cookieOf("B")}, {"Cookie": "apeClientId=" + strings.ToLower(cookieOf("A"))}} {
			post := func(h head, seq, body string) int {
				return w.get(request("POST", "/api/ape/poll", h, head{"Ape-Protocol": "ape.1", "Ape-Session": token,
					"Ape-Seq": seq, "Content-Length": fmt.Sprint(len(body))}) + body).response.StatusCode
			}
			if got := post(other, "1", "q {\"code\":\"bye\"}\n"); got != 410 {
				t.Errorf("%v: a POST gets %d, want 410", other, got)
			}
			q := w.get(request("GET", "/api/ape/poll", other, head{"Ape-Protocol": "ape.1",
				"Ape-Hello": fmt.Sprintf(`{"resume":%q,"try":%d}`, token, 100+i)})).status(200)
			if got := streamToken(t, q); got == token {
				t.Errorf("%v: the token resumes", other)
			}
			if got := post(mine, fmt.Sprint(i+1), "m nothing\n"); got != 204 {
				t.Errorf("the owner's POST gets %d, want 204", got)
			}
		}
	})
}

// streamToken reads the welcome of a stream.
func streamToken(t *testing.T, p *peer) string {
	t.Helper()
	for {
		b := make([]byte, 4096)
		n, err := p.response.Body.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, ok := strings.Cut(string(b[:n]), `"resume":"`); ok {
			token, _, _ := strings.Cut(rest, `"`)
			return token
		}
	}
}

// TestEndlessCookies: each POST and GET of a new browser is a client, so their
// number is bounded, and they are gone after 30 seconds.
func TestEndlessCookies(t *testing.T) {
	const limit = 50
	inside(t, setup{Options: ape.Options{MaxClients: limit}}, func(t *testing.T, w *world) {
		letters := "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
		good := 0
		for i := range 300 {
			value := strings.Repeat(string(letters[i%32]), 13) + strings.Repeat(string(letters[i/32]), 13)
			body := `{"type":"/echo","data":1}`
			text := request("POST", "/api/ape/poll", head{"Cookie": "apeClientId=" + value, "Content-Length": fmt.Sprint(len(body))}) + body
			if i%3 == 0 {
				text = request("GET", "/api/ape/poll", head{"Cookie": "apeClientId=" + value})
			}
			p := w.get(text)
			switch p.response.StatusCode {
			case 200:
				good++
			case 503:
			default:
				t.Fatalf("status %d", p.response.StatusCode)
			}
			if p.Close(); w.app.Online() > limit {
				t.Fatalf("%d clients, the limit is %d", w.app.Online(), limit)
			}
		}
		if good != limit-1 {
			t.Errorf("%d were served, want %d", good, limit-1)
		}
		time.Sleep(31 * time.Second)
		w.online(0)
	})
}

// TestOneBrowserOpensWithoutEnd: the sessions of one cookie are bounded.
func TestOneBrowserOpensWithoutEnd(t *testing.T) {
	inside(t, setup{Options: ape.Options{MaxClientsPerBrowser: 8}}, func(t *testing.T, w *world) {
		mine := head{"Cookie": "apeClientId=" + cookieOf("A")}
		for i := range 40 {
			p := w.upgrade(line1, mine)
			p.lines("h {}")
			if i < 8 {
				p.welcome()
			} else {
				p.wantClose(4003)
			}
		}
		w.online(8)
		w.hello("{}", nil)
	})
}
