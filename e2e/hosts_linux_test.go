package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"starling/e2e/lan"
	"starling/lib/certs"
	"starling/lib/testkit"
)

// Tests of nodes that are hosts of their own: network namespaces with a network between them that can be cut.

// hosts is a cluster with the network that its nodes talk over. The test itself talks to each node on the node's host,
// which no cut concerns.
type hosts struct {
	*cluster
	net    *lan.Network
	places map[string]*lan.Host // by address
	began  processor
}

// newHosts makes n nodes on hosts of their own, or skips the test and says why.
func newHosts(t *testing.T, n int) *hosts {
	t.Helper()
	ca, err := certs.NewAuthority("e2e authority")
	if err != nil {
		t.Fatal(err)
	}
	h := &hosts{
		cluster: &cluster{t: t, ca: ca, Net: "10.99.0"},
		net:     lan.New(netip.MustParsePrefix("10.99.0.0/24")), places: make(map[string]*lan.Host), began: readProcessor(t),
	}
	t.Cleanup(h.net.Close)
	for range n {
		node := h.add()
		node.inside = h.host(node.IP).Inside
	}
	return h
}

// host makes the host of an address.
func (h *hosts) host(ip string) *lan.Host {
	h.t.Helper()
	place, err := h.net.Add(netip.MustParseAddr(ip))
	if err != nil {
		h.t.Skipf("hosts that can lose each other cannot be made here: %v", err)
	}
	h.places[ip] = place
	return place
}

// at is the host of a node.
func (h *hosts) at(n *node) *lan.Host { return h.places[n.IP] }

// backendHost serves on a host of its own, as cluster.backend does.
func (h *hosts) backendHost(last int, name string) string {
	h.t.Helper()
	ip := fmt.Sprintf("%s.%d", h.Net, last)
	var l net.Listener
	err := h.host(ip).Inside(func() (err error) {
		l, err = net.Listen("tcp", ip+":9100")
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	srv := &http.Server{Handler: sessionHandler(name)}
	go func() { _ = srv.Serve(l) }() // ends with Close below
	h.t.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

// long says whether the full run is wanted; without, a test takes seconds.
func long() bool { return os.Getenv("STARLING_LONG") != "" }

// clusterView is what /stream/zone_sync/cluster says, as far as tests look.
type clusterView struct {
	Ready bool `json:"ready"`
	Zones map[string]struct {
		Pending int64 `json:"records_pending"`
		Total   int64 `json:"records_total"`
		Full    bool  `json:"full"`
	} `json:"zones"`
	Peers []struct {
		Pushing   bool   `json:"pushing"`
		Accepted  bool   `json:"accepted"`
		Teaching  bool   `json:"teaching"`
		LastError string `json:"last_error"`
		Digests   map[string]struct {
			State string `json:"state"`
			AgeMS int64  `json:"age_ms"`
		} `json:"digests"`
	} `json:"peers"`
}

func (n *node) view() (clusterView, error) {
	var v clusterView
	r, err := n.do("GET", "/api/9/stream/zone_sync/cluster", "")
	if err == nil {
		err = json.Unmarshal([]byte(r.body), &v)
	}
	return v, err
}

// pairs reads a whole key-value zone.
func (n *node) pairs(zone string) (map[string]string, error) {
	r, err := n.do("GET", "/api/9/http/keyvals/"+zone, "")
	if err != nil {
		return nil, err
	}
	pairs := map[string]string{}
	return pairs, json.Unmarshal([]byte(r.body), &pairs)
}

// alike waits until all running nodes hold the same pairs in zone one and returns them, and when they did.
func (h *hosts) alike() (pairs map[string]string, at time.Time) {
	h.t.Helper()
	testkit.Eventually(h.t, 2*patience, func() error {
		var bodies []string
		for _, n := range h.Nodes {
			if !n.running() {
				continue
			}
			r, err := n.do("GET", setOne, "")
			if err != nil {
				return err
			}
			bodies = append(bodies, r.body) // sorted by key: equal pairs are equal texts
			if r.body != bodies[0] {
				return fmt.Errorf("%s holds %d bytes of pairs, another node %d, or others", n.Name, len(r.body), len(bodies[0]))
			}
		}
		at = time.Now()
		pairs = map[string]string{}
		return json.Unmarshal([]byte(bodies[0]), &pairs)
	})
	return pairs, at
}

// saysAgreed waits until every running node shows its operator that it agrees with each of count-1 peers, by digests
// younger than since.
func (h *hosts) saysAgreed(count int, since time.Time) {
	h.t.Helper()
	for _, n := range h.Nodes {
		if !n.running() {
			continue
		}
		testkit.Eventually(h.t, 2*patience, func() error {
			v, err := n.view()
			if err != nil {
				return err
			}
			agreeing := 0
			for _, p := range v.Peers {
				d := p.Digests["one"]
				if d.State == "agree" && time.Duration(d.AgeMS)*time.Millisecond < time.Since(since) {
					agreeing++
				}
			}
			if agreeing < count-1 {
				return fmt.Errorf("%s agrees with %d peers, want %d: %+v", n.Name, agreeing, count-1, v)
			}
			return nil
		})
	}
}

// freeze stops a node where it stands, as a host that is suspended; thaw lets it go on.
func (n *node) freeze() (thaw func()) {
	n.t.Helper()
	n.signal(syscall.SIGSTOP)
	thaw = sync.OnceFunc(func() { n.signal(syscall.SIGCONT) })
	n.t.Cleanup(thaw) // a stopped process does not hear TERM
	return thaw
}
