package web_test

import (
	"strings"
	"testing"
)

// The order is that of ngx_http_core_find_location.
func TestLocations(t *testing.T) {
	s := start(t, `
server {
    location / { say "root"; }
    location = / { say "exact root"; }
    location /a { say "a"; }
    location /abc { say "abc"; }
    location = /abc { say "exact abc"; }
    location /ab/ { say "ab slash"; }
    location /images/ {
        say "images";
        location ~ \.gif$ { say "gif in images"; }
        location /images/deep/ { say "deep"; location = /images/deep/x { say "exact deep"; } }
    }
    location ^~ /static/ { say "static"; location ~ \.x$ { say "x in static"; } }
    location ~ \.(gif|jpg)$ { say "picture $1"; }
    location ~* \.PNG$ { say "png"; }
    location ~ ^/users/(?<id>\d+)/(?<what>\w+)$ { say "user $id $what $1"; }
    location =/glued { say "glued"; }
    location ~^/tilde { say "tilde"; }
    location @named { say "named"; }
}`)
	for uri, want := range map[string]string{
		"/":                   "exact root",
		"/x":                  "root",
		"/a":                  "a",
		"/ab":                 "a",
		"/abc":                "exact abc",
		"/abcd":               "abc",
		"/ab/c":               "ab slash",
		"/images/x":           "images",
		"/images/x.gif":       "gif in images",
		"/images/x.jpg":       "picture jpg",
		"/images/deep/x":      "exact deep",
		"/images/deep/y":      "deep",
		"/images/deep/y.gif":  "gif in images",
		"/static/x.gif":       "static",
		"/static/a.x":         "x in static",
		"/x.png":              "png",
		"/users/12/posts":     "user 12 posts 12",
		"/glued":              "glued",
		"/tilde/x":            "tilde",
		"/%61bc":              "exact abc",
		"/x/../abc":           "exact abc",
		"//abc":               "exact abc",
		"/abc?x=1":            "exact abc",
		"/named":              "root",
		"http://other/abc?x=": "exact abc",
	} {
		if got := body(s.Get(uri)); got != want {
			t.Errorf("%s: got %q, want %q", uri, got, want)
		}
	}
}

// Locations in an internal one are internal, too, however they are found.
func TestInternalLocations(t *testing.T) {
	s := start(t, `
server {
    location /in/ {
        internal;
        say "in";
        location = /in/exact { say "exact"; }
        location /in/deep/ { say "deep"; location ~ x$ { say "deeper"; } }
        location ~ \.y$ { say "regex"; }
    }
    location /to { error_page 404 /in$arg_to; }
}`)
	for _, path := range []string{"/", "/exact", "/deep/", "/deep/x", "/z.y"} {
		if got := status(s.Get("/in" + path)); got != "404 Not Found" {
			t.Errorf("%s from outside: %s", path, got)
		}
	}
	for path, want := range map[string]string{"/": "in", "/exact": "exact", "/deep/": "deep", "/deep/x": "deeper", "/z.y": "regex"} {
		if got := body(s.Get("/to?to=" + path)); got != want {
			t.Errorf("%s from inside: %q, want %q", path, got, want)
		}
	}
}

func TestLimitExcept(t *testing.T) {
	s := start(t, `server { location / { say "open"; limit_except GET PUT { say "closed"; refuse 403; } } }`)
	for method, want := range map[string]string{"GET": "200 OK", "HEAD": "200 OK", "PUT": "200 OK", "POST": "403 Forbidden"} {
		got := status(s.Send(method + " / HTTP/1.0\r\n\r\n"))
		if got != want {
			t.Errorf("%s: got %s, want %s", method, got, want)
		}
	}
}

func TestServerNames(t *testing.T) {
	names := []string{
		"a.example.org", "*.example.org", "*.b.example.org", "www.example.*", "www.example.b.*", ".dotted.net", `"~^(?<sub>\w+)\d\.re\.org$"`, `""`,
	}
	text := `server { listen 80 default_server; server_name dflt; say "default"; }`
	for _, name := range names {
		text += "\nserver { listen 80; server_name " + name + `; say "$server_name $sub"; }`
	}
	s := start(t, text)
	for host, want := range map[string]string{
		"a.example.org":      "a.example.org ",
		"A.Example.ORG":      "a.example.org ",
		"a.example.org.":     "a.example.org ",
		"a.example.org:8080": "a.example.org ",
		"x.example.org":      "*.example.org ",
		"x.y.example.org":    "*.example.org ",
		"x.b.example.org":    "*.b.example.org ",
		"www.example.com":    "www.example.* ",
		"www.example.b.com":  "www.example.b.* ",
		"dotted.net":         "dotted.net ",
		"x.dotted.net":       "dotted.net ",
		"abc1.re.org":        `~^(?<sub>\w+)\d\.re\.org$ abc`,
		"other":              "default",
	} {
		if got := body(s.Get("/", "Host: "+host)); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
	if got := body(s.Send("GET / HTTP/1.0\r\n\r\n")); got != " " {
		t.Errorf("without a name: %q", got)
	}
}

func TestConflictingNamesAreIgnoredWithAWarning(t *testing.T) {
	s := start(t, `server { server_name a; say "first"; } server { server_name a b; say "second"; }`)
	if got := body(s.Get("/", "Host: a")); got != "first" {
		t.Errorf("got %q", got)
	}
	log := strings.Join(s.Log.Lines(), "\n")
	if !strings.Contains(log, `[warn] conflicting server name "a" on 0.0.0.0:`) {
		t.Errorf("the log: %s", log)
	}
}
