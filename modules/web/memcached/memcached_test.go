package memcached_test

import (
	"fmt"
	"strings"
	"testing"

	"starling/conf"
	"starling/modules/web/core"
	"starling/modules/web/memcached"
	"starling/vars"
	"starling/web"
	"starling/web/webtest"
)

// key stands for what sets the variable in a configuration: the path, but nothing for "/?none".
var key = web.Module{
	Module: conf.Module{Name: "key", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
	Variables: []vars.Variable[*web.Request]{{Name: "memcached_key", Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
		if string(r.Query) == "none" {
			return dst, false
		}
		return append(dst, r.Path...), true
	}}},
}

var modules = []*web.Module{&core.Module, &memcached.Module, &key}

// server is a memcached that says the same to every key; what it was asked stands in the channel.
func server(t testing.TB, say string) (*webtest.Backend, <-chan string) {
	asked := make(chan string, 100)
	return webtest.Serve(t, func(p *webtest.Peer) {
		for {
			line, err := p.R.ReadString('\n')
			if err != nil {
				return
			}
			asked <- line
			p.Say(strings.ReplaceAll(say, "|", webtest.CRLF))
		}
	}), asked
}

func start(b *webtest.Backend, text string) *webtest.Server {
	return b.Behind(modules, `location / { memcached_pass BACKEND; `+text+` }`)
}

// TestAnswers: what memcached says, and what the client gets of it: a value with 200, or a status with a page of ours.
func TestAnswers(t *testing.T) {
	const gzip = "Content-Encoding: gzip\r\n"
	for _, test := range []struct {
		name, conf, say string
		status          int
		value, log      string
	}{
		{"a value", ``, "VALUE /a.txt 0 8|SEE-THIS|END|", 200, "SEE-THIS", ""},
		{"an empty one", ``, "VALUE /a.txt 0 0||END|", 200, "", ""},
		{"one that looks like the trailer", ``, "VALUE /a.txt 0 12||END||END|END|", 200, "\r\nEND\r\n\r\nEND", ""},
		{"one with a unique number", ``, "VALUE /a.txt 0 2 7|ab|END|", 502, "",
			`memcached sent invalid length in response "VALUE /a.txt 0 2 7" for key "/a.txt"`},
		{"none", ``, "END|", 404, "", `[info] *1 key: "/a.txt" was not found by memcached`},
		{"flags that are not asked for", ``, "VALUE /a.txt x 1|a|END|", 200, "a", ""},
		{"the flag", `memcached_gzip_flag 2;`, "VALUE /a.txt 6 1|a|END|", 200, "a", ""},
		{"another flag", `memcached_gzip_flag 2;`, "VALUE /a.txt 4 1|a|END|", 200, "a", ""},
		{"bad flags", `memcached_gzip_flag 2;`, "VALUE /a.txt x 1|a|END|", 502, "",
			`memcached sent invalid flags in response "VALUE /a.txt x 1" for key "/a.txt"`},
		{"another key", ``, "VALUE /b 0 1|a|END|", 502, "",
			`memcached sent invalid key in response "VALUE /b 0 1" for key "/a.txt"`},
		{"a longer key", ``, "VALUE /a.txtx 0 1|a|END|", 502, "",
			`memcached sent invalid response: "VALUE /a.txtx 0 1"`},
		{"no length", ``, "VALUE /a.txt 0|a|END|", 502, "", `memcached sent invalid response: "VALUE /a.txt 0"`},
		{"a negative length", ``, "VALUE /a.txt 0 -1|a|END|", 502, "", `memcached sent invalid length`},
		{"a length that overflows", ``, "VALUE /a.txt 0 99999999999999999999|a|END|", 502, "", `memcached sent invalid length`},
		{"an error", ``, "CLIENT_ERROR too long|", 502, "",
			`memcached sent invalid response: "CLIENT_ERROR too long" while reading response header from upstream`},
		{"a line without CR", ``, "END\n", 502, "", `memcached sent invalid response: "END"`},
		{"a long line", `memcached_buffer_size 16;`, "VALUE /a.txt 0 8|SEE-THIS|END|", 502, "",
			"upstream sent too big header while reading response header from upstream"},
		{"a wrong trailer", ``, "VALUE /a.txt 0 2|ab|FIN|", 200, "ab", "memcached sent invalid trailer while reading upstream"},
		{"more than the trailer", ``, "VALUE /a.txt 0 2|ab|END|\x00111", 200, "ab", "memcached sent invalid trailer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, asked := server(t, test.say)
			s := start(b, test.conf)
			got := webtest.Undated(s.Get("/a.txt"))
			if line := webtest.Receive(t, asked); line != "get /a.txt\r\n" {
				t.Errorf("asked %q", line)
			}
			encoding := ""
			if test.name == "the flag" {
				encoding = gzip
			}
			want := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n%sAccept-Ranges: bytes\r\n\r\n%s",
				len(test.value), encoding, test.value)
			page := strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", test.status)) && strings.Contains(got, fmt.Sprintf("<h1>%d ", test.status))
			if test.status == 200 && got != want || test.status != 200 && !page {
				t.Errorf("got %q, want %d %q", got, test.status, want)
			}
			if test.log != "" {
				s.Logged(test.log)
			}
		})
	}
}

