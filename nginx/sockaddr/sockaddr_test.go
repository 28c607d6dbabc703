package sockaddr_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"starling/nginx/sockaddr"
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
		{"127.0.0.1:8182-8184", 0, "127.0.0.1:8182 127.0.0.1:8183 127.0.0.1:8184"},
		{"8182-8183", 80, "0.0.0.0:8182 0.0.0.0:8183"},
		{"[::1]:8182-8182", 80, "[::1]:8182"},
		{"127.0.0.1:8184-8182", 80, `invalid port range in "127.0.0.1:8184-8182"`},
		{"127.0.0.1:8184-", 80, `invalid port in "127.0.0.1:8184-"`},
		{"unix:/run/x.sock", 80, "unix:/run/x.sock"},
		{"127.0.0.1", 0, `no port in "127.0.0.1"`},
		{"127.0.0.1:", 80, `invalid port in "127.0.0.1:"`},
		{"127.0.0.1:x", 80, `invalid port in "127.0.0.1:x"`},
		{"127.0.0.1:65536", 80, `invalid port in "127.0.0.1:65536"`},
		{"127.0.0.1:0", 80, `invalid port in "127.0.0.1:0"`},
		{":80", 80, `no host in ":80"`},
		{"[::1", 80, `invalid host in "[::1"`},
		{"[1.2.3.4]:80", 80, `invalid IPv6 address in "[1.2.3.4]:80"`},
		{"unix:", 80, `no path in the unix domain socket in "unix:"`},
		{"no..such.host:80", 80, `host not found in "no..such.host:80"`},
		{"unix:/" + strings.Repeat("x", 120), 0, `too long path in the unix domain socket in "unix:/` + strings.Repeat("x", 120) + `"`},
	} {
		got, err := sockaddr.Parse(c.text, c.defaultPort)
		text := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(got), "["), "]")
		if err != nil {
			text = err.Error()
		}
		if text != c.want {
			t.Errorf("%s: got %s, want %s", c.text, text, c.want)
		}
	}
}

// nginx says the same, where it is installed.
func TestParseBesideNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	for _, text := range []string{"127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:0", ":80", "[::1", "[1.2.3.4]:80", "[::1]x", "unix:",
		"127.0.0.1:9-8", "127.0.0.1:8-x", "127.0.0.1:8-", "no..such.host:80", "unix:/" + strings.Repeat("x", 120)} {
		path := filepath.Join(t.TempDir(), "nginx.conf")
		if err := os.WriteFile(path, []byte("events {} http { server { listen "+text+"; } }"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := exec.Command(nginx, "-t", "-c", path, "-e", "stderr").CombinedOutput() // it fails, as it should
		_, problem := sockaddr.Parse(text, 80)
		if problem == nil {
			t.Errorf("%s is accepted; nginx says %s", text, out)
		} else if want := sockaddr.Problem(problem).Error() + " in "; !strings.Contains(string(out), "[emerg] ") || !strings.Contains(string(out), want) {
			t.Errorf("%s: we say %q, nginx %s", text, want, out)
		}
	}
}
