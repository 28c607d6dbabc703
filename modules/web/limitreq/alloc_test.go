//go:build !race

package limitreq_test

import (
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/limitreq"
	"starling/web"
	"starling/web/webtest"
)

// The race detector allocates by itself, so this runs without it.
func TestARequestDoesNotAllocate(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, &limitreq.Module, webtest.Say()}, `
		keepalive_requests 1000000;
		limit_req_zone $binary_remote_addr zone=one:1m rate=1000000r/s;
		server { location / { limit_req zone=one burst=1000 nodelay; say x; } }`)
	if n := s.Allocations("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
