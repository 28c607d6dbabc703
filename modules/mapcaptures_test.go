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

// An expression without groups leaves no captures, in a map, a nested location and an if, as in nginx. One that does
// not match leaves them, but in an if.
func TestAnExpressionWithoutGroupsClearsCaptures(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, &lookup.Module, &rewrite.Module}, `map $uri $m { ~x map; } server {
		location ~ ^/(map.)$ { return 200 "$m $1"; }
		location ~ ^/(nested.) { location ~ x$ { return 200 "inner $1"; } return 200 "outer $1"; }
		location ~ ^/(if.)$ { if ($uri ~ x) { return 200 "if $1"; } return 200 "else $1"; } }`)
	c := s.Client()
	for target, want := range map[string]string{"/mapx": "map ", "/mapy": " mapy", "/nestedx": "inner ", "/nestedy": "outer nestedy",
		"/ifx": "if ", "/ify": "else "} {
		if r := c.Do("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"); r.Text != want {
			t.Errorf("%s: %q, want %q", target, r.Text, want)
		}
	}
}
