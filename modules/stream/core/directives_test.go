package core_test

import (
	"testing"

	"starling/modules/stream/core"
	"starling/stream/streamtest"
)

// TestBoundsNameTheirDirective: a line can have several directives, and nginx has no bounds for these.
func TestBoundsNameTheirDirective(t *testing.T) {
	for text, want := range map[string]string{
		"udp_sessions 0;":            `"udp_sessions" directive value must be between 1 and 1048576 in /test.conf:1`,
		"udp_sessions x;":            `"udp_sessions" directive invalid number in /test.conf:1`,
		"preread_buffer_size 0;":     `"preread_buffer_size" directive value must be between 1 and 1048576 in /test.conf:1`,
		"udp_sessions 1; say hello;": "",
	} {
		text := "stream { server { listen 127.0.0.1:1; " + text + " } }"
		if got := streamtest.Problem(t, text, &core.Module, streamtest.Say()); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}
