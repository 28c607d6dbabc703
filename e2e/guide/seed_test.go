package guide

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// TestSyncConfigurations starts three nodes with each way the seed configures synchronization, and wants a
// key set on the first to be read on the others, and deleted there.
func TestSyncConfigurations(t *testing.T) {
	const static = `zone_sync;
		zone_sync_server {{.Net}}.1:9000;
		zone_sync_server {{.Net}}.2:9000;
		zone_sync_server {{.Net}}.3:9000;`
	const dns = `zone_sync;
		zone_sync_server nginx-cluster.example.com:9000 resolve;`
	const certificates = `ssl_certificate {{.Dir}}/cert.pem;
		ssl_certificate_key {{.Dir}}/key.pem;`
	const verify = `zone_sync_ssl on;
		zone_sync_ssl_verify on;
		zone_sync_ssl_trusted_certificate {{.Dir}}/ca.pem;`
	const mutual = `zone_sync_ssl_certificate {{.Dir}}/cert.pem;
		zone_sync_ssl_certificate_key {{.Dir}}/key.pem;
		ssl_verify_client on;
		ssl_trusted_certificate {{.Dir}}/ca.pem;`
	const tuning = `zone_sync_buffers 256 4k;
		zone_sync_connect_retry_interval 1s;
		zone_sync_connect_timeout 5s;
		zone_sync_interval 1s;
		zone_sync_timeout 5s;`
	for _, c := range []struct{ name, listen, server string }{
		{"step 2, static members", "9000", static},
		{"step 2, members by DNS", "9000", dns},
		{"steps 3 and 4, ssl", "9000 ssl", dns + certificates + "zone_sync_ssl on;"},
		{"step 5, verified", "9000 ssl", dns + certificates + verify},
		{"step 6, mutual", "9000 ssl", dns + certificates + verify + mutual},
		{"fine-tuning", "9000", dns + tuning},
		{"mutual with static members", "9000 ssl", static + certificates + verify + mutual},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := harness.NewCluster(t, 3)
			cl.ServeDNS("nginx-cluster.example.com", 3)
			cl.Start(harness.KeyvalHTTP + "stream { resolver {{.Net}}.53:5353 valid=20s;\n server { listen {{.IP}}:" + c.listen + ";\n" + c.server + "} }")
			keyValueTravels(cl)
		})
	}
}

// keyValueTravels writes through each node's API in turn and looks at all of them.
func keyValueTravels(c *harness.Cluster) {
	c.T.Helper()
	for i, n := range c.Nodes {
		key, value := fmt.Sprintf("k%d", i), "set on "+n.Name
		n.Wants(201, "*", "POST", "/api/9/http/keyvals/one", fmt.Sprintf(`{%q:%q}`, key, value))
		if i > 0 { // only an empty zone takes several; one key at a time is always fine
			n.Wants(409, "*", "POST", "/api/9/http/keyvals/one", fmt.Sprintf(`{%q:"again"}`, key))
		}
		for _, o := range c.Nodes {
			o.Sees("/?text="+key, value)
		}
	}
	c.Nodes[1].Wants(204, "", "PATCH", "/api/9/http/keyvals/one", `{"k0":null}`)
	for _, o := range c.Nodes {
		o.Sees("/?text=k0", "")
		o.Wants(404, "*", "GET", "/api/9/http/keyvals/one?key=k0", "")
	}
	c.Nodes[2].Wants(204, "", "DELETE", "/api/9/http/keyvals/one", "")
	for _, o := range c.Nodes {
		o.Sees("/api/9/http/keyvals/one", "{}")
	}
}

