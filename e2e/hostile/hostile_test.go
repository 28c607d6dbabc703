package hostile

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// attacked is a cluster of two nodes and a third member, which is the program of peer_test.go: with a certificate of
// the cluster's authority, or where there is none with an address in the list. SYNC stands for the lines of TLS.
const attacked = `http { limit_req_zone $server_name zone=req:1M rate=1r/m sync; keyval_zone zone=one:1m timeout=1h sync; keyval $arg_text $text zone=one;
	server { listen {{.IP}}:8080; server_name all;
		location / { return 200 $text; }
		location /limited { limit_req zone=req burst=199 nodelay; error_page 404 = @ok; log_not_found off; }
		location @ok { return 200 ok; }
		location /api { api write=on; } } }
	stream { server { listen {{.IP}}:9000 SSL; SYNC zone_sync; zone_sync_server {{.Net}}.1:9000; zone_sync_server {{.Net}}.2:9000; zone_sync_server {{.Net}}.3:9000;
		zone_sync_connect_retry_interval 100ms; } }`

const mutual = `ssl_certificate {{.Dir}}/cert.pem; ssl_certificate_key {{.Dir}}/key.pem; ssl_verify_client on; ssl_client_certificate {{.Dir}}/ca.pem;
	zone_sync_ssl on; zone_sync_ssl_verify on; zone_sync_ssl_trusted_certificate {{.Dir}}/ca.pem;
	zone_sync_ssl_certificate {{.Dir}}/cert.pem; zone_sync_ssl_certificate_key {{.Dir}}/key.pem;`

// attack starts the cluster and returns who attacks it.
func attack(t *testing.T, secured bool) (*harness.Cluster, *intruder) {
	cl := harness.NewCluster(t, 2)
	i := &intruder{t: t, ip: cl.Net + ".3"}
	text := strings.NewReplacer(" SSL", "", "SYNC", "").Replace(attacked)
	if secured {
		text = strings.NewReplacer("SSL", "ssl", "SYNC", mutual).Replace(attacked)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(cl.CA.PEM)
		pair, err := cl.CA.Pair("evil.example.com", i.ip)
		if err != nil {
			t.Fatal(err)
		}
		i.tls = &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: cl.Net + ".1", InsecureSkipVerify: true}
	}
	cl.ConfigureAll(text)
	for _, n := range cl.Nodes {
		n.Start()
	}
	for k, n := range cl.Nodes {
		connectedTo(n, cl.Nodes[1-k])
		testkit.Eventually(t, harness.Patience, func() error { // the third member is not there yet
			r, err := n.Do("GET", "/api/9/stream/zone_sync/ready", "")
			if err == nil && r.Status != 200 {
				err = fmt.Errorf("%s is not ready: %s", n.Name, r.Body)
			}
			return err
		})
	}
	return cl, i
}

// both runs an attack on a cluster with certificates, and on one without.
func both(t *testing.T, run func(t *testing.T, cl *harness.Cluster, i *intruder)) {
	for _, secured := range []bool{true, false} {
		t.Run(fmt.Sprint("certificates=", secured), func(t *testing.T) {
			cl, i := attack(t, secured)
			run(t, cl, i)
		})
	}
}

// peersShown is what the API tells of a node's peers.
type peersShown struct {
	NodeID string `json:"node_id"`
	Offset int64  `json:"clock_offset_ms"`
	Peers  []struct {
		NodeID  string `json:"node_id"`
		State   string `json:"state"`
		Address string `json:"address"`
		Lost    int64  `json:"connections_lost"`
		Refused bool   `json:"clock_refused"`
	} `json:"peers"`
}

func ofPeers(n *harness.Node) (s peersShown, err error) {
	r, err := n.Do("GET", "/api/9/stream/zone_sync/cluster", "")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(r.Body), &s)
}

// connectedTo waits until a node is connected to another in both directions, and returns how often that was lost.
func connectedTo(n *harness.Node, other *harness.Node) (lost int64) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		s, err := ofPeers(n)
		for _, p := range s.Peers {
			if p.Address == other.IP+":9000" && p.State == "connected" {
				lost = p.Lost
				return err
			}
		}
		return errors.Join(err, fmt.Errorf("%s is not connected to %s: %+v", n.Name, other.Name, s))
	})
	return lost
}

