package carrier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"starling/cluster"
	"starling/lib/clock"
	"starling/lib/testkit"
)

// readies says whether the node is what a load balancer should be told: ready or not for a reason with that text.
func (n *node) readies(ready, alone bool, reason string) error {
	s := n.carrier.Status()
	if s.Ready != ready || s.Alone != alone || !strings.Contains(s.NotReady, reason) || ready && s.NotReady != "" {
		return fmt.Errorf("node %d: ready %v, alone %v, %q; want %v, %v, %q", n.index, s.Ready, s.Alone, s.NotReady, ready, alone, reason)
	}
	return nil
}

// warns says whether a ready node names a member that fails.
func (n *node) warns(text string) error {
	if got := n.carrier.Status().Warning; !strings.Contains(got, text) || text == "" && got != "" {
		return fmt.Errorf("node %d warns of %q, want %q", n.index, got, text)
	}
	return nil
}

// stand puts something else in the place of a member.
func stand(t *testing.T, address string, serve func(net.Conn)) Member {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	addr := ln.Addr().(*net.TCPAddr)
	return Member{Host: addr.IP.String(), Port: addr.Port, Line: "test.conf:2"}
}

func speaksHTTP(conn net.Conn) { fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }

// TestNotReadyWhileAMemberRefuses: a member that is there and does not get along with this node is the sign of a bad
// certificate or a bad configuration, and a rollout must not go on with it. It makes no difference that the node has
// given up to be taught meanwhile.
func TestNotReadyWhileAMemberRefuses(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	var checks []func() // all wait at the same time
	for _, c := range []struct {
		what, reason string
		member       func(*node) Member
		adjust       func(*Config)
	}{
		{"the member's certificate is of another authority", "TLS handshake: tls: failed to verify certificate",
			func(b *node) Member { b.serverTLS = theirs.server(); return b.member() }, func(c *Config) { c.ClientTLS = ours.client() }},
		{"this node's certificate is refused", "remote error: tls: unknown certificate authority", func(b *node) Member {
			b.serverTLS = theirs.server()
			b.serverTLS.Certificates[0] = ours.issue()
			return b.member()
		}, func(c *Config) { c.ClientTLS = ours.client() }},
		{"only this node uses TLS", "TLS handshake", (*node).member, func(c *Config) { c.ClientTLS = ours.client() }},
		{"only the member uses TLS", "without answering the hello", func(b *node) Member { b.serverTLS = theirs.server(); return b.member() }, nil},
		{"the cluster has another name", `belongs to cluster "blue"`, (*node).member, func(c *Config) { c.Node.Cluster = "blue" }},
		{"an access rule closes the connection", "without answering the hello",
			func(b *node) Member { return stand(b.t.(*testing.T), "127.0.0.1:0", func(net.Conn) {}) }, nil},
		{"another protocol is spoken there", "HTTP?",
			func(b *node) Member { return stand(b.t.(*testing.T), "127.0.0.1:0", speaksHTTP) }, nil},
	} {
		a, b := listen(t, 0), listen(t, 1)
		member := c.member(b)
		b.start(nil, nil)
		a.start([]Member{a.member(), member}, c.adjust)
		checks = append(checks, func() {
			want := fmt.Sprintf("cannot sync with reachable member %s: ", member)
			eventually(t, func() error { return a.readies(false, true, want) })
			eventually(t, func() error {
				if !a.carrier.Node().Ready() {
					return fmt.Errorf("the core still hopes to be taught")
				}
				return nil
			})
			if err := a.readies(false, true, c.reason); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		})
	}
	for _, check := range checks {
		check()
	}
}

// TestReadyAlone: whoever is not there cannot say that anything is wrong.
func TestReadyAlone(t *testing.T) {
	gone := listen(t, 1).member()
	closed, err := net.Listen("tcp", fmt.Sprintf("%s:0", gone.Host))
	if err != nil {
		t.Fatal(err)
	}
	gone.Port = closed.Addr().(*net.TCPAddr).Port
	closed.Close()
	var checks []func()
	silent := stand(t, "127.0.0.1:0", func(conn net.Conn) { io.Copy(io.Discard, conn) })
	for _, c := range []struct {
		what    string
		members []Member
		alone   bool
	}{
		{"nobody else is listed", nil, false},
		{"the connection is refused", []Member{gone}, true},
		{"there is no answer", []Member{silent}, true},
		{"the socket is missing", []Member{{Unix: t.TempDir() + "/none", Line: "test.conf:1"}}, true},
	} {
		a := listen(t, 0)
		a.start(append(c.members, a.member()), func(config *Config) { config.Node.Settings.ConnectTimeoutMS = 300 })
		checks = append(checks, func() {
			eventually(t, func() error {
				if err := a.readies(true, c.alone, ""); err != nil {
					return fmt.Errorf("%s: %w", c.what, err)
				}
				return nil
			})
		})
	}
	for _, check := range checks {
		check()
	}
}

// TestWhoHasMetAMemberStaysReady: when one of two nodes comes back with a bad certificate, the other one goes on
// serving, until what is wrong may be its own.
func TestWhoHasMetAMemberStaysReady(t *testing.T) {
	a, b := listen(t, 0), listen(t, 1)
	member := b.member()
	a.start([]Member{member}, nil)
	b.start([]Member{a.member()}, nil)
	for _, n := range []*node{a, b} {
		eventually(t, func() error { return n.readies(true, false, "") })
	}
	eventually(t, func() error {
		if !a.carrier.settled.Load() { // nobody asks whether it is ready
			return fmt.Errorf("it has not noticed that it met a member")
		}
		return nil
	})
	b.stop()
	stand(t, member.String(), speaksHTTP)
	eventually(t, func() error {
		if got := a.carrier.Status().Members[0].LastError; !strings.Contains(got, "HTTP?") {
			return fmt.Errorf("the member fails for %q", got)
		}
		return nil
	})
	if err := errors.Join(a.readies(true, true, ""), a.warns("cannot sync with reachable member "+member.String())); err != nil {
		t.Error(err)
	}
	a.carrier.Reconnect("the certificate was changed", false)
	eventually(t, func() error { return a.readies(false, true, "HTTP?") })
}

