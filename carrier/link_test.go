package carrier

import (
	"context"
	"fmt"
	"net"
	"testing"
)

// linkOf connects two carriers in one process as a pair of sockets would.
func linkOf(name string, to func() (*Carrier, *Link), selves []string) *Link {
	return &Link{Name: name, Selves: selves, Dial: func() (net.Conn, error) {
		mine, theirs := net.Pipe()
		c, l := to()
		go c.ServeLink(theirs, l)
		return mine, nil
	}}
}

// Two processes of one node share its zones over the link, and neither dials the node's own address, where the other
// one could answer. Another node sees one come and one go.
func TestAProcessReplacesAnother(t *testing.T) {
	nodes := mesh(t, 2, nil)
	old, other := nodes[0], nodes[1]
	old.set("k", "before")
	selves := old.carrier.Selves()
	if want := old.member().String(); len(selves) != 1 || selves[0] != want {
		t.Fatalf("the node is reached at %v, want %s", selves, want)
	}
	heir := listen(t, 7)
	var toOld, toHeir *Link
	toOld = linkOf("process 1", func() (*Carrier, *Link) { return old.carrier, toHeir }, selves)
	toHeir = linkOf("process 7", func() (*Carrier, *Link) { return heir.carrier, toOld }, nil)
	heir.start([]Member{old.member(), other.member()}, func(c *Config) { c.Link = toOld })
	old.carrier.SetLink(toHeir)
	eventually(t, func() error {
		if both, trouble := heir.carrier.Linked(); !both || !heir.carrier.Node().Ready() {
			return fmt.Errorf("linked: %v, %s", both, trouble)
		}
		return heir.has("k", "before")
	})
	old.set("k", "after")
	heir.bucket.Charge([]byte("c"), heir.now())
	for _, n := range []*node{old, heir} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := n.carrier.DrainLink(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
	if err := heir.has("k", "after"); err != nil { // no wait: it was acknowledged
		t.Error(err)
	}
	if old.excess("c") != 1 {
		t.Errorf("the old process counts %d", old.excess("c"))
	}
	old.carrier.Redirect()
	eventually(t, func() error {
		if other.log.find("another process takes over") == "" && other.carrier.Status().Node.NodesOnline < 1 {
			return fmt.Errorf("the other node has not noticed")
		}
		return nil
	})
	for _, n := range []*node{old, heir} {
		if line := n.log.find("is this node itself"); n == heir && line != "" {
			t.Errorf("the new process dialled the node's own address: %s", line)
		}
		for _, bad := range []string{"error: ", "already claimed", "another address"} {
			if line := n.log.find(bad); line != "" {
				t.Errorf("node %d: %s", n.index, line)
			}
		}
	}
	heir.carrier.SetLink(nil)
	old.carrier.SetLink(nil)
	if both, _ := heir.carrier.Linked(); both {
		t.Error("the link is still there")
	}
}

// An upgrade may come before the old process has found out which address of the list is its own. The new one dials it
// then, and reaches the old one there, before or after the two are linked: they share the zones over the link.
func TestANewProcessFindsTheNodesOwnAddress(t *testing.T) {
	for _, addressFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("address first: %v", addressFirst), func(t *testing.T) {
			nodes := mesh(t, 2, nil)
			old, other := nodes[0], nodes[1]
			old.set("k", "before")
			heir := listen(t, 7)
			var toOld, toHeir *Link
			toOld = linkOf("process 1", func() (*Carrier, *Link) { return old.carrier, toHeir }, nil)
			toHeir = linkOf("process 7", func() (*Carrier, *Link) { return heir.carrier, toOld }, nil)
			meet, dial := make(chan struct{}), toOld.Dial
			toOld.Dial = func() (net.Conn, error) {
				<-meet
				return dial()
			}
			members := []Member{old.member(), other.member()}
			if addressFirst {
				heir.start(members, func(c *Config) { c.Link = toOld })
				eventually(t, func() error { return heir.is(old.member(), connected) })
			} else {
				heir.start(members[1:], func(c *Config) { c.Link = toOld })
			}
			close(meet)
			old.carrier.SetLink(toHeir)
			linked := func() error {
				for _, n := range []*node{heir, old} {
					if both, trouble := n.carrier.Linked(); !both || !n.carrier.Node().Ready() {
						return fmt.Errorf("node %d: linked: %v, %s", n.index, both, trouble)
					}
				}
				return nil
			}
			eventually(t, linked)
			if !addressFirst {
				heir.config.Members = members
				if err := heir.carrier.Reload(heir.config); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, func() error { return heir.is(old.member(), isSelf) })
			eventually(t, linked)
			old.set("k", "after")
			old.bucket.Charge([]byte("c"), old.now())
			heir.bucket.Charge([]byte("c"), heir.now())
			for _, n := range []*node{old, heir} {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				if err := n.carrier.DrainLink(ctx); err != nil {
					t.Error(err)
				}
				cancel()
			}
			if err := heir.has("k", "after"); err != nil { // no wait: it was acknowledged
				t.Error(err)
			}
			for _, n := range []*node{old, heir} {
				if got := n.excess("c"); got != 2 {
					t.Errorf("node %d counts %d, want 2", n.index, got)
				}
				for _, bad := range []string{"error: ", "warn: "} {
					if line := n.log.find(bad); line != "" {
						t.Errorf("node %d: %s", n.index, line)
					}
				}
			}
		})
	}
}

// is returns nil if an address of the list is in a state.
func (n *node) is(member Member, want dialState) error {
	for _, m := range n.carrier.Status().Members {
		if m.Address == member.String() && m.State == string(want) {
			return nil
		}
	}
	return fmt.Errorf("node %d: %s is not %s: %+v", n.index, member, want, n.carrier.Status().Members)
}
