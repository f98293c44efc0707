package browsertest_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

var shots = flag.String("shots", "", "`directory` for screenshots of the chat")

// chat is the running program of examples/chat.
type chat struct {
	t       *testing.T
	program string
	cmd     *exec.Cmd
	url     string
}

// startChat builds and starts the program on a free port. It must end well.
func startChat(t *testing.T) *chat {
	t.Helper()
	needBrowser(t)
	c := &chat{t: t, program: filepath.Join(t.TempDir(), "chat")}
	if out, err := exec.Command("go", "build", "-o", c.program, "github.com/goape/ape/examples/chat").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	c.start("127.0.0.1:0")
	t.Cleanup(c.stop)
	return c
}

func (c *chat) start(addr string) {
	c.t.Helper()
	c.cmd = exec.Command(c.program, "-addr", addr)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, found := strings.Cut(strings.TrimSpace(line), "chat: ")
	if err != nil || !found {
		c.t.Fatalf("the program printed %q: %v", line, err)
	}
	c.url = url
}

// stop interrupts the program as Ctrl-C does.
func (c *chat) stop() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		c.t.Error(err)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Error("chat ended with", err)
	}
}

// crash kills the program and starts it again at the same address.
func (c *chat) crash() {
	c.t.Helper()
	c.cmd.Process.Signal(syscall.SIGKILL)
	c.cmd.Wait()
	c.start(strings.TrimPrefix(c.url, "http://"))
}

// enter opens the chat in a browser of its own and chooses a name.
func (c *chat) enter(name string) *page {
	c.t.Helper()
	p := open(c.t, c.url)
	p.join(name)
	p.run(`await until(() => !document.querySelector("dialog").open)`)
	return p
}

// join types a name and presses Enter.
func (p *page) join(name string) {
	p.t.Helper()
	p.fill("name", name)
	p.do(enter)
}

// write types a message and presses Enter.
func (p *page) write(text string) {
	p.t.Helper()
	p.fill("text", text)
	p.do(enter)
}

// fill puts text into a field, as an input method does.
func (p *page) fill(id, text string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`const field = document.getElementById(%q); field.focus(); field.select()`, id))
	p.do(command(input.InsertText, input.InsertTextParams{Text: text}))
}

// enter presses the key as a keyboard does: a page that takes it for itself
// gets no character.
func enter(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
	for _, event := range []input.DispatchKeyEventParams{{Type: input.DispatchKeyEventTypeKeyDown, Text: "\r"}, {Type: input.DispatchKeyEventTypeKeyUp}} {
		event.Key, event.Code, event.WindowsVirtualKeyCode = "Enter", "Enter", 13
		if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, event); err != nil {
			return chromedp.Void{}, err
		}
	}
	return chromedp.Void{}, nil
}

// shot saves a screenshot, if wanted.
func (p *page) shot(name string) {
	p.t.Helper()
	if *shots == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, guard)
	defer cancel()
	p.run(`await Promise.all(document.getAnimations().map(({ finished }) => finished))`)
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func TestChatBetweenTwoPages(t *testing.T) {
	c := startChat(t)
	ann, bob := c.enter("Ann"), c.enter("Bob")
	for _, p := range []*page{ann, bob} {
		p.run(`await until(() => texts("#names li span:nth-child(2)") === "Ann|Bob")`)
	}
	want(ann, `return texts("#names small") + texts("#names li:first-child small")`, "youyou")

	bob.fill("text", "Hi")
	ann.run(`await until(() => texts("#typing") === "Bob is typing…")`)
	bob.write("Hi <b>Ann</b> & all")
	ann.run(`await until(() => texts("#messages li:not(.own) .text") === "Hi <b>Ann</b> & all")`)
	want(ann, `return texts("#typing") + texts("#messages .name")`, "Bob")
	want(bob, `await until(() => texts("#messages li.own:not(.pending) .text")); return texts("#messages li.own .text")`, "Hi <b>Ann</b> & all")
	want(bob, `return document.activeElement.id + document.querySelector("#text").value`, "text")

	ann.write("/shrug is no path")
	bob.run(`await until(() => texts("#messages li:not(.own) .text") === "/shrug is no path")`)
	want(bob, `return /^\d{1,2}:\d\d/.test(texts("#messages li:not(.own) time"))`, true)

	cid := c.enter("Cid")
	want(cid, `return texts("#messages .text")`, "Hi <b>Ann</b> & all|/shrug is no path")
	bob.do(command(cdppage.Close, cdp.Empty{}))
	ann.run(`await until(() => texts("#names li span:nth-child(2)") === "Ann|Cid")`)
	for _, p := range []*page{ann, cid} {
		if p.mu.Lock(); len(p.console) > 0 {
			t.Errorf("the page has complained: %q", p.console)
		}
		p.mu.Unlock()
	}
}

func TestChatNames(t *testing.T) {
	c := startChat(t)
	c.enter("Ann")
	other := open(t, c.url)
	other.join("ann")
	want(other, `return until(() => texts("#join-error"))`, "Ann is here already, choose another name")
	want(other, `return document.activeElement.id`, "name")
	other.shot("name-taken")
	other.join("Bea")
	other.run(`await until(() => !document.querySelector("dialog").open)`)

	// A reload goes on under the same name, without asking.
	other.write("before")
	other.run(`await until(() => texts("#messages li.own:not(.pending) .text") === "before")`)
	other.show(c.url)
	other.run(`await until(() => texts("#names li span:nth-child(2)") === "Ann|Bea")`)
	want(other, `await until(() => texts("#messages li.own .text")); return texts("#messages li.own .text") + document.querySelector("dialog").open`, "beforefalse")
}

