package nodes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// deliveries is how answers to clients waited for peers.
type deliveries struct {
	Deliveries struct {
		Waits    int `json:"waits"`
		Timeouts int `json:"timeouts"`
		LeftOut  int `json:"left_out"`
	} `json:"deliveries"`
	Peers []struct {
		LeftOut bool `json:"left_out"`
	} `json:"peers"`
}

// deliveriesOf reads them from the API of a node; now are the peers that are left out now.
func deliveriesOf(n *harness.Node) (d deliveries, now int) {
	r := n.Must("GET", "/api/9/stream/zone_sync/cluster", "")
	if err := json.Unmarshal([]byte(r.Body), &d); err != nil {
		n.T.Fatal(err)
	}
	for _, p := range d.Peers {
		if p.LeftOut {
			now++
		}
	}
	return d, now
}

// fourBackends is a cluster that shares the sessions of four servers. The pairs in changes, old and new, are replaced in
// its configuration.
func fourBackends(t *testing.T, nodes int, sync string, changes ...string) *harness.Cluster {
	cl := harness.NewCluster(t, nodes)
	for i := range 4 {
		cl.Backend(101+i, fmt.Sprintf("backend%d", i))
	}
	cl.ServeNames("backends.example.com", 101, 102, 103, 104)
	cl.Start(strings.NewReplacer(append(changes,
		"SERVERS", "server backends.example.com:9100 resolve;", "sync;\n\t}", sync+";\n\t}",
	)...).Replace(harness.Sticky))
	return cl
}

// TestTheNextRequestFindsTheSessionOnEveryNode: a client logs in at one node, and its next request comes to another one
// at once. Without faults no such request goes to a wrong server. The limit is long, so that a busy machine does not
// count as a fault.
func TestTheNextRequestFindsTheSessionOnEveryNode(t *testing.T) {
	logins := 1500
	if harness.Long() {
		logins = 10_000
	}
	cl := fourBackends(t, 3, "sync=5s")
	wrong := 0
	for i := range logins {
		session := fmt.Sprint("s", i)
		first := cl.Nodes[i%3].Must("GET", "/?session="+session, "")
		if next := cl.Nodes[(i+1)%3].Must("GET", "/", "", "Cookie", "session="+session); next.Body != first.Body {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d requests that follow a login went to a wrong server", wrong, logins)
	}
	waits := 0
	for _, n := range cl.Nodes {
		d, _ := deliveriesOf(n)
		waits += d.Deliveries.Waits
		if d.Deliveries.Timeouts > 0 {
			t.Errorf("%s: %d of %d waits ran out of time", n.Name, d.Deliveries.Timeouts, d.Deliveries.Waits)
		}
	}
	if waits != logins {
		t.Errorf("%d answers waited; %d sessions are new", waits, logins)
	}
}

// TestAFrozenNodeDelaysOneAnswer: while a node is stopped, one answer waits for it until its time runs out, and all
// later ones do not. It is waited for again when it goes on. The long zone_sync_timeout keeps its connections on a busy
// machine, where the requests can take longer than the default allows.
func TestAFrozenNodeDelaysOneAnswer(t *testing.T) {
	cl := fourBackends(t, 3, "sync=2s", "zone_sync;", "zone_sync; zone_sync_timeout 1h;")
	first := cl.Nodes[0]
	first.Must("GET", "/?session=before", "")
	thaw := cl.Nodes[2].Freeze()
	for i := range 200 {
		session := fmt.Sprint("s", i)
		reply := first.Must("GET", "/?session="+session, "")
		cl.Nodes[1].Wants(200, reply.Body, "GET", "/", "", "Cookie", "session="+session)
	}
	d, now := deliveriesOf(first)
	if d.Deliveries.Timeouts != 1 || d.Deliveries.LeftOut != 1 || now != 1 {
		t.Errorf("%+v, %d peers are left out; want one wait that ran out, and one peer", d.Deliveries, now)
	}
	first.WaitLog("did not acknowledge a change within 2s")
	thaw()
	testkit.Eventually(t, harness.Patience, func() error {
		if _, now := deliveriesOf(first); now > 0 {
			return errors.New("a peer that goes on is still left out")
		}
		return nil
	})
	reply := first.Must("GET", "/?session=after", "")
	cl.Nodes[2].Wants(200, reply.Body, "GET", "/", "", "Cookie", "session=after")
}

// TestTheAPIAnswersWhenSoManyNodesHaveAPair: ?ack= waits for the other nodes, and for their disks where the zone has
// state.
func TestTheAPIAnswersWhenSoManyNodesHaveAPair(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.KeyvalHTTP + strings.Replace(harness.Members, "zone_sync;", "zone_sync; zone_sync_timeout 1h;", 1))
	first := cl.Nodes[0]
	const patient = "&timeout=20s"
	for i := range 50 {
		key := fmt.Sprintf("pair-%d", i)
		first.Wants(201, "", "POST", harness.SetOne+"?ack=all"+patient, `{"`+key+`":"x"}`)
		for _, n := range cl.Nodes {
			log, err := os.ReadFile(filepath.Join(n.Dir, "state.one.keyval.log"))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(log), key) {
				t.Fatalf("%s is not in the log of %s", key, n.Name)
			}
		}
		first.Wants(204, "", "PATCH", harness.SetOne+"?ack=2"+patient, `{"`+key+`":"y"}`)
	}
	thaw := cl.Nodes[2].Freeze()
	first.Wants(204, "", "PATCH", harness.SetOne+"?ack=2"+patient, `{"pair-0":"z"}`)
	cl.Nodes[1].Wants(200, "z", "GET", "/?text=pair-0", "")
	// The second node has the time to write it to its disk.
	first.Wants(202, `{"nodes":2,"needed":3}`, "PATCH", harness.SetOne+"?ack=all&timeout=5s", `{"pair-0":null}`)
	thaw()
	first.Wants(204, "", "DELETE", harness.SetOne+"?ack=3"+patient, "")
	cl.Nodes[2].Wants(200, "", "GET", "/?text=pair-1", "")
}

