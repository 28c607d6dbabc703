package carrier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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
	eventually(t, func() error { // it is nobody to look for
		for _, p := range heir.carrier.Status().Peers {
			if p.NodeID == old.carrier.Node().ID().String() && p.State != "replaced" {
				return fmt.Errorf("the old process is shown as %s", p.State)
			}
		}
		return nil
	})
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

// gated is a connection of a process that does not run for a while: what it reads waits until the gate is open.
type gated struct {
	net.Conn
	gate *gate

	mu     sync.Mutex
	held   string // read while the gate was closed
	failed bool   // a write has
}

type gate struct {
	closed atomic.Bool
	open   chan struct{}
}

func (c *gated) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.gate.closed.Load() {
		return n, err
	}
	c.mu.Lock()
	c.held += string(p[:n])
	c.mu.Unlock()
	<-c.gate.open
	return n, err
}

func (c *gated) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = c.failed || err != nil
	return n, err
}

func (c *gated) holds(word string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Contains(c.held, word)
}

func (c *gated) hasFailed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// watched notes what is written.
type watched struct {
	net.Conn
	mu   *sync.Mutex
	sent *string
}

func (c *watched) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	*c.sent += string(p[:n])
	return n, err
}

// unixPair is a pair of connected sockets of which one end can be closed with data in it.
func unixPair(t testing.TB) (ends [2]net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(file); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	return ends
}

// linked are two processes of which one can be killed, while the other does not run.
type linked struct {
	old, heir *node
	inOld     *gate

	mu     sync.Mutex
	dead   bool
	sent   string // by the new process
	ofHeir []net.Conn
	ofOld  []*gated
}

// connect makes a pair, whose first end is the old process's.
func (l *linked) connect() (mine, theirs net.Conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return nil, nil, errors.New("the process has ended")
	}
	ends := unixPair(l.old.t)
	l.ofHeir, l.ofOld = append(l.ofHeir, ends[1]), append(l.ofOld, &gated{Conn: ends[0], gate: l.inOld})
	return l.ofOld[len(l.ofOld)-1], &watched{ends[1], &l.mu, &l.sent}, nil
}

func linkTwo(t *testing.T) *linked {
	t.Helper()
	l := &linked{old: listen(t, 0), heir: listen(t, 7), inOld: &gate{open: make(chan struct{})}}
	var toOld, toHeir *Link
	toOld = &Link{Name: "process 1", Dial: func() (net.Conn, error) {
		mine, theirs, err := l.connect()
		if err == nil {
			go l.old.carrier.ServeLink(mine, toHeir)
		}
		return theirs, err
	}}
	toHeir = &Link{Name: "process 7", Dial: func() (net.Conn, error) {
		mine, theirs, err := l.connect()
		if err == nil {
			go l.heir.carrier.ServeLink(theirs, toOld)
		}
		return mine, err
	}}
	patient := func(c *Config) { c.Node.Settings.TimeoutMS = 12_000 } // for a loaded machine; a third is a heartbeat
	l.old.start(nil, patient)
	eventually(t, func() error { return l.old.online(0) })
	l.heir.start(nil, func(c *Config) { patient(c); c.Link = toOld })
	l.old.carrier.SetLink(toHeir)
	eventually(t, func() error {
		if both, trouble := l.heir.carrier.Linked(); !both || !l.heir.carrier.Node().Ready() {
			return fmt.Errorf("linked: %v, %s", both, trouble)
		}
		return nil
	})
	// The old one has read the first heartbeat, too: one that comes late would end the connection.
	l.heir.set("linked", "x")
	eventually(t, func() error { return l.old.has("linked", "x") })
	return l
}

// counted is the key of the requests that the new process counts.
const counted = "counted"

// says lets the new process write a pair and count a request, and waits until both are sent.
func (l *linked) says(word string) {
	told := func() (pair bool, counts int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return strings.Contains(l.sent, word), strings.Count(l.sent, counted)
	}
	_, before := told()
	l.heir.set(word, word)
	l.heir.bucket.Charge([]byte(counted), l.heir.now())
	eventually(l.old.t, func() error {
		if pair, counts := told(); !pair || counts == before {
			return fmt.Errorf("%s are sent: %v; counts: %d, and %d before", word, pair, counts, before)
		}
		return nil
	})
}

// reads is the connection from which the old process has read a word.
func (l *linked) reads(word string) (found *gated) {
	eventually(l.old.t, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, c := range l.ofOld {
			if c.holds(word) {
				found = c
				return nil
			}
		}
		return errors.New(word + " have not arrived")
	})
	return found
}

func (l *linked) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for _, conn := range l.ofHeir {
		conn.Close()
	}
}

// What the other process sent before it was killed counts, even if this process could not read it until then, and fails
// to answer.
func TestTheLastWordsOfAProcessAreRead(t *testing.T) {
	l := linkTwo(t)
	l.inOld.closed.Store(true)
	l.says("first-words") // the reader has them; the others stay in the socket
	reading := l.reads("first-words")
	l.says("last-words")
	l.kill()
	eventually(t, func() error { // with its next heartbeat
		if !reading.hasFailed() {
			return errors.New("the old process has not noticed yet")
		}
		return nil
	})
	close(l.inOld.open)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := l.old.carrier.ReadLink(ctx); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(l.old.has("first-words", "first-words"), l.old.has("last-words", "last-words"))
	if err != nil {
		t.Error(err)
	}
	if got := l.old.excess(counted); got != 2 {
		t.Errorf("the old process counts %d of 2", got)
	}
}
