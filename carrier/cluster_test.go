package carrier

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/cluster"
	"starling/lib/clock"
	"starling/lib/testkit"
	"starling/logs"
	"starling/ssl"
	"starling/zone"
	"starling/zone/kinds"
)

// journalLog collects lines for the tests to look at.
type journalLog struct {
	t     testing.TB
	name  string
	mu    sync.Mutex
	lines []string
}

func (l *journalLog) Enabled(logs.Level) bool { return true }

func (l *journalLog) Logf(level logs.Level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%s: %s", level, fmt.Sprintf(format, args...)))
}

// find returns the first line with a text, "" where there is none.
func (l *journalLog) find(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// count returns how many lines have a text.
func (l *journalLog) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// node is a carrier with its zones and a listener in this process.
type node struct {
	t         testing.TB
	index     int
	clock     *clock.Clock
	listener  net.Listener
	serverTLS *tls.Config
	keyval    *kinds.Keyval
	bucket    *kinds.Bucket
	carrier   *Carrier
	log       *journalLog
	config    Config

	mu    sync.Mutex
	conns []net.Conn
	done  chan struct{}
}

const testBurstMilli = 1 << 40

// listen makes a node that is not started yet, so that the others can name it.
func listen(t testing.TB, index int) *node {
	t.Helper()
	ln, err := net.Listen("tcp", testkit.Loopback()+":0")
	if err != nil {
		t.Fatal(err)
	}
	return &node{t: t, index: index, clock: clock.Real(), listener: ln, log: &journalLog{t: t, name: fmt.Sprint(index)}}
}

func (n *node) member() Member {
	addr := n.listener.Addr().(*net.TCPAddr)
	return Member{Host: addr.IP.String(), Port: addr.Port, Line: "test.conf:1"}
}

func (n *node) makeZones(bytes int64) []zone.Shared {
	n.keyval = kinds.NewKeyval(kinds.KeyvalConfig{Name: "kv", Expression: "k", Bytes: bytes, TimeoutMS: 3_600_000, Sync: true})
	n.bucket = kinds.NewBucket(kinds.BucketConfig{Name: "lim", Expression: "ip", Bytes: bytes, RateMilli: 16, Sync: true})
	n.bucket.SetBurst(testBurstMilli)
	return []zone.Shared{n.keyval, n.bucket}
}

// start begins the node's life with empty zones. adjust may change the configuration.
func (n *node) start(members []Member, adjust func(*Config)) {
	n.t.Helper()
	n.config = Config{
		Node: cluster.Config{
			ID: cluster.NodeID(0xa0 + n.index), Incarnation: uint64(time.Now().UnixNano()),
			Zones: n.makeZones(64 << 20), Settings: cluster.Settings{TimeoutMS: 5000, ConnectTimeoutMS: 2000},
		},
		Members: members, RetryInterval: 100 * time.Millisecond, Clock: n.clock, Log: n.log,
	}
	if adjust != nil {
		adjust(&n.config)
	}
	c, err := New(n.config)
	if err != nil {
		n.t.Fatal(err)
	}
	n.carrier = c
	n.done = make(chan struct{})
	go n.accept()
	c.Start()
	n.t.Cleanup(n.stop)
}

func (n *node) accept() {
	defer close(n.done)
	for {
		nc, err := n.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			client := Client{Name: nc.RemoteAddr().String()}
			if n.serverTLS != nil {
				secured := tls.Server(nc, n.serverTLS)
				if err := secured.Handshake(); err != nil {
					nc.Close()
					return
				}
				if certs := secured.ConnectionState().PeerCertificates; len(certs) > 0 {
					client.Subject = ssl.Identity(certs[0])
				}
				nc = secured
			}
			n.mu.Lock()
			n.conns = append(n.conns, nc)
			n.mu.Unlock()
			n.carrier.Serve(nc, client)
		}()
	}
}

// breakConns ends all accepted connections without a word.
func (n *node) breakConns() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, nc := range n.conns {
		nc.Close()
	}
	n.conns = nil
}

func (n *node) stop() {
	n.listener.Close()
	n.carrier.Close()
	<-n.done
	if n.t.Failed() {
		n.log.mu.Lock()
		for _, line := range n.log.lines {
			n.t.Logf("node %d: %s", n.index, line)
		}
		n.log.mu.Unlock()
	}
}

