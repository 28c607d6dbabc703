package nodes

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// connected is a node with a limit of nine connections, or requests in progress, that all clients share. Downloads hang
// once they have begun; connections of stream stay until the client closes them.
const connected = `http {
	limit_conn_zone $server_name zone=requests:1m sync;
	server { listen {{.IP}}:8080; server_name all;
		location = /hang { limit_conn requests 9; limit_conn_status 429; proxy_buffering off; proxy_pass http://{{.Net}}.101:9200; }
		location /api { api write=on; } } }
stream {
	limit_conn_zone $server_port zone=connections:1m sync;
	server { listen {{.IP}}:8081; limit_conn connections 9; proxy_pass {{.Net}}.101:9200; }
	server { listen {{.IP}}:9000; zone_sync; EXTRA
		{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// hangs is a backend that begins an answer and leaves it at that.
func hangs(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nbegun\n"); err == nil {
					_, _ = io.Copy(io.Discard, conn) // until the other side closes it
				}
			}()
		}
	}()
}

// side is one of the two sides of a node with a limit.
type side struct{ name, port, zone string }

var sides = []side{{"http", "8080", "requests"}, {"stream", "8081", "connections"}}

// hold opens a connection, or starts a request, that stays; open is false if the limit rejects it.
func (s side) hold(n *harness.Node) (held net.Conn, open bool, err error) {
	conn, err := n.Dial(s.port)
	if err != nil {
		return nil, false, err
	}
	n.T.Cleanup(func() { conn.Close() })
	if s.name == "http" {
		if _, err = io.WriteString(conn, "GET /hang HTTP/1.1\r\nHost: all\r\n\r\n"); err != nil {
			return nil, false, err
		}
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	switch {
	case strings.Contains(line, " 200 "):
		return conn, true, nil
	case strings.Contains(line, " 429 "), s.name == "stream" && err == io.EOF:
		return nil, false, conn.Close()
	}
	return nil, false, fmt.Errorf("%s at %s: %q, %v", s.name, n.Name, line, err)
}

// holds opens so many connections at a node, all of which must pass.
func (s side) holds(n *harness.Node, count int) (conns []net.Conn) {
	n.T.Helper()
	for range count {
		conn, open, err := s.hold(n)
		if err != nil || !open {
			n.T.Fatalf("%s at %s: connection %d does not pass: %v", s.name, n.Name, len(conns)+1, err)
		}
		conns = append(conns, conn)
	}
	return conns
}

// counts waits until a node counts so many connections at all nodes, and at itself.
func (s side) counts(n *harness.Node, all, here int) {
	n.T.Helper()
	n.CountsConnections(s.name, s.zone, all, here)
}

// follows checks that another node counts the three connections of a node, the end of one, and one that comes. It
// returns those that are left.
func (s side) follows(other, n *harness.Node, held []net.Conn) []net.Conn {
	n.T.Helper()
	s.counts(n, 3, 3)
	s.counts(other, 3, 0)
	held[0].Close()
	s.counts(other, 2, 0)
	held = append(held[1:], s.holds(n, 1)...)
	s.counts(other, 3, 0)
	return held
}

// hasNoZone waits until a reload has removed the zone.
func (s side) hasNoZone(n *harness.Node) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		r, err := n.Do("GET", "/api/9/starling/"+s.name+"/limit_conns/"+s.zone, "")
		if err == nil && r.Status != 404 {
			err = fmt.Errorf("%s still has the zone %s: %d %s", n.Name, s.zone, r.Status, r.Body)
		}
		return err
	})
}

// rejects fails if a node opens another connection.
func (s side) rejects(n *harness.Node) {
	n.T.Helper()
	if _, open, err := s.hold(n); err != nil || open {
		n.T.Errorf("%s at %s passes a connection too many: %v", s.name, n.Name, err)
	}
}

// connectedCluster starts three nodes, each of which holds three connections on each side.
func connectedCluster(t *testing.T, extra string) (cl *harness.Cluster, held map[string][][]net.Conn) {
	cl = harness.NewCluster(t, 3)
	hangs(t, cl.Net+".101:9200")
	cl.Start(strings.Replace(connected, "EXTRA", extra, 1))
	held = map[string][][]net.Conn{}
	for _, s := range sides {
		for _, n := range cl.Nodes {
			held[s.name] = append(held[s.name], s.holds(n, 3))
		}
		for _, n := range cl.Nodes {
			s.counts(n, 9, 3)
		}
	}
	return cl, held
}

// TestConnectionsOfThreeNodesAddUp: three at each of three nodes are nine, the tenth is rejected at each, and the end of
// one at a node makes room at another.
func TestConnectionsOfThreeNodesAddUp(t *testing.T) {
	cl, held := connectedCluster(t, "")
	for _, s := range sides {
		for _, n := range cl.Nodes {
			s.rejects(n)
		}
		held[s.name][0][0].Close()
		s.counts(cl.Nodes[1], 8, 3)
		s.holds(cl.Nodes[1], 1)
		for i, n := range cl.Nodes {
			s.counts(n, 9, []int{2, 4, 3}[i])
			s.rejects(n)
		}
	}
	cl.Acknowledged()
	for _, n := range cl.Nodes {
		s, err := n.Status()
		if err != nil || s.Zones["requests"].Total != 1 || s.Zones["requests"].Pending != 0 {
			t.Errorf("%s: %+v, %v", n.Name, s.Zones["requests"], err)
		}
	}
}

// TestANodeThatDiesGivesItsPartBack, and its next process begins without connections.
func TestANodeThatDiesGivesItsPartBack(t *testing.T) {
	cl, _ := connectedCluster(t, "zone_sync_timeout 2s;")
	third := cl.Nodes[2]
	third.Kill()
	for _, s := range sides {
		for _, n := range cl.Nodes[:2] {
			s.counts(n, 6, 3)
		}
		s.holds(cl.Nodes[0], 3)
		s.counts(cl.Nodes[1], 9, 3)
		s.rejects(cl.Nodes[1])
	}
	third.Start()
	cl.Joined(3)
	for _, s := range sides {
		s.counts(third, 9, 0)
		s.rejects(third)
	}
}

// TestAProcessThatReplacesAnotherAtItsAddressNeedsNoTimeout: peers need not wait for what its connections were.
func TestAProcessThatReplacesAnotherAtItsAddressNeedsNoTimeout(t *testing.T) {
	cl, _ := connectedCluster(t, "zone_sync_timeout 1h;")
	third := cl.Nodes[2]
	third.Kill()
	third.Start()
	for _, s := range sides {
		for _, n := range cl.Nodes[:2] {
			s.counts(n, 6, 3)
		}
		s.counts(third, 6, 0)
	}
}

// TestAFrozenNodeGivesItsPartBackAndHasItAgain when it goes on: its clients are still there.
func TestAFrozenNodeGivesItsPartBackAndHasItAgain(t *testing.T) {
	cl, held := connectedCluster(t, "zone_sync_timeout 2s;")
	thaw := cl.Nodes[2].Freeze()
	for _, s := range sides {
		for _, n := range cl.Nodes[:2] {
			s.counts(n, 6, 3)
		}
	}
	held["http"][2][0].Close() // it hears of it when it goes on
	thaw()
	cl.Joined(3)
	for i, s := range sides {
		for _, n := range cl.Nodes[:2] {
			s.counts(n, 8+i, 3)
		}
		s.counts(cl.Nodes[2], 8+i, 2+i)
	}
}

// TestAReloadKeepsConnections: those that live on are counted until they end, also if the reload makes the zone shared,
// no longer shared, or removes it.
func TestAReloadKeepsConnections(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	hangs(t, cl.Net+".101:9200")
	shared := strings.Replace(connected, "EXTRA", "", 1)
	local := strings.ReplaceAll(shared, ":1m sync;", ":1m;")
	cl.Start(local)
	a, b := cl.Nodes[0], cl.Nodes[1]
	reload := func(text string) {
		for _, n := range cl.Nodes {
			n.Configure(text)
			n.Signal(syscall.SIGHUP)
		}
	}
	held := map[string][]net.Conn{}
	for _, s := range sides {
		held[s.name] = s.holds(a, 3)
		s.counts(a, 3, 0)
		s.counts(b, 0, 0)
	}
	reload(shared)
	for _, s := range sides {
		held[s.name] = s.follows(b, a, held[s.name])
	}
	reload(local)
	for _, s := range sides {
		s.counts(b, 0, 0)
		s.counts(a, 3, 0)
		held[s.name][0].Close()
		s.counts(a, 2, 0)
	}
	gone := strings.NewReplacer("limit_conn_zone $server_name zone=requests:1m;", "", "limit_conn requests 9;", "",
		"limit_conn_zone $server_port zone=connections:1m;", "", "limit_conn connections 9;", "").Replace(local)
	reload(gone)
	for _, s := range sides {
		for _, n := range cl.Nodes {
			s.hasNoZone(n)
		}
		held[s.name][1].Close()
	}
	reload(shared)
	for _, s := range sides {
		s.counts(b, 0, 0)
		for _, conn := range held[s.name] {
			conn.Close()
		}
		s.holds(b, 9)
		s.counts(a, 9, 0)
		s.rejects(a)
	}
}

// TestAReloadThatResizesAZoneKeepsConnections: those of this node and of the other one, shared or not.
func TestAReloadThatResizesAZoneKeepsConnections(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	hangs(t, cl.Net+".101:9200")
	shared := strings.Replace(connected, "EXTRA", "", 1)
	local := strings.ReplaceAll(shared, ":1m sync;", ":1m;")
	cl.Start(shared)
	a, b := cl.Nodes[0], cl.Nodes[1]
	held := map[string][]net.Conn{}
	for _, s := range sides {
		held[s.name] = s.holds(a, 3)
	}
	for _, size := range []string{"8m", "32k"} {
		for _, n := range cl.Nodes {
			reloadTo(t, n, strings.ReplaceAll(shared, ":1m sync;", ":"+size+" sync;"))
		}
		for _, s := range sides {
			held[s.name] = s.follows(b, a, held[s.name])
			other := s.holds(b, 6)
			s.counts(a, 9, 3)
			s.rejects(a)
			for _, conn := range other {
				conn.Close()
			}
			s.counts(a, 3, 3)
		}
	}
	for _, size := range []string{"1m", "8m", "32k"} { // no longer shared, and then of another size
		for _, n := range cl.Nodes {
			reloadTo(t, n, strings.ReplaceAll(local, ":1m;", ":"+size+";"))
		}
		for _, s := range sides {
			s.counts(a, 3, 0)
		}
	}
	for _, s := range sides {
		held[s.name][0].Close()
		s.counts(a, 2, 0)
		s.holds(a, 7)
		s.rejects(a)
	}
}

// TestANodeThatDoesNotShareTheZone, such as one of an older release, counts alone; the others name it.
func TestANodeThatDoesNotShareTheZone(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	hangs(t, cl.Net+".101:9200")
	shared := strings.Replace(connected, "EXTRA", "", 1)
	cl.ConfigureAll(shared)
	third := cl.Nodes[2]
	third.Configure(strings.ReplaceAll(shared, ":1m sync;", ":1m;"))
	for _, n := range cl.Nodes {
		n.Excused = "is shared on" // an error after a minute, which this test may take on a slow machine
		n.Start()
	}
	cl.Joined(3)
	for _, s := range sides {
		for _, n := range cl.Nodes {
			s.holds(n, 4)
		}
		s.counts(cl.Nodes[0], 8, 4)
		s.counts(cl.Nodes[1], 8, 4)
		s.counts(third, 4, 0)
		cl.Nodes[0].NamesUnshared(s.zone)
	}
}
