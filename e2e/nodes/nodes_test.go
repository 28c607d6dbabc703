package nodes

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/certs"
	"starling/lib/testkit"
)

// dnsMembers is a sync side whose members come from DNS.
const dnsMembers = `stream { resolver {{.Net}}.53:5353 valid=1s;
	server { listen {{.IP}}:9000; zone_sync; zone_sync_server cluster.example.com:9000 resolve; } }`

// TestANodeIsAddedAndRemovedByDNS: the others discover it, teach it and leave it, without a reload.
func TestANodeIsAddedAndRemovedByDNS(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	cl.ServeDNS("cluster.example.com", 2)
	cl.Start(harness.KeyvalHTTP + dnsMembers)
	cl.Nodes[0].Wants(201, "*", "POST", harness.SetOne, `{"before":"1","too":"2"}`)
	cl.Acknowledged()
	third := cl.Add()
	cl.ServeDNS("cluster.example.com", 3)
	third.Configure(harness.KeyvalHTTP + dnsMembers)
	third.Start()
	cl.Joined(3)
	third.Sees("/?text=before", "1")
	third.Sees("/?text=too", "2")
	third.Wants(201, "*", "POST", harness.SetOne, `{"from third":"3"}`)
	cl.Nodes[0].Sees("/api/9/http/keyvals/one?key=from%20third", `{"from third":"3"}`)

	cl.ServeDNS("cluster.example.com", 2)
	for _, n := range cl.Nodes[:2] {
		testkit.Eventually(t, harness.Patience, func() error {
			s, err := n.Status()
			if err == nil && s.Status.NodesOnline != 1 {
				err = fmt.Errorf("%s still has %d nodes online", n.Name, s.Status.NodesOnline)
			}
			return err
		})
	}
	third.Quit()
	cl.Nodes[1].Wants(201, "*", "POST", harness.SetOne, `{"after":"4"}`)
	cl.Nodes[0].Sees("/?text=after", "4")
}

// TestDNSFailureKeepsTheMembers: a name server that fails or is silent takes no node away.
func TestDNSFailureKeepsTheMembers(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	cl.ServeDNS("cluster.example.com", 2)
	cl.Start(harness.KeyvalHTTP + strings.Replace(dnsMembers, "valid=1s;", "valid=1s; resolver_timeout 1s;", 1))
	asked := cl.DNS().Asked("cluster.example.com")
	cl.DNS().Fail("cluster.example.com", 2) // SERVFAIL
	cl.Nodes[0].WaitLog("cluster.example.com")
	testkit.Eventually(t, harness.Patience, func() error {
		if cl.DNS().Asked("cluster.example.com") < asked+4 {
			return fmt.Errorf("not asked again")
		}
		return nil
	})
	cl.Joined(2)
	cl.Nodes[0].Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
	cl.Nodes[1].Sees("/?text=k", "v")
}

// TestANodeIsRemovedByReload: pid, listeners and records stay, only the member goes.
func TestANodeIsRemovedByReload(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.KeyvalHTTP + harness.Members)
	cl.Nodes[0].Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
	cl.Acknowledged()
	pid := cl.Nodes[0].PID()
	two := fmt.Sprintf(`stream { server { listen {{.IP}}:9000; zone_sync; zone_sync_server %[1]s.1:9000; zone_sync_server %[1]s.2:9000; } }`, cl.Net)
	for _, n := range cl.Nodes[:2] {
		n.Configure(harness.KeyvalHTTP + two)
		n.Signal(syscall.SIGHUP)
	}
	for _, n := range cl.Nodes[:2] {
		testkit.Eventually(t, harness.Patience, func() error {
			s, err := n.Status()
			if err == nil && s.Status.NodesOnline != 1 {
				err = fmt.Errorf("%s has %d nodes online", n.Name, s.Status.NodesOnline)
			}
			return err
		})
		n.Wants(200, "v", "GET", "/?text=k", "")
	}
	if !cl.Nodes[0].Running() || cl.Nodes[0].PID() != pid {
		t.Error("the process changed")
	}
	cl.Nodes[1].Wants(201, "*", "POST", harness.SetOne, `{"after":"reload"}`)
	cl.Nodes[0].Sees("/?text=after", "reload")
}

// TestABadReloadChangesNothing and says why.
func TestABadReloadChangesNothing(t *testing.T) {
	cl := harness.NewCluster(t, 1)
	n := cl.Nodes[0]
	n.Configure(harness.KeyvalHTTP)
	n.Start()
	n.Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
	good := n.Config
	n.Excused = "keyvall"
	n.Write("nginx.conf", strings.Replace(good, "keyval $arg_text", "keyvall $arg_text", 1))
	n.Signal(syscall.SIGHUP)
	n.WaitLog(`unknown directive "keyvall" in ` + n.Dir + "/nginx.conf:")
	n.Wants(200, "v", "GET", "/?text=k", "")
}

