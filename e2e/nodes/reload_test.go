package nodes

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"starling/e2e/harness"
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

// TestExistingStateIsShared: as the seed says, sync is added to zones that are in use; what they hold stays and reaches
// the others.
func TestExistingStateIsShared(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	for i := range 3 {
		cl.Backend(101+i, fmt.Sprintf("backend%d", i))
	}
	cl.Start(alone + harness.Members)
	a, b := cl.Nodes[0], cl.Nodes[1]
	a.Wants(201, "*", "POST", harness.SetOne, `{"a":"from a"}`)
	b.Wants(201, "*", "POST", harness.SetOne, `{"b":"from b"}`)
	for range 6 {
		a.Wants(200, "*", "GET", "/limited", "", "Host", "all")
	}
	a.Must("GET", "/session", "") // so that the next one is not the first in the list
	server := a.Must("GET", "/session?session=s", "").Body
	cookie := []string{"Cookie", "session=s"}
	for _, n := range cl.Nodes {
		n.Configure(shared(alone) + harness.Members)
		n.Signal(syscall.SIGHUP)
	}
	for _, n := range cl.Nodes {
		n.Sees("/?text=a", "from a")
		n.Sees("/?text=b", "from b")
		testkit.Eventually(t, harness.Patience, func() error {
			s, err := n.Status()
			for _, zone := range []string{"one", "req", "sessions"} {
				if err == nil && s.Zones[zone].Total == 0 {
					err = fmt.Errorf("zone %s of %s is empty", zone, n.Name)
				}
			}
			return err
		})
		n.Wants(503, "*", "GET", "/limited", "", "Host", "all")
		for range 4 {
			n.Wants(200, server, "GET", "/session", "", cookie...)
		}
	}
}

// TestStateIsAddedByReload: what is there goes into the state file.
func TestStateIsAddedByReload(t *testing.T) {
	cl := harness.NewCluster(t, 1)
	n := cl.Nodes[0]
	n.Configure(alone)
	n.Start()
	n.Wants(201, "*", "POST", harness.SetOne, `{"a":"1"}`)
	n.Configure(strings.Replace(alone, "zone=one:32k;", "zone=one:32k state={{.Dir}}/one.keyval;", 1))
	n.Signal(syscall.SIGHUP)
	n.WaitLog("exited with code 0")
	n.Wants(200, "1", "GET", "/?text=a", "")
	n.Wants(201, "*", "POST", harness.SetOne, `{"b":"2"}`) // on disk with all before it
	n.Kill()
	n.Start()
	n.Wants(200, "1", "GET", "/?text=a", "")
	n.Wants(200, "2", "GET", "/?text=b", "")
}
