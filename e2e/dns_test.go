package e2e

import (
	"fmt"

	"starling/lib/resolver/resolvertest"
)

// dnsTTLSeconds is short so that tests of changed records need not wait; configurations may override it with valid=.
const dnsTTLSeconds = 1

// dns starts the cluster's name server at NET.53:5353, once.
func (c *cluster) dns() *resolvertest.Server {
	c.t.Helper()
	if c.names == nil {
		s, err := resolvertest.Listen(c.Net + ".53:5353")
		if err != nil {
			c.t.Fatal(err)
		}
		c.names = s
		c.t.Cleanup(s.Close)
	}
	return c.names
}

// serveDNS gives a name the addresses of the first n nodes.
func (c *cluster) serveDNS(name string, n int) {
	c.t.Helper()
	hosts := make([]int, n)
	for i := range hosts {
		hosts[i] = i + 1
	}
	c.serveNames(name, hosts...)
}

// serveNames gives a name addresses of the test's network by their last byte.
func (c *cluster) serveNames(name string, hosts ...int) {
	c.t.Helper()
	var addrs []string
	for _, h := range hosts {
		addrs = append(addrs, fmt.Sprintf("%s.%d", c.Net, h))
	}
	c.dns().Host(name, dnsTTLSeconds, addrs...)
}