// stranger is who the program is when it says the truth.
func stranger(id uint64) intro {
	return intro{id: id, incarnation: 1, wallMS: uint64(time.Now().UnixMilli()), zones: []introZone{
		{name: "req", kind: 3, key: "$server_name", size: 1 << 20, rate: 16, origin: 1000 * id},
		{name: "one", kind: 2, key: "type=string", size: 1 << 20, timeout: 3_600_000, origin: 1000*id + 1},
	}}
}

// hundred sends a hundred requests to a limit at each node, and wants one more to be over it everywhere.
func hundred(c *harness.Cluster, t *testing.T) {
	t.Helper()
	for _, n := range c.Nodes {
		if got, err := n.Pipeline("/limited", 100); err != nil || got[200] != 100 {
			t.Errorf("%s: %v %v", n.Name, got, err)
		}
	}
	for _, n := range c.Nodes {
		testkit.Eventually(t, harness.Patience, func() error {
			r, err := n.Do("GET", "/limited", "", "Host", "all")
			if err == nil && r.Status != 503 {
				err = fmt.Errorf("%s lets more pass than the limit: it does not count the other's", n.Name)
			}
			return err
		})
	}
}

// TestNobodyMovesTheTime: (a) ten years, by a member in the list, and by three ids that it made up.
func TestNobodyMovesTheTime(t *testing.T) {
	both(t, func(t *testing.T, cl *harness.Cluster, i *intruder) {
		const tenYearsMS = 315_360_000_000
		cl.Nodes[0].Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
		i.listens(func() intro {
			h := stranger(0xe1)
			h.wallMS += tenYearsMS
			return h
		})
		for k := range uint64(3) {
			h := stranger(0xe2 + k)
			h.wallMS += tenYearsMS
			if _, a := i.meets(cl.Nodes[0], h); a.status != accepted {
				t.Errorf("an honest id is answered with %d %s", a.status, a.text)
			}
		}
		for _, n := range cl.Nodes {
			n.WaitLog("ahead of cluster time; ignoring it")
			testkit.Eventually(t, harness.Patience, func() error {
				s, err := ofPeers(n)
				for _, p := range s.Peers {
					if p.Address == i.ip+":9000" && p.Refused {
						return err
					}
				}
				return errors.Join(err, fmt.Errorf("%s does not show whose clock it refuses: %+v", n.Name, s))
			})
			if s, err := ofPeers(n); err != nil || s.Offset > 1000 || s.Offset < -1000 {
				t.Errorf("%s is %d ms off, %v", n.Name, s.Offset, err)
			}
			n.Sees("/?text=k", "v")
		}
	})
}

// TestNobodyHasAnothersOrigin: (b) in its own name it brings another node's origins, with a frame as far ahead as
// numbers go.
func TestNobodyHasAnothersOrigin(t *testing.T) {
	both(t, func(t *testing.T, cl *harness.Cluster, i *intruder) {
		_, a := i.meets(cl.Nodes[1], stranger(0xe1))
		if a.status != accepted {
			t.Fatalf("the program is not let in: %d %s", a.status, a.text)
		}
		for _, rest := range [][]byte{nil, a.hello.zones[a.hello.zone("req")].rest} { // without what it was made of, as releases before, and with
			h := stranger(0xe2)
			h.zones[0].origin, h.zones[0].rest = a.hello.zones[a.hello.zone("req")].origin, rest
			p, answer := i.meets(cl.Nodes[0], h)
			if answer.status != refused || !strings.Contains(answer.text, "origin") {
				t.Errorf("it is answered with %d %q", answer.status, answer.text)
			}
			_ = p.say(msgData, 0, uint64(1)<<62, 0, []byte{2}) // it may be gone already
		}
		hundred(cl, t)
	})
}

// TestNobodyTakesAConnection: (c) with another node's id and life.
func TestNobodyTakesAConnection(t *testing.T) {
	both(t, func(t *testing.T, cl *harness.Cluster, i *intruder) {
		_, a := i.meets(cl.Nodes[1], stranger(0xe1))
		before := connectedTo(cl.Nodes[0], cl.Nodes[1])
		p, answer := i.meets(cl.Nodes[0], a.hello)
		if answer.status != refused || !strings.Contains(answer.text, "; rejecting ") {
			t.Errorf("it is answered with %d %q", answer.status, answer.text)
		}
		_ = p.say(msgTakeover) // it may be gone already
		i.listens(func() intro { return a.hello })
		cl.Nodes[0].WaitLog("; rejecting ")
		hundred(cl, t)
		if after := connectedTo(cl.Nodes[0], cl.Nodes[1]); after != before {
			t.Errorf("the connection was lost %d times", after-before)
		}
	})
}

