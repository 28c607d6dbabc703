package browser

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The dashboard of NGINX Plus, unmodified, shows every page that the configuration has something for. Its HTML is not
// ours to ship, and no registry has it: $PLUS_DASHBOARD is the path of dashboard.html of github.com/nginxinc/nginx-plus-dashboard
// (production-dist).
func TestDashboardOfNginxPlus(t *testing.T) {
	path := os.Getenv("PLUS_DASHBOARD")
	if path == "" {
		t.Skip("PLUS_DASHBOARD is not the path of the dashboard.html of NGINX Plus, which is not part of this repository")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := newSite(t)
	a := c.Nodes[0]
	a.Write("plus.html", string(text))
	if err := os.Chmod(a.Dir+"/plus.html", 0o644); err != nil {
		t.Fatal(err)
	}
	_, config, _ := strings.Cut(a.Config, "events {}")
	a.Configure(strings.Replace(config, "location /readonly", "location = /plus.html { root "+a.Dir+"; } location /readonly", 1))
	for _, n := range c.Nodes {
		n.Start()
	}
	c.Joined(3)
	b := openTab(t)
	b.excuse("404") // it looks for a favicon, and finds out whether it may write by a server that does not exist
	for page, want := range map[string]string{
		"": "Server", "#server_zones": "shop", "#upstreams": a.IP + ":8081", "#shared_zones": "sessions", "#cluster": "flags", "#workers": "PID",
	} {
		b.do(chromedp.Navigate("about:blank"))
		b.open(fmt.Sprintf("http://%s:8080/plus.html%s", a.IP, page))
		b.sees("body", want)
	}
}
