package browsertest_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// tickerWindow is how many trades the page of the ticker lets be on the way; one
// more waits in the producer, and one may be between its arrival and the loop.
const tickerWindow = 16 + 2

// openTicker opens the page and waits until it can be used.
func openTicker(e *example) *page {
	e.t.Helper()
	p := open(e.t, e.url)
	p.run(`await until(() => !document.querySelector("#go").disabled)`)
	return p
}

// click presses a button, as a mouse does.
func (p *page) click(id string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.ID(id)))
}

// number waits until a figure of the page is at least n, and returns it.
func (p *page) number(id string, n int) int {
	p.t.Helper()
	return eval[int](p, fmt.Sprintf(`
		const figure = () => Number(texts("#%s").replace(/\D/g, ""));
		await until(() => figure() >= %d);
		return figure()`, id, n))
}

func TestTickerShowsTheLastPriceAtOnce(t *testing.T) {
	e := startExample(t, "ticker", "-quotes", "1h")
	for range 2 { // the second one comes long after the prices
		p := openTicker(e)
		want(p, `await until(() => !texts(".amount").includes("–")); return texts("#price-ABC .symbol") + texts(".amount")`, "ABC50.00|85.00|120.00|155.00")
		p.calm()
	}
}

func TestTickerPricesMove(t *testing.T) {
	e := startExample(t, "ticker", "-quotes", "5ms")
	p := openTicker(e)
	p.run(`await until(() => texts(".amount") !== "50.00|85.00|120.00|155.00" && !texts(".amount").includes("–"))`)
	p.run(`await until(() => document.querySelector("polyline").points.length === 60)`)
	want(p, `await until(() => texts("[data-way=down] .change").startsWith("▼ −") || texts("[data-way=up] .change").startsWith("▲ +")); return true`, true)
	p.calm()
}

func TestTickerSlowReaderSlowsTheProducer(t *testing.T) {
	e := startExample(t, "ticker", "-quotes", "1h", "-trades", "1ms")
	p := openTicker(e)
	p.run(`
		window.ahead = 0;
		api.on("trades/produced", ({ count }) => { ahead = Math.max(ahead, count - Number(texts("#read").replace(/\D/g, ""))) })`)
	p.click("go")
	read := p.number("read", 200) // as fast as they are produced
	p.click("slow")
	read = p.number("read", read+5) // 400 ms each: time for 2000
	produced := p.number("produced", 1)
	if produced > read+1+tickerWindow {
		t.Errorf("the server has produced %d trades, the slow page has read %d", produced, read)
	}
	p.click("slow")
	p.number("read", read+200)
	want(p, fmt.Sprintf(`return ahead > 0 && (ahead <= %d || ahead)`, tickerWindow), true)
	want(p, `return document.querySelectorAll("#newest tr").length`, 10)

	// Leaving the loop stops the producer.
	other := openTicker(e)
	other.run(`await until(() => texts("#streams") === "1")`)
	p.click("go")
	p.run(`await until(() => texts("#producer") === "stopped")`)
	other.run(`await until(() => texts("#streams") === "0")`)
	want(p, `
		let late = 0;
		api.on("trades/produced", () => late++);
		await api.shares();
		await api.shares();
		return late`, 0)

	// Another share is another stream, in place of the first.
	p.click("go")
	p.number("read", 1)
	p.run(`
		const select = document.querySelector("#tail-symbol");
		select.value = "ZEN";
		select.dispatchEvent(new Event("change"));
		await until(() => texts("#newest tr:first-child td:nth-child(3)").startsWith("15"))`)
	other.run(`await until(() => texts("#streams") === "1")`)

	// So does closing the page.
	p.do(command(cdppage.Close, cdp.Empty{}))
	other.run(`await until(() => texts("#streams") === "0")`)
	other.calm()
}

