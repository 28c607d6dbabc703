package nodes

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// strictly is a configuration of connected with strict zones.
func strictly(extra string) string {
	return strings.NewReplacer("sync;\n", "sync strict;\n", "EXTRA", "zone_sync_strict_state strict.state; "+extra).
		Replace(connected)
}

// decides waits until nodes decide in a view of so many members, on both sides.
func decideOnConns(nodes []*harness.Node, members int) {
	for _, s := range sides {
		for _, n := range nodes {
			n.T.Helper()
			n.DecidesOnConns(s.name, s.zone, members)
		}
	}
}

// strictConnCluster starts three nodes with strict limits of nine.
func strictConnCluster(t *testing.T, extra string) *harness.Cluster {
	cl := harness.NewCluster(t, 3)
	hangs(t, cl.Net+".101:9200")
	cl.Start(strictly(extra))
	decideOnConns(cl.Nodes, 3)
	return cl
}

// isLoose waits until the side's zone of a node is not strict any more.
func (s side) isLoose(n *harness.Node) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		z, err := n.StrictConns(s.name, s.zone)
		if err == nil && z.State != "" {
			err = fmt.Errorf("%s at %s is strict: %+v", s.name, n.Name, z)
		}
		return err
	})
}

// holdsAnywhere opens so many connections, which may need a few attempts: a node waits for the owner of the key.
func (s side) holdsAnywhere(n *harness.Node, count int) (conns []net.Conn) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		for len(conns) < count {
			conn, open, err := s.hold(n)
			if err != nil {
				return err
			}
			if !open {
				return fmt.Errorf("%s at %s: connection %d does not pass", s.name, n.Name, len(conns)+1)
			}
			conns = append(conns, conn)
		}
		return nil
	})
	return conns
}

// TestStrictConnections: clients open and close connections at three nodes as fast as they can. There are never more
// than nine.
func TestStrictConnections(t *testing.T) {
	cl := strictConnCluster(t, "")
	for _, s := range sides {
		var open, most, opened atomic.Int64
		var all sync.WaitGroup
		until := time.Now().Add(3 * time.Second)
		for i, n := range cl.Nodes {
			for k := range 4 {
				all.Go(func() {
					for round := 0; time.Now().Before(until); round++ {
						conn, in, err := s.hold(n)
						if err != nil {
							t.Errorf("%s at %s: %v", s.name, n.Name, err)
							return
						}
						if !in {
							continue
						}
						now := open.Add(1)
						for top := most.Load(); now > top && !most.CompareAndSwap(top, now); top = most.Load() {
						}
						opened.Add(1)
						for range (i + k + round) % 4 { // takes some time
							if _, err := n.StrictConns(s.name, s.zone); err != nil {
								t.Errorf("%s: %v", n.Name, err)
							}
						}
						open.Add(-1) // the node knows of it later
						conn.Close()
					}
				})
			}
		}
		all.Wait()
		t.Logf("%s: %d were opened, at most %d at once", s.name, opened.Load(), most.Load())
		if most.Load() > 9 || opened.Load() < 9 { // whether all nine can be used is tested below
			t.Errorf("%s: %d were opened, at most %d at once of 9", s.name, opened.Load(), most.Load())
		}
		var held []net.Conn
		for _, n := range cl.Nodes {
			held = append(held, s.holdsAnywhere(n, 3)...)
		}
		for _, n := range cl.Nodes {
			s.rejects(n)
		}
		held[0].Close()
		s.holdsAnywhere(cl.Nodes[2], 1)
		s.rejects(cl.Nodes[1])
		owners := 0
		for _, n := range cl.Nodes {
			z, err := n.StrictConns(s.name, s.zone)
			if err != nil || len(z.Keys) != 1 {
				t.Fatalf("%s: %+v, %v", n.Name, z, err)
			}
			sum := 0
			for _, slots := range z.Keys[0].Holders {
				sum += slots
			}
			if owner := z.Keys[0].Holders != nil; owner {
				owners++
				if sum != 9 {
					t.Errorf("%s shows holders %v", n.Name, z.Keys[0].Holders)
				}
			}
		}
		if owners != 1 {
			t.Errorf("%d nodes show who holds what", owners)
		}
	}
}

