package cycle_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"weak"

	"starling/lib/testkit"
	"starling/plan"
)

// TestAReloadReleasesThePreviousConfiguration: a configuration that has served its last request is not kept in memory,
// whatever the next one continues of it. Otherwise each reload of a long process would cost memory for ever.
func TestAReloadReleasesThePreviousConfiguration(t *testing.T) {
	const sync = `server { listen SYNC; zone_sync; zone_sync_strict_state DIR/strict; zone_sync_server SYNC; }`
	for _, c := range []struct{ name, http, stream string }{
		{"servers", `server { listen HTTP; status_zone one; location / { status_zone $arg_z; return 200; } }`, ``},
		{"upstream", `upstream u { zone u 64k; server 127.0.0.1:1; keepalive 2; } server { listen HTTP; location / { proxy_pass http://u; } }`,
			`upstream u { zone su 64k; server 127.0.0.1:1; } server { listen STREAM; proxy_pass u; }`},
		{"health checks", `upstream u { zone u 64k; server 127.0.0.1:1; }
			server { listen HTTP; location / { proxy_pass http://u; health_check; } }`,
			`upstream u { zone su 64k; server 127.0.0.1:1; } server { listen STREAM; proxy_pass u; health_check; }`},
		{"state of upstreams", `upstream u { zone u 64k; state DIR/u.conf; }`, `upstream u { zone su 64k; state DIR/su.conf; }`},
		{"shared upstreams", `upstream u { zone u 64k sync; server 127.0.0.1:1; }`, `upstream u { zone su 64k sync; server 127.0.0.1:1; }` + sync},
		{"state of shared upstreams", `upstream u { zone u 64k sync; state DIR/u.conf; }`, `upstream u { zone su 64k sync; state DIR/su.conf; }` + sync},
		{"zones", `keyval_zone zone=k:64k state=DIR/k; keyval $arg_k $v zone=k; limit_req_zone $arg_k zone=r:64k rate=1r/s; limit_conn_zone $arg_k zone=c:64k;
			server { listen HTTP; limit_req zone=r; limit_conn c 1; return 200 $v; }`, ``},
		{"shared zones", `keyval_zone zone=k:64k state=DIR/k sync; keyval $arg_k $v zone=k; limit_req_zone $arg_k zone=r:64k rate=1r/s sync;
			limit_conn_zone $arg_k zone=c:64k sync; server { listen HTTP; limit_req zone=r; limit_conn c 1; return 200 $v; }`, sync},
		{"strict limits", `limit_req_zone $arg_k zone=r:64k rate=1r/s sync strict; server { listen HTTP; limit_req zone=r; return 200; }`, sync},
		{"strict connections", `limit_conn_zone $arg_k zone=c:64k sync strict; server { listen HTTP; limit_conn c 1; return 200; }`, sync},
		{"sessions", `upstream u { zone u 64k; server 127.0.0.1:1; sticky learn create=$upstream_cookie_a lookup=$cookie_a zone=s:1m sync; }`, sync},
		{"TLS", `server { listen HTTP ssl; ssl_certificate example.com.crt; ssl_certificate_key example.com.key; ssl_trusted_certificate ca.crt;
			ssl_stapling on; ssl_stapling_responder http://127.0.0.1:1/; ssl_session_cache shared:s:1m; }`,
			`server { listen STREAM ssl; ssl_certificate example.com.crt; ssl_certificate_key example.com.key; ssl_trusted_certificate ca.crt;
			ssl_stapling on; ssl_stapling_responder http://127.0.0.1:1/; proxy_pass 127.0.0.1:1; }`},
		{"names", `resolver 127.0.0.1:1; upstream u { zone u 64k; server one.test:80 resolve; }`,
			`resolver 127.0.0.1:1; upstream u { zone su 64k; server one.test:80 resolve; }`},
		{"databases", `geoip2 GeoLite2-Country.mmdb { auto_reload 1m; $country country iso_code; } server { listen HTTP; return 200 $country; }`, ``},
		{"logs", `access_log DIR/access.log combined buffer=32k flush=1m; server { listen HTTP; error_log DIR/other.log; }`, ``},
		{"API", `server { listen HTTP; location /api { api write=on; } location /dash/ { dashboard; } location /metrics { metrics; } }`, ``},
		{"caches", `proxy_cache_path DIR/cache keys_zone=p:64k; server { listen HTTP; location / { proxy_cache p; proxy_pass http://127.0.0.1:1; } }`, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			text := strings.NewReplacer("HTTP", address(t), "STREAM", address(t), "SYNC", address(t), "DIR", h.dir).
				Replace(fmt.Sprintf("http { access_log off; %s }\nstream { %s }", c.http, c.stream))
			var retired []weak.Pointer[plan.Plan]
			for i := range 4 {
				h.run(text)
				if i == 0 {
					t.Cleanup(h.Stop)
				}
				retired = append(retired, weak.Make(h.Current().Plan()))
			}
			testkit.Eventually(t, patience, func() error {
				runtime.GC()
				for i, p := range retired[:len(retired)-1] {
					if p.Value() != nil {
						return fmt.Errorf("configuration %d of %d is still in memory", i+1, len(retired))
					}
				}
				return nil
			})
		})
	}
}
