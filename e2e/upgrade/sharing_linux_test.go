package upgrade

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// shared has zones whose sharing a reload changes: SYNC and PEERS as in configuration.
const shared = `http {
	keyval_zone zone=one:1m SYNC;
	keyval $arg_text $text zone=one;
	limit_req_zone $arg_who zone=req:1m rate=1r/m SYNC;
	limit_conn_zone $arg_who zone=conn:1m SYNC;
	server {
		listen {{.IP}}:8080;
		location / { add_header X-Process $pid; limit_conn conn 100; return 200 "$text"; }
		location = /limited { limit_req zone=req burst=9 nodelay; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /api { api write=on; }
	}
}
stream { PEERS }`

const sharedPeers = "server { listen {{.IP}}:9000; zone_sync; {{range .Others}}zone_sync_server {{.}}:9000; {{end}} }"

// TestSharingBeginsAfterUpgrades: two upgrades one after the other, of a node without a cluster, whose zones have sync
// or not. A reload then makes it share them: another node gets all that there is, each cost counts once, and both follow
// the changes of the other, deletions included.
func TestSharingBeginsAfterUpgrades(t *testing.T) {
	for _, declared := range []string{"", "sync"} {
		t.Run("declared "+declared, func(t *testing.T) {
			c := harness.NewCluster(t, 2)
			n, other := c.Nodes[0], c.Nodes[1]
			text := func(sync, peers string) string {
				return strings.NewReplacer("SYNC", sync, "PEERS", peers).Replace(shared)
			}
			c.ConfigureAll(text(declared, ""))
			n.Start()
			n.Wants(201, "*", "POST", harness.SetOne, `{"first":"1","deleted":"1"}`)
			limited(n, "a", 1)
			upgrade(n)
			n.Wants(201, "*", "POST", harness.SetOne, `{"second":"2"}`)
			n.Wants(204, "*", "PATCH", harness.SetOne, `{"deleted":null}`)
			limited(n, "a", 1)
			upgrade(n)
			has := map[string]string{"first": "1", "second": "2", "deleted": ""}
			for key, want := range has {
				n.Wants(200, want, "GET", "/?text="+key, "")
			}
			limited(n, "a", 1)

			c.ConfigureAll(text("sync", sharedPeers))
			n.Signal(syscall.SIGHUP)
			n.WaitLog("exited with code 0")
			other.Start()
			for key, want := range has {
				other.Sees("/?text="+key, want)
				n.Sees("/?text="+key, want)
			}
			other.Wants(204, "*", "PATCH", harness.SetOne, `{"first":"other"}`)
			n.Wants(204, "*", "PATCH", harness.SetOne, `{"second":null}`)
			n.Sees("/?text=first", "other")
			other.Sees("/?text=second", "")
			limited(other, "a", 6) // three of ten have passed
			limited(n, "b", 1)
			testkit.Eventually(t, harness.Patience, func() error {
				if got := n.Must("GET", "/limited?who=a", "").Status; got != 503 {
					return fmt.Errorf("a request of a full limit got %d", got)
				}
				return nil
			})
		})
	}
}