func (n *node) now() clock.Reading { return n.carrier.Node().ClusterTime(n.clock.Now()) }

func (n *node) set(key, value string) {
	n.t.Helper()
	if err := n.keyval.Set([]byte(key), []byte(value), 0, n.now()); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) has(key, value string) error {
	if got, _ := n.keyval.Get([]byte(key), n.now()); string(got) != value {
		return fmt.Errorf("node %d: %s is %q, want %q", n.index, key, got, value)
	}
	return nil
}

// excess is what the bucket of a key holds, in requests, rounded: it leaks one in a minute, all the time.
func (n *node) excess(key string) int64 {
	milli, _ := n.bucket.Look([]byte(key), n.now(), testBurstMilli)
	return (milli + 500) / 1000
}

func (n *node) online(want int) error {
	if got := n.carrier.Status().Node.NodesOnline; got != int64(want) {
		return fmt.Errorf("node %d: %d nodes online, want %d", n.index, got, want)
	}
	if !n.carrier.Node().Ready() {
		return fmt.Errorf("node %d is not ready", n.index)
	}
	return nil
}

// foundItself returns nil when the node has dialled its own address and knows it: another dial may have made it ready.
func (n *node) foundItself() error {
	if selves := n.carrier.Selves(); len(selves) != 1 || n.log.find("is this node itself") == "" {
		return fmt.Errorf("node %d knows itself at %v only, or has not logged it", n.index, selves)
	}
	return nil
}

const patience = time.Minute

func eventually(t testing.TB, check func() error) {
	t.Helper()
	testkit.Eventually(t, patience, check)
}

// mesh starts nodes that all list all, themselves included, and waits until they are ready.
func mesh(t testing.TB, count int, adjust func(*Config)) []*node {
	t.Helper()
	nodes := make([]*node, count)
	members := make([]Member, count)
	for i := range nodes {
		nodes[i] = listen(t, i)
		members[i] = nodes[i].member()
	}
	for _, n := range nodes {
		n.start(members, adjust)
	}
	for _, n := range nodes {
		eventually(t, func() error { return n.online(count - 1) })
		eventually(t, n.foundItself) // a node may be ready before that
	}
	return nodes
}

func TestThreeNodesShareKeys(t *testing.T) {
	nodes := mesh(t, 3, nil)
	nodes[0].set("colour", "green")
	for _, n := range nodes[1:] {
		eventually(t, func() error { return n.has("colour", "green") })
	}
	for _, n := range nodes {
		if err := n.foundItself(); err != nil { // mesh has waited for it
			t.Error(err)
		}
		eventually(t, func() error { // a peer counts before the line is written
			if n.log.find("notice: zone_sync: connected to peer "+testkit.Loopback()+":") == "" || n.log.find("notice: zone_sync: accepted peer") == "" {
				return fmt.Errorf("node %d did not tell of its peers", n.index)
			}
			return nil
		})
	}
}

// Three nodes count 1,000 requests each while connections break and a newcomer joins: all count 3,000.
func TestCountsAddUp(t *testing.T) {
	nodes := mesh(t, 3, nil)
	newcomer := listen(t, 3)
	members := []Member{newcomer.member()}
	for _, n := range nodes {
		members = append(members, n.member())
	}
	var hits sync.WaitGroup
	halfway := make(chan struct{}, 3)
	for _, n := range nodes {
		hits.Go(func() {
			for i := range 1000 {
				n.bucket.Account([]byte("10.0.0.1"), n.now(), testBurstMilli)
				if i%50 == 0 { // let the others have a word
					eventually(t, func() error { return n.has("nothing", "") })
				}
				if i == 500 {
					halfway <- struct{}{}
				}
			}
		})
	}
	<-halfway
	nodes[1].breakConns()
	newcomer.start(members, nil)
	for _, n := range nodes {
		config := n.config
		config.Members = members
		if err := n.carrier.Reload(config); err != nil {
			t.Fatal(err)
		}
	}
	nodes[2].breakConns()
	hits.Wait()
	all := append(nodes, newcomer)
	for _, n := range all {
		eventually(t, func() error { return n.online(3) })
	}
	for _, n := range all {
		eventually(t, func() error {
			if got := n.excess("10.0.0.1"); got != 3000 && got != 2999 {
				return fmt.Errorf("node %d counts %d, want 3000", n.index, got)
			}
			return nil
		})
	}
}