// TestTheMajorityIsReady: after a common restart, a failing member does not take the nodes out of service that are
// connected among themselves, unless they are no more than the failing ones.
func TestTheMajorityIsReady(t *testing.T) {
	for _, c := range []struct {
		failing int
		ready   bool
	}{{1, true}, {2, false}} {
		a, b := listen(t, 0), listen(t, 1)
		var broken []Member
		for range c.failing {
			broken = append(broken, stand(t, "127.0.0.1:0", speaksHTTP))
		}
		a.start(append(broken, b.member()), nil)
		b.start(append(broken, a.member()), nil)
		for _, n := range []*node{a, b} {
			eventually(t, func() error {
				if c.ready {
					return errors.Join(n.readies(true, false, ""), n.warns("cannot sync with reachable member "+broken[0].String()))
				}
				if connected, both := n.carrier.node.Meetings(); connected+both < 2 {
					return fmt.Errorf("%d failing: not connected yet", c.failing)
				}
				return n.readies(false, false, "cannot sync with reachable member ")
			})
		}
	}
}

// TestWhoHasServedAloneStaysReady: a member that appears with a bad certificate does not take a node out of service that
// has been ready for a while; one that has just started may itself be what is wrong.
func TestWhoHasServedAloneStaysReady(t *testing.T) {
	for _, c := range []struct {
		what  string
		alone time.Duration
		ready bool
	}{{"just started", settledAfter / 2, false}, {"for a while", 2 * settledAfter, true}} {
		synctest.Test(t, func(t *testing.T) {
			n := &node{t: t}
			var err error
			n.carrier, err = New(Config{
				Node: cluster.Config{
					ID: 1, Incarnation: 1, Zones: n.makeZones(1 << 20), Settings: cluster.Settings{TimeoutMS: 5000, ConnectTimeoutMS: 2000},
				},
				Members: []Member{{Host: "127.0.0.1", Port: 1}}, Clock: clock.Real(), Log: &journalLog{t: t},
			})
			if err != nil {
				t.Fatal(err)
			}
			var there atomic.Bool
			n.carrier.dialer = func(context.Context, string, string) (net.Conn, error) {
				if !there.Load() {
					return nil, syscall.ECONNREFUSED
				}
				near, far := net.Pipe()
				go func() {
					go io.Copy(io.Discard, far)
					speaksHTTP(far)
				}()
				return near, nil
			}
			n.carrier.tasks.Go(n.carrier.tick)
			n.carrier.run(n.carrier.dialers["127.0.0.1:1"])
			time.Sleep(cluster.AloneMS*time.Millisecond + c.alone)
			if err := errors.Join(n.readies(true, true, ""), n.warns("")); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			there.Store(true)
			time.Sleep(2 * defaultRetryInterval)
			if c.ready {
				err = errors.Join(n.readies(true, true, ""), n.warns("cannot sync with reachable member 127.0.0.1:1: "))
			} else {
				err = errors.Join(n.readies(false, true, "cannot sync with reachable member 127.0.0.1:1: "), n.warns(""))
			}
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			n.carrier.Close()
		})
	}
}

// TestNotReadyUntilReachedMembersConnect: a member that this node reaches and that does not know it yet would keep its
// updates. One that never learns of it delays it for a while only.
func TestNotReadyUntilReachedMembersConnect(t *testing.T) {
	a, b := listen(t, 0), listen(t, 1)
	a.start(nil, nil)
	b.start([]Member{a.member()}, nil)
	eventually(t, func() error {
		return b.readies(false, false, "waiting until 1 member that this node reached connects to it")
	})
	config := a.config
	config.Members = []Member{b.member()}
	if err := a.carrier.Reload(config); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return b.readies(true, false, "") })

	c := listen(t, 2)
	c.start([]Member{a.member()}, nil)
	eventually(t, func() error { return c.readies(false, false, "waiting until 1 member") })
	c.carrier.startedMS.Add(-returnWithin.Milliseconds())
	eventually(t, func() error { return c.readies(true, false, "") })
}

// TestReconnectingIsNoFault: a reload that ends a connection before its hello is answered says nothing against the
// member.
func TestReconnectingIsNoFault(t *testing.T) {
	a := listen(t, 0)
	var accepted atomic.Int64
	silent := stand(t, testkit.Loopback()+":0", func(conn net.Conn) {
		accepted.Add(1)
		_, _ = io.Copy(io.Discard, conn)
	})
	a.start([]Member{silent}, nil)
	connections := func(n int64) {
		t.Helper()
		eventually(t, func() error {
			if got := accepted.Load(); got < n || a.carrier.open() == 0 {
				return fmt.Errorf("%d connections, want %d", got, n)
			}
			return nil
		})
	}
	connections(1)
	a.carrier.Reconnect("access rules changed on reload", false)
	connections(2)
	if _, faults := a.carrier.otherMembers(); len(faults) > 0 {
		t.Errorf("at fault: %s", faults)
	}
}
