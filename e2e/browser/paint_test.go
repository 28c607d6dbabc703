package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	browserpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

const (
	// loads is how often the pages are loaded for the figures, rounds how often the dashboard is brought up to date.
	loads, rounds = 10, 20
	firstPaint    = `performance.getEntriesByName("first-contentful-paint").map((e) => e.startTime)`
)

// paint are the figures of the dashboard in a browser. Those of the browser's thread are CPU time, which other programs on
// the machine do not change much.
type paint struct {
	FirstPaintMS []float64 `json:"first_contentful_paint_ms"` // of each load, sorted
	TrivialMS    []float64 `json:"of_a_page_with_one_letter_ms"`
	LoadCPUMS    []cpu     `json:"cpu_until_200_servers_are_shown_ms"`
	RoundCPUMS   cpu       `json:"cpu_of_a_round_with_200_servers_ms"`
}

// cpu is the CPU time of the page's thread so far, by what it was used for. Other tasks are the test's own questions.
type cpu struct {
	ScriptMS float64 `json:"script"`
	LayoutMS float64 `json:"layout"`
	StyleMS  float64 `json:"style"`
}

func (b *tab) cpu() (c cpu) {
	b.t.Helper()
	got, err := chromedp.Call(b.ctx, performance.GetMetrics, cdp.Empty{})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range got.Metrics {
		switch ms := m.Value * 1000; m.Name {
		case "ScriptDuration":
			c.ScriptMS = ms
		case "LayoutDuration":
			c.LayoutMS = ms
		case "RecalcStyleDuration":
			c.StyleMS = ms
		}
	}
	return c
}

// since is the CPU time per each of n rounds after another reading.
func (c cpu) since(o cpu, n float64) cpu {
	return cpu{(c.ScriptMS - o.ScriptMS) / n, (c.LayoutMS - o.LayoutMS) / n, (c.StyleMS - o.StyleMS) / n}
}

// painted waits for the first paint of a page and returns its time.
func (b *tab) painted(url string) float64 {
	b.t.Helper()
	b.open("about:blank")
	b.open(url)
	b.sure(firstPaint + ".length > 0")
	var at []float64
	if err := b.eval(firstPaint, &at); err != nil {
		b.t.Fatal(err)
	}
	return at[0]
}

// TestFrameFirst: the header and the views are painted before the script asks the API for anything.
func TestFrameFirst(t *testing.T) {
	c := start(t)
	b := openTab(t)
	const hold = `window.requestAnimationFrame = (next) => { window.next = next; };`
	_, err := chromedp.Call(b.ctx, browserpage.AddScriptToEvaluateOnNewDocument,
		browserpage.AddScriptToEvaluateOnNewDocumentParams{Source: hold})
	if err != nil {
		t.Fatal(err)
	}
	b.open(page(c.Nodes[0], "/dashboard.html"))
	b.sure("window.next !== undefined")
	b.sees("#top", "Starling")
	b.sees("#tabs", "Upstreams")
	b.sees("main", "Asking the node")
	b.sure(firstPaint + ".length === 1")
	b.sure(`performance.getEntriesByType("resource").every((e) => !e.name.includes("/api/"))`)
	b.do(chromedp.Evaluate[chromedp.Void](`window.next()`))
	b.sees("#live", "live")
	b.sees(`#tabs a[aria-current="page"]`, "Cluster")
}

// TestPaint prints the figures, beside those of a trivial page. Times are asserted nowhere: they are the machine's.
func TestPaint(t *testing.T) {
	if os.Getenv("STARLING_RECORD") == "" {
		t.Skip("measures how fast the dashboard paints, if STARLING_RECORD is set")
	}
	c := start(t)
	a := c.Nodes[0]
	b := openTab(t)
	if _, err := chromedp.Call(b.ctx, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}); err != nil {
		t.Fatal(err)
	}
	var figures paint
	for range loads {
		figures.TrivialMS = append(figures.TrivialMS, b.painted("http://"+a.IP+":8081/"))
		before := b.cpu()
		figures.FirstPaintMS = append(figures.FirstPaintMS, b.painted(page(a, "/dashboard.html#upstreams")))
		b.sees("main", "200 up")
		figures.LoadCPUMS = append(figures.LoadCPUMS, b.cpu().since(before, 1))
	}
	const asked = `performance.getEntriesByType("resource").filter((e) => e.name.endsWith("/http/upstreams")).length`
	b.do(chromedp.Evaluate[chromedp.Void](`performance.clearResourceTimings()`))
	before := b.cpu()
	b.sure(fmt.Sprint(asked, " >= ", rounds))
	figures.RoundCPUMS = b.cpu().since(before, rounds)
	for _, list := range [][]float64{figures.FirstPaintMS, figures.TrivialMS} {
		slices.Sort(list)
	}
	text, err := json.Marshal(figures)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", text)
}
