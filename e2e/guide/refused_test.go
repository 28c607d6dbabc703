package guide

import (
	"os/exec"
	"strings"
	"testing"

	"starling/e2e/harness"
)

// TestNothingIsAcceptedAndIgnored: what could not take effect is refused by -t, by name and place.
func TestNothingIsAcceptedAndIgnored(t *testing.T) {
	for _, c := range []struct{ conf, want string }{
		{"http { server { listen {{.IP}}:8080;\nlocation / {\nproxy_pass http://{{.IP}}:1; api; } } }", `"proxy" and "api" cannot be used in the same location in nginx.conf:6`},
		{"http { server { listen {{.IP}}:8080;\nlocation / {\napi; stub_status; } } }", `"api" and "stub_status" cannot be used in the same location in nginx.conf:6`},
		{"stream {\nserver { listen {{.IP}}:9000; zone_sync; return x; } }", `cannot be used in the same server in nginx.conf:6`},
		{"http { fastcgi_cache_path /tmp/x keys_zone=a:1m; }", `"fastcgi_cache_path" is not supported by starling in nginx.conf:5`},
		{"http { server { js_set $a b; } }", `"js_set" is not supported by starling in nginx.conf:5`},
		{"http { server { location / { limit_req zone=nowhere; } } }", `zero size shared memory zone "nowhere" in nginx.conf:5`},
		{"http { server { location / { return 200 $nowhere; } } }", `unknown "nowhere" variable in nginx.conf:5`},
		{"stream { server { listen {{.IP}}:9000; zone_sync; zone_sync_server no..such.host:9000; } }", `host not found in zone_sync_server "no..such.host:9000"`},
	} {
		cl := harness.Unstarted(t)
		cl.Configure(c.conf)
		cmd := exec.Command(harness.Binary, "-t", "-p", cl.Dir+"/", "-c", "nginx.conf", "-e", "error.log")
		out, err := cmd.CombinedOutput()
		text := strings.ReplaceAll(string(out), cl.Dir+"/", "")
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(text, c.want) {
			t.Errorf("%s\ngave %v, %s\nwant %s", c.conf, err, text, c.want)
		}
	}
}
