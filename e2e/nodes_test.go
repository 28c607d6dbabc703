package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/lib/certs"
	"starling/lib/testkit"
)

const setOne = "/api/9/http/keyvals/one"

// dnsMembers is a sync side whose members come from DNS.
const dnsMembers = `stream { resolver {{.Net}}.53:5353 valid=1s;
	server { listen {{.IP}}:9000; zone_sync; zone_sync_server cluster.example.com:9000 resolve; } }`

// TestANodeIsAddedAndRemovedByDNS: the others discover it, teach it and leave it, without a reload.
func TestANodeIsAddedAndRemovedByDNS(t *testing.T) {
	cl := newCluster(t, 2)
	cl.serveDNS("cluster.example.com", 2)
	cl.start(keyvalHTTP + dnsMembers)
	cl.Nodes[0].wants(201, "*", "POST", setOne, `{"before":"1","too":"2"}`)
	cl.settled()
	third := cl.add()
	cl.serveDNS("cluster.example.com", 3)
	third.configure(keyvalHTTP + dnsMembers)
	third.start()
	cl.joined(3)
	third.sees("/?text=before", "1")
	third.sees("/?text=too", "2")
	third.wants(201, "*", "POST", setOne, `{"from third":"3"}`)
	cl.Nodes[0].sees("/api/9/http/keyvals/one?key=from%20third", `{"from third":"3"}`)

	cl.serveDNS("cluster.example.com", 2)
	for _, n := range cl.Nodes[:2] {
		testkit.Eventually(t, patience, func() error {
			s, err := n.status()
			if err == nil && s.Status.NodesOnline != 1 {
				err = fmt.Errorf("%s still has %d nodes online", n.Name, s.Status.NodesOnline)
			}
			return err
		})
	}
	third.quit()
	cl.Nodes[1].wants(201, "*", "POST", setOne, `{"after":"4"}`)
	cl.Nodes[0].sees("/?text=after", "4")
}

// TestDNSFailureKeepsTheMembers: a name server that fails or is silent takes no node away.
func TestDNSFailureKeepsTheMembers(t *testing.T) {
	cl := newCluster(t, 2)
	cl.serveDNS("cluster.example.com", 2)
	cl.start(keyvalHTTP + strings.Replace(dnsMembers, "valid=1s;", "valid=1s; resolver_timeout 1s;", 1))
	asked := cl.dns().Asked("cluster.example.com")
	cl.dns().Fail("cluster.example.com", 2) // SERVFAIL
	cl.Nodes[0].waitLog("cluster.example.com")
	testkit.Eventually(t, patience, func() error {
		if cl.dns().Asked("cluster.example.com") < asked+4 {
			return fmt.Errorf("not asked again")
		}
		return nil
	})
	cl.joined(2)
	cl.Nodes[0].wants(201, "*", "POST", setOne, `{"k":"v"}`)
	cl.Nodes[1].sees("/?text=k", "v")
}

// TestANodeIsRemovedByReload: pid, listeners and records stay, only the member goes.
func TestANodeIsRemovedByReload(t *testing.T) {
	cl := newCluster(t, 3)
	cl.start(keyvalHTTP + members)
	cl.Nodes[0].wants(201, "*", "POST", setOne, `{"k":"v"}`)
	cl.settled()
	pid := cl.Nodes[0].cmd.Process.Pid
	two := fmt.Sprintf(`stream { server { listen {{.IP}}:9000; zone_sync; zone_sync_server %[1]s.1:9000; zone_sync_server %[1]s.2:9000; } }`, cl.Net)
	for _, n := range cl.Nodes[:2] {
		n.configure(keyvalHTTP + two)
		n.signal(syscall.SIGHUP)
	}
	for _, n := range cl.Nodes[:2] {
		testkit.Eventually(t, patience, func() error {
			s, err := n.status()
			if err == nil && s.Status.NodesOnline != 1 {
				err = fmt.Errorf("%s has %d nodes online", n.Name, s.Status.NodesOnline)
			}
			return err
		})
		n.wants(200, "v", "GET", "/?text=k", "")
	}
	if !cl.Nodes[0].running() || cl.Nodes[0].cmd.Process.Pid != pid {
		t.Error("the process changed")
	}
	cl.Nodes[1].wants(201, "*", "POST", setOne, `{"after":"reload"}`)
	cl.Nodes[0].sees("/?text=after", "reload")
}

