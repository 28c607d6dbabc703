package harness

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"starling/e2e/lan"
	"starling/lib/certs"
	"starling/lib/testkit"
)

// Nodes on hosts of their own: network namespaces with a network between them that can be cut.

// Hosts is a cluster with the network between its nodes. The test itself talks to each node on the node's host, which
// no cut affects.
type Hosts struct {
	*Cluster
	Network *lan.Network
	places  map[string]*lan.Host // by address
	began   processor
}

// NewHosts makes n nodes on hosts of their own, or skips the test with the reason.
func NewHosts(t *testing.T, n int) *Hosts {
	t.Helper()
	ca, err := certs.NewAuthority("e2e authority")
	if err != nil {
		t.Fatal(err)
	}
	h := &Hosts{
		Cluster: &Cluster{T: t, CA: ca, Net: "10.99.0"},
		Network: lan.New(
			netip.MustParsePrefix("10.99.0.0/24"),
		), places: make(map[string]*lan.Host), began: readProcessor(t),
	}
	t.Cleanup(h.Network.Close)
	for range n {
		node := h.Add()
		node.inside = h.host(node.IP).Inside
	}
	return h
}

// host makes the host of an address.
func (h *Hosts) host(ip string) *lan.Host {
	h.T.Helper()
	place, err := h.Network.Add(netip.MustParseAddr(ip))
	if err != nil {
		h.T.Skipf("hosts that can lose each other cannot be made here: %v", err)
	}
	h.places[ip] = place
	return place
}

// At is the host of a node.
func (h *Hosts) At(n *Node) *lan.Host { return h.places[n.IP] }

// HostOf is the host of an address.
func (h *Hosts) HostOf(addr netip.Addr) *lan.Host { return h.places[addr.String()] }

// BackendHost serves on a host of its own, as Cluster.Backend does.
func (h *Hosts) BackendHost(last int, name string) string {
	h.T.Helper()
	ip := fmt.Sprintf("%s.%d", h.Net, last)
	return h.serve(h.host(ip), ip, sessionHandler(name))
}

// ServeAt serves on port 9100 of a node's host.
func (h *Hosts) ServeAt(n *Node, handler http.Handler) {
	h.T.Helper()
	h.serve(h.At(n), n.IP, handler)
}

func (h *Hosts) serve(host *lan.Host, ip string, handler http.Handler) (address string) {
	h.T.Helper()
	var l net.Listener
	err := host.Inside(func() (err error) {
		l, err = net.Listen("tcp", ip+":9100")
		return err
	})
	if err != nil {
		h.T.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(l) }() // ends with Close below
	h.T.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

// CheckedStreamHosts is Cluster.CheckedStream with a host of its own for each server.
func (h *Hosts) CheckedStreamHosts(network string, hosts ...int) *Checked {
	h.T.Helper()
	return h.checkedStream(network, func(last int, listen func() error) error {
		return h.host(fmt.Sprintf("%s.%d", h.Net, last)).Inside(listen)
	}, hosts)
}

// Long reports whether the full run is wanted; without, a test takes seconds.
func Long() bool { return os.Getenv("STARLING_LONG") != "" }

// Alike waits until all running nodes hold the same pairs in zone one and returns them, with the time. Nodes list many
// pairs in any order.
func (h *Hosts) Alike() (pairs map[string]string, at time.Time) {
	h.T.Helper()
	testkit.Eventually(h.T, 2*Patience, func() error {
		pairs = nil
		for _, n := range h.Nodes {
			if !n.Running() {
				continue
			}
			held, err := n.Pairs("one")
			if err != nil {
				return err
			}
			if pairs != nil && !maps.Equal(held, pairs) {
				return fmt.Errorf("%s holds %d pairs, another node %d, or others", n.Name, len(held), len(pairs))
			}
			pairs = held
		}
		at = time.Now()
		return nil
	})
	return pairs, at
}

// SaysAgreed waits until every running node reports in its status that it agrees with each of count-1 peers, by digests
// younger than since.
func (h *Hosts) SaysAgreed(count int, since time.Time) {
	h.T.Helper()
	for _, n := range h.Nodes {
		if !n.Running() {
			continue
		}
		testkit.Eventually(h.T, 2*Patience, func() error {
			v, err := n.View()
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

// HostsOf returns the hosts of some nodes.
func (h *Hosts) HostsOf(nodes []*Node) (out []*lan.Host) {
	for _, n := range nodes {
		out = append(out, h.At(n))
	}
	return out
}

// Online waits until a node is connected to count others.
func (h *Hosts) Online(n *Node, count int64) {
	h.T.Helper()
	testkit.Eventually(h.T, Patience, func() error {
		s, err := n.Status()
		if err == nil && s.Status.NodesOnline != count {
			err = fmt.Errorf("%s: nodes_online is %d, want %d", n.Name, s.Status.NodesOnline, count)
		}
		return err
	})
}

// Milliseconds is a duration in the form of figures.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// WriteEverywhere writes to every running node for a while, each by a writer of its own.
func (h *Hosts) WriteEverywhere(perSecond int, d time.Duration) (writers []*Writer, wrote int) {
	h.T.Helper()
	ctx, stop := context.WithTimeout(h.T.Context(), d)
	defer stop()
	var wg sync.WaitGroup
	for _, n := range h.Nodes {
		w := &Writer{To: n, Name: n.Name, PerSecond: perSecond}
		writers = append(writers, w)
		wg.Go(func() {
			if err := w.Run(ctx); err != nil {
				h.T.Errorf("writer %s: %v", w.Name, err)
			}
		})
	}
	wg.Wait()
	for _, w := range writers {
		wrote += w.Acknowledged()
	}
	return writers, wrote
}
