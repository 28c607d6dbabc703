package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
)

func TestParsePlace(t *testing.T) {
	lookup := func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "app.example" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("::ffff:10.0.0.3")}, nil
	}
	for _, c := range []struct {
		text string
		port uint16
		want string
	}{
		{"10.0.0.1:8080", 80, "[10.0.0.1:8080]"},
		{"10.0.0.1", 80, "[10.0.0.1:80]"},
		{"[::1]:81", 80, "[[::1]:81]"},
		{"[::1]", 80, "[[::1]:80]"},
		{"app.example:82", 80, "[10.0.0.2:82 10.0.0.3:82 [2001:db8::1]:82]"},
		{"unix:/run/a.sock", 80, "[unix:/run/a.sock]"},
		{"UNIX:/run/a.sock:", 0, "[unix:/run/a.sock]"},
		{"app.example", 0, `no port in upstream "app.example"`},
		{"app.example:", 80, `invalid port in upstream "app.example:"`},
		{"app.example:0", 80, `invalid port in upstream "app.example:0"`},
		{"app.example:65536", 80, `invalid port in upstream "app.example:65536"`},
		{"app.example:http", 80, `invalid port in upstream "app.example:http"`},
		{":80", 80, `no host in upstream ":80"`},
		{"", 80, `no host in upstream ""`},
		{"[::1", 80, `invalid host in upstream "[::1"`},
		{"[::1]80", 80, `invalid host in upstream "[::1]80"`},
		{"[10.0.0.1]:80", 80, `invalid IPv6 address in upstream "[10.0.0.1]:80"`},
		{"unix:", 80, `no path in the unix domain socket in upstream "unix:"`},
		{"nobody.example", 80, `host not found in upstream "nobody.example"`},
	} {
		got := ""
		p, err := ParsePlace(c.text, c.port)
		if err == nil {
			var addrs []Address
			if addrs, err = p.Addresses(t.Context(), lookup); err == nil {
				var texts []string
				for _, a := range addrs {
					texts = append(texts, a.Text)
				}
				got = fmt.Sprint(texts)
			}
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
}
