package nodes

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// sharedChecks is a cluster that takes turns with the health checks of some servers. Each node connects to them from its
// own address, so that they know who checks them.
const sharedChecks = `http {
	upstream backend {
		zone backend 256k;
		server {{.Net}}.101:9100 fail_timeout=1s;
		server {{.Net}}.102:9100 fail_timeout=1s;
		server {{.Net}}.103:9100 fail_timeout=1s;
		server {{.Net}}.104:9100 fail_timeout=1s;
	}
	server {
		listen {{.IP}}:8080;
		location / {
			proxy_pass http://backend;
			proxy_bind {{.IP}};
			health_check sync interval=1s uri=/health;
		}
		location /api { api write=on; }
	}
}
stream {
	server { listen {{.IP}}:9000; zone_sync;
		{{range .Others}}zone_sync_server {{.}}:9000; {{end}} }
}
`

// checkedServers count the checks that they get, by the address of the node.
type checkedServers struct {
	cl     *harness.Cluster
	mu     sync.Mutex
	checks map[string]map[string]int // by server, then by node
	ill    map[string]bool           // servers that fail
	broken map[string]bool           // nodes whose connections fail
}

func startChecked(cl *harness.Cluster) *checkedServers {
	c := &checkedServers{cl: cl, checks: map[string]map[string]int{}, ill: map[string]bool{}, broken: map[string]bool{}}
	for host := 101; host <= 104; host++ {
		l, err := net.Listen("tcp", fmt.Sprintf("%s.%d:9100", cl.Net, host))
		if err != nil {
			cl.T.Fatal(err)
		}
		name := l.Addr().String()
		c.checks[name] = map[string]int{}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(name, w, r) })}
		go func() { _ = srv.Serve(l) }() // ends with Close below
		cl.T.Cleanup(func() { _ = srv.Close() })
	}
	return c
}

func (c *checkedServers) serve(name string, w http.ResponseWriter, r *http.Request) {
	node, _, _ := net.SplitHostPort(r.RemoteAddr)
	c.mu.Lock()
	if r.URL.Path == "/health" {
		c.checks[name][node]++
	}
	ill, broken := c.ill[name], c.broken[node]
	c.mu.Unlock()
	switch {
	case broken:
		panic(http.ErrAbortHandler)
	case ill:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprint(w, name)
}

// set changes what fails.
func (c *checkedServers) set(all map[string]bool, which string, fails bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all[which] = fails
}

// counted waits until each server has got so many checks from now on, and returns them by server and node.
func (c *checkedServers) counted(least int) map[string]map[string]int {
	c.cl.T.Helper()
	before := c.copied()
	var since map[string]map[string]int
	testkit.Eventually(c.cl.T, harness.Patience, func() error {
		since = c.copied()
		for server, nodes := range since {
			sum := 0
			for node := range nodes {
				nodes[node] -= before[server][node]
				sum += nodes[node]
			}
			if sum < least {
				return fmt.Errorf("%s got %d checks, want %d", server, sum, least)
			}
		}
		return nil
	})
	return since
}

func (c *checkedServers) copied() map[string]map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]map[string]int{}
	for server, nodes := range c.checks {
		all[server] = maps.Clone(nodes)
	}
	return all
}

// seenHealth is the part of what the API shows of a check of a server that tests read.
type seenHealth struct {
	Server  string `json:"server"`
	Verdict string `json:"verdict"`
	Role    string `json:"role"`
	By      string `json:"by"`
	Nodes   []struct {
		Node   string `json:"node"`
		Doubts bool   `json:"doubts"`
	} `json:"nodes"`
}

// seenBy is what a node's API shows, by server.
func seenBy(n *harness.Node) (map[string]seenHealth, error) {
	r, err := n.Do("GET", "/api/9/http/upstreams/backend/health", "")
	if err == nil && r.Status != 200 {
		err = fmt.Errorf("%s: %d %s", n.Name, r.Status, r.Body)
	}
	if err != nil {
		return nil, err
	}
	var list []seenHealth
	if err := json.Unmarshal([]byte(r.Body), &list); err != nil {
		return nil, err
	}
	all := map[string]seenHealth{}
	for _, s := range list {
		all[s.Server] = s
	}
	return all, nil
}

