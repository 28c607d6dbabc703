package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// site is a cluster with something for every view of the dashboard; MANY are the servers of an upstream.
const site = `http {
	keyval_zone zone=flags:1m timeout=1d sync;
	keyval $arg_text $text zone=flags;
	keyval_zone zone=own:64k;
	keyval $arg_text $other zone=own;
	limit_req_zone $arg_client zone=clients:1m rate=1r/m sync;
	limit_conn_zone $binary_remote_addr zone=conns:1m;
	proxy_cache_path {{.Dir}}/cache keys_zone=kept:1m max_size=1m;
	upstream app { zone app 256k; server {{.IP}}:8081; server 127.0.0.1:1 down;
		sticky learn zone=sessions:1m create=$upstream_cookie_session lookup=$cookie_session sync; }
	upstream many { zone many 1m; MANY }
	server {
		listen {{.IP}}:8080;
		status_zone shop;
		limit_conn conns 1000;
		location = /dashboard.html { dashboard; }
		location = /readonly.html { dashboard api=/readonly; }
		location /api { api write=on; }
		location /readonly { api; }
		location / { status_zone pages; proxy_pass http://app; }
		location /cached { proxy_cache kept; proxy_cache_valid 1h; proxy_ignore_headers Set-Cookie; proxy_pass http://app/; }
		location /limited { limit_req zone=clients burst=9 nodelay; proxy_pass http://app/; }
	}
	server { listen {{.IP}}:8081; location / { add_header Set-Cookie session=$arg_session; return 200 x; } }
	server { listen {{.IP}}:8443 ssl; ssl_certificate {{.Dir}}/cert.pem; ssl_certificate_key {{.Dir}}/key.pem; return 200 x; }
}
` + harness.Members

// newSite configures a cluster of three nodes.
func newSite(t *testing.T) *harness.Cluster {
	t.Helper()
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, "server 127.0.0.1:%d; ", 1000+i)
	}
	c := harness.NewCluster(t, 3)
	c.ConfigureAll(strings.Replace(site, "MANY", many.String(), 1))
	return c
}

// start starts a cluster of three nodes.
func start(t *testing.T) *harness.Cluster {
	t.Helper()
	c := newSite(t)
	for _, n := range c.Nodes {
		n.Start()
	}
	c.Joined(len(c.Nodes))
	return c
}

func page(n *harness.Node, rest string) string { return "http://" + n.IP + ":8080" + rest }

