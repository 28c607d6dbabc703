package headers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/conf"
	"starling/modules/web/core"
	"starling/modules/web/headers"
	"starling/web"
	"starling/web/webtest"
)

// answering answers with the status in the query and a date of modification.
func answering() *web.Module {
	return &web.Module{
		Module: conf.Module{Name: "answering", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				status := 200
				if len(r.Query) == 3 {
					fmt.Sscan(string(r.Query), &status)
				}
				if status >= 400 {
					return web.Result(status)
				}
				r.Out.LastModified = []byte("Mon, 28 Sep 1970 06:00:00 GMT")
				r.SetHeader([]byte("ETag"), []byte(`"old"`))
				return r.Respond(status, "text/plain", nil)
			}, nil
		}}},
	}
}

func modules() []*web.Module { return []*web.Module{&core.Module, &headers.Module, answering()} }

// get returns the response's headers of some names, "-" for each that is missing.
func get(s *webtest.Server, target string, names ...string) string {
	response := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")
	var got []string
	for _, name := range names {
		v := response.Header.Values(name)
		if len(v) == 0 {
			v = []string{"-"}
		}
		got = append(got, strings.Join(v, ","))
	}
	return strings.Join(got, "|")
}

func TestAddHeader(t *testing.T) {
	s := webtest.Start(t, modules(), `
		add_header X-Outer outer;
		server {
			location / { }
			location /own { add_header X-A "$uri"; add_header X-B b always; add_header X-A second; add_header X-Empty ""; }
			location /replace { add_header Last-Modified ""; add_header ETag '"new"'; }
			location /replaced { add_header Last-Modified "Tue, 29 Sep 1970 06:00:00 GMT"; add_header ETag ""; }
		}`)
	for _, c := range []struct{ target, names, want string }{
		{"/", "X-Outer X-A", "outer|-"},
		{"/?404", "X-Outer", "-"},
		{"/?302", "X-Outer", "outer"},
		{"/?202", "X-Outer", "-"},
		{"/own", "X-Outer X-A X-B X-Empty", "-|/own,second|b|-"},
		{"/own?404", "X-A X-B", "-|b"},
		{"/replace", "Last-Modified ETag", `-|"new"`},
		{"/replaced", "Last-Modified ETag", `Tue, 29 Sep 1970 06:00:00 GMT|-`},
	} {
		if got := get(s, c.target, strings.Fields(c.names)...); got != c.want {
			t.Errorf("%s: got %s, want %s", c.target, got, c.want)
		}
	}
}

// inheriting has lines in all levels, for add_header and for add_trailer.
const inheriting = `
	add X outer;
	server {
		add X server;
		location / { }
		location /own { add X own; }
		location /on { add_inherit on; add X own; location /on/inner { add X inner; } }
		location /off { add_inherit off; location /off/inner { } location /off/own { add X own; }
			location /off/merge { add_inherit merge; add X own; } }
		location /merge { add_inherit merge; add X own; add X second;
			location /merge/none { }
			location /merge/inner { add X inner; add_inherit merge; }
			location /merge/inherited { add X inner; }
			location /merge/on { add_inherit on; add X inner; }
			location /merge/off { add_inherit off; } }
		location /only { add_inherit merge; }
	}
	server { server_name merged; add_inherit merge; add X second; location /own { add X own; } }
	server { server_name bare; add_inherit off; }`

// inherited is what each adds, in its order: nginx puts the lines of outer blocks last.
var inherited = map[string]string{
	"localhost/": "server", "localhost/own": "own", "localhost/on": "own", "localhost/on/inner": "inner",
	"localhost/off": "", "localhost/off/inner": "", "localhost/off/own": "own", "localhost/off/merge": "own",
	"localhost/merge": "own,second,server", "localhost/merge/none": "own,second,server",
	"localhost/merge/inner": "inner,own,second,server", "localhost/merge/inherited": "inner,own,second,server",
	"localhost/merge/on": "inner", "localhost/merge/off": "", "localhost/only": "server",
	"merged/": "second,outer", "merged/own": "own,second,outer", "bare/": "",
}

