package nodes

import (
	"strings"
	"testing"

	"starling/e2e/harness"
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
` + harness.Members

// sharedStreamChecks is the same in stream.
const sharedStreamChecks = `http { server { listen {{.IP}}:8080; location /api { api write=on; } } }
stream {
	upstream backend {
		zone backend 256k;
		server {{.Net}}.101:9100 fail_timeout=1s;
		server {{.Net}}.102:9100 fail_timeout=1s;
		server {{.Net}}.103:9100 fail_timeout=1s;
	}
	match works { send ` + harness.AskedHealth + `; expect ` + harness.SaysWell + `; }
	server {
		listen {{.IP}}:7000NETWORK;
		proxy_pass backend;
		proxy_bind {{.IP}};
		health_check sync interval=1s match=worksNETWORK;
		health_check_timeout 1s;
	}
	server { listen {{.IP}}:9000; zone_sync; {{range .Others}}zone_sync_server {{.}}:9000; {{end}} }
}`

// takeTurns: one node checks each server, and all know what it finds. When it is killed, others take its place.
func takeTurns(cl *harness.Cluster, c *harness.Checked) {
	c.TakeTurns(cl.Nodes...)
	server := c.Servers()[0]
	c.Ill(server, true)
	c.Verdict(cl.Nodes, server, "unhealthy")
	c.Ill(server, false)
	c.Verdict(cl.Nodes, server, "healthy")

	killed := c.Settled(cl.Nodes...)[server]
	killed.Kill()
	var left []*harness.Node
	for _, n := range cl.Nodes {
		if n != killed {
			left = append(left, n)
		}
	}
	c.Settled(left...)
	for server, nodes := range c.Counted(3) {
		if nodes[killed.IP] > 0 {
			cl.T.Errorf("%s gets checks of a node that is gone", server)
		}
	}
}

// TestNodesTakeTurnsWithHealthChecks of http and stream.
func TestNodesTakeTurnsWithHealthChecks(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		cl := harness.NewCluster(t, 3)
		c := cl.CheckedHTTP(101, 102, 103, 104)
		cl.Start(sharedChecks)
		takeTurns(cl, c)
	})
	for network, word := range map[string]string{"tcp": "", "udp": " udp"} {
		t.Run(network, func(t *testing.T) {
			cl := harness.NewCluster(t, 3)
			c := cl.CheckedStream(network, 101, 102, 103)
			cl.Start(strings.ReplaceAll(sharedStreamChecks, "NETWORK", word))
			takeTurns(cl, c)
		})
	}
}

// TestANodeWithoutThePathBelievesItself: a server that only one node does not reach is unhealthy there, and only there.
func TestANodeWithoutThePathBelievesItself(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	c := cl.CheckedHTTP(101, 102, 103, 104)
	cl.Start(sharedChecks)
	server := c.Servers()[1]
	hurt, others := c.Follower(server)
	c.Broken(hurt, true)
	c.Doubts(hurt, others[0], server, func() error { // its clients find out
		_, err := hurt.Do("GET", "/", "")
		return err
	})
	c.Verdict(others, server, "healthy")
	c.Broken(hurt, false)
	c.Verdict(cl.Nodes, server, "healthy")
	c.Settled(cl.Nodes...)
}

// TestNodesWithAnotherCheckAreNamed: a node whose check differs checks the servers itself, and the others take turns. The
// log and the API of all name it, and what differs.
func TestNodesWithAnotherCheckAreNamed(t *testing.T) {
	for name, test := range map[string]struct{ usual, other, terms string }{
		"uri":      {"uri=/health", "uri=/health?deep=1", "uri is /health on this node and /health?deep=1 there"},
		"interval": {"interval=1s", "interval=500ms", "interval is 1s on this node and 500ms there"},
		"match":    {"sync", "sync match=fine", "match is not set on this node and { status 200; } there"},
		"port":     {"sync", "sync port=9100", "port is not set on this node and 9100 there"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := harness.NewCluster(t, 3)
			c := cl.CheckedHTTP(101, 102)
			text := strings.Replace(sharedChecks, "http {", "http { match fine { status 200; }", 1)
			for _, unused := range []string{"103", "104"} {
				text = strings.Replace(text, "server {{.Net}}."+unused+":9100 fail_timeout=1s;", "", 1)
			}
			cl.ConfigureAll(text)
			now, odd := cl.Nodes[:2], cl.Nodes[2]
			odd.Configure(strings.Replace(text, test.usual, test.other, 1))
			for _, n := range cl.Nodes {
				n.Start()
			}
			cl.Joined(3)
			c.TakeTurns(now...)
			c.CountedOf(3, cl.Nodes[2:]) // it looks itself,
			c.CountedOf(3, now)          // and leaves the others' checks to them
			for _, n := range now {
				c.Differs(n, odd.Dir+"/nginx.conf:", test.terms)
			}
			c.Differs(odd, now[0].Dir+"/nginx.conf:", "there")
		})
	}
}
