package modules_test

import (
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/headers"
	"starling/modules/web/rewrite"
	"starling/web"
	"starling/web/webtest"
)

// A block of if inherits the lines of its location, and with merge adds them to its own.
func TestAddHeaderInIf(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, &rewrite.Module, &headers.Module, webtest.Say()}, `server {
		say x; add_header X server;
		location /on { add_header X own; if ($arg_x = 1) { add_header X if; } if ($arg_x = 2) { say y; } }
		location /merge { add_header_inherit merge; add_header X own; if ($arg_x = 1) { add_header X if; } }
		location /in { add_header X own; if ($arg_x = 1) { add_header_inherit off; } }
	}`)
	for target, want := range map[string]string{
		"/on": "own", "/on?x=1": "if", "/on?x=2": "own",
		"/merge": "own,server", "/merge?x=1": "if,own,server",
		"/in": "own", "/in?x=1": "",
	} {
		got := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if values := strings.Join(got.Header["X"], ","); values != want {
			t.Errorf("%s: got %s, want %s", target, values, want)
		}
	}
}
