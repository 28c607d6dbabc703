package nodes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// sharedUpstreams is a cluster that shares an upstream of http and one of stream. STATE is a directive of the first;
// without it, it has the servers of NODE.
const sharedUpstreams = `http {
	upstream backend { zone backend 256k sync; STATE }
	server {
		listen {{.IP}}:8080;
		location / { proxy_pass http://backend; }
		location = /configuration { return 200 FIRST; }
		location /api { api write=on; }
	}
}
stream {
	upstream tcp { zone tcp 256k sync; server {{.Net}}.101:9100; server {{.Net}}.102:9100; }
	server { listen {{.IP}}:8081; proxy_pass tcp; }
	server { listen {{.IP}}:9000; zone_sync;
		{{range .Others}}zone_sync_server {{.}}:9000; {{end}} }
}
`

// withServers is the configuration with servers instead of a state file.
var withServers = strings.Replace(sharedUpstreams, "STATE", "server {{.Net}}.101:9100; server {{.Net}}.102:9100;", 1)

// withState is the one with a state file.
var withState = strings.Replace(sharedUpstreams, "STATE", "state {{.Dir}}/servers.conf;", 1)

// backends starts three servers.
func backends(cl *harness.Cluster) (addresses []string) {
	for i := range 3 {
		addresses = append(addresses, cl.Backend(101+i, fmt.Sprint("backend", i)))
	}
	return addresses
}

// TestServersChangeOnAllNodes: what the API of any node adds, drains, sets down, weighs or removes holds on all, in http
// and stream, and clients are served so.
func TestServersChangeOnAllNodes(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	backends(cl)
	cl.Start(withServers)
	for _, path := range []string{"http/backend", "stream/tcp"} {
		harness.ShowServers(t, cl.Nodes, path, "101, 102")
		for i, step := range []struct{ method, host, body, want string }{
			{"POST", "103", `,"weight":2`, "101, 102, 103 weight=2"},
			{"PATCH", "101", `{"down":true}`, "101 down, 102, 103 weight=2"},
			{"PATCH", "103", `{"weight":5}`, "101 down, 102, 103 weight=5"},
			{"DELETE", "102", "", "101 down, 103 weight=5"},
			{"PATCH", "101", `{"down":false}`, "101, 103 weight=5"},
			{"DELETE", "103", "", "101"},
			{"POST", "102", "", "101, 102"},
		} {
			cl.Nodes[i%3].EditServer(path, step.method, step.host, step.body)
			harness.ShowServers(t, cl.Nodes, path, step.want)
		}
	}
	cl.Nodes[1].EditServer("http/backend", "PATCH", "101", `{"drain":true}`)
	harness.ShowServers(t, cl.Nodes, "http/backend", "101 drain, 102")
	for _, n := range cl.Nodes {
		for range 4 {
			n.Wants(200, "backend1", "GET", "/", "")
		}
		if s, err := n.Status(); err != nil || s.Zones["backend"].Total == 0 || s.Zones["tcp"].Total == 0 {
			n.T.Errorf("%s: zone_sync shows the zones %+v, %v", n.Name, s.Zones, err)
		}
	}
}

// TestWhoChangedAServer: each node says what each of the last changes did, who made it and when.
func TestWhoChangedAServer(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	cl.Start(withServers)
	cl.Joined(2)
	a, b := cl.Nodes[0], cl.Nodes[1]
	do := func(n *harness.Node, method, host, body, want string) {
		t.Helper()
		n.EditServer("http/backend", method, host, body)
		harness.ShowServers(t, cl.Nodes, "http/backend", want)
	}
	harness.ShowServers(t, cl.Nodes, "http/backend", "101, 102")
	do(a, "POST", "109", "", "101, 102, 109")
	do(b, "PATCH", "109", `{"drain":true}`, "101, 102, 109 drain")
	do(a, "PATCH", "109", `{"weight":5}`, "101, 102, 109 weight=5 drain")
	do(b, "DELETE", "109", "", "101, 102")
	do(a, "POST", "109", `,"weight":9`, "101, 102, 109 weight=9")
	do(b, "PATCH", "109", `{"down":true}`, "101, 102, 109 weight=9 down")

	var first []madeBy
	for _, n := range cl.Nodes {
		list := shownChanges(n)
		if first == nil {
			first = list
		}
		if !slices.EqualFunc(list, first, func(a, b madeBy) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Errorf("%s says %+v, another node %+v", n.Name, list, first)
		}
	}
	var got []string
	for i, m := range first {
		if i > 0 && (m.At > first[i-1].At || m.Node == first[i-1].Node) { // the two nodes have taken turns
			t.Errorf("%+v was before %+v", m, first[i-1])
		}
		got = append(got, fmt.Sprint(m.Did, m.Set))
	}
	if text, want := strings.Join(got, " "), "changedmap[down:true] addedmap[] removedmap[] changedmap[weight:5] changedmap[drain:true]"; text != want {
		t.Errorf("the API says %q, want %q", text, want)
	}
}

