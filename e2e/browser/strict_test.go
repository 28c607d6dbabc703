package browser

import (
	"fmt"
	"strings"
	"testing"

	"starling/e2e/harness"
)

// strictSite is a node with strict zones of connections of both sides, of six each. Requests whose body does not come
// stay in progress; sessions stay open.
const strictSite = `http {
	limit_conn_zone $server_name zone=requests:1m sync strict strict_fallback=share;
	server { listen {{.IP}}:8080; server_name all;
		location = /hang { limit_conn requests 6; limit_conn_status 429; proxy_pass http://{{.IP}}:8080/api; }
		location = /dashboard.html { dashboard; }
		location /api { api write=on; } } }
stream {
	limit_conn_zone $server_port zone=sessions:1m sync strict;
	server { listen {{.IP}}:8081; limit_conn sessions 6; proxy_pass {{.IP}}:8080; }
	server { listen {{.IP}}:9000; zone_sync; zone_sync_timeout 2s; zone_sync_strict_state strict.state;
		{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// row is an expression for the row of a table with a caption that shows all of these texts.
func row(caption string, texts ...string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("table")].filter((t) => t.caption && t.caption.innerText === %q)
		.flatMap((t) => [...t.querySelectorAll("tbody tr")]).find((r) => %s.every((x) => r.innerText.includes(x)))`,
		caption, jsList(texts))
}

func jsList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = fmt.Sprintf("%q", text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// TestDashboardShowsStrictConnections: whether the node decides, with whom, how many connections it ended, and which node
// has how many of a key's places.
func TestDashboardShowsStrictConnections(t *testing.T) {
	c := harness.NewCluster(t, 3)
	c.Start(strictSite)
	for _, n := range c.Nodes {
		n.DecidesOnConns("http", "requests", 3)
		n.DecidesOnConns("stream", "sessions", 3)
	}
	for i, n := range c.Nodes {
		n.HoldStrict("http", "requests", i+1) // these are all six
	}
	c.Nodes[0].HoldStrict("stream", "sessions", 2)
	b := openTab(t)
	owners := 0
	for i, n := range c.Nodes {
		b.open(page(n, "/dashboard.html#limits"))
		members := []string{c.Nodes[0].IP + ":9000", c.Nodes[1].IP + ":9000", c.Nodes[2].IP + ":9000"}
		b.sure(row("Strict zones", append(members, "requests", "decides", "admits a share")...) + " !== undefined")
		b.sure(row("Strict zones", append(members, "sessions", "decides", "rejects")...) + " !== undefined")
		b.sure(row("Keys with the most connections", "all", "requests", fmt.Sprintf("6\t%d", i+1)) + " !== undefined")
		z, err := n.StrictConns("http", "requests")
		if err != nil || len(z.Keys) != 1 {
			t.Fatalf("%s: %+v, %v", n.Name, z, err)
		}
		of := []string{"all", "requests", z.Keys[0].Owner, fmt.Sprintf("\t%d\t%[1]d", i+1)}
		if z.Keys[0].Holders != nil {
			owners++
			for k, at := range c.Nodes {
				of = append(of, fmt.Sprintf("%s:9000 %d", at.IP, k+1))
			}
			of = append(of, "pool 0")
		}
		b.sure(row("Who holds what of strict limits", of...) + ` !== undefined`)
	}
	if owners != 1 {
		t.Errorf("%d nodes know who holds what", owners)
	}
	b.open(page(c.Nodes[0], "/dashboard.html#limits"))
	b.sure(row("Who holds what of strict limits", "8081", "sessions", "\t2") + " !== undefined")

	c.Nodes[2].Kill()
	b.open(page(c.Nodes[0], "/dashboard.html"))
	b.sees(".problems", fmt.Sprintf("Strict zone sessions is decided without %s:9000", c.Nodes[2].IP))
	b.open(page(c.Nodes[0], "/dashboard.html#limits"))
	c.Nodes[1].Kill()
	b.sure(row("Strict zones", "requests", "alone", "admits a share") + " !== undefined")
	b.sure(row("Strict zones", "sessions", "rejects", "\t2\t") + " !== undefined") // it has ended two
	b.sure(row("Keys with the most connections", "sessions") + " === undefined")
}