// What monitoring reads has the names that NGINX gives it.
func TestStatusHasTheNamesOfNGINX(t *testing.T) {
	nodes := mesh(t, 2, nil)
	nodes[0].set("k", "v")
	eventually(t, func() error { return nodes[1].has("k", "v") })
	text, err := json.Marshal(nodes[0].carrier.Status())
	if err != nil {
		t.Fatal(err)
	}
	var status struct {
		Zones  map[string]map[string]any
		Status map[string]float64
		Peers  []map[string]any
	}
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"records_pending", "records_total"} {
		if _, ok := status.Zones["kv"][name]; !ok {
			t.Errorf("no %s in %s", name, text)
		}
	}
	if got := status.Status["nodes_online"]; got != 1 {
		t.Errorf("nodes_online is %v, want 1", got)
	}
	for _, name := range []string{"msgs_out", "msgs_in", "bytes_in", "bytes_out"} {
		if status.Status[name] <= 0 {
			t.Errorf("%s is %v although a hello went each way", name, status.Status[name])
		}
	}
	if len(status.Peers) != 1 || status.Peers[0]["node_id"] != "00000000000000a1" || status.Peers[0]["pushing"] != true {
		t.Errorf("peers: %v", status.Peers)
	}
}

func TestQuitSendsWhatIsPending(t *testing.T) {
	nodes := mesh(t, 2, nil)
	for i := range 2000 {
		nodes[0].set(fmt.Sprint("key", i), "x")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := nodes[0].carrier.Quit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].has("key1999", "x"); err != nil {
		t.Error(err)
	}
	eventually(t, func() error {
		if nodes[1].log.find("node is shutting down") == "" {
			return fmt.Errorf("no goodbye")
		}
		return nil
	})
}

func TestForeignBytesEndThatConnectionOnly(t *testing.T) {
	nodes := mesh(t, 2, nil)
	for _, foreign := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01", strings.Repeat("\x8eSTRL\r\n\x01\xff\xff", 9)} {
		nc, err := net.Dial("tcp", nodes[0].listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(nc, foreign)
		nc.SetReadDeadline(time.Now().Add(patience))
		for {
			if _, err := nc.Read(make([]byte, 512)); err != nil {
				break // closed by the node: a deadline would show in the log check below
			}
		}
		nc.Close()
	}
	for _, line := range []string{"(\"GET / HT\", HTTP?)", "received a TLS handshake", "frame is longer than"} {
		eventually(t, func() error {
			if nodes[0].log.find(line) == "" {
				return fmt.Errorf("not logged: %s", line)
			}
			return nil
		})
	}
	nodes[0].set("a", "b")
	eventually(t, func() error { return nodes[1].has("a", "b") })
}

// The line names the other side once.
func TestAResetIsToldPlainly(t *testing.T) {
	n := listen(t, 0)
	n.start(nil, nil)
	nc, err := net.Dial("tcp", n.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(nc, "\x8eSTRL")
	nc.(*net.TCPConn).SetLinger(0)
	nc.Close()
	want := fmt.Sprintf("closed the connection from %s: recv() failed (104: Connection reset by peer)", nc.LocalAddr())
	eventually(t, func() error {
		if n.log.find(want) == "" {
			return fmt.Errorf("not logged: %s; but %s", want, n.log.find("closed"))
		}
		return nil
	})
}

// addresses is a resolver whose answers the test sets.
type addresses struct {
	mu    sync.Mutex
	addrs []netip.Addr
	err   error
	// valid is how long answers are; 0 is a second.
	valid     time.Duration
	forgotten int
}

func (a *addresses) LookupAddrs(context.Context, string) ([]netip.Addr, time.Duration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addrs, cmp.Or(a.valid, time.Second), a.err
}

func (a *addresses) Forget(string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgotten++
}

func (a *addresses) answer(err error, addrs ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err, a.addrs = err, nil
	for _, text := range addrs {
		a.addrs = append(a.addrs, netip.MustParseAddr(text))
	}
}