// TestNobodyFillsTheLog: (d) twenty thousand gaps in a journal.
func TestNobodyFillsTheLog(t *testing.T) {
	both(t, func(t *testing.T, cl *harness.Cluster, i *intruder) {
		const gaps = 20_000
		p, _ := i.meets(cl.Nodes[0], stranger(0xe2))
		if err := p.say(msgData, 0, uint64(1)<<62, 0, []byte{2}); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, harness.Patience, func() error {
			for line := range strings.Lines(cl.Nodes[0].Log()) {
				if strings.Contains(line, "[error]") && strings.Contains(line, i.ip+":") && strings.Contains(line, "is out of range") {
					return nil
				}
			}
			return errors.New("no ERROR names the peer whose frame no reader takes")
		})
		p, _ = i.meets(cl.Nodes[0], stranger(0xe1))
		var all []byte
		for n := range gaps {
			all = append(all, framed(msgData, bytesOf(0, 2+2*n, 0, []byte{2}))...)
		}
		if _, err := p.conn.Write(all); err != nil {
			t.Fatal(err)
		}
		asked, last := 0, uint64(0)
		for last < 2*gaps {
			kind, r, err := p.hear()
			if err != nil {
				t.Fatal(err)
			}
			switch kind {
			case msgTeachRequest:
				asked++
			case msgAck:
				r.number()
				last = r.number()
			}
		}
		if asked != 1 {
			t.Errorf("it was asked to teach %d times", asked)
		}
		if lines := strings.Count(cl.Nodes[0].Log(), "skipped frames"); lines != 1 {
			t.Errorf("%d lines tell of it", lines)
		}
		jump := framed(msgData, bytesOf(0, uint64(1)<<40, 0, []byte{2}))
		if _, err := p.conn.Write(jump); err != nil {
			t.Fatal(err)
		}
		for {
			if _, _, err := p.hear(); err != nil {
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					t.Error("a frame that no journal can hold is taken")
				}
				break
			}
		}
		hundred(cl, t)
	})
}

// TestBytesCostTheirBytes: (4) two hundred connections whose frames, of a type that nobody knows, claim to be 16 MiB.
func TestBytesCostTheirBytes(t *testing.T) {
	cl, i := attack(t, false)
	n := cl.Nodes[0]
	claim := framed(77|0x80, []byte{0x80, 0x80, 0x80, 8, 0xfe, 1, 0, 0, 0, 0, 0, 0, 0}) // 19 bytes
	before := n.ResidentKB()
	var peers []*peer
	for k := range uint64(200) {
		p, a := i.meets(n, stranger(0x1000+k))
		if a.status != accepted {
			t.Fatalf("connection %d: %d %s", k, a.status, a.text)
		}
		peers = append(peers, p)
	}
	for range 20 {
		for _, p := range peers {
			if _, err := p.conn.Write(claim); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, p := range peers { // all are read when the node answers what comes after them
		if err := p.say(msgData, 0, 1, 0, []byte{2}); err != nil {
			t.Fatal(err)
		}
		for {
			kind, _, err := p.hear()
			if err != nil {
				t.Fatal(err)
			}
			if kind == msgAck {
				break
			}
		}
	}
	if more := n.ResidentKB() - before; more > 30<<10 && !harness.Raced { // else it measures the race detector
		t.Errorf("200 connections cost %d KB", more)
	}
	for _, records := range [][]byte{{0x80, 0x80, 0x80, 8, 0xfe, 1, 0}} { // of a type that is known, the connection ends
		p := peers[0]
		if _, err := p.conn.Write(framed(msgData|0x80, records)); err != nil {
			t.Fatal(err)
		}
		for {
			kind, r, err := p.hear()
			if err != nil {
				t.Fatal("it ended without a goodbye: ", err)
			}
			if kind == msgGoodbye {
				if r.take(1); !strings.Contains(string(r.b), "at most 64 times") {
					t.Errorf("goodbye: %q", r.b)
				}
				break
			}
		}
	}
	hundred(cl, t)
}
