package modules_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"starling/modules"
	"starling/stream/streamtest"
	"starling/web/webtest"
)

type listenCase struct{ servers, want string }

// listenCases are the insides of servers, one a line, and what nginx 1.31.5 says of them: the same in http and stream.
// A want that ends without a place is said by nginx without one.
var listenCases = []listenCase{
	{"listen 8001;", ""},
	{"listen 8001 backlog=1;\nlisten 8001 backlog=1;", "duplicate listen options for 0.0.0.0:8001 in :2"},
	{"listen 8001 ipv6only=on;\nlisten 8001 bind;", "duplicate listen options for 0.0.0.0:8001 in :2"},
	{"listen 8001 default_server bind;\nlisten 8001 default_server bind;", "duplicate listen options for 0.0.0.0:8001 in :2"},
	{"listen 8001;\nlisten 8001 backlog=1; server_name a;", ""}, // the socket's options may stand at any of its servers
	{"listen 8001 bind; listen 8001;", "a duplicate listen 0.0.0.0:8001 in :1"},
	{"listen 8001; listen *:8001 bind;", "a duplicate listen 0.0.0.0:8001 in :1"},
	{"listen 8001-8002; listen 8002;", "a duplicate listen 0.0.0.0:8002 in :1"},
	{"listen 8001 default_server;\nlisten 8001 default_server;", "a duplicate default server for 0.0.0.0:8001 in :2"},
	{"listen 8001 backlog=0;", `invalid backlog "backlog=0" in :1`},
	{"listen 8001 backlog=-1;", `invalid backlog "backlog=-1" in :1`},
	{"listen 8001 ipv6only=maybe;", `invalid parameter "ipv6only=maybe" in :1`},
	{"listen 8002;\nlisten 8001 ssl;", `no "ssl_certificate" is defined for the "listen ... ssl" directive in :2`},
	{"listen 8001 ssl; server_name a;\nlisten 8001 default_server;", `no "ssl_certificate" is defined for the "listen ... ssl" directive in :2`},
	{"listen 8001; server_name a.*.b;\nlisten 8001;", `invalid server name or wildcard "a.*.b" on 0.0.0.0:8001`},
	{"listen 8001; server_name *x;", `server name "*x" is invalid in :1`},
	{"listen 8001 deferred;", ""},
	{"listen 8001 so_keepalive;", `invalid parameter "so_keepalive" in :1`},
	{"listen 8001 reuseport=on;", `invalid parameter "reuseport=on" in :1`},
	{"listen 8001 rcvbuf;", `invalid parameter "rcvbuf" in :1`},
	{"listen 8001 deferred=on;", `invalid parameter "deferred=on" in :1`},
	{"listen 8001 so_keepalive=on;\nlisten 8001 so_keepalive=on;", "duplicate listen options for 0.0.0.0:8001 in :2"},
	{"listen 8001;\nlisten 8001 rcvbuf=8k; server_name a;", ""},
	{"listen 8001; server_name .;", `server name "." is invalid in :1`},
}

// socketCases are the parameters of sockets. Each server has an address of its own, so that releases of nginx before
// 1.25.5, which have no virtual servers in stream, can be asked too.
var socketCases = []listenCase{
	{"listen 8001 bind backlog=100 ipv6only=off;", ""},
	{"listen 8001 rcvbuf=8k sndbuf=16k so_keepalive=on reuseport;", ""},
	{"listen [::]:8001 ipv6only=on so_keepalive=off;", ""},
	{"listen 8001 so_keepalive=30m::10;\nlisten 8002 so_keepalive=:5s;\nlisten 8003 so_keepalive=::3;", ""},
	{"listen 8001 fastopen=0;\nlisten 8002 fastopen=1k;", `invalid fastopen "fastopen=1k" in :2`},
	{"listen 8001 fastopen=-1;", `invalid fastopen "fastopen=-1" in :1`},
	{"listen 8001 rcvbuf=1k;\nlisten 8002 sndbuf=x;", `invalid sndbuf "sndbuf=x" in :2`},
	{"listen 8001 rcvbuf=-1;", `invalid rcvbuf "rcvbuf=-1" in :1`},
	{"listen 8001 rcvbuf=;", `invalid rcvbuf "rcvbuf=" in :1`},
	{"listen 8001 backlog=x;", `invalid backlog "backlog=x" in :1`},
	{"listen 8001 so_keepalive=::;", `invalid so_keepalive value: "::" in :1`},
	{"listen 8001 so_keepalive=;", `invalid so_keepalive value: "" in :1`},
	{"listen 8001 so_keepalive=yes;", `invalid so_keepalive value: "yes" in :1`},
	{"listen 8001 so_keepalive=1:2:x;", `invalid so_keepalive value: "1:2:x" in :1`},
}

// onlyHTTP and onlyStream are parameters that the listen of the other side does not take.
var onlyHTTP = []listenCase{
	{"listen 8001 default;", ""},
	{"listen 8001 udp;", `invalid parameter "udp" in :1`},
}

