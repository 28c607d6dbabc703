package cluster

import (
	"fmt"
	"strings"
	"testing"

	"starling/cluster/wire"
	"starling/zone"
	"starling/zone/kinds"
)

func TestNodesThatDoNotFitRefuseEachOther(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"cluster name", func(c *Config) { c.Cluster = "blue" }, `belongs to cluster "blue"`},
		{"copied id", func(c *Config) { c.ID = 100 }, "two running nodes have the ID 0000000000000064"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFabric(t, 2)
			odd := f.hosts[1]
			config := Config{ID: 101, Incarnation: 77, Zones: odd.zones(), Driver: odd}
			test.change(&config)
			node, err := New(config, odd.reading())
			if err != nil {
				t.Fatal(err)
			}
			odd.node = node
			p := f.dial(1, 0)
			f.step(5)
			for i, end := range p.ends {
				ended := end.Ended()
				if ended == nil || !strings.Contains(ended.Err.Error(), test.want) {
					t.Errorf("end %d: %+v, want an error with %q", i, ended, test.want)
				}
			}
		})
	}
}

func TestOwnConnectionIsLeftQuietly(t *testing.T) {
	f := newFabric(t, 1)
	p := f.dial(0, 0)
	f.step(5)
	for i, end := range p.ends {
		if ended := end.Ended(); ended == nil || ended.Reason != wire.ReasonSelf || !ended.Quiet {
			t.Errorf("end %d: %+v", i, ended)
		}
	}
	if n := f.hosts[0].node.Status(f.now).Node.NodesOnline; n != 0 {
		t.Errorf("%d nodes online", n)
	}
}

// Two addresses of one host: the second connection is left, the first stands.
func TestAliasIsLeft(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	second := f.dial(0, 1)
	f.step(5)
	if ended := second.ends[0].Ended(); ended == nil || ended.Reason != wire.ReasonAlias {
		t.Errorf("the second connection: %+v", ended)
	}
	f.hosts[0].set("k", "v")
	f.settle(20, "known", func() bool { return f.hosts[1].get("k") == "v" })
}

// The dialer has lost its connection, the acceptor has not noticed: the new one takes over, and nothing is lost or
// counted twice.
func TestReconnectTakesOver(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].hit("k", 10)
	f.step(1)
	var old *pipe
	for _, p := range f.pipes {
		if p.hosts == [2]int{0, 1} {
			old = p
		}
	}
	old.stalled = true
	f.hosts[0].hit("k", 10)
	f.step(3)
	old.ends[0].Lost(nil, f.now)
	replacement := f.dial(0, 1)
	f.step(1)
	f.move()
	if replacement.ends[1].Established() {
		t.Error("accepted while the reader of the connection before had not ended")
	}
	old.stalled = false
	old.inFlight = [2][]byte{}
	old.ends[1].Lost(nil, f.now)
	old.closed = true
	f.step(20)
	if !replacement.ends[0].Established() {
		t.Fatalf("the new connection: %+v", replacement.ends[0].Ended())
	}
	if got := f.hosts[1].excess("k"); got < 19 || got > 20 {
		t.Errorf("counts %d of 20", got)
	}
}

