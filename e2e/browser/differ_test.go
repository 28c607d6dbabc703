package browser

import (
	"strings"
	"syscall"
	"testing"

	"starling/e2e/harness"
)

// checkedSite is a node that takes turns with the others with the health checks of upstreams of both sides.
const checkedSite = `http {
	upstream backend { zone backend 256k; server {{.Net}}.101:9100; server {{.Net}}.102:9100; }
	upstream other { zone other 256k; server {{.Net}}.101:9100; }
	server {
		listen {{.IP}}:8080;
		location / { proxy_pass http://backend; health_check sync interval=1s uri=/health; }
		location = /dashboard.html { dashboard; }
		location /api { api; }
	}
}
stream {
	upstream pool { zone pool 256k; server {{.Net}}.101:9100; }
	server { listen {{.IP}}:7000; proxy_pass pool; health_check sync interval=1s; }
	server { listen {{.IP}}:9000; zone_sync; {{range .Others}}zone_sync_server {{.}}:9000; {{end}} }
}`

// TestDashboardNamesHealthChecksThatDiffer between the nodes, until they are the same.
func TestDashboardNamesHealthChecksThatDiffer(t *testing.T) {
	c := harness.NewCluster(t, 3)
	c.CheckedHTTP(101, 102)
	a, odd := c.Nodes[0], c.Nodes[2]
	c.ConfigureAll(checkedSite)
	odd.Configure(strings.NewReplacer("uri=/health", "uri=/health?deep=1", "interval=1s;", "interval=2s;").Replace(checkedSite))
	for _, n := range c.Nodes {
		n.Start()
	}
	c.Joined(3)
	b := openTab(t)
	b.open(page(a, "/dashboard.html#upstreams"))
	of := func(upstream string) string {
		return `[...document.querySelectorAll("section.upstream")].find((s) => s.querySelector("h2").innerText.startsWith("` + upstream +
			`")).querySelector(".differs")`
	}
	says := func(upstream string, texts ...string) {
		t.Helper()
		b.sure(of(upstream) + ".innerText.trim().split(\"\\n\").length === 1")
		b.sure(jsList(texts) + ".every((x) => " + of(upstream) + ".innerText.includes(x))")
	}
	const remedy = "the two do not take turns; configure the same check on both nodes."
	says("backend", "The health check in "+a.Dir+"/nginx.conf:", " is not that of node ", " in "+odd.Dir+"/nginx.conf:",
		"uri is /health on this node and /health?deep=1 there", remedy)
	says("pool", odd.Dir+"/nginx.conf:", "interval is 1s on this node and 2s there", remedy)
	b.sure(of("other") + ".hidden")

	// Now the first two have one more.
	more := strings.Replace(checkedSite, "location = /d",
		"location /more { proxy_pass http://backend; health_check sync interval=1s uri=/more; } location = /d", 1)
	for _, n := range c.Nodes {
		n.Configure(more)
		if n == odd {
			n.Configure(checkedSite)
		}
		n.Signal(syscall.SIGHUP)
	}
	says("backend", "Node ", " has no health check like that in "+a.Dir+"/nginx.conf:", remedy)
	b.sure(of("pool") + ".hidden")
	odd.Configure(more)
	odd.Signal(syscall.SIGHUP)
	b.sure(of("backend") + ".hidden")
}