// TestASetWaitsForTheOtherNodes: with sync=<time>, the answer to a request whose set changes a pair says that the other
// nodes have it.
func TestASetWaitsForTheOtherNodes(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(strings.NewReplacer("sync;\n", "sync=5s;\n",
		"location / {", "location /set { set $text $arg_to; return 200 done; }\n\t\tlocation / {",
	).Replace(harness.KeyvalHTTP) + harness.Members)
	for i := range 100 {
		cl.Nodes[i%3].Wants(200, "done", "GET", fmt.Sprintf("/set?text=k%d&to=v%d", i%7, i), "")
		cl.Nodes[(i+1)%3].Wants(200, fmt.Sprint("v", i), "GET", fmt.Sprintf("/?text=k%d", i%7), "")
	}
	for range 20 { // unchanged
		cl.Nodes[0].Wants(200, "done", "GET", "/set?text=k1&to=v99", "")
	}
	d, _ := deliveriesOf(cl.Nodes[0])
	if d.Deliveries.Waits > 40 || d.Deliveries.Timeouts > 0 {
		t.Errorf("%+v, 34 pairs were changed", d.Deliveries)
	}
}

// TestASessionThatANodeLacksIsAskedFor: a node with a small zone has evicted sessions that the others have. It sends
// their clients to the right servers all the same, and asks once a second for those that nobody has.
func TestASessionThatANodeLacksIsAskedFor(t *testing.T) {
	const logins = 1000
	cl := harness.NewCluster(t, 2)
	for i := range 4 {
		cl.Backend(101+i, fmt.Sprintf("backend%d", i))
	}
	cl.ServeNames("backends.example.com", 101, 102, 103, 104)
	text := strings.NewReplacer(
		"SERVERS", "server backends.example.com:9100 resolve;", "sync;\n\t}", "sync=5s;\n\t}",
	).Replace(harness.Sticky)
	for i, n := range cl.Nodes {
		n.Configure(strings.Replace(text, "zone=sessions:1m", []string{"zone=sessions:1m", "zone=sessions:32k"}[i], 1))
		n.Start()
	}
	cl.Joined(2)
	big, small := cl.Nodes[0], cl.Nodes[1]
	servers := map[string]string{}
	for i := range logins {
		session := fmt.Sprint("s", i)
		servers[session] = big.Must("GET", "/?session="+session, "").Body
	}
	right := 0
	for session, server := range servers {
		if small.Must("GET", "/", "", "Cookie", "session="+session).Body == server {
			right++
		}
	}
	var q struct {
		Questions struct {
			Asked    int `json:"asked"`
			Found    int `json:"found"`
			Timeouts int `json:"timeouts"`
			Skipped  int `json:"skipped"`
		} `json:"questions"`
	}
	small.Wants(200, "*", "GET", "/", "", "Cookie", "session=nobodys")
	r := small.Must("GET", "/api/9/stream/zone_sync/cluster", "")
	if err := json.Unmarshal([]byte(r.Body), &q); err != nil {
		t.Fatal(err)
	}
	// On a busy machine an answer can take more than the 2 ms for which a request waits; with the race detector, most do.
	lost := q.Questions.Timeouts + q.Questions.Skipped
	if right < logins-lost || q.Questions.Found == 0 || q.Questions.Found+lost < logins/4 {
		t.Errorf("%d of %d requests went to the right server; %+v", right, logins, q.Questions)
	}
}