type madeBy struct {
	At, Node, Did string
	Set           map[string]any
}

// shownChanges are those of the only server that was changed, the newest first.
func shownChanges(n *harness.Node) []madeBy {
	n.T.Helper()
	var list []struct {
		madeBy
		Change  map[string]any
		Earlier []madeBy
	}
	r := n.Must("GET", "/api/9/http/upstreams/backend/changes", "")
	if err := json.Unmarshal([]byte(r.Body), &list); err != nil || len(list) != 1 {
		n.T.Fatalf("%s: %s, %v", n.Name, r.Body, err)
	}
	last := list[0].madeBy
	last.Set = list[0].Change
	return append([]madeBy{last}, list[0].Earlier...)
}

// TestServersWhileANodeWasAway: it learns when it is back what was changed meanwhile, before its first client, with and
// without a reload, and brings nothing back that was removed.
func TestServersWhileANodeWasAway(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	backends(cl)
	cl.Start(withServers)
	first, third := cl.Nodes[0], cl.Nodes[2]
	third.EditServer("http/backend", "POST", "103", "")
	harness.ShowServers(t, cl.Nodes, "http/backend", "101, 102, 103")
	third.Kill()
	first.EditServer("http/backend", "DELETE", "103", "")
	first.EditServer("http/backend", "DELETE", "102", "")
	first.EditServer("http/backend", "PATCH", "101", `{"weight":3}`)
	third.Start()
	for range 3 {
		third.Wants(200, "backend0", "GET", "/", "")
	}
	cl.Joined(3)
	harness.ShowServers(t, cl.Nodes, "http/backend", "101 weight=3")
	for _, n := range cl.Nodes {
		reload(n, strings.Replace(withServers, "FIRST", "SECOND", 1), "SECOND")
		harness.ShowServers(t, cl.Nodes, "http/backend", "101 weight=3")
	}
	third.EditServer("http/backend", "POST", "102", "")
	harness.ShowServers(t, cl.Nodes, "http/backend", "101 weight=3, 102")
}

// TestServersFromStateFiles: all nodes are killed at once, and each has the servers again; one that was away longer
// brings nothing back.
func TestServersFromStateFiles(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	backends(cl)
	first, second := cl.Nodes[0], cl.Nodes[1]
	first.Write("servers.conf", "server "+cl.Net+".101:9100;\n") // of a time before sync
	cl.Start(withState)
	harness.ShowServers(t, cl.Nodes[:1], "http/backend", "101")
	second.EditServer("http/backend", "POST", "102", `,"weight":4`)
	second.EditServer("http/backend", "POST", "103", "")
	harness.ShowServers(t, cl.Nodes[:1], "http/backend", "101, 102 weight=4, 103")
	harness.ShowServers(t, cl.Nodes[1:], "http/backend", "102 weight=4, 103") // the servers of a configuration stay its own
	second.Kill()
	first.EditServer("http/backend", "DELETE", "103", "")
	first.EditServer("http/backend", "PATCH", "102", `{"drain":true}`)
	first.Kill()
	first.Start()
	harness.ShowServers(t, cl.Nodes[:1], "http/backend", "101, 102 weight=4 drain")
	second.Start()
	cl.Joined(2)
	harness.ShowServers(t, cl.Nodes[1:], "http/backend", "102 weight=4 drain")
	harness.ShowServers(t, cl.Nodes[:1], "http/backend", "101, 102 weight=4 drain")
	// Without sync, a node goes on with the servers as they are.
	second.Kill()
	reload(first, strings.NewReplacer("FIRST", "SECOND", "256k sync; state", "256k; state").Replace(withState), "SECOND")
	harness.ShowServers(t, cl.Nodes[:1], "http/backend", "101, 102 weight=4 drain")
}

