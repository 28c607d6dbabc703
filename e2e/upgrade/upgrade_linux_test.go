package upgrade

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// burst is more than the requests that the load makes while the binary is replaced.
const burst = 60_000

// configuration has each kind of zone; SYNC is "sync" or nothing, PEERS the server of zone_sync.
const configuration = `worker_shutdown_timeout 30s;
http {
	keyval_zone zone=one:64m state={{.Dir}}/one.keyval SYNC;
	keyval $arg_text $text zone=one;
	limit_req_zone $arg_who zone=req:1m rate=1r/m SYNC;
	upstream app {
		zone app 64k;
		server ONE; server TWO;
		keepalive 64;
		sticky learn zone=sessions:64m create=$upstream_cookie_session lookup=$cookie_session SYNC;
	}
	keepalive_requests 1000000000;
	server {
		listen {{.IP}}:8080;
		listen {{.IP}}:8443 ssl;
		http2 on;
		ssl_certificate {{.Dir}}/cert.pem;
		ssl_certificate_key {{.Dir}}/key.pem;
		location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
		location = /text { return 200 "<$text>"; }
		location = /limited { limit_req zone=req burst=BURST nodelay; limit_req_log_level info; log_not_found off; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /api { api write=on; }
	}
}
stream {
	server { listen {{.IP}}:9200; proxy_pass ECHO; }
	PEERS
}`

// configured completes the configuration for a cluster; alone means that its nodes share nothing.
func configured(c *harness.Cluster, alone bool) string {
	peers, sync := "server { listen {{.IP}}:9000; zone_sync; {{range .Others}}zone_sync_server {{.}}:9000; {{end}} }", "sync"
	if alone {
		peers, sync = "", ""
	}
	return strings.NewReplacer("SYNC", sync, "PEERS", peers, "ONE", c.Backend(101, "one"), "TWO", c.Backend(102, "two"),
		"ECHO", echoes(c.T, c.Net+".103:9101"), "BURST", fmt.Sprint(burst)).Replace(configuration)
}

// upgrade runs "starling upgrade" for a node, and waits until the old process has ended.
func upgrade(n *harness.Node) {
	n.T.Helper()
	old := n.PID()
	out, err := command(n)
	if err != nil {
		n.T.Fatalf("%v: %s\n%s", err, out, n.Log())
	}
	if now := n.Inherited(); now == old {
		n.T.Errorf("the pid file still has %d", old)
	}
	ends(n, old)
}

// command is "starling upgrade".
func command(n *harness.Node, more ...string) (string, error) {
	out, err := exec.Command(harness.Binary, append([]string{"upgrade", "-p", n.Dir + "/", "-c", "nginx.conf"}, more...)...).CombinedOutput()
	return string(out), err
}

// ends waits for the end of a process.
func ends(n *harness.Node, pid int) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		if harness.Alive(pid) {
			return fmt.Errorf("process %d does not end:\n%s", pid, n.Log())
		}
		return nil
	})
}

// TestUpgradeUnderLoad replaces the binary three times in a row under load, of a node that is alone and of one of a
// cluster: no request fails, no session and no pair is lost, and no cost is lost or counts twice.
func TestUpgradeUnderLoad(t *testing.T) {
	for _, alone := range []bool{true, false} {
		t.Run(map[bool]string{true: "alone", false: "cluster"}[alone], func(t *testing.T) {
			c := harness.NewCluster(t, map[bool]int{true: 1, false: 2}[alone])
			config := configured(c, alone)
			if alone {
				c.ConfigureAll(config)
				c.Nodes[0].Start()
			} else {
				c.Start(config)
			}
			underLoad(t, c.Nodes[0], c.Nodes[1:])
		})
	}
}

// howMany is the number of sessions before the first upgrade. Those of a cluster take twice the work, so there are fewer,
// except in a full run.
func howMany(inCluster bool) int {
	if harness.Raced {
		return 5_000 // which take as long
	}
	if inCluster && os.Getenv("STARLING_LONG") == "" {
		return 20_000
	}
	return 100_000
}

