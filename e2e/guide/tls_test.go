package guide

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/lib/certs"
	"starling/lib/testkit"
)

// dialer and acceptor are the two sides of one connection of a cluster; DIAL and ACCEPT stand for the lines of a case.
const (
	dialer = `stream { STREAM server { listen {{.IP}}:9000; zone_sync; zone_sync_server {{.Net}}.2:9000; zone_sync_ssl on; SERVER
		zone_sync_connect_retry_interval 100ms; } }`
	acceptor = `stream { log_format names "sni=$ssl_server_name protocol=$ssl_protocol client=$ssl_client_s_dn";
		server { listen {{.IP}}:9000 ssl; ssl_certificate {{.Dir}}/cert.pem; ssl_certificate_key {{.Dir}}/key.pem;
		access_log {{.Dir}}/sync.log names; zone_sync; ACCEPT } }`
)

// TestTLSOfTheCluster: each directive decides who connects to whom, at either level, and the one who refuses says why.
func TestTLSOfTheCluster(t *testing.T) {
	for i, c := range []struct{ name, dial, accept, refused string }{
		{"in good order", harness.Verified + harness.Shown, harness.Asked, ""},
		{"the authority is another", strings.Replace(harness.Verified, "ca.pem", "other.pem", 1), "", "1: SSL certificate verify error"},
		{"the name is another", harness.Verified + "zone_sync_ssl_name somebody.example.com;", "", `1: does not match "somebody.example.com"`},
		{"the name is given", harness.Verified + "zone_sync_ssl_name node2.example.com;", "", ""},
		{"the server is revoked", harness.Verified + "zone_sync_ssl_crl {{.Dir}}/node2.crl;", "", "1: certificate revoked"},
		{"nobody is revoked", harness.Verified + "zone_sync_ssl_crl {{.Dir}}/empty.crl;", "", ""},
		{"protocols", "zone_sync_ssl_protocols TLSv1.2;", "ssl_protocols TLSv1.3;", "1: protocol version not supported"},
		{"conf_command", "zone_sync_ssl_conf_command MinProtocol TLSv1.3;", "ssl_protocols TLSv1.2;", "1: protocol version not supported"},
		{"ciphers", "zone_sync_ssl_protocols TLSv1.2; zone_sync_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;",
			"ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384;", "1: handshake failure"},
		{"no certificate is shown", harness.Verified, harness.Asked, "2: client sent no required SSL certificate"},
		{"the client's authority is another", harness.Shown, strings.Replace(harness.Asked, "ca.pem", "other.pem", 1), "2: client SSL certificate verify error"},
		{"the client is revoked", harness.Shown, harness.Asked + "ssl_crl {{.Dir}}/node1.crl;", "2: certificate revoked"},
		{"the address is denied", harness.Verified, "deny all;", "2: access forbidden by rule"},
		{"the cluster is another", "zone_sync_cluster blue;", "zone_sync_cluster green;", `2: belongs to cluster "blue"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := twoSides(t, c.dial, c.accept, i%2 == 0)
			if c.refused == "" {
				connects(cl)
				cl.Nodes[0].Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
				cl.Nodes[1].Sees("/?text=k", "v")
				return
			}
			side, text, _ := strings.Cut(c.refused, ": ")
			cl.Nodes[side[0]-'1'].WaitLog(text)
			if s, err := cl.Nodes[0].Status(); err != nil || s.Status.NodesOnline != 0 {
				t.Errorf("%d nodes online, %v", s.Status.NodesOnline, err)
			}
		})
	}
}

// TestNameIsSent: with zone_sync_ssl_server_name, and shown by the access log of the sync server.
func TestNameIsSent(t *testing.T) {
	cl := twoSides(t, harness.Shown+"zone_sync_ssl_server_name on; zone_sync_ssl_name node2.example.com;", harness.Asked, true)
	connects(cl)
	cl.Nodes[0].Quit()
	testkit.Eventually(t, harness.Patience, func() error {
		log, err := os.ReadFile(filepath.Join(cl.Nodes[1].Dir, "sync.log"))
		if want := "sni=node2.example.com protocol=TLSv1.3 client=CN=node1.example.com,O=starling\n"; err == nil && !strings.Contains(string(log), want) {
			err = fmt.Errorf("the access log holds %q, not %q", log, want)
		}
		return err
	})
}

// twoSides starts a node that dials and one that accepts.
func twoSides(t *testing.T, dial, accept string, atStream bool) *harness.Cluster {
	cl := harness.NewCluster(t, 2)
	other, err := certs.NewAuthority("another authority")
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range cl.Nodes {
		n.Write("other.pem", string(other.PEM))
		for name, revoked := range map[string][]string{"empty": nil, fmt.Sprintf("node%d", 2-i): {"cert.pem"}} {
			revoke(cl, cl.Nodes[1-i], n, name, revoked)
		}
	}
	where := "SERVER"
	if atStream {
		where = "STREAM"
	}
	cl.Nodes[0].Configure(harness.KeyvalHTTP + strings.NewReplacer(where, dial, "STREAM", "", "SERVER", "").Replace(dialer))
	cl.Nodes[1].Configure(harness.KeyvalHTTP + strings.Replace(acceptor, "ACCEPT", accept, 1))
	cl.Nodes[1].Start()
	cl.Nodes[0].Start()
	return cl
}

// revoke gives a node a list on which certificates of another one stand.
func revoke(c *harness.Cluster, whose, where *harness.Node, name string, files []string) {
	c.T.Helper()
	var revoked [][]byte
	for _, file := range files {
		cert, err := os.ReadFile(filepath.Join(whose.Dir, file))
		if err != nil {
			c.T.Fatal(err)
		}
		revoked = append(revoked, cert)
	}
	list, err := c.CA.Revoke(revoked...)
	if err != nil {
		c.T.Fatal(err)
	}
	where.Write(name+".crl", string(list))
}

// connects waits until the first node is connected to the second.
func connects(c *harness.Cluster) {
	c.T.Helper()
	testkit.Eventually(c.T, harness.Patience, func() error {
		s, err := c.Nodes[0].Status()
		if err == nil && s.Status.NodesOnline != 1 {
			err = fmt.Errorf("%d nodes online", s.Status.NodesOnline)
		}
		return err
	})
}
