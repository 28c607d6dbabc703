package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// changing is a configuration whose zones a reload changes: {SIZE} and {SYNC} are those of all kinds of zones, {STATE} is
// that of the pairs.
const changing = `http {
	keyval_zone zone=one:{SIZE}{SYNC}{STATE}; keyval $arg_text $text zone=one;
	limit_req_zone $server_name zone=req:{SIZE} rate=1r/m{SYNC};
	limit_conn_zone $server_name zone=conn:{SIZE};
	upstream my_backend { zone my_backend 64k; server {{.Net}}.101:9100; server {{.Net}}.102:9100;
		sticky learn zone=sessions:{SIZE} create=$upstream_cookie_session lookup=$cookie_session{SYNC}; }
	server { listen {{.IP}}:8080; server_name all; keepalive_requests 1000000;
		location / { return 200 $text; }
		location = /limited { limit_conn conn 100; limit_req zone=req burst=99999 nodelay; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /session { proxy_pass http://my_backend; }
		location /api { api write=on; }
	}
}
` + harness.Members

func changed(size, sync, state string) string {
	return strings.NewReplacer("{SIZE}", size, "{SYNC}", sync, "{STATE}", state).Replace(changing)
}

// reloads is how many reloads each node goes through: RELOADS=300 go test ./e2e/nodes -run ReloadsLose.
func reloads(t *testing.T) int {
	text, set := os.LookupEnv("RELOADS")
	if !set {
		return 30
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// generation is how many configurations a node has run.
func generation(n *harness.Node) (count int, err error) {
	answer, err := n.Do("GET", "/api/9/nginx", "")
	if err != nil {
		return 0, err
	}
	var shown struct{ Generation int }
	err = json.Unmarshal([]byte(answer.Body), &shown)
	return shown.Generation, err
}

// reloadTo gives a node another configuration and waits until it runs.
func reloadTo(t *testing.T, n *harness.Node, text string) {
	t.Helper()
	before := 0
	testkit.Eventually(t, harness.Patience, func() (err error) { before, err = generation(n); return err })
	n.Configure(text)
	n.Signal(syscall.SIGHUP)
	testkit.Eventually(t, harness.Patience, func() error {
		now, err := generation(n)
		if err == nil && now == before {
			err = fmt.Errorf("%s has not reloaded: generation %d", n.Name, now)
		}
		return err
	})
}

// writer is a client that writes and deletes pairs of its own on one kept connection after another. What was not
// acknowledged is in neither map.
type writer struct {
	name          string
	node          *harness.Node
	present, gone map[string]bool
}

// run works until the context ends.
func (w *writer) run(ctx context.Context) error {
	client := &http.Client{Timeout: harness.Patience, Transport: &http.Transport{DialContext: w.node.DialURL}}
	defer client.CloseIdleConnections()
	url := "http://" + w.node.IP + ":8080"
	var keys []string
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("%s-%d", w.name, i)
		status, text, err := send(client, "POST", url+harness.SetOne, `{"`+key+`":"value"}`)
		switch {
		case err != nil: // a retired connection was closed: nobody knows
		case status != 201:
			return fmt.Errorf("%s: POST %s: %d %s", w.node.Name, key, status, text)
		default:
			w.present[key] = true
			keys = append(keys, key)
		}
		if i%3 == 2 && len(keys) > 3 { // a young one, or an old one that the peer surely has
			at := len(keys) - 1
			if i%2 == 0 {
				at = 0
			}
			key, keys = keys[at], append(keys[:at:at], keys[at+1:]...)
			delete(w.present, key)
			status, text, err := send(client, "PATCH", url+harness.SetOne, `{"`+key+`":null}`)
			switch {
			case err != nil:
			case status != 204:
				return fmt.Errorf("%s: deleting %s: %d %s", w.node.Name, key, status, text)
			default:
				w.gone[key] = true
			}
		}
	}
	return nil
}

// workload are the clients of a cluster.
type workload struct {
	t       *testing.T
	stop    func()
	work    sync.WaitGroup
	writers []*writer
	passed  atomic.Int64 // limited requests
}

// work lets clients write, delete and send limited requests until the end.
func work(t *testing.T, cl *harness.Cluster) *workload {
	ctx, stop := context.WithCancel(context.Background())
	load := &workload{t: t, stop: stop}
	for i := range 6 {
		n := cl.Nodes[i%2]
		w := &writer{name: fmt.Sprint("c", i), node: n, present: map[string]bool{}, gone: map[string]bool{}}
		load.writers = append(load.writers, w)
		load.work.Go(func() {
			if err := w.run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	for _, n := range cl.Nodes {
		load.work.Go(func() {
			client := &http.Client{Timeout: harness.Patience, Transport: &http.Transport{DialContext: n.DialURL}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				status, _, err := send(client, "GET", "http://"+n.IP+":8080/limited", "")
				if err != nil || status != 200 {
					t.Errorf("%s: %d %v", n.Name, status, err)
				}
				load.passed.Add(1)
			}
		})
	}
	return load
}

// end stops the clients and returns what they did.
func (load *workload) end() (present, gone map[string]bool, passed int64) {
	load.t.Helper()
	load.stop()
	load.work.Wait()
	present, gone = map[string]bool{}, map[string]bool{}
	for _, w := range load.writers {
		maps.Copy(present, w.present)
		maps.Copy(gone, w.gone)
	}
	load.t.Logf("%d pairs, %d deleted ones, %d limited requests", len(present), len(gone), load.passed.Load())
	if len(present) == 0 || len(gone) == 0 {
		load.t.Fatal("the clients did nothing")
	}
	return present, gone, load.passed.Load()
}

// TestReloadsLoseNothing: clients write and delete pairs on kept connections while reloads change size and `sync` of the
// zones, and the state file, on both nodes. In the end, both nodes have what was acknowledged and not what was deleted,
// each limited request counts once, and the session leads where it did. With state, so it is after a crash of both.
func TestReloadsLoseNothing(t *testing.T) {
	t.Run("in memory", func(t *testing.T) { reloadUnderLoad(t, false) })
	t.Run("with state", func(t *testing.T) { reloadUnderLoad(t, true) })
}

func reloadUnderLoad(t *testing.T, withState bool) {
	t.Helper()
	cl := harness.NewCluster(t, 2)
	for i := range 2 {
		cl.Backend(101+i, fmt.Sprintf("backend%d", i))
	}
	sizes, states := []string{"64m", "32m", "48m"}, []string{""}
	if withState {
		states = []string{" state={{.Dir}}/one.keyval", " state={{.Dir}}/one.keyval", "", " state={{.Dir}}/two.keyval"}
	}
	last := changed("64m", " sync", states[0])
	cl.Start(last)
	a := cl.Nodes[0]
	cookie := []string{"Cookie", "session=s"}
	a.Must("GET", "/session", "")
	server := a.Must("GET", "/session?session=s", "").Body
	cl.Acknowledged()

	w := work(t, cl)
	for i := range reloads(t) {
		for k, n := range cl.Nodes {
			sync := " sync"
			if (i+k)%3 == 1 {
				sync = ""
			}
			reloadTo(t, n, changed(sizes[(i+k)%len(sizes)], sync, states[(i+k)%len(states)]))
		}
	}
	for _, n := range cl.Nodes {
		reloadTo(t, n, last)
	}
	present, gone, passed := w.end()
	for _, n := range cl.Nodes {
		testkit.Eventually(t, harness.Patience, func() error { return holds(n, present, gone) })
		testkit.Eventually(t, harness.Patience, func() error { return counts(n, passed) })
		for range 4 {
			n.Wants(200, server, "GET", "/session", "", cookie...)
		}
	}
	if !withState {
		return
	}
	for _, n := range cl.Nodes {
		n.Kill()
	}
	for _, n := range cl.Nodes {
		n.Start()
	}
	cl.Joined(2)
	for _, n := range cl.Nodes {
		testkit.Eventually(t, harness.Patience, func() error { return holds(n, present, gone) })
	}
}

// holds returns which acknowledged writes a node lacks, and which deleted pairs it has.
func holds(n *harness.Node, present, gone map[string]bool) error {
	return holdsIn(n, "one", present, gone)
}

func holdsIn(n *harness.Node, zone string, present, gone map[string]bool) error {
	pairs, err := n.Pairs(zone)
	if err != nil {
		return err
	}
	lost, back := []string{}, []string{}
	for key := range present {
		if _, is := pairs[key]; !is {
			lost = append(lost, key)
		}
	}
	for key := range gone {
		if _, is := pairs[key]; is {
			back = append(back, key)
		}
	}
	if len(lost)+len(back) > 0 {
		return fmt.Errorf("%s lacks %d of %d acknowledged pairs (%.3q), and has %d of %d deleted ones (%.3q)", n.Name,
			len(lost), len(present), lost, len(back), len(gone), back)
	}
	return nil
}

// counts returns an error if a node counts other than that many requests, of which one a minute drains.
func counts(n *harness.Node, passed int64) error { return countsUpTo(n, passed, 20) }

// countsExactly is counts for a test that takes less than two minutes.
func countsExactly(n *harness.Node, passed int64) error { return countsUpTo(n, passed, 2) }

func countsUpTo(n *harness.Node, passed, drained int64) error {
	answer, err := n.Do("GET", "/api/9/starling/http/limit_reqs/req", "")
	if err != nil {
		return err
	}
	var shown struct {
		Keys []struct {
			Excess int64 `json:"excess"`
		} `json:"keys"`
	}
	if err := json.Unmarshal([]byte(answer.Body), &shown); err != nil {
		return err
	}
	if len(shown.Keys) != 1 {
		return fmt.Errorf("%s counts %d keys: %s", n.Name, len(shown.Keys), answer.Body)
	}
	if level := (shown.Keys[0].Excess + 999) / 1000; level > passed || level < passed-drained {
		return fmt.Errorf("%s counts %d requests, and %d have passed", n.Name, level, passed)
	}
	return nil
}

// TestAClusterIsLeftAndJoinedAgain: a reload removes the last node of the list, or the whole zone_sync. The node keeps
// what it holds, and catches up when a reload brings it back: writes, deletions and counts of both sides.
func TestAClusterIsLeftAndJoinedAgain(t *testing.T) {
	const members = harness.Members
	http := strings.Replace(changed("1m", " sync", ""), members, "", 1)
	for name, alone := range map[string]string{
		"no server in the list": "stream { server { listen {{.IP}}:9000; zone_sync; } }",
		"no zone_sync":          "",
	} {
		t.Run(name, func(t *testing.T) {
			cl := harness.NewCluster(t, 2)
			cl.Start(http + members)
			a, b := cl.Nodes[0], cl.Nodes[1]
			a.Wants(201, "*", "POST", harness.SetOne, `{"stays":"1","goes":"1","goes there":"1"}`)
			limited := func(n *harness.Node, times int) {
				for range times {
					n.Wants(200, "*", "GET", "/limited", "", "Host", "all")
				}
			}
			limited(a, 3)
			limited(b, 4)
			cl.Acknowledged()
			for _, n := range cl.Nodes { // a list with one side only is still a connection
				reloadTo(t, n, http+alone)
			}
			for _, n := range cl.Nodes {
				n.Sees("/?text=stays", "1")
				testkit.Eventually(t, harness.Patience, func() error { return countsExactly(n, 7) })
			}
			a.Wants(201, "*", "POST", harness.SetOne, `{"of a":"1"}`)
			b.Wants(201, "*", "POST", harness.SetOne, `{"of b":"1"}`)
			a.Wants(204, "*", "PATCH", harness.SetOne, `{"goes":null}`)
			b.Wants(204, "*", "PATCH", harness.SetOne, `{"goes there":null}`)
			limited(a, 5)
			limited(b, 6)
			for _, n := range cl.Nodes {
				reloadTo(t, n, http+members)
			}
			cl.Joined(2)
			present, gone := map[string]bool{"stays": true, "of a": true, "of b": true}, map[string]bool{"goes": true, "goes there": true}
			for _, n := range cl.Nodes {
				testkit.Eventually(t, harness.Patience, func() error { return holds(n, present, gone) })
				testkit.Eventually(t, harness.Patience, func() error { return countsExactly(n, 18) })
			}
		})
	}
}