// settled waits until the running nodes show one prober of each server, and returns its address by server.
func (c *checkedServers) settled() map[string]string {
	c.cl.T.Helper()
	var probers map[string]string
	testkit.Eventually(c.cl.T, harness.Patience, func() error {
		probers = map[string]string{}
		for _, n := range c.cl.Nodes {
			if !n.Running() {
				continue
			}
			all, err := seenBy(n)
			if err != nil {
				return err
			}
			for server := range c.checks {
				switch s := all[server]; {
				case s.Role == "prober" && probers[server] != "":
					return fmt.Errorf("%s and %s check %s", probers[server], n.IP, server)
				case s.Role == "prober":
					probers[server] = n.IP
				case s.Role != "follower" || s.By == "self":
					return fmt.Errorf("%s shows %+v", n.Name, s)
				}
			}
		}
		if len(probers) != len(c.checks) {
			return fmt.Errorf("only these are checked: %v", probers)
		}
		return nil
	})
	return probers
}

// ofProbers counts some checks, and those of them that the probers made.
func (c *checkedServers) ofProbers() (own, all int) {
	c.cl.T.Helper()
	probers := c.settled()
	for server, nodes := range c.counted(5) {
		for node, n := range nodes {
			all += n
			if node == probers[server] {
				own += n
			}
		}
	}
	return own, all
}

// verdict waits until nodes show a verdict of a server.
func (c *checkedServers) verdict(nodes []*harness.Node, server, want string) {
	c.cl.T.Helper()
	for _, n := range nodes {
		testkit.Eventually(c.cl.T, harness.Patience, func() error {
			all, err := seenBy(n)
			if err == nil && all[server].Verdict != want {
				err = fmt.Errorf("%s shows %+v, want %s", n.Name, all[server], want)
			}
			return err
		})
	}
}

// TestNodesTakeTurnsWithHealthChecks: one node checks each server, and all know what it finds. When it is killed, others
// take its place.
func TestNodesTakeTurnsWithHealthChecks(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	c := startChecked(cl)
	cl.Start(sharedChecks)
	// Without turns, a third would always be of each node. On a busy machine, some words come late, and followers look.
	testkit.Eventually(t, harness.Patience, func() error {
		if own, all := c.ofProbers(); own*10 < all*8 {
			return fmt.Errorf("of %d checks, the probers made %d", all, own)
		}
		return nil
	})
	server := cl.Net + ".101:9100"
	c.set(c.ill, server, true)
	c.verdict(cl.Nodes, server, "unhealthy")
	c.set(c.ill, server, false)
	c.verdict(cl.Nodes, server, "healthy")

	killed, prober := cl.Nodes[0], c.settled()[server]
	for _, n := range cl.Nodes {
		if n.IP == prober {
			killed = n
		}
	}
	killed.Kill()
	if now := c.settled()[server]; now == killed.IP || now == "" {
		t.Errorf("%s, which was killed, is replaced by %q", killed.IP, now)
	}
	for server, nodes := range c.counted(3) {
		if nodes[killed.IP] > 0 {
			t.Errorf("%s gets checks of a node that is gone", server)
		}
	}
}

// TestANodeWithoutThePathBelievesItself: a server that only one node does not reach is unhealthy there, and only there.
func TestANodeWithoutThePathBelievesItself(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	c := startChecked(cl)
	cl.Start(sharedChecks)
	server, prober := cl.Net+".102:9100", c.settled()[cl.Net+".102:9100"]
	var hurt *harness.Node
	var others []*harness.Node
	for _, n := range cl.Nodes {
		if n.IP != prober && hurt == nil {
			hurt = n
		} else {
			others = append(others, n)
		}
	}
	c.set(c.broken, hurt.IP, true)
	testkit.Eventually(t, harness.Patience, func() error {
		if _, err := hurt.Do("GET", "/", ""); err != nil { // its clients find out
			return err
		}
		all, err := seenBy(hurt)
		if s := all[server]; err == nil && (s.Verdict != "unhealthy" || s.Role != "doubter" || s.By != "self") {
			err = fmt.Errorf("it shows %+v", s)
		}
		return err
	})
	c.verdict(others, server, "healthy")
	testkit.Eventually(t, harness.Patience, func() error { // everybody is told who sees what
		all, err := seenBy(others[0])
		if err != nil {
			return err
		}
		for _, v := range all[server].Nodes {
			if v.Doubts {
				return nil
			}
		}
		return fmt.Errorf("another node shows %+v", all[server])
	})
	if !strings.Contains(hurt.Log(), "but clients of this node fail: this node checks it itself") {
		t.Errorf("its log does not tell:\n%s", hurt.Log())
	}
	c.set(c.broken, hurt.IP, false)
	c.verdict(cl.Nodes, server, "healthy")
	c.settled()
}
