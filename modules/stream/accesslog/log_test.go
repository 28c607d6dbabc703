package accesslog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/conf"
	"starling/modules/stream/accesslog"
	"starling/modules/stream/core"
	"starling/plan"
	"starling/stream"
	"starling/stream/streamtest"
)

func TestLines(t *testing.T) {
	for _, c := range []struct{ directives, want string }{
		{`log_format f "$remote_addr $status $bytes_sent $protocol"; access_log a.log f;`, "127.0.0.1 200 5 TCP\n"},
		{`log_format f "$status" " " "$status"; access_log a.log f buffer=4k;`, "200 200\n"},
		{`log_format f escape=json '{"port":"$server_port"}'; access_log a.log f if=$bytes_received;`, ""},
		{`log_format f "[$ssl_less]"; access_log a.log f if=1;`, ""},
		{`log_format f "x"; access_log a.log f; access_log off;`, ""},
		{`log_format f "$status " escape=json; access_log a.log f;`, "200 escape=json\n"},
	} {
		text := "stream { " + c.directives + " server { listen 1; say hello; } }"
		if problem := streamtest.Problem(t, text, &core.Module, &accesslog.Module, streamtest.Say()); problem != "" {
			if problem != `unknown "ssl_less" variable in /test.conf:1` {
				t.Errorf("%s: %s", c.directives, problem)
			}
			continue
		}
		s := streamtest.Start(t, text, nil, &core.Module, &accesslog.Module, streamtest.Say())
		s.Ask(0)
		s.Site.Retire()
		<-s.Site.Drained()
		s.Plan.Logs.Flush()
		got, err := os.ReadFile(filepath.Join(s.Plan.Prefix, "a.log"))
		if err != nil || string(got) != c.want {
			t.Errorf("%s\ngot  %q, %v\nwant %q", c.directives, got, err, c.want)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`access_log a.log;`, `log format is not specified in /test.conf:1`},
		{`access_log a.log nosuch;`, `unknown log format "nosuch" in /test.conf:1`},
		{`log_format a x; log_format a y;`, `duplicate "log_format" name "a" in /test.conf:1`},
		{`log_format a x; access_log a.log a flush=1s;`, `no buffer is defined for access_log "a.log" in /test.conf:1`},
		{`log_format a x; access_log a.log a buffer=x;`, `invalid buffer size "x" in /test.conf:1`},
		{`log_format a x; access_log a.log a gzip=0;`, `invalid compression level "0" in /test.conf:1`},
		{`log_format a x; access_log syslog:severity=a a;`, `unknown syslog severity "a" in /test.conf:1`},
		{`log_format a x; access_log $pid.log a buffer=8k;`, `buffered logs cannot have variables in name in /test.conf:1`},
		{`log_format a escape=html x;`, `unknown log format escaping "html" in /test.conf:1`},
		{`access_log a.log combined;`, `unknown log format "combined" in /test.conf:1`},
		{`access_log off nosuch;`, `invalid parameter "nosuch" in /test.conf:1`},
		{`log_format a $nosuch; access_log a.log a;`, `unknown "nosuch" variable in /test.conf:1`},
		{`log_format a x; access_log a.log a buffer=8k; access_log a.log a buffer=4k;`, `access_log "PREFIXa.log" already defined with conflicting parameters in /test.conf:1`},
		{`log_format a x; access_log no/where/a.log a;`, `open() "PREFIXno/where/a.log" failed (2: No such file or directory) in /test.conf:1`},
	} {
		prefix := ""
		_, err := streamtest.Build(t, "stream { "+c.text+" server { listen 1; say x; } }", nil,
			&core.Module, &accesslog.Module, streamtest.Say(), remember(&prefix))
		if want := strings.ReplaceAll(c.want, "PREFIX", prefix); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, want)
		}
	}
}

// remember tells the prefix of the plan.
func remember(prefix *string) *stream.Module {
	return &stream.Module{
		Module: conf.Module{Name: "remember", New: conf.NewOf[bool], Clone: conf.CloneOf[bool]},
		Link: func(p *plan.Plan) error {
			*prefix = p.Prefix
			return nil
		},
	}
}

func TestPathsWithVariables(t *testing.T) {
	for _, cache := range []string{"", "open_log_file_cache max=10; "} {
		s := streamtest.Start(
			t,
			"stream { log_format f x; "+cache+`server { listen 1; access_log "$status-$protocol" f; say hello; } }`,
			nil,
			&core.Module, &accesslog.Module,
			streamtest.Say(),
		)
		s.Ask(0)
		s.Ask(0)
		s.Site.Retire()
		<-s.Site.Drained()
		if got, err := os.ReadFile(filepath.Join(s.Plan.Prefix, "200-TCP")); err != nil || string(got) != "x\nx\n" {
			t.Errorf("%s: got %q, %v", cache, got, err)
		}
	}
}