func TestTickerStreamSurvivesALostConnection(t *testing.T) {
	e := startExample(t, "ticker", "-quotes", "1h", "-trades", "1ms")
	g := e.gate()
	p := open(t, g.url())
	p.run(`await until(() => !document.querySelector("#go").disabled)`)
	p.run(`
		window.numbers = [];
		new MutationObserver((all) => all.forEach(({ addedNodes }) => addedNodes.forEach((row) => numbers.push(Number(row.cells[0].textContent.replace(/\D/g, "")))))).observe(document.querySelector("#newest"), { childList: true })`)
	p.click("go")
	read := p.number("read", 100)
	g.shut()
	p.run(`await until(() => api.$.state !== "connected")`)
	g.open()
	p.number("read", read+200)
	want(p, `return numbers.every((number, i) => number === i + 1)`, true)

	// In another process there is nothing to go on with.
	e.crash()
	want(p, `return until(() => texts("#trouble"))`, "The server has lost this stream. Start it again.")
	want(p, `return texts("#producer") + texts("#go")`, "stoppedStart")
	p.click("go")
	p.run(`await until(() => texts("#trouble") === "" && numbers.lastIndexOf(1) > 0)`)
}

func TestTickerAsksBeforeAnOrder(t *testing.T) {
	e := startExample(t, "ticker", "-quotes", "1h")
	p := openTicker(e)
	p.fill("quantity", "20")
	p.do(enter)
	want(p, `await until(() => document.querySelector("dialog").open); return texts("dialog h2") + texts("#confirm-text")`, "Buy 20 ABC?At 50.00 a share that is 1,000.00.")
	want(p, `return document.activeElement.id + document.querySelector("#place").disabled`, "yestrue")
	p.shot("ticker-confirm")
	p.do(enter)
	want(p, `await until(() => texts("#orders li")); return texts("#orders li").replace(/\d\d:.*/, "")`, "Bought 20 ABC at 50.00 = 1,000.00")

	p.run(`document.querySelector("#side").value = "sell"; document.querySelector("#order-symbol").value = "OAK"`)
	p.click("place")
	p.run(`await until(() => document.querySelector("dialog").open)`)
	p.click("no")
	want(p, `await until(() => texts("#orders li").includes("|")); return texts("#orders li:first-child").replace(/\d\d:.*/, "")`, "Not confirmed: sell 20 OAK at 120.00 = 2,400.00")

	// What the server refuses, it refuses without asking.
	p.run(`document.querySelector("#order").noValidate = true`)
	p.fill("quantity", "99999")
	p.do(enter)
	want(p, `await until(() => texts("#refused")); return texts("#refused") + document.querySelector("dialog").open`, "an order is for 1 to 10000 sharesfalse")
	p.calm()

	// A server that dies waits for no answer.
	p.fill("quantity", "5")
	p.do(enter)
	p.run(`await until(() => document.querySelector("dialog").open)`)
	e.crash()
	want(p, `await until(() => texts("#refused")); await until(() => !document.querySelector("dialog").open); return texts("#refused")`,
		"The connection was lost: whether the order was carried out is not known.")
}

func TestTickerOnAPhone(t *testing.T) {
	e := startExample(t, "ticker", "-quotes", "10ms", "-trades", "20ms")
	for _, theme := range []string{"light", "dark"} {
		for name, size := range map[string]chromedp.Action[chromedp.Void]{
			"phone": chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait),
			"desk":  chromedp.EmulateViewport(1100, 800),
		} {
			p := open(t, "about:blank")
			p.do(size)
			p.theme(theme)
			p.show(e.url)
			p.run(`await until(() => !document.querySelector("#go").disabled && document.querySelector("polyline").points.length === 60)`)
			fits(p)
			p.click("go")
			p.number("read", 50)
			p.click("slow")
			p.run(`await until(() => Number(texts("#waiting")) >= 15)`)
			for range 2 {
				p.click("place")
				p.run(`await until(() => document.querySelector("dialog").open)`)
				fits(p)
				p.click("yes")
				p.run(`await until(() => !document.querySelector("#place").disabled)`)
			}
			p.run(`scrollTo(0, 0)`)
			fits(p)
			p.shot("ticker-" + name + "-" + theme)
			if name == "phone" {
				p.run(`document.querySelector("#trades").scrollIntoView({ block: "center" })`)
				p.shot("ticker-phone-trades-" + theme)
				p.run(`scrollTo(0, 1e6)`)
				p.shot("ticker-phone-orders-" + theme)
			}
			p.do(command(cdppage.Close, cdp.Empty{}))
		}
	}
}