// sees is an expression that is true if the page says that a node sees another one in a state.
func sees(from, to *harness.Node, state string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".matrix td")].some((t) => t.title === "%s:9000 sees %s:9000: %s")`, from.IP, to.IP, state)
}

// answer reads a resource of a node.
func answer[T any](t *testing.T, n *harness.Node, path string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(n.Must("GET", "/api/9/"+path, "").Body), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// One node shows the cluster and itself, as its API tells; every view opens, and the page has nothing to complain about.
func TestDashboardShowsWhatTheAPISays(t *testing.T) {
	c := start(t)
	a := c.Nodes[0]
	for i := range 4 {
		a.Must("POST", "/api/9/http/keyvals/flags", fmt.Sprintf(`{"key%d":"value%[1]d"}`, i))
		a.Must("GET", fmt.Sprintf("/?session=s%d", i), "")
		a.Must("GET", "/limited?client=greedy", "")
	}
	testkit.Eventually(t, harness.Patience, func() error { // a response is stored at its end
		a.Must("GET", "/cached", "")
		if caches := answer[map[string]struct{ Hit struct{ Responses int } }](t, a, "http/caches"); caches["kept"].Hit.Responses == 0 {
			return fmt.Errorf("no hit: %+v", caches)
		}
		return nil
	})
	c.Acknowledged()
	b := openTab(t)
	b.open(page(a, "/dashboard.html"))
	b.sees("h1", "3 nodes, all agree")
	for _, n := range c.Nodes {
		b.sees("main table tbody", n.IP+":9000")
	}
	view := answer[struct {
		Zones map[string]struct{ Digest string }
	}](t, a, "stream/zone_sync/cluster")
	digest := view.Zones["flags"].Digest
	b.sure(fmt.Sprintf(`[...document.querySelectorAll("tr")].some((r) => r.innerText.includes("flags") && r.innerText.includes(%q))`, digest[:8]))
	b.sees("svg.mesh", c.Nodes[2].IP)
	b.sees(".matrix", c.Nodes[2].IP)
	b.sure(sees(c.Nodes[1], c.Nodes[2], "connected")) // which only they can know
	b.sure(`document.querySelectorAll("svg.mesh .lines path.ok, svg.mesh .lines path.idle").length === 6`)

	for view, want := range map[string]string{
		"zones": "key3", "limits": "greedy", "sessions": a.IP + ":8081", "upstreams": a.IP + ":8081", "traffic": "shop", "caches": "\u00a0%", "tls": "node1.example.com", "errors": "Recent errors",
	} {
		b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("location.hash = %q", view)))
		b.sees("main", want)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`location.hash = "limits"`))
	b.sees("main", "Most connections") // of conns: the browser asks through it
	b.do(chromedp.Evaluate[chromedp.Void](`location.hash = "upstreams"`))
	b.sees("main", "200 up")
	b.sure(`[...document.querySelectorAll("tr")].some((r) => r.innerText.includes("127.0.0.1:1\n") || r.innerText.includes("127.0.0.1:1\t"))`)
	b.sees("main", "down")
	// The rows of 200 servers stay, and nothing is added to the page, while it is brought up to date.
	b.do(chromedp.Evaluate[chromedp.Void](`window.added = 0; window.rounds = 0;
		new MutationObserver((list) => { window.added += list.filter((m) => m.type === "childList" && m.target.tagName !== "TD" && [...m.addedNodes].some((n) => n.nodeType === 1)).length })
			.observe(document.querySelector("main"), {childList: true, subtree: true});
		new PerformanceObserver((list) => { window.rounds += list.getEntries().filter((e) => e.name.endsWith("/http/upstreams")).length }).observe({type: "resource"});`))
	b.sure("window.rounds >= 3")
	b.sure(`document.querySelectorAll("tr.server").length === 202 && window.added === 0`)
}

// A pair with markup is text. It is added, changed and deleted in the page of one node, and the other nodes follow.
func TestKeyEditedInTheDashboardArrives(t *testing.T) {
	const key, value = `<img src=x onerror=alert(1)>`, `"></td><script>alert(2)</script>`
	c := start(t)
	a, other := c.Nodes[0], c.Nodes[1]
	a.Must("POST", "/api/9/http/keyvals/flags", `{"plain":"x"}`)
	b := openTab(t)
	b.open(page(a, "/dashboard.html#zones"))
	b.sees("main", "plain")
	b.do(chromedp.Click(chromedp.CSS("#add")), chromedp.SendKeys(chromedp.CSS("#ask-key"), key),
		chromedp.SendKeys(chromedp.CSS("#ask-value"), value), chromedp.Click(chromedp.CSS("dialog button.primary")))
	arrives := func(want string, there bool) {
		t.Helper()
		testkit.Eventually(t, harness.Patience, func() error {
			pairs, err := other.Pairs("flags")
			if got, found := pairs[key]; err == nil && (got != want || found != there) {
				err = fmt.Errorf("the other node has %q", pairs)
			}
			return err
		})
	}
	arrives(value, true)
	b.sees("main table", key)
	b.sees("main table", value)
	b.sure(`document.querySelector("main img, main script, main table table") === null`)

	row := fmt.Sprintf(`[...document.querySelectorAll("main tr")].find((r) => r.innerText.includes(%q))`, key)
	b.do(chromedp.Evaluate[chromedp.Void](row + `.querySelector(".edit").click()`))
	b.do(chromedp.SetValue(chromedp.CSS("#ask-value"), "changed"), chromedp.Click(chromedp.CSS("dialog button.primary")))
	arrives("changed", true)
	b.sees("main table", "changed")
	b.do(chromedp.Evaluate[chromedp.Void](row + `.querySelector(".delete").click()`))
	b.sees("dialog", key)
	b.do(chromedp.Click(chromedp.CSS("dialog button.primary")))
	arrives("", false)
	b.sure(row + " === undefined")

	// An error of the API is told, and nothing changes.
	b.excuse("409")
	b.do(chromedp.Click(chromedp.CSS("#add")), chromedp.SendKeys(chromedp.CSS("#ask-key"), "plain"), chromedp.Click(chromedp.CSS("dialog button.primary")))
	b.sees("#toasts", `key "plain" already exists`)
	if got := answer[map[string]string](t, a, "http/keyvals/flags"); got["plain"] != "x" {
		t.Errorf("the pairs are %q", got)
	}
}

// A node that stops is seen to leave and to come back. If it is the page's own, the page says so, and goes on when it is
// there again.
func TestStoppedNodeIsSeenToLeave(t *testing.T) {
	c := start(t)
	a, last := c.Nodes[0], c.Nodes[2]
	b := openTab(t)
	b.open(page(a, "/dashboard.html"))
	b.sees("h1", "3 nodes, all agree")
	last.Quit()
	b.sees("h1", "2 of 3 nodes are here")
	b.sees(".problems", last.IP+":9000 is not reached")
	b.sees("tr.absent", last.IP)
	b.sure(sees(c.Nodes[1], last, "lost"))
	b.sure(`document.querySelectorAll(".node.bad").length === 1 && document.querySelector("#tabs .badge").innerText === "1"`)
	last.Start()
	b.sees("h1", "3 nodes, all agree")

	b.excuse("ERR_CONNECTION_REFUSED")
	a.Quit()
	b.sees("#live", "the node does not answer")
	b.sure(`document.documentElement.classList.contains("offline")`)
	b.sees("main", last.IP) // what was known is still there
	b.do(chromedp.KeyEvent("5"))
	b.sees("main", "No answer from the API") // not that there is no upstream
	b.do(chromedp.KeyEvent("1"))
	b.sees("main", last.IP)
	b.do(chromedp.KeyEvent("5"))
	a.Start()
	b.sees("#live", "live")
	b.sees("main", "200 up")
	b.sure(`!document.documentElement.classList.contains("offline")`)
}

