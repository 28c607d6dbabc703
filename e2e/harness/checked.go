package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"starling/lib/testkit"
)

// Checked are the servers of an upstream "backend", which count the health checks that they get by the address of the
// node: nodes connect to them from their own addresses.
type Checked struct {
	cl   *Cluster
	side string // http or stream, for the API

	mu     sync.Mutex
	checks map[string]map[string]int // by server, then by node
	ill    map[string]bool           // servers that fail
	broken map[string]bool           // nodes whose connections fail
}

func (c *Cluster) checked(side string) *Checked {
	return &Checked{
		cl: c, side: side, checks: map[string]map[string]int{}, ill: map[string]bool{}, broken: map[string]bool{},
	}
}

// CheckedPort is where the servers of Checked are.
const CheckedPort = "9100"

// CheckedHTTP starts servers whose checks are requests of /health.
func (c *Cluster) CheckedHTTP(hosts ...int) *Checked {
	c.T.Helper()
	all := c.checked("http")
	for _, host := range hosts {
		l, err := net.Listen("tcp", c.add(all, host))
		if err != nil {
			c.T.Fatal(err)
		}
		name := l.Addr().String()
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			all.serve(name, w, r)
		})}
		go func() { _ = srv.Serve(l) }() // ends with Close below
		c.T.Cleanup(func() { _ = srv.Close() })
	}
	return all
}

// add returns the address of a further server.
func (c *Cluster) add(all *Checked, host int) string {
	server := fmt.Sprintf("%s.%d:%s", c.Net, host, CheckedPort)
	all.checks[server] = map[string]int{}
	return server
}

func (c *Checked) serve(name string, w http.ResponseWriter, r *http.Request) {
	switch ill, broken := c.note(name, r.RemoteAddr, r.URL.Path == "/health"); {
	case broken:
		panic(http.ErrAbortHandler)
	case ill:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprint(w, name)
}

// note counts what a node sends, and returns what fails.
func (c *Checked) note(server, from string, check bool) (ill, broken bool) {
	node, _, _ := net.SplitHostPort(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	if check {
		c.checks[server][node]++
	}
	return c.ill[server], c.broken[node]
}

// Ill makes a server fail, or work again.
func (c *Checked) Ill(server string, fails bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ill[server] = fails
}

// Broken makes all that a node sends fail, or reach the servers again.
func (c *Checked) Broken(n *Node, fails bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken[n.IP] = fails
}

// Servers are the addresses of the servers, sorted.
func (c *Checked) Servers() []string { return slices.Sorted(maps.Keys(c.checks)) }

// Counted waits until each server has got so many checks from now on, and returns them by server and node.
func (c *Checked) Counted(least int) map[string]map[string]int {
	c.cl.T.Helper()
	return c.CountedOf(least, nil)
}

// CountedOf is Counted for the checks of some nodes.
func (c *Checked) CountedOf(least int, nodes []*Node) map[string]map[string]int {
	c.cl.T.Helper()
	before := c.copied()
	var since map[string]map[string]int
	testkit.Eventually(c.cl.T, Patience, func() error {
		since = c.copied()
		for server, counts := range since {
			sum := 0
			for node := range counts {
				counts[node] -= before[server][node]
				if nodes == nil || slices.ContainsFunc(nodes, func(n *Node) bool { return n.IP == node }) {
					sum += counts[node]
				}
			}
			if sum < least {
				return fmt.Errorf("%s got %d checks, want %d", server, sum, least)
			}
		}
		return nil
	})
	return since
}

func (c *Checked) copied() map[string]map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]map[string]int{}
	for server, nodes := range c.checks {
		all[server] = maps.Clone(nodes)
	}
	return all
}

// SeenHealth is the part of what the API shows of a check of a server that tests read.
type SeenHealth struct {
	Server  string `json:"server"`
	Verdict string `json:"verdict"`
	Role    string `json:"role"`
	By      string `json:"by"`
	Check   string `json:"check"`
	Differs []struct {
		At    string `json:"at"`
		Terms string `json:"terms"`
	} `json:"differs"`
	Nodes []struct {
		Node    string `json:"node"`
		Self    bool   `json:"self"`
		Verdict string `json:"verdict"`
		Doubts  bool   `json:"doubts"`
	} `json:"nodes"`
}

// SeenBy is what a node's API shows, by server.
func (c *Checked) SeenBy(n *Node) (map[string]SeenHealth, error) {
	r, err := n.Do("GET", "/api/9/"+c.side+"/upstreams/backend/health", "")
	if err == nil && r.Status != 200 {
		err = fmt.Errorf("%s: %d %s", n.Name, r.Status, r.Body)
	}
	if err != nil {
		return nil, err
	}
	var list []SeenHealth
	if err := json.Unmarshal([]byte(r.Body), &list); err != nil {
		return nil, err
	}
	all := map[string]SeenHealth{}
	for _, s := range list {
		all[s.Server] = s
	}
	return all, nil
}

