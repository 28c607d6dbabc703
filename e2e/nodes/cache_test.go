package nodes

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

const cachingHTTP = `http {
	proxy_cache_path {{.Dir}}/cache levels=1:2 keys_zone=pages:1m inactive=1h sync;
	server {
		listen {{.IP}}:8080;
		location / {
			proxy_pass ORIGIN;
			proxy_cache pages;
			proxy_cache_valid 1h;
			proxy_cache_key $uri;
			proxy_cache_purge $http_x_purge;
			add_header X-Cache $upstream_cache_status;
		}
		location = /configuration { return 200 FIRST; }
		location /api { api; }
	}
}
`

// edition is a server whose pages say of which edition they are.
type edition struct {
	*httptest.Server
	number atomic.Int64
}

func newEdition(t *testing.T) *edition {
	e := &edition{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, e.number.Load())
	}))
	t.Cleanup(e.Close)
	return e
}

// conf is a cluster with caches in front of the server.
func (e *edition) conf() string {
	return strings.Replace(cachingHTTP, "ORIGIN", e.URL, 1) + harness.Members
}

// reads asks for a page once.
func reads(n *harness.Node, path, status string, number int64) {
	n.T.Helper()
	r := n.Must("GET", path, "")
	if got := r.Header.Get("X-Cache"); r.Status != 200 || got != status || r.Body != fmt.Sprint(number) {
		n.T.Errorf("%s: %s is %d %s %q, want %s %d", n.Name, path, r.Status, got, r.Body, status, number)
	}
}

// comesToRead asks for a page until its edition has arrived: the node has learnt that the old one was purged.
func comesToRead(n *harness.Node, path string, number int64) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		r, err := n.Do("GET", path, "")
		if err == nil && r.Body != fmt.Sprint(number) {
			err = fmt.Errorf("%s: %s is of edition %s, want %d", n.Name, path, r.Body, number)
		}
		return err
	})
}

func purge(n *harness.Node, path string) {
	n.T.Helper()
	if r := n.Must("PURGE", path, "", "X-Purge", "1"); r.Status != 204 {
		n.T.Errorf("%s: purge of %s: %d %s", n.Name, path, r.Status, r.Body)
	}
}

// TestPurgesReachAllNodes: a purge of a key, of a prefix or of everything on one node holds on the others too; what it
// does not cover stays.
func TestPurgesReachAllNodes(t *testing.T) {
	e := newEdition(t)
	cl := harness.NewCluster(t, 3)
	cl.Start(e.conf())
	paths := []string{"/a/1", "/a/2", "/b"}
	for _, n := range cl.Nodes {
		for _, path := range paths {
			reads(n, path, "MISS", 0)
			reads(n, path, "HIT", 0)
		}
	}
	was := map[string]int64{}
	for i, p := range []struct {
		purge  string
		covers []string
	}{{"/a/1", paths[:1]}, {"/a/*", paths[:2]}, {"/*", paths}, {"/none", nil}, {"/b", paths[2:]}} {
		number := e.number.Add(1)
		purge(cl.Nodes[i%3], p.purge)
		for _, path := range p.covers {
			was[path] = number
		}
		for _, n := range cl.Nodes {
			for _, path := range p.covers {
				comesToRead(n, path, number)
			}
			for _, path := range paths {
				reads(n, path, "HIT", was[path])
			}
		}
	}
}

// TestPurgesWhileANodeWasAway: a node that was killed, or had quit, answers its first client after the start with a new
// page if the old one was purged meanwhile, and with what it had stored otherwise. So it does if the node that purged
// was away as well, and had learnt it from nobody.
func TestPurgesWhileANodeWasAway(t *testing.T) {
	e := newEdition(t)
	cl := harness.NewCluster(t, 3)
	cl.Start(e.conf())
	first, second, third := cl.Nodes[0], cl.Nodes[1], cl.Nodes[2]
	for _, n := range cl.Nodes {
		for _, path := range []string{"/one", "/p/1", "/stays"} {
			reads(n, path, "MISS", 0)
		}
	}
	third.Kill()
	e.number.Store(1)
	purge(first, "/one")
	purge(second, "/p/*")
	third.Start()
	reads(third, "/one", "MISS", 1)
	reads(third, "/p/1", "MISS", 1)
	reads(third, "/stays", "HIT", 0)

	third.Quit()
	e.number.Store(2)
	purge(second, "/one")
	reads(second, "/one", "MISS", 2)
	comesToRead(first, "/one", 2)
	first.Kill()
	second.Quit()
	second.Start()
	third.Start()
	reads(third, "/one", "MISS", 2)
	reads(third, "/p/1", "HIT", 1)
	reads(third, "/stays", "HIT", 0)
	first.Start()
	cl.Joined(3)
	e.number.Store(3) // nothing is purged once more
	for _, n := range cl.Nodes {
		comesToRead(n, "/one", 2)
		reads(n, "/one", "HIT", 2)
		reads(n, "/stays", "HIT", 0)
	}
}

// TestPurgesAfterAReload: a reload that adds `sync` to a cache, or changes the size of its zone, keeps what is stored,
// and the purges that were made since then reach a node that starts later.
func TestPurgesAfterAReload(t *testing.T) {
	e := newEdition(t)
	cl := harness.NewCluster(t, 2)
	cl.Start(strings.Replace(e.conf(), " sync;", ";", 1))
	first, second := cl.Nodes[0], cl.Nodes[1]
	for _, n := range cl.Nodes {
		reads(n, "/one", "MISS", 0)
		reads(n, "/stays", "MISS", 0)
		reload(n, strings.Replace(e.conf(), "FIRST", "SECOND", 1), "SECOND")
		reads(n, "/one", "HIT", 0)
	}
	second.Kill()
	e.number.Store(1)
	purge(first, "/one")
	reload(first, strings.NewReplacer("FIRST", "THIRD", "keys_zone=pages:1m", "keys_zone=pages:2m").Replace(e.conf()), "THIRD")
	second.Start()
	reads(second, "/one", "MISS", 1)
	reads(second, "/stays", "HIT", 0)
	purge(second, "/*")
	comesToRead(first, "/stays", 1)
}

// reload returns when a configuration runs.
func reload(n *harness.Node, conf, name string) {
	n.T.Helper()
	n.Configure(conf)
	n.Signal(syscall.SIGHUP)
	n.Sees("/configuration", name)
}