// TestConcurrentChangesOfServers: nodes that change the same servers at once come to show the same.
func TestConcurrentChangesOfServers(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	backends(cl)
	cl.Start(withServers)
	var all sync.WaitGroup
	for i, n := range cl.Nodes {
		all.Go(func() {
			for round := range 20 {
				body := fmt.Sprintf(`{"weight":%d,"down":%v}`, 2+10*round+i, (round+i)%2 == 0)
				if r, err := n.Do("PATCH", "/api/9/http/upstreams/backend/servers/0", body); err != nil || r.Status != http.StatusOK {
					t.Errorf("%s: %d %s %v", n.Name, r.Status, r.Body, err)
				}
			}
		})
	}
	all.Wait()
	testkit.Eventually(t, harness.Patience, func() error {
		first, err := cl.Nodes[0].Servers("http/backend")
		if err != nil {
			return err
		}
		for _, n := range cl.Nodes[1:] {
			other, err := n.Servers("http/backend")
			if err != nil || harness.ServersText(other) != harness.ServersText(first) {
				return fmt.Errorf("%s shows %s, the first one %s: %v", n.Name, harness.ServersText(other), harness.ServersText(first), err)
			}
		}
		return nil
	})
}

// TestRevertedChangesOfServers: each node goes back to its configuration.
func TestRevertedChangesOfServers(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	backends(cl)
	cl.Start(withServers)
	cl.Nodes[0].EditServer("http/backend", "DELETE", "101", "")
	cl.Nodes[1].EditServer("http/backend", "POST", "103", "")
	cl.Nodes[1].EditServer("http/backend", "PATCH", "102", `{"weight":7}`)
	harness.ShowServers(t, cl.Nodes, "http/backend", "102 weight=7, 103")
	const changes = "/api/9/http/upstreams/backend/changes"
	var made []struct{ Server, Did, Node, At string }
	if err := json.Unmarshal([]byte(cl.Nodes[0].Must("GET", changes, "").Body), &made); err != nil || len(made) != 3 {
		t.Errorf("%+v %v", made, err)
	}
	for i, want := range []string{"101 removed", "103 added", "102 changed"} {
		if got := fmt.Sprint(made[i].Server[len(cl.Net)+1:len(cl.Net)+4], " ", made[i].Did); got != want || made[i].Node == "" {
			t.Errorf("change %d is %+v, want %s", i, made[i], want)
		}
	}
	cl.Nodes[0].Wants(204, "", "DELETE", changes, "")
	cl.Nodes[1].Sees(changes, "[]")
	harness.ShowServers(t, cl.Nodes, "http/backend", "101, 102")
}

// TestANodeThatDoesNotShareServers: one without sync, as of a release that does not know it, works alone; the others
// share with each other, and name the zone in the log and the API.
func TestANodeThatDoesNotShareServers(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	backends(cl)
	cl.ConfigureAll(withServers)
	cl.Nodes[2].Configure(strings.ReplaceAll(withServers, "256k sync", "256k"))
	for _, n := range cl.Nodes {
		n.Excused = "but not on the peer"
		n.Start()
	}
	cl.Joined(3)
	cl.Nodes[0].EditServer("http/backend", "PATCH", "101", `{"down":true}`)
	cl.Nodes[2].EditServer("http/backend", "PATCH", "102", `{"down":true}`)
	harness.ShowServers(t, cl.Nodes[:2], "http/backend", "101 down, 102")
	harness.ShowServers(t, cl.Nodes[2:], "http/backend", "101, 102 down")
	cl.Nodes[0].NamesUnshared("backend")
}