// The page drains servers where the API allows writes, and has no such button where it does not. It works behind a
// prefix, and from the keyboard.
func TestWritesPrefixAndKeyboard(t *testing.T) {
	c := start(t)
	a := c.Nodes[0]
	target, err := url.Parse("http://" + a.IP + ":8080")
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // so that writes are of the same origin
	}}
	front := httptest.NewServer(http.StripPrefix("/admin/node1", proxy))
	defer front.Close()
	b := openTab(t)
	b.open(front.URL + "/admin/node1/dashboard.html#upstreams")
	b.sees("main", a.IP+":8081")
	state := func(want string) {
		t.Helper()
		testkit.Eventually(t, harness.Patience, func() error {
			up := answer[struct {
				Peers []struct{ Server, State string }
			}](t, a, "http/upstreams/app")
			if got := up.Peers[0].State; got != want {
				return fmt.Errorf("%s is %s, want %s", up.Peers[0].Server, got, want)
			}
			return nil
		})
		b.sure(fmt.Sprintf(`[...document.querySelectorAll("tr.server")].find((r) => r.innerText.includes(%q)).innerText.includes(%q)`, a.IP+":8081", want))
	}
	click := func(button string) {
		b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`[...document.querySelectorAll("tr.server")].find((r) => r.innerText.includes(%q)).querySelector(%q).click()`,
			a.IP+":8081", button)))
	}
	click(".drain")
	state("draining")
	click(".up")
	state("up")
	click(".down")
	state("down")

	b.do(chromedp.KeyEvent("2"))
	b.sees("h1", "Key-value zones")
	b.sees("main section h2", "flags")
	b.do(chromedp.KeyEvent("/"))
	b.sure(`document.activeElement.type === "search"`)
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent("t"))
	b.sure(`document.documentElement.dataset.theme === "light"`)
	b.do(chromedp.KeyEvent("t"))
	b.sure(`getComputedStyle(document.body.parentElement).backgroundColor === "rgb(13, 16, 20)"`)
	b.do(chromedp.KeyEvent("?"))
	b.sees("dialog", "Keys")

	b.open(page(a, "/readonly.html#upstreams"))
	b.sees("#live", "read-only")
	b.sees("main", a.IP+":8081")
	b.sure(`[...document.querySelectorAll("main td button")].every((x) => x.hidden)`)
}

// The view of limits says whether this node decides on strict limits, with whom, and who holds how much of a key.
func TestDashboardShowsWhoHoldsWhat(t *testing.T) {
	config := strings.Replace(harness.StrictShare(""), "location /api { api; }", "location /api { api; } location = /dashboard.html { dashboard; }", 1)
	c := harness.NewCluster(t, 3)
	c.Start(config)
	for _, n := range c.Nodes {
		n.Decides(3)
		n.Passes("/limited")
	}
	b := openTab(t)
	for _, n := range c.Nodes {
		b.open(page(n, "/dashboard.html#limits"))
		b.sees("main", "Strict limits")
		b.sees("main td .pill", "decides")
		b.sees("main", "admits a share")
		for _, member := range c.Nodes {
			b.sees("main", member.IP+":9000")
		}
		b.sure(`[...document.querySelectorAll("tr")].some((r) => r.innerText.includes("all") && r.innerText.includes("req") && r.querySelector(".bar i"))`)
	}
	testkit.Eventually(t, harness.Patience, func() error { // the owner knows who holds what, once somebody wanted more
		for _, n := range c.Nodes {
			if _, err := n.Pipeline("/limited", 40); err != nil {
				return err
			}
			z, err := n.Strict()
			if err != nil {
				return err
			}
			if len(z.Keys) == 0 || len(z.Keys[0].Holders) == 0 {
				continue
			}
			b.open(page(n, "/dashboard.html#limits"))
			b.sees("main", "Who holds what")
			var shown bool
			err = b.eval(`[...document.querySelectorAll("tr")].some((r) => r.innerText.includes("pool") && r.innerText.includes(":9000"))`, &shown)
			if err == nil && shown {
				return nil
			}
		}
		return fmt.Errorf("no page shows who holds what")
	})

	b.open(page(c.Nodes[0], "/dashboard.html#limits")) // a page of a node that is gone would complain
	b.sees("main td .pill", "decides")
	for _, n := range c.Nodes[1:] {
		n.Kill()
	}
	b.sees("main td .pill", "alone")
}
