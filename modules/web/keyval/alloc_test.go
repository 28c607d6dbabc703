//go:build !race

package keyval_test

import (
	"testing"

	"starling/web/webtest"
)

// The race detector allocates by itself, so this runs without it.
func TestALookupDoesNotAllocate(t *testing.T) {
	s := webtest.Start(t, modules, "keepalive_requests 1000000;"+text)
	put(t, s, "one", `{"a":"1"}`)
	put(t, s, "paths", `{"/":"root"}`)
	if n := s.Allocations("GET /?key=a HTTP/1.1\r\nHost: a\r\n\r\n"); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