// TestQuitSendsAllThatIsPending: what a node acknowledged before QUIT is on the others after it ended.
func TestQuitSendsAllThatIsPending(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	// No state file: the only copy leaves with the node unless it is sent.
	http := strings.Replace(harness.KeyvalHTTP, "state={{.Dir}}/state.one.keyval ", "", 1)
	cl.Start(http + strings.Replace(harness.Members, "zone_sync;", "zone_sync; zone_sync_interval 1s;", 1))
	const count = 200
	for i := range count {
		cl.Nodes[0].Wants(201, "*", "POST", harness.SetOne, fmt.Sprintf(`{"k%d":"v"}`, i))
	}
	cl.Nodes[0].Quit()
	for i := range count {
		cl.Nodes[1].Wants(200, "v", "GET", fmt.Sprintf("/?text=k%d", i), "")
	}
}

// TestRandomBytesOnAnyPort end that connection only.
func TestRandomBytesOnAnyPort(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	cl.Start(harness.KeyvalHTTP + harness.Members)
	n := cl.Nodes[0]
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		port := []string{":8080", ":9000"}[i%2]
		conn, err := net.Dial("tcp", n.IP+port)
		if err != nil {
			t.Fatal(err)
		}
		junk := make([]byte, 1+random.IntN(8000))
		for j := range junk {
			junk[j] = byte(random.Uint32())
		}
		if i%4 == 1 {
			copy(junk, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(junk) // it may have been closed already
		_ = conn.(*net.TCPConn).CloseWrite()
		buf := make([]byte, 4096)
		for {
			if _, err := conn.Read(buf); err != nil {
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Errorf("port %s does not end a connection of random bytes", port)
				}
				break
			}
		}
		_ = conn.Close()
	}
	cl.Joined(2)
	n.Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
	cl.Nodes[1].Sees("/?text=k", "v")
}

// secureSync is a cluster whose members know each other by their certificates.
const secureSync = `stream { server { listen {{.IP}}:9000 ssl;
	ssl_certificate {{.Dir}}/cert.pem; ssl_certificate_key {{.Dir}}/key.pem;
	ssl_verify_client on; ssl_trusted_certificate {{.Dir}}/ca.pem;
	zone_sync; {{range .Others}}zone_sync_server {{.}}:9000; {{end}}
	zone_sync_connect_retry_interval 100ms;
	zone_sync_ssl on; zone_sync_ssl_verify on; zone_sync_ssl_trusted_certificate {{.Dir}}/ca.pem;
	zone_sync_ssl_certificate {{.Dir}}/cert.pem; zone_sync_ssl_certificate_key {{.Dir}}/key.pem; } }`

// TestWhoIsNotOfTheClusterStaysOut: a wrong certificate, another kind of zone; the others are undisturbed.
func TestWhoIsNotOfTheClusterStaysOut(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.ConfigureAll(harness.KeyvalHTTP + secureSync)
	stranger := newStranger(cl.Nodes[2])
	for _, n := range cl.Nodes {
		n.Start()
	}
	good := cl.Nodes[:2]
	for _, n := range good {
		testkit.Eventually(t, harness.Patience, func() error {
			s, err := n.Status()
			if err == nil && s.Status.NodesOnline != 1 {
				err = fmt.Errorf("%s has %d nodes online, want 1", n.Name, s.Status.NodesOnline)
			}
			return err
		})
	}
	good[0].WaitLog(stranger.IP)
	good[0].Wants(201, "*", "POST", harness.SetOne, `{"secret":"v"}`)
	good[1].Sees("/?text=secret", "v")
	stranger.Wants(404, "*", "GET", harness.SetOne+"?key=secret", "")
}

// newStranger gives a node a certificate of another authority.
func newStranger(n *harness.Node) *harness.Node {
	n.T.Helper()
	ca, err := certs.NewAuthority("another authority")
	if err != nil {
		n.T.Fatal(err)
	}
	cert, key, err := ca.Issue("stranger", n.IP)
	if err != nil {
		n.T.Fatal(err)
	}
	n.Write("cert.pem", string(cert))
	n.Write("key.pem", string(key))
	return n
}

// TestAMismatchedZoneIsNamed on both sides and does not disturb the others.
func TestAMismatchedZoneIsNamed(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	cl.Nodes[0].Configure(`http { keyval_zone zone=one:32k sync; keyval $arg_text $text zone=one;
		keyval_zone zone=other:32k sync; keyval $arg_o $other zone=other;
		server { listen {{.IP}}:8080; location /api { api write=on; } location / { return 200 $text; } } }` + harness.Members)
	cl.Nodes[1].Configure(`http { keyval_zone zone=one:32k sync; keyval $arg_text $text zone=one;
		limit_req_zone $arg_o zone=other:32k rate=1r/s sync;
		server { listen {{.IP}}:8080; location /api { api write=on; } location / { return 200 $text; } } }` + harness.Members)
	for _, n := range cl.Nodes {
		n.Start()
	}
	cl.Joined(2)
	cl.Nodes[0].WaitLog(`"other"`)
	cl.Nodes[1].WaitLog(`"other"`)
	cl.Nodes[0].Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
	cl.Nodes[1].Sees("/?text=k", "v")
}