// The cluster knows no kind: those of peers are named by the configuration.
func TestKindsOfPeersAreNamedByTheConfiguration(t *testing.T) {
	f := newFabric(t, 1)
	h := f.hosts[0]
	jars := &zone.Kind{Number: 9, Name: "jar", Holds: "jars"}
	for _, test := range []struct {
		kinds []*zone.Kind
		want  string
	}{
		{append(kinds.Kinds(), jars), "it stores key-value pairs on this node and jars on the peer"},
		{kinds.Kinds(), "it stores key-value pairs on this node and an unknown kind (9) on the peer"},
		{nil, "it stores key-value pairs on this node and an unknown kind (9) on the peer"},
	} {
		node, err := New(Config{ID: 1, Incarnation: 1, Kinds: test.kinds, Driver: h}, f.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := node.mismatch(h.keyval.Info(), &wire.Zone{Name: "kv", Kind: 9, Expression: "$arg_k"}); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}

// A zone that an operator does not declare by its name needs another remedy.
func TestTheRemedyIsThatOfTheKind(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	checks := kinds.NewHealth(kinds.HealthConfig{Name: "backend health", Bytes: 1 << 20})
	f.hosts[0].reload(append(f.hosts[0].zones(), checks)...)
	f.step(rolloutMS + 5000)
	for i, want := range []string{
		`zone "backend health" is shared on this node but not on the peer`,
		`zone "backend health" is shared on the peer but not on this node`,
	} {
		if got := f.hosts[i].said(want + ", for 1m0s: " + kinds.HealthKind.Remedy); len(got) != 1 {
			t.Errorf("host%d says %q", i, got)
		}
		if got := f.hosts[i].node.Status(f.now).Peers[0].Mismatches; len(got) != 1 || got[0] != want+": "+kinds.HealthKind.Remedy {
			t.Errorf("host%d shows %q", i, got)
		}
	}
}

func TestMismatchedZonesAreNamedOnBothSides(t *testing.T) {
	f := newFabric(t, 2)
	odd := f.hosts[1]
	other := kinds.NewKeyval(kinds.KeyvalConfig{Name: "lim", Expression: "$x", Bytes: 1 << 20, Sync: true})
	sess := kinds.NewSession(kinds.SessionConfig{Name: "sess", Expression: "$cookie_other", Bytes: 1 << 20, TimeoutMS: 1000, Sync: true})
	extra := kinds.NewKeyval(kinds.KeyvalConfig{Name: "extra", Expression: "$x", Bytes: 1 << 20, Sync: true})
	config := Config{ID: 101, Incarnation: 5, Zones: []zone.Shared{odd.keyval, other, sess, extra}, Kinds: kinds.Kinds(), Driver: odd}
	node, err := New(config, odd.reading())
	if err != nil {
		t.Fatal(err)
	}
	odd.node = node
	f.settle(AloneMS+1000, "ready", f.ready)
	f.step(100)
	wants := [2][]string{
		{
			`zone "lim" is not shared: it stores request limits on this node and key-value pairs on the peer`,
			`zone "sess" is not shared: its key is "$cookie_s" on this node and "$cookie_other" on the peer`,
			`zone "extra" is shared on the peer but not on this node`,
		}, {
			`zone "lim" is not shared: it stores key-value pairs on this node and request limits on the peer`,
			`zone "sess" is not shared: its key is "$cookie_other" on this node and "$cookie_s" on the peer`,
			`zone "extra" is shared on this node but not on the peer`,
		},
	}
	for i, want := range wants {
		for _, text := range want {
			if lines := f.hosts[i].said(text); len(lines) != 1 {
				t.Errorf("host%d said %d times: %s", i, len(lines), text)
			}
		}
		if got := f.hosts[i].node.Status(f.now).Peers[0].Mismatches; len(got) != 3 {
			t.Errorf("host%d shows mismatches %q", i, got)
		} else if !strings.HasSuffix(got[2], ": configure the same zones on both nodes") {
			t.Errorf("host%d shows no remedy: %q", i, got[2])
		}
	}
	f.hosts[0].set("k", "v")
	f.settle(20, "shared all the same", func() bool { return odd.get("k") == "v" })
}

// Whoever speaks the protocol may come with as many zones as a hello holds, and with another id each time.
func TestZonesThatNobodyElseHasAreNotAllTold(t *testing.T) {
	f := newFabric(t, 2)
	odd := f.hosts[1]
	zones := odd.zones()
	for i := range maxMismatches + 4 {
		name := fmt.Sprintf("odd%02d", i)
		zones = append(zones, kinds.NewKeyval(kinds.KeyvalConfig{Name: name, Expression: "$x", Bytes: 1 << 20, Sync: true}))
	}
	node, err := New(Config{ID: 101, Incarnation: 5, Zones: zones, Driver: odd}, odd.reading())
	if err != nil {
		t.Fatal(err)
	}
	odd.node = node
	f.settle(AloneMS+1000, "ready", f.ready)
	if told := f.hosts[0].said("shared on the peer but not on this node"); len(told) != maxMismatches {
		t.Errorf("%d zones are told", len(told))
	}
	if told := f.hosts[0].said("4 more zones are not shared"); len(told) != 1 {
		t.Errorf("the others are summed up in %q", told)
	}
	if got := len(f.hosts[0].node.Status(f.now).Peers[0].Mismatches); got != maxMismatches+1 {
		t.Errorf("%d are remembered", got)
	}
}

func TestSilentPeerTimesOut(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	ends := f.pipes[0].ends
	f.pipes[0].stalled = true
	f.step(int(Defaults.TimeoutMS) + 10)
	for i, end := range ends {
		if ended := end.Ended(); ended == nil || ended.Err.Error() != "read timed out after 5s" {
			t.Errorf("end %d: %+v", i, ended)
		}
	}
	mute := f.dial(0, 1)
	mute.stalled = true
	f.step(int(Defaults.ConnectTimeoutMS) + 10)
	if ended := mute.ends[1].Ended(); ended == nil || ended.Err.Error() != "no hello arrived within 5s" {
		t.Errorf("a mute dialer: %+v", ended)
	}
}

func TestQuietConnectionsStand(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	f.step(4 * int(Defaults.TimeoutMS))
	for _, h := range f.hosts {
		if lines := h.said("timed out"); lines != nil {
			t.Errorf("host%d: %s", h.index, lines)
		}
		status := h.node.Status(h.reading())
		if status.Node.NodesOnline != 2 {
			t.Errorf("host%d: %+v", h.index, status.Node)
		}
	}
}

// Figures that stand still mean a connection that does: heartbeats move them, what one node counts as sent another
// counts as received, and strangers do not count.
func TestTrafficMovesWithHeartbeats(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	traffic := func(i int) NodeStatus { return f.hosts[i].node.Status(f.hosts[i].reading()).Node }
	same := func() bool {
		one, two := traffic(0), traffic(1)
		return one.BytesOut == two.BytesIn && one.MsgsOut == two.MsgsIn && two.BytesOut == one.BytesIn && two.MsgsOut == one.MsgsIn
	}
	f.settle(1000, "counting alike", same)
	before := []NodeStatus{traffic(0), traffic(1)}
	f.step(int(Defaults.TimeoutMS))
	for i, b := range before {
		if n := traffic(i); n.BytesIn <= b.BytesIn || n.BytesOut <= b.BytesOut || n.MsgsIn <= b.MsgsIn || n.MsgsOut <= b.MsgsOut {
			t.Errorf("host%d: %+v after %+v: a timeout of silence, and the heartbeats of no direction may be missing", i, n, b)
		}
	}
	for i := range 50 {
		f.hosts[i%2].set(fmt.Sprint("k", i), "x")
		f.hosts[i%2].hit("client", 1)
		f.step(10)
	}
	f.settle(1000, "counting alike", same)

	before[0] = traffic(0)
	stranger, err := f.hosts[0].node.Connected(Connection{Address: "10.0.0.9:1"}, f.now)
	if err != nil {
		t.Fatal(err)
	}
	hello := wire.Hello{MinVersion: wire.MinVersion, Version: wire.Version, NodeID: 7, Incarnation: 1, Cluster: "another"}
	if err := stranger.Receive(wire.AppendFrame([]byte(wire.Preamble), wire.TypeHello, hello.Append(nil), nil), f.now); err == nil {
		t.Fatal("a stranger of another cluster was let in")
	}
	if out := stranger.Outbox(nil, 1000, f.now); len(out) == 0 {
		t.Fatal("a stranger of another cluster is not told why it is refused")
	}
	if after := traffic(0); after != before[0] {
		t.Errorf("%+v after %+v: a stranger counts", after, before[0])
	}
}

// A node that has nothing to tell counts no updates, however long it is connected; one that has counts what it sent.
func TestUpdatesAreCountedWithoutHeartbeats(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	updates := func(i int) UpdateStatus { return f.hosts[i].node.Status(f.hosts[i].reading()).Updates }
	f.step(int(Defaults.TimeoutMS))
	for i := range f.hosts {
		if n := updates(i); n != (UpdateStatus{}) {
			t.Errorf("host%d without records: %+v", i, n)
		}
	}
	f.hosts[0].set("k", "x")
	f.settle(1000, "sent", func() bool { return updates(0).MsgsOut > 0 })
	f.step(int(Defaults.TimeoutMS))
	if n := updates(0); n.MsgsOut != 1 || n.BytesOut < int64(len("kx")) || n.BytesOut > 100 {
		t.Errorf("after one record: %+v", n)
	}
	if n := updates(1); n != (UpdateStatus{}) {
		t.Errorf("the receiver: %+v", n)
	}
}

func TestForeignBytesAreNamed(t *testing.T) {
	tests := []struct{ first, want string }{
		{"GET / HTTP/1.1\r\n", `received text instead of the sync protocol ("GET / HT", HTTP?)`},
		{"\x16\x03\x01", "received a TLS handshake"},
		{"\x15\x03\x01", "received a TLS alert"},
		{"\x00\x01", "received data that is not the sync protocol"},
		{"\x8eSTRX", "received data that is not the sync protocol"},
	}
	for _, test := range tests {
		f := newFabric(t, 1)
		s, err := f.hosts[0].node.Connected(Connection{Address: "10.0.0.9:1"}, f.now)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Receive([]byte(test.first), f.now)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.first, err, test.want)
		}
		if out := s.Outbox(nil, 1000, f.now); len(out) > 0 {
			t.Errorf("%q was answered with %q", test.first, out)
		}
	}
}
