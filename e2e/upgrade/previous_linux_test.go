package upgrade

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// previousCommit is the last one of 2026-11-28: before answers that wait for peers, questions, sums, shared upstreams,
// shared connections and strict limits.
const previousCommit = "550969ef883064d5758e4d89fb647dd356377c83"

// A build takes 40 s of a processor, once: go keeps what it has compiled, also of a build that is given up. On a busy
// machine, it may take what go test's limit leaves beside buildReserve, which is for the other tests of the package.
const buildReserve = 4 * time.Minute

// buildPrevious builds the binary of previousCommit. It skips the test if there is no repository with that commit, or
// not enough time.
func buildPrevious(t *testing.T) string {
	t.Helper()
	git := func(args ...string) ([]byte, error) {
		return exec.Command("git", append([]string{"-C", "../.."}, args...)...).CombinedOutput()
	}
	if out, err := git("cat-file", "-e", previousCommit+"^{commit}"); err != nil {
		t.Skipf("git does not have the previous release, as outside of a repository or in a shallow clone: %v: %s", err, out)
	}
	dir := t.TempDir()
	archive, source := filepath.Join(dir, "source.tar"), filepath.Join(dir, "source")
	if out, err := git("archive", "--output="+archive, previousCommit); err != nil {
		t.Fatalf("git archive: %v %s", err, out)
	}
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-xf", archive, "-C", source).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v %s", err, out)
	}
	binary := filepath.Join(dir, "starling")
	ctx := t.Context()
	if limit, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, limit.Add(-buildReserve))
		defer cancel()
	}
	began := time.Now()
	// Without optimization, it takes half the time.
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-gcflags=starling/...=-N -l", "-ldflags=-s -w", "-o", binary, ".")
	build.Dir = source
	out, err := build.CombinedOutput()
	if ctx.Err() != nil {
		t.Skipf("the previous release was not built within %v, and the other tests need the last %v of go test's limit: "+
			"use a longer -timeout", time.Since(began).Round(time.Second), buildReserve)
	}
	if err != nil {
		t.Fatalf("building the previous release: %v\n%s", err, out)
	}
	return binary
}