// TestANodeThatDiesGivesItsSlotsBack after the time in which it would have ended its connections, not before.
func TestANodeThatDiesGivesItsSlotsBack(t *testing.T) {
	const timeout = 2 * time.Second
	cl := strictConnCluster(t, "zone_sync_timeout 2s;")
	third := cl.Nodes[2]
	for _, s := range sides {
		for _, n := range cl.Nodes {
			s.holdsAnywhere(n, 3)
		}
		for _, n := range cl.Nodes {
			s.rejects(n)
		}
	}
	killed := time.Now()
	third.Kill()
	for _, s := range sides {
		s.holdsAnywhere(cl.Nodes[0], 3)
		if took := time.Since(killed); took < timeout {
			t.Errorf("%s: slots of a node that died %v ago are used", s.name, took)
		}
		s.rejects(cl.Nodes[1])
	}
	t.Logf("after %v", time.Since(killed))
	third.Start()
	decideOnConns(cl.Nodes, 3)
	for _, s := range sides {
		s.rejects(third)
	}
}

// TestAReloadOfAStrictLimitOfConnections: open connections live on, and above a smaller limit nothing is admitted.
func TestAReloadOfAStrictLimitOfConnections(t *testing.T) {
	cl := strictConnCluster(t, "")
	reload := func(text string) {
		for _, n := range cl.Nodes {
			n.Configure(text)
			n.Signal(syscall.SIGHUP)
		}
	}
	limited := func(limit string) string {
		return strings.NewReplacer("requests 9", "requests "+limit, "connections 9", "connections "+limit).Replace(strictly(""))
	}
	has := func(limit int) {
		for _, s := range sides {
			for _, n := range cl.Nodes {
				testkit.Eventually(t, harness.Patience, func() error {
					z, err := n.StrictConns(s.name, s.zone)
					if err == nil && (z.Limit != limit || z.State != "member") {
						err = fmt.Errorf("%s: %+v", n.Name, z)
					}
					return err
				})
			}
		}
	}
	held := map[string][]net.Conn{}
	for _, s := range sides {
		for _, n := range cl.Nodes {
			held[s.name] = append(held[s.name], s.holdsAnywhere(n, 2)...)
		}
	}
	reload(limited("4"))
	has(4)
	for _, s := range sides {
		for _, conn := range held[s.name][:2] {
			conn.Close()
		}
		s.counts(cl.Nodes[1], 4, 2)
		for _, n := range cl.Nodes {
			s.rejects(n)
		}
		held[s.name][2].Close()
		s.counts(cl.Nodes[0], 3, 0)
		s.holdsAnywhere(cl.Nodes[0], 1)
		for _, n := range cl.Nodes {
			s.rejects(n)
		}
	}
	reload(limited("6"))
	has(6)
	for _, s := range sides {
		s.holdsAnywhere(cl.Nodes[1], 2)
		for _, n := range cl.Nodes {
			s.rejects(n)
		}
	}
}

// TestAReloadMakesConnectionsStrict: those that were opened before count, whatever they were counted by.
func TestAReloadMakesConnectionsStrict(t *testing.T) {
	for _, before := range []string{"sync", "local"} {
		t.Run(before, func(t *testing.T) {
			cl := harness.NewCluster(t, 3)
			hangs(t, cl.Net+".101:9200")
			strict := strictly("")
			loose := strings.ReplaceAll(strict, "sync strict;", "sync;")
			if before == "local" {
				loose = strings.ReplaceAll(strict, ":1m sync strict;", ":1m;")
			}
			reload := func(text string) {
				for _, n := range cl.Nodes {
					n.Configure(text)
					n.Signal(syscall.SIGHUP)
				}
			}
			cl.Start(loose)
			held := map[string][]net.Conn{}
			for _, s := range sides {
				for _, n := range cl.Nodes {
					held[s.name] = append(held[s.name], s.holds(n, 2)...)
				}
			}
			reload(strict)
			decideOnConns(cl.Nodes, 3)
			for _, s := range sides {
				s.holdsAnywhere(cl.Nodes[0], 3)
				for _, n := range cl.Nodes {
					s.rejects(n)
				}
				held[s.name][5].Close()
				s.holdsAnywhere(cl.Nodes[1], 1)
				for _, n := range cl.Nodes {
					s.rejects(n)
				}
			}
			reload(loose)
			for _, s := range sides {
				for _, n := range cl.Nodes { // until then, it can count, and show, as before
					s.isLoose(n)
				}
				if before == "sync" {
					s.counts(cl.Nodes[1], 9, 3)
					s.rejects(cl.Nodes[1])
				} else {
					s.counts(cl.Nodes[1], 3, 0)
				}
			}
		})
	}
}
