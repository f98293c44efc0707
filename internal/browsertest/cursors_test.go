package browsertest_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// rename chooses a name on the page of the cursors.
func (p *page) rename(name string) {
	p.t.Helper()
	p.run(`await until(() => !document.querySelector("#name").disabled)`)
	p.fill("name", name)
	p.do(enter)
	p.sees("here", name)
}

// sees waits until a list, here or left, holds a name.
func (p *page) sees(list, name string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`await until(() => texts("#%s .name").split("|").includes(%q))`, list, name))
}

// people waits until the list of who is here is this: initial, name and note of
// each.
func (p *page) people(want string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`await until(() => texts("#here li") === %q)`, want))
}

// cursorAt waits until the cursor of that name has come to a place of the board,
// within a pixel, however long the way takes.
func (p *page) cursorAt(name string, x, y float64) {
	p.t.Helper()
	p.run(fmt.Sprintf(`await until(() => {
		const cursor = [...document.querySelectorAll(".cursor:not(.own, [hidden])")].find((found) => found.textContent.trim() === %q);
		const board = document.querySelector("#board").getBoundingClientRect();
		const { left, top } = cursor?.getBoundingClientRect() ?? {};
		return Math.abs(left - board.left - %v * board.width) < 1 && Math.abs(top - board.top - %v * board.height) < 1;
	})`, name, x, y))
}

func TestCursorsBetweenTwoPages(t *testing.T) {
	e := startExample(t, "cursors")
	ann, bob := open(t, e.url), open(t, e.url)
	ann.rename("Ann")
	ann.point("#board", 0.2, 0.3)
	bob.cursorAt("Ann", 0.2, 0.3)
	bob.rename("Bob")
	ann.people("AAnnyou|BBob")
	bob.people("BBobyou|AAnn")

	// The windows differ; the place on the board is the same.
	ann.do(chromedp.EmulateViewport(900, 500))
	ann.point("#board", 0.75, 0.8)
	bob.cursorAt("Ann", 0.75, 0.8)
	bob.point("#board", 0.5, 0.5)
	ann.cursorAt("Bob", 0.5, 0.5)
	ann.point("#name", 0.5, 0.5)
	bob.run(`await until(() => document.querySelector(".cursor:not(.own)").hidden)`)

	// Without a mouse.
	ann.run(`document.querySelector("#board").focus()`)
	ann.run(`
		const key = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, shiftKey: key === "ArrowUp" }));
		["ArrowRight", "ArrowRight", "ArrowUp"].forEach(key)`)
	bob.cursorAt("Ann", 0.54, 0.4)
	want(ann, `return document.querySelector(".cursor.own").checkVisibility()`, true)

	// A newcomer sees where they are, though nobody moves.
	cid := open(t, e.url)
	cid.cursorAt("Ann", 0.54, 0.4)
	cid.cursorAt("Bob", 0.5, 0.5)
	for _, p := range []*page{ann, bob, cid} {
		p.calm()
	}
}

// What moves goes out with the frames, not with every event of the mouse.
func TestCursorsAreThrottled(t *testing.T) {
	e := startExample(t, "cursors")
	ann, bob := open(t, e.url), open(t, e.url)
	ann.rename("Ann")
	bob.sees("here", "Ann")
	bob.run(`window.moves = 0; api.on("cursor/moved", ({ at }) => at && moves++)`)
	took := eval[float64](ann, `
		const board = document.querySelector("#board");
		const { left, top, width, height } = board.getBoundingClientRect();
		const begin = performance.now();
		for (let i = 0; i <= 2000; i++) {
			board.dispatchEvent(new PointerEvent("pointermove", { clientX: left + width * i / 2000, clientY: top + height / 2 }));
			if (i % 100 === 0) await new Promise(requestAnimationFrame);
		}
		return performance.now() - begin`)
	bob.cursorAt("Ann", 1, 0.5)
	if moves, most := eval[float64](bob, `return moves`), took/40+2; moves > most {
		t.Errorf("%v moves were sent in %v ms, want at most %v", moves, took, most)
	}
}

