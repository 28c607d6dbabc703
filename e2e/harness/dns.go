package harness

import (
	"fmt"

	"starling/lib/resolver/resolvertest"
)

// dnsTTLSeconds is short so that tests of changed records need not wait; configurations may override it with valid=.
const dnsTTLSeconds = 1

// DNS starts the cluster's name server at NET.53:5353, once.
func (c *Cluster) DNS() *resolvertest.Server {
	c.T.Helper()
	if c.names == nil {
		s, err := resolvertest.Listen(c.Net + ".53:5353")
		if err != nil {
			c.T.Fatal(err)
		}
		c.names = s
		c.T.Cleanup(s.Close)
	}
	return c.names
}

// ServeDNS gives a name the addresses of the first n nodes.
func (c *Cluster) ServeDNS(name string, n int) {
	c.T.Helper()
	hosts := make([]int, n)
	for i := range hosts {
		hosts[i] = i + 1
	}
	c.ServeNames(name, hosts...)
}

// ServeNames gives a name addresses of the test's network by their last byte.
func (c *Cluster) ServeNames(name string, hosts ...int) {
	c.T.Helper()
	var addrs []string
	for _, h := range hosts {
		addrs = append(addrs, fmt.Sprintf("%s.%d", c.Net, h))
	}
	c.DNS().Host(name, dnsTTLSeconds, addrs...)
}