// TestABadReloadChangesNothing and says why.
func TestABadReloadChangesNothing(t *testing.T) {
	cl := newCluster(t, 1)
	n := cl.Nodes[0]
	n.configure(keyvalHTTP)
	n.start()
	n.wants(201, "*", "POST", setOne, `{"k":"v"}`)
	good := n.config
	n.excused = "keyvall"
	n.write("nginx.conf", strings.Replace(good, "keyval $arg_text", "keyvall $arg_text", 1))
	n.signal(syscall.SIGHUP)
	n.waitLog(`unknown directive "keyvall" in ` + n.Dir + "/nginx.conf:")
	n.wants(200, "v", "GET", "/?text=k", "")
}

// TestQuitSendsAllThatIsPending: what a node acknowledged before QUIT is on the others after it ended.
func TestQuitSendsAllThatIsPending(t *testing.T) {
	cl := newCluster(t, 2)
	// No state file: the only copy leaves with the node unless it is sent.
	http := strings.Replace(keyvalHTTP, "state={{.Dir}}/state.one.keyval ", "", 1)
	cl.start(http + strings.Replace(members, "zone_sync;", "zone_sync; zone_sync_interval 1s;", 1))
	const count = 200
	for i := range count {
		cl.Nodes[0].wants(201, "*", "POST", setOne, fmt.Sprintf(`{"k%d":"v"}`, i))
	}
	cl.Nodes[0].quit()
	for i := range count {
		cl.Nodes[1].wants(200, "v", "GET", fmt.Sprintf("/?text=k%d", i), "")
	}
}

// TestRandomBytesOnAnyPort end that connection only.
func TestRandomBytesOnAnyPort(t *testing.T) {
	cl := newCluster(t, 2)
	cl.start(keyvalHTTP + members)
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
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
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
	cl.joined(2)
	n.wants(201, "*", "POST", setOne, `{"k":"v"}`)
	cl.Nodes[1].sees("/?text=k", "v")
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
	cl := newCluster(t, 3)
	cl.configureAll(keyvalHTTP + secureSync)
	stranger := newStranger(cl.Nodes[2])
	for _, n := range cl.Nodes {
		n.start()
	}
	good := cl.Nodes[:2]
	for _, n := range good {
		testkit.Eventually(t, patience, func() error {
			s, err := n.status()
			if err == nil && s.Status.NodesOnline != 1 {
				err = fmt.Errorf("%s has %d nodes online, want 1", n.Name, s.Status.NodesOnline)
			}
			return err
		})
	}
	good[0].waitLog(stranger.IP)
	good[0].wants(201, "*", "POST", setOne, `{"secret":"v"}`)
	good[1].sees("/?text=secret", "v")
	stranger.wants(404, "*", "GET", setOne+"?key=secret", "")
}

// newStranger gives a node a certificate of another authority.
func newStranger(n *node) *node {
	n.t.Helper()
	ca, err := certs.NewAuthority("another authority")
	if err != nil {
		n.t.Fatal(err)
	}
	cert, key, err := ca.Issue("stranger", n.IP)
	if err != nil {
		n.t.Fatal(err)
	}
	n.write("cert.pem", string(cert))
	n.write("key.pem", string(key))
	return n
}

// TestAMismatchedZoneIsNamed on both sides and does not disturb the others.
func TestAMismatchedZoneIsNamed(t *testing.T) {
	cl := newCluster(t, 2)
	cl.Nodes[0].configure(`http { keyval_zone zone=one:32k sync; keyval $arg_text $text zone=one;
		keyval_zone zone=other:32k sync; keyval $arg_o $other zone=other;
		server { listen {{.IP}}:8080; location /api { api write=on; } location / { return 200 $text; } } }` + members)
	cl.Nodes[1].configure(`http { keyval_zone zone=one:32k sync; keyval $arg_text $text zone=one;
		limit_req_zone $arg_o zone=other:32k rate=1r/s sync;
		server { listen {{.IP}}:8080; location /api { api write=on; } location / { return 200 $text; } } }` + members)
	for _, n := range cl.Nodes {
		n.start()
	}
	cl.joined(2)
	cl.Nodes[0].waitLog(`"other"`)
	cl.Nodes[1].waitLog(`"other"`)
	cl.Nodes[0].wants(201, "*", "POST", setOne, `{"k":"v"}`)
	cl.Nodes[1].sees("/?text=k", "v")
}