func TestCursorsLeave(t *testing.T) {
	e := startExample(t, "cursors")
	ann, bob := open(t, e.url), open(t, e.url)
	ann.rename("Ann")
	bob.rename("Bob")
	bob.point("#board", 0.4, 0.4)
	ann.cursorAt("Bob", 0.4, 0.4)

	// A reload is the same person, who has not left.
	hue := eval[string](ann, `return document.querySelector("#here li:nth-child(2)").style.getPropertyValue("--hue")`)
	ann.run(`window.most = 0; api.people((list) => { most = Math.max(most, list.length) })`)
	bob.show(e.url)
	bob.people("BBobyou|AAnn")
	ann.people("AAnnyou|BBob")
	want(ann, `return texts("#left li") + most + document.querySelector("#here li:nth-child(2)").style.getPropertyValue("--hue")`, "2"+hue)

	bob.do(command(cdppage.Close, cdp.Empty{}))
	ann.people("AAnnyou")
	want(ann, `return document.querySelectorAll(".cursor:not(.own)").length`, 0)
	want(ann, `return /^BBob\d/.test(texts("#left li")) && texts("#news")`, "Bob has left")
	ann.calm()
}

func TestCursorsAway(t *testing.T) {
	e := startExample(t, "cursors")
	g := e.gate()
	ann, bob := open(t, e.url), open(t, g.url())
	ann.rename("Ann")
	bob.rename("Bob")
	bob.point("#board", 0.4, 0.4)
	ann.cursorAt("Bob", 0.4, 0.4)
	id := eval[string](bob, `return api.$.id`)

	g.shut()
	ann.people("AAnnyou|BBobaway")
	want(ann, `return document.querySelectorAll(".cursor.away").length`, 1)
	ann.point("#board", 0.1, 0.1)
	ann.point("#board", 0.9, 0.2)
	bob.run(`await until(() => document.querySelector("#state").dataset.state !== "connected")`)
	bob.point("#board", 0.6, 0.6)
	ann.shot("cursors-away")
	bob.shot("cursors-lost")

	g.open()
	ann.people("AAnnyou|BBob")
	ann.cursorAt("Bob", 0.6, 0.6)
	bob.cursorAt("Ann", 0.9, 0.2)
	want(bob, `return api.$.id`, id)
	want(ann, `return texts("#left li")`, "")
}

// Who stays away for too long has left, and comes back as somebody new with the
// same name and colour. So does everybody when the server is another one.
func TestCursorsComeBackInANewSession(t *testing.T) {
	e := startExample(t, "cursors", "-keep", "300ms")
	g := e.gate()
	ann, bob := open(t, e.url), open(t, g.url())
	ann.rename("Ann")
	bob.rename("Bob")
	bob.point("#board", 0.4, 0.4)
	ann.cursorAt("Bob", 0.4, 0.4)
	hues := `return [...document.querySelectorAll("#here li")].map((item) => item.style.getPropertyValue("--hue")).sort().join()`
	before := eval[string](ann, hues)

	g.shut()
	ann.people("AAnnyou")
	ann.sees("left", "Bob")
	g.open()
	ann.people("AAnnyou|BBob")
	ann.cursorAt("Bob", 0.4, 0.4)
	want(ann, `return texts("#left li")`, "")

	e.crash()
	for p, people := range map[*page]string{ann: "AAnnyou|BBob", bob: "BBobyou|AAnn"} {
		p.run(`await until(() => api.$.state === "connected")`)
		p.people(people)
	}
	ann.cursorAt("Bob", 0.4, 0.4)
	want(ann, hues, before)
}

func TestCursorsOnAPhone(t *testing.T) {
	e := startExample(t, "cursors")
	desk := open(t, e.url)
	desk.do(chromedp.EmulateViewport(1100, 700))
	fits(desk)
	desk.run(`await until(() => texts("#here li"))`)
	desk.shot("cursors-alone")
	desk.rename("Ann, who has a long name")
	desk.point("#board", 0.85, 0.55)
	gone := open(t, e.url)
	gone.rename("Deniz")
	desk.sees("here", "Deniz")
	gone.do(command(cdppage.Close, cdp.Empty{}))
	others := []string{"Bob", "Cid", "Eve"}
	for i, name := range others {
		p := open(t, e.url)
		p.rename(name)
		p.point("#board", 0.2+0.25*float64(i), 0.7-0.25*float64(i))
	}
	for _, theme := range []string{"light", "dark"} {
		phone := open(t, "about:blank")
		phone.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait))
		phone.theme(theme)
		phone.show(e.url)
		phone.rename("Phone")
		phone.cursorAt("Ann, who has a long name", 0.85, 0.55)
		fits(phone)
		phone.shot("cursors-phone-" + theme)
		desk.theme(theme)
		desk.sees("here", "Phone")
		for i, name := range others {
			desk.cursorAt(name, 0.2+0.25*float64(i), 0.7-0.25*float64(i))
		}
		fits(desk)
		desk.shot("cursors-desk-" + theme)
		phone.do(command(cdppage.Close, cdp.Empty{}))
		desk.run(`await until(() => !texts("#here li").includes("Phone"))`)
	}
}
