package sockaddr_test

import (
	"fmt"
	"strings"
	"testing"

	"starling/lib/sockaddr"
)

// The wanted errors are what nginx 1.22.1 says, less the directive.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		text        string
		defaultPort uint16
		want        string
	}{
		{"127.0.0.1:8080", 80, "127.0.0.1:8080"},
		{"127.0.0.1", 80, "127.0.0.1:80"},
		{"8080", 80, "0.0.0.0:8080"},
		{"*:8080", 0, "0.0.0.0:8080"},
		{"*", 80, "0.0.0.0:80"},
		{"[::1]:80", 0, "[::1]:80"},
		{"[::]", 80, "[::]:80"},
		{"unix:/run/x.sock", 80, "unix:/run/x.sock"},
		{"127.0.0.1", 0, `no port in "127.0.0.1"`},
		{"127.0.0.1:", 80, `invalid port in "127.0.0.1:"`},
		{"127.0.0.1:x", 80, `invalid port in "127.0.0.1:x"`},
		{"127.0.0.1:65536", 80, `invalid port in "127.0.0.1:65536"`},
		{"127.0.0.1:0", 80, `invalid port in "127.0.0.1:0"`},
		{":80", 80, `no host in ":80"`},
		{"[::1", 80, `invalid IPv6 address in "[::1"`},
		{"[1.2.3.4]:80", 80, `invalid IPv6 address in "[1.2.3.4]:80"`},
		{"unix:", 80, `no path in the unix domain socket in "unix:"`},
		{"no.such.host.invalid:80", 80, `host not found in "no.such.host.invalid:80"`},
		{"unix:/" + strings.Repeat("x", 120), 0, `too long path in the unix domain socket in "unix:/` + strings.Repeat("x", 120) + `"`},
	} {
		got, err := sockaddr.Parse(c.text, c.defaultPort)
		text := strings.Trim(fmt.Sprint(got), "[]")
		if len(got) == 1 {
			text = got[0].String()
		}
		if err != nil {
			text = err.Error()
		}
		if text != c.want {
			t.Errorf("%s: got %s, want %s", c.text, text, c.want)
		}
	}
}