// What is written while the server is away is sent when it is back, where
// nobody knows the page's name any more.
func TestChatSurvivesACrash(t *testing.T) {
	c := startChat(t)
	ann := c.enter("Ann")
	ann.write("before")
	ann.run(`await until(() => texts("#messages li.own:not(.pending) .text") === "before")`)
	want(ann, `return texts("#state")`, "Connected")
	ann.run(`window.states = []; api.onConnectionChange(() => states.push(texts("#state")))`)
	c.crash()
	ann.run(`await until(() => states.includes("Connection lost, trying again…") || states.includes("The server does not answer, trying again…"))`)
	ann.write("after")
	ann.shot("disconnected")
	ann.run(`await until(() => texts("#messages li.own:not(.pending):not(.failed) .text") === "before|after")`)
	want(ann, `return texts("#state")`, "Connected")
	bob := c.enter("Bob")
	want(bob, `return texts("#messages .text")`, "after")
}

// A message that the server refuses stays, with the reason and another try.
func TestChatShowsWhatFailed(t *testing.T) {
	c := startChat(t)
	ann := c.enter("Ann")
	ann.run(`
		window.allowed = false;
		const send = WebSocket.prototype.send;
		WebSocket.prototype.send = function (text) {
			send.call(this, allowed ? text : text.replace('{"text":"hello"}', '{"text":""}'));
		}`)
	ann.write("hello")
	want(ann, `return until(() => texts("li.failed time"))`, "Not sent: a message has 1 to 2000 characters")
	ann.shot("failed")
	ann.run(`allowed = true`)
	ann.do(chromedp.Click(chromedp.CSS("li.failed button")))
	want(ann, `await until(() => texts("li.own:not(.pending, .failed) .text")); return texts("li .text") + texts("li button")`, "hello")

	// A flood is refused by the server's limit, and nothing is lost from sight.
	ann.run(`
		for (let i = 0; i < 40; i++) {
			document.querySelector("#text").value = "m" + i;
			document.querySelector("#composer").requestSubmit();
		}
		await until(() => !texts(".pending"))`)
	want(ann, `return [document.querySelectorAll("#messages li").length, document.querySelectorAll(".failed").length > 0].join()`, "41,true")
	ann.shot("flood")
}

func TestChatOnAPhone(t *testing.T) {
	c := startChat(t)
	bob := c.enter("Bob")
	for _, theme := range []string{"light", "dark"} {
		p := open(t, "about:blank")
		p.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait))
		p.theme(theme)
		p.show(c.url)
		p.shot("phone-welcome-" + theme)
		name := "Ann, who has a long name"
		if theme == "dark" {
			name = "Deniz"
		}
		p.join(name)
		p.run(`await until(() => !document.querySelector("dialog").open)`)
		for _, text := range conversation(theme) {
			from, text, _ := strings.Cut(text, ": ")
			if from == "Bob" {
				bob.write(text)
			} else {
				p.write(text)
			}
			p.run(fmt.Sprintf(`await until(() => texts("#messages li:not(.pending) .text").endsWith(%q))`, text))
		}
		bob.fill("text", "…")
		p.run(`await until(() => texts("#typing"))`)
		fits(p)
		p.shot("phone-" + theme)
		p.do(chromedp.Click(chromedp.ID("people-button")))
		p.run(`await until(() => document.querySelector("#names").checkVisibility())`)
		fits(p)
		p.shot("phone-people-" + theme)
		bob.run(`document.querySelector("#text").value = ""`)
	}
	bob.do(chromedp.EmulateViewport(1100, 760))
	fits(bob)
	bob.shot("desk-light")
	bob.theme("dark")
	bob.shot("desk-dark")
}

// theme sets what the page is told of the visitor's taste.
func (p *page) theme(name string) {
	p.t.Helper()
	p.do(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	}))
}

// fits checks that nothing reaches beyond the screen's width.
func fits(p *page) {
	p.t.Helper()
	want(p, `
		const width = document.documentElement.clientWidth;
		const wide = [...document.querySelectorAll("body *")].filter((found) => {
			const { left, right, width: own } = found.getBoundingClientRect();
			return own > 1 && found.checkVisibility() && (right > width + 1 || left < -1);
		});
		return [document.documentElement.scrollWidth > width, ...wide.map(({ outerHTML }) => outerHTML.slice(0, 80))].join()`, "false")
}

func conversation(theme string) []string {
	if theme == "dark" {
		return []string{"Bob: Hello Deniz!", "Deniz: Merhaba 👋 dark mode works"}
	}
	return []string{
		"Bob: Good morning!", "Bob: Has anybody seen the release notes?",
		"Ann: Yes. They are at https://example.org/a/very/long/address/that/has/no/place/to/break/at/all/whatever/you/do",
		"Bob: Thanks, that is exactly what I was looking for. I will read them over lunch and write up what changes for us.",
		"Ann: 👍", "Ann: See you at two",
	}
}
