package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"starling/lib/testkit"
)

// alone is an http side with each kind of state, of this node only.
const alone = `http {
	keyval_zone zone=one:32k; keyval $arg_text $text zone=one;
	limit_req_zone $server_name zone=req:1M rate=1r/m;
	upstream my_backend { zone my_backend 64k; server {{.Net}}.101:9100; server {{.Net}}.102:9100; server {{.Net}}.103:9100;
		sticky learn zone=sessions:1m create=$upstream_cookie_session lookup=$cookie_session; }
	server { listen {{.IP}}:8080; server_name all;
		location / { return 200 $text; }
		location /limited { limit_req zone=req burst=5 nodelay; proxy_pass http://my_backend; }
		location /session { proxy_pass http://my_backend; }
		location /api { api write=on; }
	}
} `

// shared is the same with sync.
func shared(text string) string {
	return strings.NewReplacer("zone=one:32k;", "zone=one:32k sync;", "rate=1r/m;", "rate=1r/m sync;", "cookie_session;", "cookie_session sync;").Replace(text)
}

// TestExistingStateIsShared: as the seed says, sync is added to zones that are in use; what they hold stays and reaches the others.
func TestExistingStateIsShared(t *testing.T) {
	cl := newCluster(t, 2)
	for i := range 3 {
		cl.backend(101+i, fmt.Sprintf("backend%d", i))
	}
	cl.start(alone + members)
	a, b := cl.Nodes[0], cl.Nodes[1]
	a.wants(201, "*", "POST", setOne, `{"a":"from a"}`)
	b.wants(201, "*", "POST", setOne, `{"b":"from b"}`)
	for range 6 {
		a.wants(200, "*", "GET", "/limited", "", "Host", "all")
	}
	a.must("GET", "/session", "") // so that the next one is not the first in the list
	server := a.must("GET", "/session?session=s", "").body
	cookie := []string{"Cookie", "session=s"}
	for _, n := range cl.Nodes {
		n.configure(shared(alone) + members)
		n.signal(syscall.SIGHUP)
	}
	for _, n := range cl.Nodes {
		n.sees("/?text=a", "from a")
		n.sees("/?text=b", "from b")
		testkit.Eventually(t, patience, func() error {
			s, err := n.status()
			for _, zone := range []string{"one", "req", "sessions"} {
				if err == nil && s.Zones[zone].Total == 0 {
					err = fmt.Errorf("zone %s of %s is empty", zone, n.Name)
				}
			}
			return err
		})
		n.wants(503, "*", "GET", "/limited", "", "Host", "all")
		for range 4 {
			n.wants(200, server, "GET", "/session", "", cookie...)
		}
	}
}

// TestStateIsAddedByReload: what is there goes into the state file.
func TestStateIsAddedByReload(t *testing.T) {
	cl := newCluster(t, 1)
	n := cl.Nodes[0]
	n.configure(alone)
	n.start()
	n.wants(201, "*", "POST", setOne, `{"a":"1"}`)
	n.configure(strings.Replace(alone, "zone=one:32k;", "zone=one:32k state={{.Dir}}/one.keyval;", 1))
	n.signal(syscall.SIGHUP)
	n.waitLog("exited with code 0")
	n.wants(200, "1", "GET", "/?text=a", "")
	n.wants(201, "*", "POST", setOne, `{"b":"2"}`) // on disk with all before it
	n.kill()
	n.start()
	n.wants(200, "1", "GET", "/?text=a", "")
	n.wants(200, "2", "GET", "/?text=b", "")
}