// mixed is a cluster that shares everything. The previous release does not know what SYNC, STRICT, STATE, WAIT and TURNS
// are for.
const mixed = `http {
	keyval_zone zone=one:1m state={{.Dir}}/one.keyval sync;
	keyval $arg_text $text zone=one;
	limit_req_zone $server_name zone=req:1m rate=1r/m syncSTRICT;
	limit_conn_zone $server_name zone=requests:1mSYNC;
	limit_conn_zone $server_name zone=strictly:1mSYNCSTRICT;
	upstream app {
		zone app 256kSYNC;
		server ONE; server TWO;
		sticky learn zone=sessions:1m create=$upstream_cookie_session lookup=$cookie_session syncWAIT;
	}
	upstream backend { zone backend 256k; server {{.Net}}.103:9100; server {{.Net}}.104:9100; }
	server {
		listen {{.IP}}:8080; server_name all;
		location / { proxy_pass http://app; }
		location /checked { proxy_pass http://backend; proxy_bind {{.IP}}; health_check interval=1s uri=/healthTURNS; }
		location = /text { return 200 "<$text>"; }
		location = /limited { limit_req zone=req burst=29 nodelay; limit_req_status 429; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location = /hang { limit_conn strictly 4; limit_conn requests 4; limit_conn_status 429;
			proxy_pass http://{{.IP}}:8080/api; }
		location /api { api write=on; }
	}
}
stream { server { listen {{.IP}}:9000; zone_sync; STATE
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// TestTogetherWithThePreviousRelease: two nodes of this release and one of the previous one are a cluster. Sessions,
// pairs and limits work on all. What the previous release does not know works without it, or additively, and log and API
// name the zones. When the last node has been upgraded, everything is shared.
func TestTogetherWithThePreviousRelease(t *testing.T) {
	program := buildPrevious(t)
	cl := harness.NewCluster(t, 3)
	text := strings.NewReplacer("ONE", cl.Backend(101, "one"), "TWO", cl.Backend(102, "two")).Replace(mixed)
	now := strings.NewReplacer("SYNC", " sync", "STRICT", " strict", "STATE", "zone_sync_strict_state strict.state;",
		"WAIT", "=5s", "TURNS", " sync").Replace(text)
	checked := cl.CheckedHTTP(103, 104)
	cl.ConfigureAll(now)
	first, old := cl.Nodes[0], cl.Nodes[2]
	old.Configure(strings.NewReplacer("SYNC", "", "STRICT", "", "STATE", "", "WAIT", "", "TURNS", "").Replace(text))
	old.Program = program
	for _, n := range cl.Nodes {
		n.Excused = "is shared on" // an error after a minute, which this test may take on a slow machine
		n.Start()
	}
	cl.Joined(3)

	sessionsAndPairs(cl)
	additiveLimit(cl)
	for _, n := range cl.Nodes[:2] {
		namesWhatIsNotShared(n)
	}
	turnsOfThisRelease(cl, checked)
	held := additiveConns(cl)

	old.Quit()
	old.Program = ""
	old.Configure(now)
	old.Start()
	cl.Joined(3)
	for _, n := range cl.Nodes {
		testkit.Eventually(t, harness.Patience, func() error {
			v, err := n.View()
			for _, p := range v.Peers {
				if err == nil && len(p.Mismatches) > 0 {
					err = fmt.Errorf("%s: %q", n.Name, p.Mismatches)
				}
			}
			if err == nil && !v.Agree {
				err = fmt.Errorf("%s does not agree with the others", n.Name)
			}
			return err
		})
		n.Decides(3)
	}
	checked.TakeTurns(cl.Nodes...)
	first.Wants(201, "", "POST", harness.SetOne+"?ack=all&timeout=30s", `{"later":"x"}`)
	for _, n := range cl.Nodes {
		n.Wants(200, "<x>", "GET", "/text?text=later", "")
	}
	strictConns(cl, held)
}

// sessionsAndPairs of each release are known to the other. Answers do not wait for the node of the previous release.
func sessionsAndPairs(cl *harness.Cluster) {
	t, first, second, old := cl.T, cl.Nodes[0], cl.Nodes[1], cl.Nodes[2]
	for i := range 20 {
		for k, at := range cl.Nodes {
			session := fmt.Sprintf("s%d-%d", k, i)
			server := at.Must("GET", "/?session="+session, "").Body
			for _, n := range cl.Nodes {
				testkit.Eventually(t, harness.Patience, func() error {
					r, err := n.Do("GET", "/", "", "Cookie", "session="+session)
					if err == nil && r.Body != server {
						err = fmt.Errorf("%s sends session %s to %q, %s to %q", n.Name, session, r.Body, at.Name, server)
					}
					return err
				})
			}
		}
	}
	for _, n := range []*harness.Node{first, second} {
		v, err := n.View()
		if err != nil {
			t.Fatal(err)
		}
		if v.Deliveries.Waits == 0 || v.Deliveries.Timeouts > 0 { // the previous release would never answer
			t.Errorf("%s: %+v; answers must wait for the other node of this release, and only for that", n.Name, v.Deliveries)
		}
	}
	old.Wants(201, "", "POST", harness.SetOne, `{"of-the-old":"1"}`)
	first.Sees("/text?text=of-the-old", "<1>")
	first.Wants(201, "", "POST", harness.SetOne, `{"acknowledged":"0"}`)
	testkit.Eventually(t, harness.Patience, func() error { // the previous release does not tell what it has on disk
		r, err := first.Do("PATCH", harness.SetOne+"?ack=all&timeout=1s", `{"acknowledged":"1"}`)
		if err == nil && (r.Status != 202 || r.Body != `{"nodes":2,"needed":3}`) {
			err = fmt.Errorf("%d %s", r.Status, r.Body)
		}
		return err
	})
	second.Wants(200, "<1>", "GET", "/text?text=acknowledged", "")
	old.Sees("/text?text=acknowledged", "<1>")
}

// additiveLimit: the zone is strict on two nodes. All count together all the same, and the two say why.
func additiveLimit(cl *harness.Cluster) {
	t := cl.T
	for _, n := range cl.Nodes[:2] {
		testkit.Eventually(t, harness.Patience, func() error {
			z, err := n.Strict()
			if err == nil && (z.State != "additive" || !strings.Contains(z.Reason, cl.Nodes[2].IP)) {
				err = fmt.Errorf("%s: %+v", n.Name, z)
			}
			return err
		})
	}
	for _, n := range cl.Nodes {
		got, err := n.Pipeline("/limited", 10)
		if err != nil || got[200] != 10 {
			t.Errorf("%s: %v, %v", n.Name, got, err)
		}
	}
	for _, n := range cl.Nodes {
		testkit.Eventually(t, harness.Patience, func() error {
			got, err := n.Pipeline("/limited", 1)
			if err == nil && got[429] != 1 {
				err = errors.New("it passes more than thirty requests")
			}
			return err
		})
	}
}

// additiveConns: the two nodes of this release count their connections together, also those of a zone that is strict there,
// and say why it is not. It returns four connections, which are the limit of the two.
func additiveConns(cl *harness.Cluster) (held []net.Conn) {
	t, now, old := cl.T, cl.Nodes[:2], cl.Nodes[2]
	for _, n := range now {
		testkit.Eventually(t, harness.Patience, func() error {
			z, err := n.StrictConns("http", "strictly")
			if err == nil && (z.State != "additive" || !strings.Contains(z.Reason, old.IP)) {
				err = fmt.Errorf("%s: %+v", n.Name, z)
			}
			return err
		})
	}
	counted := func(all, here int) {
		t.Helper()
		for _, n := range now {
			for _, zone := range []string{"requests", "strictly"} {
				n.CountsConnections("http", zone, all, here)
			}
		}
	}
	own := old.HoldRequest() // is counted by itself
	for round := range 2 {
		for _, n := range now {
			held = append(held, n.HoldRequest())
		}
		counted(2*round+2, round+1)
	}
	for _, n := range now {
		n.Wants(429, "*", "POST", "/hang", "", "Host", "all")
		n.WaitLog(`limiting connections by strict zone "strictly": the limit is reached as far as this node knows`)
	}
	own.Close()
	return held
}

// strictConns: now the zone is strict. What was open before it could be counts, and there is never more than the limit.
func strictConns(cl *harness.Cluster, held []net.Conn) {
	upgraded := cl.Nodes[2]
	for _, n := range cl.Nodes {
		n.DecidesOnConns("http", "strictly", 3)
		n.Wants(429, "*", "POST", "/hang", "", "Host", "all")
	}
	for _, conn := range held[:2] { // one of each
		conn.Close()
	}
	upgraded.CountsConnections("http", "requests", 2, 0)
	upgraded.HoldStrict("http", "strictly", 2)
	for _, n := range cl.Nodes {
		n.CountsConnections("http", "requests", 4, []int{1, 1, 2}[slices.Index(cl.Nodes, n)])
		n.Wants(429, "*", "POST", "/hang", "", "Host", "all")
	}
}

// turnsOfThisRelease: two nodes take turns with health checks, and the previous release checks all servers itself. All
// see when one fails.
func turnsOfThisRelease(cl *harness.Cluster, checked *harness.Checked) {
	now, old := cl.Nodes[:2], cl.Nodes[2:]
	checked.TakeTurns(now...)
	checked.CountedOf(3, old)
	checked.CountedOf(3, now) // does not leave them to the previous release
	server := checked.Servers()[0]
	checked.Ill(server, true)
	checked.Verdict(now, server, "unhealthy")
	checked.State(old[0], server, "unhealthy")
	checked.Ill(server, false)
	checked.Verdict(now, server, "healthy")
	checked.State(old[0], server, "up")
}

// namesWhatIsNotShared: the log and the API of a node name the zones that it does not share with the previous release.
func namesWhatIsNotShared(n *harness.Node) {
	n.T.Helper()
	for _, zone := range []string{"app", "requests", "strictly", "backend health"} {
		n.NamesUnshared(zone)
	}
	if v, err := n.View(); err != nil || v.Agree {
		n.T.Errorf("%s agrees: %v, %v", n.Name, v.Agree, err)
	}
}