func underLoad(t *testing.T, n *harness.Node, others []*harness.Node) {
	sessions := howMany(len(others) > 0)
	servers := make([]string, sessions)
	var mu sync.Mutex
	err := pipelined(n, sessions, func(i int) string {
		return fmt.Sprintf("GET /?session=s%d HTTP/1.1\r\nHost: all\r\n\r\n", i)
	}, func(i, status int, body string) error {
		if status != 200 {
			return fmt.Errorf("session %d: %d", i, status)
		}
		mu.Lock()
		defer mu.Unlock()
		servers[i] = body
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	l := newLoad(t, n)
	long, err := n.Dial("9200") // outlives the first upgrade
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	if err := echoed(long, "before\n"); err != nil {
		t.Fatal(err)
	}
	for client := range 2 {
		l.learns(client)
		l.writes(client)
	}
	l.counts()
	l.connects()
	l.multiplexes()
	l.streams()
	begin := time.Now()
	threeTimes(t, n, l, long)
	took := time.Since(begin)
	requests := l.end()
	t.Logf("3 upgrades in %v: %d requests, %d failures, %d sessions, %d pairs, %d counted", took, requests,
		l.failures.Load(), sessions+len(l.sessions), len(l.pairs), l.limited.Load())
	checkSessions(t, n, servers, l.sessions)
	for _, node := range append(others, n) {
		checkPairs(t, node, l.pairs)
	}
	checkCount(t, n, l.limited.Load(), time.Since(begin))
	for _, node := range append(others, n) {
		for line := range strings.Lines(node.Log()) {
			if strings.Contains(line, "[error]") {
				t.Errorf("%s logged: %s", node.Name, line)
			}
		}
	}
}

// threeTimes upgrades while the load goes on. long is a connection that outlives the first upgrade.
func threeTimes(t *testing.T, n *harness.Node, l *load, long net.Conn) {
	t.Helper()
	for i := range 3 {
		made := l.requests.Load()
		testkit.Eventually(t, harness.Patience, func() error { // the load goes on in each process
			if l.requests.Load() < made+1000 {
				return errors.New("no load")
			}
			return nil
		})
		if i > 0 {
			upgrade(n)
			continue
		}
		old := n.PID()
		if out, err := command(n); err != nil {
			t.Fatalf("%v: %s\n%s", err, out, n.Log())
		}
		n.Inherited()
		if err := echoed(long, "after\n"); err != nil {
			t.Errorf("a connection of the old process: %v", err)
		}
		long.Close()
		ends(n, old)
	}
}

// checkSessions wants each session at its server.
func checkSessions(t *testing.T, n *harness.Node, servers []string, more map[string]string) {
	t.Helper()
	names, at := make([]string, 0, len(servers)+len(more)), []string{}
	for i, server := range servers {
		names, at = append(names, fmt.Sprintf("s%d", i)), append(at, server)
	}
	for name, server := range more {
		names, at = append(names, name), append(at, server)
	}
	var mu sync.Mutex
	lost := 0
	err := pipelined(n, len(names), func(i int) string {
		return "GET / HTTP/1.1\r\nHost: all\r\nCookie: session=" + names[i] + "\r\n\r\n"
	}, func(i, _ int, body string) error {
		mu.Lock()
		defer mu.Unlock()
		if body != at[i] {
			lost++
		}
		return nil
	})
	if err != nil || lost > 0 {
		t.Errorf("%d of %d sessions are lost; %v", lost, len(names), err)
	}
}

// checkPairs wants each acknowledged pair.
func checkPairs(t *testing.T, n *harness.Node, pairs map[string]string) {
	t.Helper()
	testkit.Eventually(t, harness.Patience, func() error {
		have, err := n.Pairs("one")
		if err != nil {
			return err
		}
		for key, value := range pairs {
			if have[key] != value {
				return fmt.Errorf("%s: %s is %q, want %q", n.Name, key, have[key], value)
			}
		}
		return nil
	})
}

// checkCount uses up the limit: it has counted each request once.
func checkCount(t *testing.T, n *harness.Node, passed int64, since time.Duration) {
	t.Helper()
	for {
		got, err := n.Pipeline("/limited?who=load", 1000)
		if err != nil {
			t.Fatal(err)
		}
		passed += int64(got[200])
		if got[503] > 0 {
			break
		}
	}
	drained := int64(since.Minutes()) + 1
	if passed < burst+1 || passed > burst+1+drained {
		t.Errorf("%d requests passed, want %d, and at most %d more for the time", passed, burst+1, drained)
	}
}
