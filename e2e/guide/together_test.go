package guide

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// everything is one node with all three kinds of state, members by DNS and mutual TLS: the guide's pieces in one file.
const everything = `http {
	resolver {{.Net}}.53:5353 valid=20s;
	limit_req_zone $remote_addr zone=req:1M rate=1r/m sync;
	keyval_zone zone=one:32k state={{.Dir}}/one.keyval sync;
	keyval $arg_text $text zone=one;

	upstream my_backend {
		zone my_backend 64k;
		server backends.example.com:9100 resolve;
		sticky learn zone=sessions:1m
			create=$upstream_cookie_session
			lookup=$cookie_session
			sync;
	}
	server {
		listen {{.IP}}:8080;
		location / {
			limit_req zone=req burst=1000 nodelay;
			proxy_pass http://my_backend;
		}
		location /text { return 200 $text; }
		location /api { api write=on; }
	}
}
stream {
	resolver {{.Net}}.53:5353 valid=20s;
	server {
		listen {{.IP}}:9000 ssl;
		ssl_certificate     {{.Dir}}/cert.pem;
		ssl_certificate_key {{.Dir}}/key.pem;

		zone_sync;
		zone_sync_server nginx-cluster.example.com:9000 resolve;

		zone_sync_ssl                     on;
		zone_sync_ssl_verify              on;
		zone_sync_ssl_trusted_certificate {{.Dir}}/ca.pem;
		zone_sync_ssl_certificate         {{.Dir}}/cert.pem;
		zone_sync_ssl_certificate_key     {{.Dir}}/key.pem;

		ssl_verify_client       on;
		ssl_trusted_certificate {{.Dir}}/ca.pem;
	}
}
`

// TestAllKindsOverMutualTLSAndDNS: records of all three kinds, made on one node, are on all.
func TestAllKindsOverMutualTLSAndDNS(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.ServeDNS("nginx-cluster.example.com", 3)
	for i := range 3 {
		cl.Backend(101+i, fmt.Sprintf("backend%d", i))
	}
	cl.ServeNames("backends.example.com", 101, 102, 103)
	cl.Start(everything)
	cl.Nodes[0].Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
	first := cl.Nodes[1].Must("GET", "/?session=s", "")
	for _, n := range cl.Nodes {
		n.Sees("/text?text=k", "v")
		testkit.Eventually(t, harness.Patience, func() error {
			s, err := n.Status()
			for _, zone := range []string{"one", "req", "sessions"} {
				if s.Zones[zone].Total != 1 {
					err = fmt.Errorf("%s has %d records in zone %s, want 1", n.Name, s.Zones[zone].Total, zone)
				}
			}
			return err
		})
		n.Wants(200, first.Body, "GET", "/", "", "Cookie", "session=s")
	}
}

// TestZoneSyncResourceHasTheDocumentedShape: programs decode it strictly; what is starling's own stands below it.
func TestZoneSyncResourceHasTheDocumentedShape(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	cl.Start(harness.KeyvalHTTP + harness.Members)
	n := cl.Nodes[0]
	n.Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
	var got map[string]map[string]json.RawMessage
	if err := json.Unmarshal([]byte(n.Must("GET", "/api/9/stream/zone_sync/", "").Body), &got); err != nil {
		t.Fatal(err)
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"status", "zones"}) {
		t.Errorf("keys are %v", keys)
	}
	if keys := slices.Sorted(maps.Keys(got["status"])); !slices.Equal(keys, []string{"bytes_in", "bytes_out", "msgs_in", "msgs_out", "nodes_online"}) {
		t.Errorf("keys of status are %v", keys)
	}
	var zone map[string]int
	if err := json.Unmarshal(got["zones"]["one"], &zone); err != nil || len(zone) != 2 {
		t.Errorf("zone one is %s: %v", got["zones"]["one"], err)
	}
	n.Sees("/api/9/stream/zone_sync/ready", `{"ready":true}`)
	var own struct {
		Peers []struct {
			Pushing bool `json:"pushing"`
		} `json:"peers"`
	}
	if err := json.Unmarshal([]byte(n.Must("GET", "/api/9/stream/zone_sync/cluster", "").Body), &own); err != nil || len(own.Peers) != 1 ||
		!own.Peers[0].Pushing {
		t.Errorf("own resource: %+v %v", own, err)
	}
	n.Wants(404, "*", "GET", "/api/9/stream/zone_sync/nothing", "")
}

// TestANodeAloneServes: the guide's first step has no members yet.
func TestANodeAloneServes(t *testing.T) {
	cl := harness.NewCluster(t, 1)
	n := cl.Nodes[0]
	n.Configure(harness.KeyvalHTTP + "stream { server { listen {{.IP}}:9000; zone_sync; } }")
	n.Start()
	n.Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
	n.Wants(200, "v", "GET", "/?text=k", "")
	n.Sees("/api/9/stream/zone_sync/ready", `{"ready":true}`)
	n.Quit()
}
