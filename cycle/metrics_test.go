package cycle_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"starling/admin"
	"starling/lib/certs"
	"starling/lib/testkit"
	"starling/plan"
	"starling/upstream"
)

// observed is a node with everything that has figures. Another node shares its zones but for the last one.
func observed(t *testing.T, http, own, sync, members, more string) *host {
	h := newHost(t)
	backend := address(t)
	certificate, key := certified(t, h.dir)
	h.run(strings.NewReplacer("HTTP", http, "OWN", own, "CHECKED", address(t), "SYNC", sync, "BACKEND", backend, "MEMBERS", members, "MORE", more,
		"CERTIFICATE", certificate, "KEY", key, "STATE", filepath.Join(h.dir, "strict.state")).Replace(`
		http {
			access_log off;
			limit_req_zone $uri zone=req:1m rate=1000r/s sync;
			limit_req_zone $uri zone=firm:1m rate=1000r/s sync strict;
			limit_conn_zone $uri zone=conn:1m; limit_conn_zone $uri zone=firmconn:1m sync strict;
			keyval_zone zone=pairs:1m sync; keyval $uri $value zone=pairs; MORE
			proxy_cache_path pages keys_zone=pages:1m max_size=1g;
			upstream servers { zone servers 64k; server BACKEND max_conns=100; queue 5; }
			upstream zchecked { zone zchecked 64k; server 127.99.99.99:1; }
			server {
				listen HTTP; status_zone site;
				location /metrics { metrics; }
				location /guarded { metrics; deny all; }
				location /api { api write=on; }
				location / { status_zone root; limit_req zone=req burst=100 nodelay; limit_conn conn 10; proxy_pass http://servers; }
				location = /checked { proxy_pass http://zchecked; health_check sync interval=1h; }
			}
			server { listen BACKEND; ssl_certificate CERTIFICATE; ssl_certificate_key KEY; return 204; }
		}
		stream {
			limit_conn_zone $remote_addr zone=sconn:1m; limit_conn_zone $remote_addr zone=firmsconn:1m sync strict;
			resolver 127.0.0.1:1 status_zone=names;
			upstream sservers { zone sservers 64k; server HTTP max_conns=100; }
			upstream zchecked { zone zschecked 64k; server 127.99.99.99:1; }
			server { listen OWN; status_zone passing; limit_conn sconn 10; proxy_pass sservers; }
			server { listen CHECKED; proxy_pass zchecked; health_check sync interval=1h; }
			server { listen SYNC; zone_sync; zone_sync_connect_retry_interval 20ms; zone_sync_strict_state STATE; MEMBERS }
		}`))
	t.Cleanup(h.Stop)
	return h
}

// certified makes a certificate with its key in a folder.
func certified(t *testing.T, dir string) (certificate, key string) {
	t.Helper()
	ca, err := certs.NewAuthority("metrics")
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := ca.Issue("www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(os.WriteFile(certificate, certPEM, 0o600), os.WriteFile(key, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func getStatus(t *testing.T, url string) int {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func scrape(t *testing.T, address string) string {
	t.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if got := answer.Header.Get("Content-Type"); err != nil || answer.StatusCode != 200 || got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("%s %s: %v", answer.Status, got, err)
	}
	return string(page)
}

// timed says whether a metric is an average of times: those are left out while they are below a millisecond.
func timed(name string) bool {
	for _, of := range []reflect.Type{reflect.TypeFor[upstream.Status](), reflect.TypeFor[upstream.StreamStatus]()} {
		for _, field := range reflect.VisibleFields(of) {
			if in, ok := strings.CutSuffix(field.Tag.Get("json"), "_time,omitempty"); ok && strings.HasSuffix(name, "_"+in+"_time") {
				return true
			}
		}
	}
	return false
}

// TestMetricsOfEverything scrapes a node of a cluster that has all that is counted: each metric that a resource
// declares is there, the page is well formed, and Prometheus' own linter finds nothing but the names that NGINX Plus's
// exporter chose.
func TestMetricsOfEverything(t *testing.T) {
	web, own, one, two := address(t), address(t), address(t), address(t)
	members := "zone_sync_server " + one + "; zone_sync_server " + two + ";"
	a := observed(t, web, own, one, members, "")
	observed(t, address(t), address(t), two, members, "keyval_zone zone=alone:1m sync; keyval $uri $alone zone=alone;")
	for _, target := range []string{web, own} {
		if got := getStatus(t, "http://"+target+"/"); got != 204 {
			t.Fatalf("http://%s/: %d", target, got)
		}
	}
	if got := getStatus(t, "http://"+web+"/guarded"); got != 403 {
		t.Errorf("access rules let the metrics pass: %d", got)
	}
	var page string
	testkit.Eventually(t, patience, func() error {
		page = scrape(t, web)
		return errors.Join(
			tells(page, "starling_nodes_agree", 0),
			tells(page, `starling_peer_mismatched_zones{address="`+two+`"`, 1),
			tells(page, `starling_zone_agrees{zone="pairs"}`, 1),
			tells(page, `nginxplus_stream_zone_sync_status_nodes_online`, 1),
			tells(page, `starling_ready`, 1),
			tells(page, `nginxplus_upstream_server_responses{code="2xx",server="`, 2),
			tells(page, `nginxplus_location_zone_responses{code="2xx",location_zone="root"}`, 2),
			tells(page, `nginxplus_server_zone_responses_codes{code="204",server_zone="site"}`, 2),
			tells(page, `nginxplus_upstream_server_state{`, 1),
			tells(page, `nginxplus_stream_upstream_server_connections{`, 1),
			tells(page, `starling_peer_zone_agrees{address="`+two+`"`, 1),
			tells(page, `starling_member_reached{address="`+two+`",member="`+two+`"}`, 1),
		)
	})
	for _, m := range declared(a) {
		if !strings.Contains(page, "\n# TYPE "+m.Name+" "+string(m.Type)+"\n") && !timed(m.Name) {
			t.Errorf("%s, at %q of the API, is not on the page", m.Name, m.At)
		}
	}
	problems, err := promlint.New(bytes.NewReader([]byte(page))).Lint()
	if err != nil {
		t.Fatalf("%v in\n%s", err, page)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "nginxplus_") || !strings.Contains(p.Text, `"_total" suffix`) && !strings.HasSuffix(p.Metric, "_count") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// declared are the metrics of a running host.
func declared(h *host) (all []admin.Metric) {
	for _, r := range plan.Part[admin.Catalog](h.Current().Plan()).Resources {
		all = append(all, r.Metrics...)
	}
	return all
}

// tells checks a sample, which may be cut off within its labels.
func tells(page, sample string, want float64) error {
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, sample); ok {
			if fields := strings.Fields(rest); fields[len(fields)-1] == fmt.Sprint(want) {
				return nil
			}
			return fmt.Errorf("%s: not %v", strings.TrimSpace(line), want)
		}
	}
	return fmt.Errorf("no %s in\n%s", sample, page)
}