// TestStateIsKept: what the seed's zone acknowledged is there after kill -9 of all nodes.
func TestStateIsKept(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	conf := harness.KeyvalHTTP + `stream { server { listen {{.IP}}:9000; zone_sync;
		zone_sync_server {{.Net}}.1:9000; zone_sync_server {{.Net}}.2:9000; zone_sync_server {{.Net}}.3:9000; } }`
	cl.Start(conf)
	for i := range 30 {
		cl.Nodes[i%3].Wants(201, "*", "POST", "/api/9/http/keyvals/one", fmt.Sprintf(`{"k%d":"v%d"}`, i, i))
	}
	cl.Nodes[0].Sees("/?text=k29", "v29") // another node took it: a pair that is unknown cannot be deleted
	cl.Nodes[0].Wants(204, "", "PATCH", "/api/9/http/keyvals/one", `{"k29":null}`)
	for _, n := range cl.Nodes {
		n.Kill()
	}
	for _, n := range cl.Nodes {
		n.Start()
	}
	cl.Joined(3)
	for i := range 29 {
		for _, n := range cl.Nodes {
			n.Sees(fmt.Sprintf("/?text=k%d", i), fmt.Sprintf("v%d", i))
		}
	}
	for _, n := range cl.Nodes {
		n.Sees("/?text=k29", "")
	}
	for _, n := range cl.Nodes {
		n.Quit()
	}
	// After a graceful end the file is the plain object that nginx writes.
	text, err := os.ReadFile(filepath.Join(cl.Nodes[0].Dir, "state.one.keyval"))
	if err != nil {
		t.Fatal(err)
	}
	var state map[string]any
	if err := json.Unmarshal(text, &state); err != nil || state["k3"] == nil {
		t.Errorf("state file: %v %s", err, text)
	}
}

// TestGuardedAPI is the seed's restricted API: reading from one address, writing with a password from there.
func TestGuardedAPI(t *testing.T) {
	cl := harness.NewCluster(t, 1)
	n := cl.Nodes[0]
	// openssl passwd -apr1 secret, as the tools that come with web servers write it.
	n.Write("passwd", "admin:$apr1$4b8pTLnV$WR5r4Fy/6kbuL58WyUhvl.\n")
	n.Configure(`user root; # who may read the passwords, for they are read while clients are served
	http {
	keyval_zone zone=one:32k;
	keyval $arg_text $text zone=one;
	log_format short '$remote_user $status "$request"';
	server {
		listen {{.IP}}:8080;
		listen {{.IP}}:8081;
		server_name www.example.com;
		access_log {{.Dir}}/access.log short;
		location /api {
			limit_except GET {
				auth_basic "NGINX Plus API";
				auth_basic_user_file {{.Dir}}/passwd;
			}
			api write=on;
			allow 127.0.0.1;
			deny all;
		}
		location /any {
			satisfy any;
			limit_except GET {
				auth_basic "NGINX Plus API";
				auth_basic_user_file {{.Dir}}/passwd;
				deny all;
			}
			api write=on;
		}
	} }`)
	n.Start()
	pass := []string{"Authorization", "Basic YWRtaW46c2VjcmV0"} // admin:secret
	n.Wants(200, "*", "GET", "/api/9/nginx", "")
	if r := n.Must("POST", "/api/9/http/keyvals/one", `{"a":"1"}`); r.Status != 401 || r.Header.Get("WWW-Authenticate") != `Basic realm="NGINX Plus API"` {
		t.Errorf("write without a password: %d %v", r.Status, r.Header)
	}
	n.Wants(401, "*", "POST", "/api/9/http/keyvals/one", `{"a":"1"}`, "Authorization", "Basic YWRtaW46d3Jvbmc=")
	n.Wants(201, "*", "POST", "/api/9/http/keyvals/one", `{"a":"1"}`, pass...)
	n.Wants(200, `{"a":"1"}`, "GET", "/api/9/http/keyvals/one", "")
	n.Wants(401, "*", "DELETE", "/any/9/http/keyvals/one", "")
	n.Wants(204, "", "DELETE", "/any/9/http/keyvals/one", "", pass...)
	testkit.Eventually(t, harness.Patience, func() error {
		log, err := os.ReadFile(filepath.Join(n.Dir, "access.log"))
		if err == nil && !strings.Contains(string(log), `admin 201 "POST /api/9/http/keyvals/one HTTP/1.1"`) {
			err = fmt.Errorf("access log: %s", log)
		}
		return err
	})
}

// TestAPIFromElsewhereIsForbidden: the same guard seen from an address that is not allowed.
func TestAPIFromElsewhereIsForbidden(t *testing.T) {
	cl := harness.NewCluster(t, 1)
	n := cl.Nodes[0]
	n.Configure(`http { server { listen {{.IP}}:8080; location /api { api write=on; allow {{.Net}}.77; deny all; } } }`)
	n.Start()
	n.Wants(403, "*", "GET", "/api/9/nginx", "")
}
