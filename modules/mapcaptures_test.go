package modules_test

import (
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/lookup"
	"starling/modules/web/rewrite"
	"starling/web"
	"starling/web/webtest"
)

// TestAMapReplacesCaptures: $1 and $2 behind its variable are those of the map's expression, as in nginx; those with
// names, and copies, stay.
func TestAMapReplacesCaptures(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, &lookup.Module, &rewrite.Module}, `map $uri $m { ~^/(.)(.) map; } server {
		location ~ ^/(ab)(cd)$ { return 200 "$m $2 $1"; }
		location ~ ^/(?<x>ij)(?<y>kl)$ { return 200 "$m $y $x"; }
		location ~ ^/(mn)(op)$ { set $copy $2; return 200 "$m $copy"; } }`)
	c := s.Client()
	for target, want := range map[string]string{"/abcd": "map b a", "/ijkl": "map kl ij", "/mnop": "map op"} {
		if r := c.Do("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"); r.Text != want {
			t.Errorf("%s: %q, want %q", target, r.Text, want)
		}
	}
}
