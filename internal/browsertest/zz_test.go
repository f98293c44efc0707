package browsertest_test
import ("testing";"time"
	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/goape/ape"
)
func TestZZ(t *testing.T) {
	ended := make(chan error, 10)
	s := newSite(t, func() *ape.Server {
		return newServer(ape.Options{ResumeWindow: 5*time.Second, OnDisconnect: func(c *ape.Client, why error) { ended <- why }}, nil)
	})
	for _, how := range []string{"close", "cancel", "blank", "window.close", "other"} {
	p := open(t, s.url("/own"))
	p.run("await api.void()")
	t0 := time.Now()
	switch how {
	case "close": p.do(command(cdppage.Close, cdp.Empty{}))
	case "cancel": chromedp.Cancel(p.ctx)
	case "blank": p.show("about:blank")
	case "window.close": chromedp.Do(p.ctx, chromedp.Evaluate[chromedp.Void]("window.close()"))
	case "other": p.show(s.url("/blank"))
	}
	t.Log(how, <-ended, time.Since(t0))
	}
}
