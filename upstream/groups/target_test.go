package groups

import (
	"fmt"
	"testing"
)

func TestTargetErrorsKeepPasswords(t *testing.T) {
	for _, text := range []string{"user:secret@host", "user:sec/ret@host/uri", "user:secret@host:80"} {
		_, err := ParseTarget(text, 80, true)
		if err == nil {
			t.Errorf("%s is a target", text)
			continue
		}
		if got, want := err.Error(), "invalid port in upstream \"user:***@host"; len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// TestTargets: addresses as nginx reads them (ngx_parse_url), and its words for what is none.
func TestTargets(t *testing.T) {
	for _, c := range []struct {
		text string
		port uint16
		want string // name, port, URI and what of it is an address already
	}{
		{"10.0.0.1:8080", 80, "10.0.0.1 8080  10.0.0.1:8080"},
		{"10.0.0.1", 80, "10.0.0.1 80  10.0.0.1:80"},
		{"[::1]:81", 80, "[::1] 81  [::1]:81"},
		{"[::1]", 80, "[::1] 80  [::1]:80"},
		{"app.example:82", 80, "app.example 82  "},
		{"app.example", 0, "app.example 0  "},
		{"app.example:82/a:b?c", 80, "app.example 82 /a:b?c "},
		{"app.example?a", 80, "app.example 80 ?a "},
		{"unix:/run/a.sock", 80, "unix:/run/a.sock 0  unix:/run/a.sock"},
		{"UNIX:/run/a.sock", 0, "unix:/run/a.sock 0  unix:/run/a.sock"},
		{"unix:/run/a.sock:/uri", 80, "unix:/run/a.sock 0 /uri unix:/run/a.sock"},
		{"app.example:", 80, `invalid port in upstream "app.example:"`},
		{"app.example:0", 80, `invalid port in upstream "app.example:0"`},
		{"app.example:+1", 80, `invalid port in upstream "app.example:+1"`},
		{"app.example:65536", 80, `invalid port in upstream "app.example:65536"`},
		{"app.example:http", 80, `invalid port in upstream "app.example:http"`},
		{":80", 80, `no host in upstream ":80"`},
		{"", 80, `no host in upstream ""`},
		{"[::1", 80, `invalid host in upstream "[::1"`},
		{"[::1]80", 80, `invalid host in upstream "[::1]80"`},
		{"[10.0.0.1]:80", 80, `invalid IPv6 address in upstream "[10.0.0.1]:80"`},
		{"unix:", 80, `no path in the unix domain socket in upstream "unix:"`},
		{"unix:/" + fmt.Sprintf("%0107d", 0), 80, `too long path in the unix domain socket in upstream "unix:/` + fmt.Sprintf("%0107d", 0) + `"`},
	} {
		target, err := ParseTarget(c.text, c.port, true)
		literal, _ := target.Literal()
		got := fmt.Sprintf("%s %d %s %s", target.Name(), target.Port, target.URI, literal.Text)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
	if _, err := ParseTarget("app.example/x", 80, false); err == nil || err.Error() != `invalid host in upstream "app.example/x"` {
		t.Errorf("a URI where none may be: %v", err)
	}
}
