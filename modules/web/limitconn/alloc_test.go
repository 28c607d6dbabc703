//go:build !race

package limitconn_test

import (
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/limitconn"
	"starling/web"
	"starling/web/webtest"
)

// The race detector allocates by itself, so this runs without it.
func TestARequestDoesNotAllocate(t *testing.T) {
	for _, sync := range []string{"", " sync"} {
		s := webtest.Start(t, []*web.Module{&core.Module, &limitconn.Module, webtest.Say()}, `
			keepalive_requests 1000000;
			limit_conn_zone $binary_remote_addr zone=one:1m`+sync+`;
			server { location / { limit_conn one 10; say x; } }`)
		if n := s.Allocations("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); n != 0 {
			t.Errorf("with %q: %v allocations", sync, n)
		}
	}
}