// Settled waits until the nodes show one prober of each server, and returns it by server.
func (c *Checked) Settled(nodes ...*Node) map[string]*Node {
	c.cl.T.Helper()
	var probers map[string]*Node
	testkit.Eventually(c.cl.T, Patience, func() error {
		probers = map[string]*Node{}
		for _, n := range nodes {
			all, err := c.SeenBy(n)
			if err != nil {
				return err
			}
			for server := range c.checks {
				switch s := all[server]; {
				case s.Role == "prober" && probers[server] != nil:
					return fmt.Errorf("%s and %s check %s", probers[server].Name, n.Name, server)
				case s.Role == "prober":
					probers[server] = n
				case s.Role != "follower" || s.By == "self":
					return fmt.Errorf("%s shows %+v", n.Name, s)
				}
			}
		}
		if len(probers) != len(c.checks) {
			return fmt.Errorf("only these are checked: %v", slices.Sorted(maps.Keys(probers)))
		}
		return nil
	})
	return probers
}

// TakeTurns waits until the probers make nearly all checks of the nodes. Without turns, each node would make its
// part of them. On a busy machine, some words come late, and followers look.
func (c *Checked) TakeTurns(nodes ...*Node) {
	c.cl.T.Helper()
	testkit.Eventually(c.cl.T, Patience, func() error {
		probers := c.Settled(nodes...)
		counts := c.CountedOf(5, nodes)
		own, all := 0, 0
		for server, prober := range probers {
			for _, n := range nodes {
				all += counts[server][n.IP]
			}
			own += counts[server][prober.IP]
		}
		if own*10 < all*8 {
			return fmt.Errorf("of %d checks, the probers made %d", all, own)
		}
		return nil
	})
}

// Verdict waits until nodes show a verdict of a server.
func (c *Checked) Verdict(nodes []*Node, server, want string) {
	c.cl.T.Helper()
	for _, n := range nodes {
		testkit.Eventually(c.cl.T, Patience, func() error {
			all, err := c.SeenBy(n)
			if err == nil && all[server].Verdict != want {
				err = fmt.Errorf("%s shows %+v, want %s", n.Name, all[server], want)
			}
			return err
		})
	}
}

// State waits until a node shows a state of a server.
func (c *Checked) State(n *Node, server, want string) {
	c.cl.T.Helper()
	testkit.Eventually(c.cl.T, Patience, func() error {
		r, err := n.Do("GET", "/api/9/"+c.side+"/upstreams/backend", "")
		if err != nil {
			return err
		}
		var shown struct {
			Peers []struct{ Server, State string }
		}
		if err := json.Unmarshal([]byte(r.Body), &shown); err != nil {
			return err
		}
		for _, p := range shown.Peers {
			if p.Server == server && p.State == want {
				return nil
			}
		}
		return fmt.Errorf("%s shows %s, want %s %s", n.Name, r.Body, server, want)
	})
}

// Differs waits until the API and the log of a node name a check of another node that differs, by the place where it is
// and by how it differs.
func (c *Checked) Differs(n *Node, at, terms string) {
	c.cl.T.Helper()
	testkit.Eventually(c.cl.T, Patience, func() error {
		all, err := c.SeenBy(n)
		for _, s := range all {
			for _, d := range s.Differs {
				isIt := strings.HasPrefix(d.At, at) && strings.Contains(d.Terms, terms)
				if isIt && strings.HasPrefix(s.Check, n.Dir) {
					return nil
				}
			}
		}
		return errors.Join(err, fmt.Errorf("%s shows %+v, want %s: %s", n.Name, all, at, terms))
	})
	parts := []string{" is not that of node ", " in " + at, terms, "configure the same check on both nodes"}
	testkit.Eventually(c.cl.T, Patience, func() error {
		for line := range strings.Lines(n.Log()) {
			lacks := func(part string) bool { return !strings.Contains(line, part) }
			if !slices.ContainsFunc(parts, lacks) {
				return nil
			}
		}
		return fmt.Errorf("%s has not logged that the check at %s differs:\n%s", n.Name, at, n.Log())
	})
}

// Follower is a node that follows another one's verdict of a server, and the other nodes.
func (c *Checked) Follower(server string) (follower *Node, others []*Node) {
	c.cl.T.Helper()
	prober := c.Settled(c.cl.Nodes...)[server]
	for _, n := range c.cl.Nodes {
		if n != prober && follower == nil {
			follower = n
		} else {
			others = append(others, n)
		}
	}
	return follower, others
}

// Doubts lets a client of a node find out that this does not reach a server, until the node shows that it believes
// itself, and another one that it was told.
func (c *Checked) Doubts(n, other *Node, server string, client func() error) {
	c.cl.T.Helper()
	testkit.Eventually(c.cl.T, Patience, func() error {
		if err := client(); err != nil {
			return err
		}
		all, err := c.SeenBy(n)
		if s := all[server]; err == nil && (s.Verdict != "unhealthy" || s.Role != "doubter" || s.By != "self") {
			err = fmt.Errorf("%s shows %+v", n.Name, s)
		}
		return err
	})
	testkit.Eventually(c.cl.T, Patience, func() error {
		all, err := c.SeenBy(other)
		for _, v := range all[server].Nodes {
			if v.Doubts && !v.Self && v.Verdict == "unhealthy" {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("%s shows %+v", other.Name, all[server]))
	})
	n.WaitLog("but clients of this node fail: this node checks it itself") // which it tells after it has decided so
}
