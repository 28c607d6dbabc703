package partition

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/e2e/lan"
	"starling/lib/testkit"
)

// checkedStreams is a cluster that takes turns with the health checks of streams.
const checkedStreams = `http { server { listen {{.IP}}:8080; location /api { api write=on; } } }
stream {
	upstream backend {
		zone backend 256k;
		server {{.Net}}.101:9100 fail_timeout=1s;
		server {{.Net}}.102:9100 fail_timeout=1s;
	}
	match works { send ` + harness.AskedHealth + `; expect ` + harness.SaysWell + `; }
	server {
		listen {{.IP}}:7000NETWORK;
		proxy_pass backend;
		proxy_connect_timeout 300ms;
		proxy_timeout 1s;
		proxy_responses 1;
		health_check sync interval=1s match=worksNETWORK;
		health_check_timeout 500ms;
	}
	server { listen {{.IP}}:9000; zone_sync; {{range .Others}}zone_sync_server {{.}}:9000; {{end}} }
}`

// talk sends a word through a node, and waits for the answer or the end for as long as a node waits for a server.
func talk(h *harness.Hosts, n *harness.Node, network string) error {
	var conn net.Conn
	err := h.At(n).Inside(func() (err error) {
		conn, err = net.Dial(network, n.IP+":7000")
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("client")); err != nil {
		return err
	}
	_, _ = conn.Read(make([]byte, 64)) // a client of a broken path gets no answer
	return nil
}

// TestANodeWithoutThePathToAStreamBelievesItself: one link between a node and a server is cut. Clients of the node find
// out, it checks the server itself and believes itself; the others go on taking turns.
func TestANodeWithoutThePathToAStreamBelievesItself(t *testing.T) {
	t.Parallel()
	for network, word := range map[string]string{"tcp": "", "udp": " udp"} {
		t.Run(network, func(t *testing.T) {
			h := harness.NewHosts(t, 3)
			c := h.CheckedStreamHosts(network, 101, 102)
			h.Start(strings.ReplaceAll(checkedStreams, "NETWORK", word))
			c.TakeTurns(h.Nodes...)
			server := c.Servers()[1]
			hurt, others := c.Follower(server)
			h.Network.Set(h.At(hurt), h.HostOf(netip.MustParseAddrPort(server).Addr()), lan.Trouble{Cut: true})
			c.Doubts(hurt, others[0], server, func() error { return talk(h, hurt, network) })
			c.Verdict(others, server, "healthy")
			h.Network.Heal()
			c.Verdict(h.Nodes, server, "healthy")
			c.TakeTurns(h.Nodes...)
			testkit.Eventually(t, harness.Patience, func() error { return talk(h, hurt, network) })
			proberWithoutThePath(h, c, server)
		})
	}
}

// proberWithoutThePath: the link between a server and the node that checks it for all is cut. The server is unhealthy
// there, and the others believe their own checks.
func proberWithoutThePath(h *harness.Hosts, c *harness.Checked, server string) {
	prober := c.Settled(h.Nodes...)[server]
	var others []*harness.Node
	for _, n := range h.Nodes {
		if n != prober {
			others = append(others, n)
		}
	}
	h.Network.Set(h.At(prober), h.HostOf(netip.MustParseAddrPort(server).Addr()), lan.Trouble{Cut: true})
	c.Verdict([]*harness.Node{prober}, server, "unhealthy")
	c.Verdict(others, server, "healthy")
	for _, n := range others {
		testkit.Eventually(h.T, harness.Patience, func() error {
			all, err := c.SeenBy(n)
			if s := all[server]; err == nil && s.Role != "doubter" {
				err = fmt.Errorf("%s shows %+v", n.Name, s)
			}
			return err
		})
	}
	h.Network.Heal()
	c.Verdict(h.Nodes, server, "healthy")
	c.TakeTurns(h.Nodes...)
}

// TestBothSidesOfAPartitionCheck: each side has a node that checks a server, and one is enough when they meet again.
func TestBothSidesOfAPartitionCheck(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	c := h.CheckedStreamHosts("tcp", 101, 102)
	h.Start(strings.ReplaceAll(checkedStreams, "NETWORK", ""))
	c.TakeTurns(h.Nodes...)
	left, right := h.Nodes[:2], h.Nodes[2:]
	h.Network.Partition(h.HostsOf(left), h.HostsOf(right))
	c.TakeTurns(left...)
	c.TakeTurns(right...)
	server := c.Servers()[0]
	c.Ill(server, true)
	c.Verdict(h.Nodes, server, "unhealthy")
	c.Ill(server, false)
	c.Verdict(h.Nodes, server, "healthy")
	h.Network.Heal()
	c.TakeTurns(h.Nodes...)
}