// TestCutShort: the log says where a server closed too early.
func TestCutShort(t *testing.T) {
	for say, log := range map[string]string{
		"VALUE /a":                  "upstream prematurely closed connection while reading response header from upstream",
		"VALUE /a 0 5\r\nab":        "upstream prematurely closed connection while reading upstream",
		"VALUE /a 0 2\r\nab\r\nEN":  "upstream prematurely closed connection while reading upstream",
		"VALUE /a 0 5\r\nabcde\r\n": "upstream prematurely closed connection while reading upstream",
	} {
		b := webtest.Serve(t, func(p *webtest.Peer) {
			p.R.ReadString('\n')
			p.Say(say)
		})
		s := start(b, ``)
		s.Get("/a")
		s.Logged(log)
	}
}

// TestKeys: what is sent for a key, and what nobody is asked for.
func TestKeys(t *testing.T) {
	const value = "VALUE /%20%25é 0 1|a|END|"
	b, asked := server(t, value)
	s := start(b, ``)
	if got := s.Get("/%20%25%c3%a9"); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("%q %v", got, s.Log.Lines())
	}
	if line := webtest.Receive(t, asked); line != "get /%20%25é\r\n" {
		t.Errorf("asked %q", line)
	}
	if got := s.Get("/?none"); !strings.HasPrefix(got, "HTTP/1.1 500") {
		t.Errorf("%q", got)
	}
	s.Logged(`the "$memcached_key" variable is not set`)
	const post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
	if got := s.Send(post); !strings.HasPrefix(got, "HTTP/1.1 405") {
		t.Errorf("%q", got)
	}
	if len(asked) > 0 {
		t.Errorf("asked %q", <-asked)
	}
}

// TestConfigurationErrors: what nginx refuses, in its words.
func TestConfigurationErrors(t *testing.T) {
	for conf, want := range map[string]string{
		`memcached_pass 127.0.0.1;`:                               `no port in upstream "127.0.0.1" in /test.conf:1`,
		`memcached_pass 127.0.0.1:1/x;`:                           `invalid host in upstream "127.0.0.1:1/x" in /test.conf:1`,
		`memcached_pass http://127.0.0.1:1;`:                      `invalid host in upstream "http://127.0.0.1:1" in /test.conf:1`,
		`memcached_pass $x;`:                                      `no port in upstream "$x" in /test.conf:1`,
		`memcached_pass 127.0.0.1:1; memcached_pass 127.0.0.1:1;`: `"memcached_pass" directive is duplicate in /test.conf:1`,
		`limit_except GET { memcached_pass 127.0.0.1:1; }`:        `"memcached_pass" directive is not allowed here in /test.conf:1`,
		`memcached_next_upstream http_404;`:                       `invalid value "http_404" in /test.conf:1`,
		`memcached_gzip_flag -1;`:                                 `"memcached_gzip_flag" directive invalid number in /test.conf:1`,
		`memcached_force_ranges on;`:                              `unknown directive "memcached_force_ranges" in /test.conf:1`,
		`memcached_pass unix:/x; # nothing sets the key`:          `unknown "memcached_key" variable in /test.conf:1`,
	} {
		list := modules
		if strings.Contains(conf, "nothing sets") {
			list = list[:2]
		}
		_, err := webtest.Load(t, list, "server { location / { "+conf+"\n} }")
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", conf, err, want)
		}
	}
}

// TestInherited: limit_except has no memcached_pass of its own and uses that around it.
func TestInherited(t *testing.T) {
	b, _ := server(t, "VALUE /a 0 1|x|END|")
	s := start(b, `limit_except POST { }`)
	if got := s.Get("/a"); !strings.HasSuffix(got, "\r\n\r\nx") {
		t.Errorf("%q", got)
	}
}