func TestInherit(t *testing.T) {
	say := []*web.Module{&core.Module, &headers.Module, webtest.Say()}
	for name, sent := range map[string]func(webtest.Response) http.Header{
		"add_header":  func(r webtest.Response) http.Header { return r.Header },
		"add_trailer": func(r webtest.Response) http.Header { return r.Trailer },
	} {
		s := webtest.Start(t, say, "say x; "+strings.ReplaceAll(inheriting, "add", name))
		for target, want := range inherited {
			host, path, _ := strings.Cut(target, "/")
			got := s.Client().Do("GET /" + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
			if values := strings.Join(sent(got)["X"], ","); values != want {
				t.Errorf("%s: %s: got %s, want %s", name, target, values, want)
			}
		}
	}
}

func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock begins at midnight UTC 2000-01-01
		s := webtest.Start(t, modules(), `server {
			location /off { expires off; }
			location /epoch { expires epoch; }
			location /max { expires max; }
			location /now { expires 0; }
			location /day { expires 24h; }
			location /past { expires -1; }
			location /modified { expires modified +30y; }
			location /stale { expires modified 1h; }
			location /daily { expires @15h30m; }
			location /variable { expires $arg_e; }
		}`)
		for target, want := range map[string]string{
			"/off": "-|-", "/epoch": "Thu, 01 Jan 1970 00:00:01 GMT|no-cache", "/max": "Thu, 31 Dec 2037 23:55:55 GMT|max-age=315360000",
			"/now": "Sat, 01 Jan 2000 00:00:00 GMT|max-age=0", "/day": "Sun, 02 Jan 2000 00:00:00 GMT|max-age=86400",
			"/past": "Fri, 31 Dec 1999 23:59:59 GMT|no-cache", "/modified": "Wed, 20 Sep 2000 06:00:00 GMT|max-age=22744800",
			"/stale":         "Mon, 28 Sep 1970 07:00:00 GMT|no-cache",
			"/variable?e=1m": "Sat, 01 Jan 2000 00:01:00 GMT|max-age=60", "/variable?e=max": "Thu, 31 Dec 2037 23:55:55 GMT|max-age=315360000",
			"/variable?e=wrong": "-|-", "/variable?e=off": "-|-", "/variable": "-|-", "/day?404": "-|-",
		} {
			if got := get(s, target, "Expires", "Cache-Control"); got != want {
				t.Errorf("%s: got %s, want %s", target, got, want)
			}
		}
		at, err := time.Parse(time.RFC1123, get(s, "/daily", "Expires"))
		if err != nil || at.Local().Format("15:04:05") != "15:30:00" || time.Until(at) > 24*time.Hour {
			t.Errorf("/daily: %v, %v", at, err)
		}
	})
}

func TestMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		`add_header X;`:                                 `invalid number of arguments in "add_header" directive`,
		`add_header X y sometimes;`:                     `invalid parameter "sometimes"`,
		`add_header_inherit both;`:                      `invalid value "both"`,
		`add_header_inherit on; add_header_inherit on;`: `"add_header_inherit" directive is duplicate`,
		`add_trailer_inherit;`:                          `invalid number of arguments in "add_trailer_inherit" directive`,
		`expires soon;`:                                 `"expires" directive invalid value`,
		`expires 1h; expires 2h;`:                       `"expires" directive is duplicate`,
		`expires modified @1h;`:                         `"expires" directive daily time cannot be used with "modified" parameter`,
		`expires @25h;`:                                 `"expires" directive daily time value must be less than 24 hours`,
	} {
		_, err := webtest.Load(t, modules(), text+"server { }")
		if want := problem + " in /test.conf:1"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestAddTrailer(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, &headers.Module, webtest.Say()}, `server {
		location / { add_trailer X-A "$body_bytes_sent"; add_trailer X-A b; add_trailer X-Empty ""; add_trailer X-Seen "$sent_trailer_x_a"; say hello; }
		location /off { chunked_transfer_encoding off; add_trailer X-A a; say hello; }
		location /error { add_trailer X-A a; }
		location /always { add_trailer X-A a always; } }`)
	for _, c := range []struct{ request, want string }{
		{"GET / HTTP/1.1", "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nX-A: 10\r\nX-A: b\r\nX-Seen: 10, b\r\n\r\n"},
		{"HEAD / HTTP/1.1", "Content-Length: 5\r\nConnection: close\r\n\r\n"},
		{"GET / HTTP/1.0", "Content-Length: 5\r\nConnection: close\r\n\r\nhello"},
		{"GET /off HTTP/1.1", "Content-Length: 5\r\nConnection: close\r\n\r\nhello"},
		{"GET /error HTTP/1.1", "</html>\r\n"},
		{"GET /always HTTP/1.1", "</html>\r\n\r\n0\r\nX-A: a\r\n\r\n"},
	} {
		if got := s.Send(c.request + "\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.request, got, c.want)
		}
	}
}
