package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"starling/lib/certs"
	"starling/lib/resolver/resolvertest"
	"starling/lib/testkit"
)

// Cluster is a set of nodes on loopback addresses of their own, with certificates of one authority.
type Cluster struct {
	T     *testing.T
	Nodes []*Node
	CA    *certs.Authority
	// Net is the first three bytes of the addresses of this test.
	Net   string
	names *resolvertest.Server
}

// NewCluster makes n nodes, not yet started, that differ only in their address and folder.
func NewCluster(t *testing.T, n int) *Cluster {
	t.Helper()
	t.Parallel()
	ca, err := certs.NewAuthority("e2e authority")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{T: t, CA: ca, Net: newNetwork(t)}
	for range n {
		c.Add()
	}
	return c
}

// Add makes one more node.
func (c *Cluster) Add() *Node {
	c.T.Helper()
	i := len(c.Nodes) + 1
	n := &Node{
		T:       c.T,
		cluster: c,
		Name:    fmt.Sprintf("node%d", i),
		IP:      fmt.Sprintf("%s.%d", c.Net, i),
		Dir:     c.T.TempDir(),
	}
	cert, key, err := c.CA.Issue(n.Name+".example.com", n.IP)
	if err != nil {
		c.T.Fatal(err)
	}
	// If the test runs as root, the node becomes nobody, and nobody must be able to read its documents.
	err = errors.Join(os.Mkdir(filepath.Join(n.Dir, "logs"), 0o700), os.Chmod(filepath.Dir(n.Dir), 0o755))
	if err != nil {
		c.T.Fatal(err)
	}
	n.Write("cert.pem", string(cert))
	n.Write("key.pem", string(key))
	n.Write("ca.pem", string(c.CA.PEM))
	c.Nodes = append(c.Nodes, n)
	c.T.Cleanup(n.cleanup)
	return n
}

// ConfigureAll gives all nodes one configuration template.
func (c *Cluster) ConfigureAll(text string) {
	c.T.Helper()
	for _, n := range c.Nodes {
		n.Configure(text)
	}
}

// Start configures and starts all nodes and waits until each is connected to all others.
func (c *Cluster) Start(text string) {
	c.T.Helper()
	c.ConfigureAll(text)
	for _, n := range c.Nodes {
		n.Start()
	}
	c.Joined(len(c.Nodes))
}

// Joined waits until every running node is connected to count-1 others.
func (c *Cluster) Joined(count int) {
	c.T.Helper()
	for _, n := range c.Nodes {
		if !n.Running() {
			continue
		}
		testkit.Eventually(c.T, Patience, func() error {
			s, err := n.Status()
			if err == nil && s.Status.NodesOnline != int64(count-1) {
				err = fmt.Errorf("%s: nodes_online is %d, want %d", n.Name, s.Status.NodesOnline, count-1)
			}
			return err
		})
	}
}

// Acknowledged waits until no running node has a change that is not acknowledged by all others.
func (c *Cluster) Acknowledged() {
	c.T.Helper()
	for _, n := range c.Nodes {
		if !n.Running() {
			continue
		}
		testkit.Eventually(c.T, Patience, func() error {
			s, err := n.Status()
			for name, z := range s.Zones {
				if z.Pending != 0 {
					err = fmt.Errorf("%s: zone %s has %d records pending", n.Name, name, z.Pending)
				}
			}
			return err
		})
	}
}
