package zonesync_test

import (
	"slices"
	"strings"
	"testing"

	"starling/admin"
	"starling/modules/stream/core"
	"starling/modules/stream/zonesync"
	"starling/stream/streamtest"
)

func TestProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"zone_sync;", ""},
		{"zone_sync; zone_sync_server 127.0.0.1:9000; zone_sync_server unix:/x.sock;", ""},
		{"zone_sync on;", `invalid number of arguments in "zone_sync" directive in /test.conf:1`},
		{"zone_sync; zone_sync_server 127.0.0.1;", `no port in zone_sync_server "127.0.0.1" in /test.conf:1`},
		{"zone_sync; zone_sync_server 127.0.0.1:0;", `invalid port in zone_sync_server "127.0.0.1:0" in /test.conf:1`},
		{"zone_sync; zone_sync_server unix: resolve;", `invalid zone_sync_server "unix:" in /test.conf:1`},
		{"zone_sync; zone_sync_server nodes.example:9000 resolve;", `no resolver defined to resolve "nodes.example" in /test.conf:1`},
		{"zone_sync; zone_sync_server nodes.example:9000 resolve; resolver 127.0.0.1;", ""},
		{"say x; zone_sync_server 127.0.0.1:9000;", `"zone_sync_server" requires "zone_sync" in the same server in /test.conf:1`},
		{"zone_sync; zone_sync_buffers 8;", `invalid number of arguments in "zone_sync_buffers" directive in /test.conf:1`},
		{"zone_sync; zone_sync_buffers 8 2m;", `invalid size of buffers "2m", it must be between 1k and 1m in /test.conf:1`},
		{"zone_sync; zone_sync_recv_buffer_size 4k;", `"zone_sync_recv_buffer_size" must be at least the size of one of "zone_sync_buffers" in /test.conf:1`},
		{"zone_sync; zone_sync_timeout soon;", `"zone_sync_timeout" directive invalid value in /test.conf:1`},
		{"zone_sync; zone_sync_timeout 0;", `"zone_sync_timeout" directive value must be equal to or greater than 1ms in /test.conf:1`},
		{"zone_sync; zone_sync_connect_timeout 0;", `"zone_sync_connect_timeout" directive value must be equal to or greater than 1ms in /test.conf:1`},
		{"zone_sync; zone_sync_connect_retry_interval 0;", `"zone_sync_connect_retry_interval" directive value must be equal to or greater than 1ms in /test.conf:1`},
		{"zone_sync; listen 127.0.0.1:2 udp;", `"zone_sync" requires TCP and cannot be used in a server with "listen ... udp" in /test.conf:1`},
		{"zone_sync; zone_sync_ssl on; zone_sync_ssl_verify on;", `no trusted certificate to verify servers in /test.conf:1`},
		{"zone_sync; zone_sync_ssl on; zone_sync_ssl_certificate x.crt;", `no "zone_sync_ssl_certificate_key" is defined for certificate "/x.crt" in /test.conf:1`},
		{"zone_sync; } server { listen 127.0.0.1:2; zone_sync;", `"zone_sync" directive is duplicate, the first is in /test.conf:1 in /test.conf:1`},
	} {
		text := "stream { server { listen 127.0.0.1:1; " + c.text + " } }"
		if got := streamtest.Problem(t, text, &core.Module, &zonesync.Module, streamtest.Say()); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

// Whoever reaches the server can change the shared zones, so an operator who leaves it open is told.
func TestAnOpenServerIsWarnedOf(t *testing.T) {
	for listen, warned := range map[string]bool{"127.0.0.1:1": false, "[::1]:1": false, "unix:/x.sock": false, "9000": true, "10.0.0.1:9000": true} {
		s, err := streamtest.Build(t, "stream { server { listen "+listen+"; zone_sync; } }", nil, &core.Module, &zonesync.Module)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(s.Log.Lines(), func(l string) bool {
			return strings.HasPrefix(l, "[warn]") && strings.Contains(l, "without verifying client certificates")
		})
		if got != warned {
			t.Errorf("listen %s: warned %v", listen, got)
		}
	}
}

// Until the node runs there is nothing to show, and nothing here can ever be written.
func TestAPIBeforeTheStart(t *testing.T) {
	s, err := streamtest.Build(t, "stream { server { listen 127.0.0.1:1; zone_sync; } }", nil, &core.Module, &zonesync.Module)
	if err != nil {
		t.Fatal(err)
	}
	resources := s.Site.Resources()
	at := slices.IndexFunc(resources, func(r admin.Resource) bool { return r.Path == "stream/zone_sync" })
	for _, c := range []struct {
		method string
		tail   []string
		want   string
	}{
		{"GET", nil, "PathNotFound"},
		{"GET", []string{"cluster"}, "PathNotFound"},
		{"GET", []string{"ready"}, "PathNotFound"},
		{"GET", []string{"nothing"}, "PathNotFound"},
		{"GET", []string{"ready", "x"}, "PathNotFound"},
		{"DELETE", nil, "MethodNotAllowed"},
		{"POST", []string{"cluster"}, "MethodNotAllowed"},
		{"DELETE", []string{"ready"}, "MethodNotAllowed"},
	} {
		answer := resources[at].Handle(&admin.Call{Method: c.method, Version: 9, Tail: c.tail})
		if answer.Err == nil || answer.Err.Code != c.want {
			t.Errorf("%s %q: %+v, want %s", c.method, c.tail, answer, c.want)
		}
	}
}
