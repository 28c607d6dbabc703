//go:build !race

package modules_test

import (
	"strings"
	"testing"
)

// A hit that is in memory allocates nothing, whatever kind of request finds it. The race detector allocates by itself,
// so this runs without it.
func TestCacheHitDoesNotAllocate(t *testing.T) {
	o := newOrigin(t, originSays(strings.Repeat("x", 1024), "Cache-Control", "max-age=1000", "ETag", `"e"`, "Vary", "Accept-Encoding"))
	s := o.cached(t, ``)
	if n := s.Allocations("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br\r\n\r\n"); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := o.asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}