var onlyStream = []listenCase{
	{"listen 8001 udp; listen 8001;", ""},
	{"listen 8001 udp bind;\nlisten 8001 bind;", ""},
	{"listen 8001 udp; listen 8001 udp;", "a duplicate listen 0.0.0.0:8001 in :1"},
	{"listen 8001 udp ssl proxy_protocol backlog=3;", `"listen" directive "backlog" parameter is incompatible with "udp" in :1`},
	{"listen 8001 udp bind rcvbuf=8k sndbuf=8k reuseport ipv6only=on;", ""},
	{"listen 8001 udp fastopen=1;", `"listen" directive "fastopen" parameter is incompatible with "udp" in :1`},
	{"listen 8001 udp deferred;", `"listen" directive "deferred" parameter is incompatible with "udp" in :1`},
	{"listen 8001 udp so_keepalive=off;", `"listen" directive "so_keepalive" parameter is incompatible with "udp" in :1`},
	{"listen 8001 udp so_keepalive=on backlog=1 fastopen=1 ssl;", `"listen" directive "fastopen" parameter is incompatible with "udp" in :1`},
	{"listen 8001 default;", `invalid parameter "default" in :1`},
	{"listen 8001 http2;", `invalid parameter "http2" in :1`},
	{"listen 8001 quic;", `invalid parameter "quic" in :1`},
	{"listen 8001 udp proxy_protocol;", `"listen" directive "proxy_protocol" parameter is incompatible with "udp" in :1`},
}

// listenSides are the two sides, each with all cases that it knows and with Starling's first problem of a text.
var listenSides = map[string]struct {
	cases   []listenCase
	content string // of all servers
	problem func(t *testing.T, servers string) string
}{
	"http": {slices.Concat(listenCases, socketCases, onlyHTTP), "access_log off; ", func(t *testing.T, servers string) string {
		if _, err := webtest.Load(t, modules.Web(), servers); err != nil {
			return err.Error()
		}
		return ""
	}},
	"stream": {slices.Concat(listenCases, socketCases, onlyStream), "return x; ", func(t *testing.T, servers string) string {
		return streamtest.Problem(t, "stream {"+servers+"}", modules.Stream()...)
	}},
}

// servers puts each line into a server of its own.
func servers(lines, content string) (text string) {
	for line := range strings.Lines(lines) {
		text += "server { " + content + strings.TrimSuffix(line, "\n") + " }\n"
	}
	return text
}

// sameProblem tells whether a message is the wanted one, wherever its file lies.
func sameProblem(got, want string) bool {
	message, place, found := strings.Cut(got, " in /")
	_, line, _ := strings.Cut(place, ":")
	if strings.Contains(want, " in :") && found {
		message += " in :" + line
	}
	return message == want
}

func TestListenIsOneOnBothSides(t *testing.T) {
	for name, side := range listenSides {
		for _, c := range side.cases {
			if got := side.problem(t, servers(c.servers, side.content)); !sameProblem(got, c.want) {
				t.Errorf("%s: %s\ngot  %s\nwant %s", name, c.servers, got, c.want)
			}
		}
	}
}

// nginx starts with filters of FreeBSD on other systems, and so does a file of both.
func TestFiltersOfOtherSystems(t *testing.T) {
	for name, side := range listenSides {
		if got := side.problem(t, servers("listen 8001 accept_filter=dataready;", side.content)); got != "" {
			t.Error(name, got)
		}
	}
	s := webtest.Start(t, families, `server { listen 127.0.0.1:80 accept_filter=dataready; return 200 x; }`)
	s.Logged(`accept filters "accept_filter=dataready" are not supported on this platform, ignored in /test.conf:1`)
}

// loadStream loads nginx's stream where Debian has it as a module.
func loadStream(side string) string {
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	if _, err := os.Stat(module); err != nil || side != "stream" {
		return ""
	}
	return "load_module " + module + "; "
}

func TestListenBesideNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("no nginx here to compare with")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "nginx.conf")
	for name, side := range listenSides {
		says := func(lines string) string {
			text := loadStream(name) + "pid nginx.pid; events {} " + name + " {" + servers(lines, side.content) + "}"
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, _ := exec.Command(nginx, "-t", "-p", dir, "-c", path, "-e", dir+"/error.log").CombinedOutput() // it fails where there is a problem
			_, after, _ := strings.Cut(string(out), "nginx: [emerg] ")
			problem, _, _ := strings.Cut(after, "\n")
			return problem
		}
		t.Run(name, func(t *testing.T) {
			cases := side.cases
			if problem := says("listen 8001; server_name a;"); strings.Contains(problem, "\"server_name\" directive is not allowed") {
				cases = socketCases // it has no virtual servers here, as 1.25.5 and newer have
			} else if strings.Contains(problem, "unknown directive") {
				t.Skip("this nginx was built without stream: " + problem)
			}
			for _, c := range cases {
				if got := says(c.servers); !sameProblem(got, c.want) {
					t.Errorf("%s\nnginx says %s\nwant       %s", c.servers, got, c.want)
				}
			}
		})
	}
}
