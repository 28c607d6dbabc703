package returns_test

import (
	"regexp"
	"testing"

	"starling/modules/stream/core"
	"starling/modules/stream/returns"
	"starling/stream/streamtest"
)

func TestReturn(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"plain", `^plain$`},
		{"$remote_addr:$remote_port", `^127\.0\.0\.1:\d+$`},
		{"$server_addr:$server_port", `^127\.0\.0\.1:\d+$`},
		{"$protocol $status $connection $bytes_sent $bytes_received", `^TCP 000 1 0 0$`},
		{"$session_time $msec", `^0\.\d{3} \d{10}\.\d{3}$`},
		{"$time_iso8601", `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$`},
		{"$time_iso8601_ms", `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$`},
		{"$time_local", `^\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$`},
		{"$nginx_version", `^1\.\d+\.\d+$`},
		{"$binary_remote_addr", "^\x7f\\x00\\x00\x01$"},
		{"$pid $hostname", `^\d+ \S+$`},
	} {
		s := streamtest.Start(t, `stream { server { listen 1; return "`+c.text+`"; } }`, nil, &core.Module, &returns.Module)
		if got := s.Ask(0); !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s: got %q, want %s", c.text, got, c.want)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`return a; return b;`, `"return" directive is duplicate in /test.conf:1`},
		{`return $nosuch;`, `unknown "nosuch" variable in /test.conf:1`},
		{`return "${open";`, `the closing bracket in "open" variable is missing in /test.conf:1`},
	} {
		if got := streamtest.Problem(t, "stream { server { listen 1; "+c.text+" } }", &core.Module, &returns.Module); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}
