package cycle_test

import (
	"slices"
	"strings"
	"testing"

	"starling/lib/exposition"
	"starling/lib/testkit"
)

// exporterNames are the names that NGINX Plus's exporter has for the figures that starling counts, by what they begin
// with: all of its version 1.5. Those of a gauge end in "~".
var exporterNames = map[string]string{
	"": "connections_accepted connections_dropped connections_active~ connections_idle~ http_requests_total http_requests_current~ " +
		"ssl_handshakes ssl_handshakes_failed ssl_session_reuses up~ license_expiration_timestamp_seconds~ license_reporting_healthy~ " +
		"license_reporting_fails_count~ license_reporting_grace_period_seconds~",
	"server_zone_":        "processing~ requests responses responses_codes discarded received sent ssl_handshakes ssl_handshakes_failed ssl_session_reuses",
	"location_zone_":      "requests responses responses_codes discarded received sent",
	"stream_server_zone_": "processing~ connections sessions discarded received sent ssl_handshakes ssl_handshakes_failed ssl_session_reuses",
	"upstream_":           "keepalive~ zombies~",
	"stream_upstream_":    "zombies~",
	"upstream_server_": "state~ active~ limit~ requests responses responses_codes sent received fails unavail header_time~ response_time~" +
		" health_checks_checks health_checks_fails health_checks_unhealthy ssl_handshakes ssl_handshakes_failed ssl_session_reuses",
	"stream_upstream_server_": "state~ active~ limit~ connections sent received fails unavail connect_time~ first_byte_time~ response_time~" +
		" health_checks_checks health_checks_fails health_checks_unhealthy ssl_handshakes ssl_handshakes_failed ssl_session_reuses",
	"stream_zone_sync_status_": "bytes_in bytes_out msgs_in msgs_out nodes_online~",
	"stream_zone_sync_zone_":   "records_pending~ records_total~",
	"resolver_":                "name srv addr noerror formerr servfail nxdomain notimp refused timedout unknown",
	"worker_":                  "connection_accepted connection_dropped connection_active~ connection_idle~ http_requests_total http_requests_current~",
	"cache_": "size~ max_size~ cold~ hit_responses hit_bytes stale_responses stale_bytes updating_responses updating_bytes revalidated_responses" +
		" revalidated_bytes miss_responses miss_bytes expired_responses expired_bytes expired_responses_written expired_bytes_written" +
		" bypass_responses bypass_bytes bypass_responses_written bypass_bytes_written",
	"limit_request_":           "passed delayed rejected delayed_dry_run rejected_dry_run",
	"limit_connection_":        "passed rejected rejected_dry_run",
	"stream_limit_connection_": "passed rejected rejected_dry_run",
}

// TestMetricNamesOfTheExporter keeps dashboards made for NGINX Plus's exporter working: a figure that it has too goes
// by its name and type, and no name with its prefix is made up.
func TestMetricNamesOfTheExporter(t *testing.T) {
	one := address(t)
	missing := map[string]exposition.Type{}
	for family, names := range exporterNames {
		for name := range strings.FieldsSeq(names) {
			plain, isGauge := strings.CutSuffix(name, "~")
			missing["nginxplus_"+family+plain] = exposition.Counter
			if isGauge {
				missing["nginxplus_"+family+plain] = exposition.Gauge
			}
		}
	}
	known := len(missing)
	var emitted []string
	for _, m := range declared(observed(t, address(t), address(t), one, "zone_sync_server "+one+";", "")) {
		if !strings.HasPrefix(m.Name, "nginxplus_") || slices.Contains(emitted, m.Name) {
			continue
		}
		emitted = append(emitted, m.Name)
		if kind, there := missing[m.Name]; !there || kind != m.Type {
			t.Errorf("%s, a %s, is none of the exporter's", m.Name, m.Type)
		}
		delete(missing, m.Name)
	}
	for name := range missing {
		t.Errorf("%s is not exposed", name)
	}
	if len(emitted) != known {
		t.Errorf("%d metrics with the exporter's prefix, want %d", len(emitted), known)
	}
}

// TestReloadsAreCounted: the first configuration is none, nor is a reload that failed.
func TestReloadsAreCounted(t *testing.T) {
	web := address(t)
	conf := "http { access_log off; server { listen " + web + "; location /metrics { metrics; } location /api { api; } } }"
	h := newHost(t)
	h.run(conf)
	t.Cleanup(h.Stop)
	for reloads := range 3 {
		testkit.Eventually(t, patience, func() error { // a kept connection may still be answered by the configuration before
			return tells(scrape(t, web), "starling_reloads_total", float64(reloads))
		})
		h.write(conf + " unknown_directive;")
		if err := h.Reload(t.Context()); err == nil {
			t.Fatal("a configuration with an unknown directive was taken")
		}
		h.write(conf)
		if err := h.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
