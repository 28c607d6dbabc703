package carrier

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starling/cluster/wire"
	"starling/logs"
)

// warnings returns the lines of warnings and errors that have a text.
func (l *journalLog) warnings(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		level, _, _ := strings.Cut(line, ":")
		if (level == logs.Warn.String() || level == logs.Error.String()) && strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// told waits until the log has a text so many times.
func (l *journalLog) told(text string, times int) {
	l.t.Helper()
	eventually(l.t, func() error {
		if n := l.count(text); n < times {
			return fmt.Errorf("%d lines have %q, want %d", n, text, times)
		}
		return nil
	})
}

// peerSays connects to a node as a peer, sends a frame and waits for the end of the connection.
func peerSays(t *testing.T, n *node, frame wire.Type, body string, zones ...wire.Zone) {
	t.Helper()
	conn, err := net.Dial("tcp", n.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hello := wire.Hello{MinVersion: 1, Version: 1, NodeID: 0xe1, Incarnation: 1, TimeoutMS: 5000, WallMS: uint64(time.Now().UnixMilli()), Zones: zones}
	out := wire.AppendFrame([]byte(wire.Preamble), wire.TypeHello, hello.Append(nil), nil)
	if _, err := conn.Write(wire.AppendFrame(out, frame, []byte(body), nil)); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}

// TestEachReasonOfAnAcceptedPeerIsLogged: one line for each way to break the protocol, then a count.
func TestEachReasonOfAnAcceptedPeerIsLogged(t *testing.T) {
	n := listen(t, 0)
	n.start(nil, nil)
	for i := range 3 {
		peerSays(t, n, wire.TypeData, "")
		n.log.told("ended: data: message is truncated", i+1) // else the next one waits to take over
		peerSays(t, n, wire.TypeHeartbeat, "")
		n.log.told("ended: heartbeat: message is truncated", i+1)
	}
	n.stop()
	if got := n.log.warnings("error: zone_sync: connection from peer 127."); len(got) != 2 {
		t.Errorf("%d lines for two ways to break the protocol: %q", len(got), got)
	}
	if got := n.log.warnings("suppressed 2 similar messages"); len(got) != 2 {
		t.Errorf("%d counts, want one of each reason: %q", len(got), got)
	}
}

// TestAPeerThatMakesUpReasonsIsCounted: with zones of other names at each connection, each of which is a reason.
func TestAPeerThatMakesUpReasonsIsCounted(t *testing.T) {
	const connections, zonesOfEach, most = 20, 10, 24 + 5 // reasons with a line each, and lines of all others
	n := listen(t, 0)
	n.start(nil, nil)
	for i := range connections {
		var zones []wire.Zone
		for k := range zonesOfEach {
			zones = append(zones, wire.Zone{Name: fmt.Sprint("z", i, ".", k), Kind: 2, Expression: "k", Origin: uint64(1 + 100*i + k)})
		}
		peerSays(t, n, wire.TypeData, "", zones...)
		n.log.told("ended: data: message is truncated", i+1)
	}
	lines := n.log.count("notice: zone_sync: peer ") // one for each zone, that it is not shared
	if lines < zonesOfEach || lines > most {
		t.Errorf("%d lines for %d made-up zones, want %d to %d", lines, connections*zonesOfEach, zonesOfEach, most)
	}
}

// impostor answers whoever dials with the origins that the dialer has just shown, or turns it away with a text.
func impostor(t *testing.T, refusal func() string) func(net.Conn) {
	return func(conn net.Conn) {
		decoder := wire.NewDecoder()
		conn.SetDeadline(time.Now().Add(patience))
		for {
			n, err := conn.Read(decoder.Space(4096))
			if err != nil {
				return
			}
			decoder.Filled(n)
			frame, complete, err := decoder.Next()
			if err != nil {
				t.Errorf("the dialer's hello: %v", err)
				return
			}
			if !complete {
				continue
			}
			hello, err := wire.ParseHello(frame.Body)
			if err != nil {
				t.Errorf("the dialer's hello: %v", err)
				return
			}
			hello.NodeID = 0xe1
			reply := wire.Reply{Status: wire.StatusAccepted, Hello: hello}
			if refusal != nil {
				reply.Status, reply.Text, reply.Hello.Zones = wire.StatusRefused, refusal(), nil
			}
			conn.Write(wire.AppendFrame([]byte(wire.Preamble), wire.TypeReply, reply.Append(nil), nil))
			io.Copy(io.Discard, conn)
			return
		}
	}
}

// TestADialerLogsOnceWhomItRejects: at level error, and not at level warn again.
func TestADialerLogsOnceWhomItRejects(t *testing.T) {
	n := listen(t, 0)
	n.start([]Member{stand(t, "127.0.0.1:0", impostor(t, nil))}, nil)
	n.log.told("belongs to this node", 3) // the retries, at level debug
	if got := n.log.warnings("belongs to this node"); len(got) != 1 || !strings.HasPrefix(got[0], "error: zone_sync: rejected peer 127.") {
		t.Errorf("%d lines: %q", len(got), got)
	}
	if err := n.readies(false, true, "cannot sync with reachable member 127.0.0.1:"); err != nil {
		t.Error(err)
	}
}

// TestFailuresThatAlternateAreCounted: a member whose trouble is another one at each attempt has a line for each, once.
func TestFailuresThatAlternateAreCounted(t *testing.T) {
	n := listen(t, 0)
	var attempts atomic.Int32
	refusal := func() string { return "for " + []string{"one", "another"}[attempts.Add(1)%2] + " reason" }
	n.start([]Member{stand(t, "127.0.0.1:0", impostor(t, refusal))}, func(c *Config) { c.RetryInterval = 10 * time.Millisecond })
	n.log.told("peer rejected this node", 10)
	if got := n.log.warnings("peer rejected this node"); len(got) != 2 {
		t.Errorf("%d lines for two reasons: %q", len(got), got)
	}
	n.stop()
	if got := n.log.warnings("suppressed "); len(got) != 2 {
		t.Errorf("%d counts for two reasons: %q", len(got), got)
	}
}
