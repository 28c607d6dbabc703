package modules_test

import (
	"testing"

	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// The second time of keepalive_timeout is inherited by itself, as in nginx: a level that gives only the first keeps it.
func TestKeepAliveHeaderIsInherited(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, webtest.Say()}, `keepalive_timeout 2s 7s;
		server { keepalive_timeout 5s; say x; location /own { keepalive_timeout 5s 9s; } location /none { keepalive_timeout 5s 0; } }`)
	for target, want := range map[string]string{"/": "timeout=7", "/own": "timeout=9", "/none": ""} {
		if got := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n").Header.Get("Keep-Alive"); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
}
