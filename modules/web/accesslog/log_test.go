package accesslog_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"starling/conf"
	"starling/lib/testkit"
	"starling/modules/web/accesslog"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// bare is the declaration of a family without directives.
func bare(name string) conf.Module {
	return conf.Module{Name: name, New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]}
}

var modules = []*web.Module{&core.Module, &accesslog.Module, webtest.Say()}

// site is a server whose logs lie in a folder of its own.
type site struct {
	*webtest.Server
	t   *testing.T
	dir string
}

func start(t *testing.T, text string) site {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	return site{webtest.Start(t, modules, text, webtest.Prefix(dir)), t, dir}
}

// file reads a log; one that does not exist is empty.
func (s site) file(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s site) expect(name, want string) {
	s.t.Helper()
	if got := s.file(name); got != want {
		s.t.Errorf("%s has\n%swant\n%s", name, got, want)
	}
}

func (s site) has(name, part string) error {
	if got := s.file(name); !strings.Contains(got, part) {
		return fmt.Errorf("%s has %q, not %q", name, got, part)
	}
	return nil
}

func TestCombinedIsTheDefault(t *testing.T) {
	s := start(t, "server { say ok; }")
	s.Get("/a?b=c", "User-Agent: agent/1 \"x\"", "Referer: http://from/")
	s.Get("/")
	form := regexp.MustCompile(
		`^unix: - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [-+]\d{4}\] "GET /a\?b=c HTTP/1\.1" 200 2 "http://from/" "agent/1 \\x22x\\x22"
unix: - - \[[^]]+\] "GET / HTTP/1\.1" 200 2 "-" "-"
$`,
	)
	if got := s.file("logs/access.log"); !form.MatchString(got) {
		t.Error(got)
	}
}

func TestFormats(t *testing.T) {
	s := start(t, `
		log_format plain '$uri ' "$arg_q" '|$http_x|$arg_none';
		log_format DATA escape=json '{"q":"$arg_q","x":"$http_x","n":"$arg_none"}';
		log_format raw escape=none '$arg_q|$http_x|$arg_none';
		log_format done '$status $body_bytes_sent $request_completion $request_length';
		access_log plain.log plain;
		access_log json.log data;
		access_log raw.log raw;
		access_log done.log done;
		server { say hello; }`)
	s.Get("/p%20q%0A?q=a\"b\\c", "X: \xc3\xa9\xff")
	s.expect("plain.log", `/p q\x0A a\x22b\x5Cc|`+`\xC3\xA9\xFF|-`+"\n")
	s.expect("json.log", `{"q":"a\"b\\c","x":"`+"é\ufffd"+`","n":""}`+"\n")
	s.expect("raw.log", "a\"b\\c|\xc3\xa9\xff|\n")
	s.Get("/", "Host: x")
	if got := s.file("done.log"); !strings.HasSuffix(got, "\n200 5 OK 46\n") {
		t.Error(got)
	}
}

// Each block has its own logs, inherited ones or none.
func TestBlocks(t *testing.T) {
	s := start(t, `
		log_format uri '$uri';
		access_log outer.log uri;
		server {
			say ok;
			location /inherits { }
			location /own { access_log own.log uri; access_log second.log uri; }
			location /off { access_log off; }
			location /off-of-several { access_log own.log uri; access_log off; }
			location /off/on { access_log own.log uri; }
			location /if { access_log if.log uri if=$arg_log; }
			location /both { access_log outer.log uri; access_log if.log uri if=x$arg_log; }
		}`)
	for _, target := range []string{"/inherits", "/own", "/off", "/off-of-several", "/off/on", "/if", "/if?log=0", "/if?log=1", "/if?log=00", "/both"} {
		s.Get(target)
	}
	s.expect("outer.log", "/inherits\n/both\n")
	s.expect("own.log", "/own\n/off/on\n")
	s.expect("second.log", "/own\n")
	s.expect("if.log", "/if\n/if\n/both\n")
}

func TestRefusedRequestsAreLogged(t *testing.T) {
	s := start(t, `log_format f '$status "$request" $uri'; access_log a.log f; server { say ok; error_page 404 /x; location /gone { internal; } }`)
	s.Send("BREW / \x01\r\n\r\n")
	s.Send("GET / HTTP/1.1\r\n\r\n")
	s.Get("/gone")
	s.expect("a.log", "400 \"BREW / \\x01\" -\n400 \"GET / HTTP/1.1\" /\n404 \"GET /gone HTTP/1.1\" /x\n")
}

// TestUnreadableRequestsAreLogged: what came of a request line that was refused, or did not come whole.
func TestUnreadableRequestsAreLogged(t *testing.T) {
	s := start(t, `log_format f '$status "$request"'; access_log a.log f; server { say ok; }`)
	for _, request := range []string{"brew / HTTP", "GET /" + strings.Repeat("x", 40000), "GET /y\r\n"} {
		s.Send(request)
	}
	lines := strings.Split(s.file("a.log"), "\n")
	for i, want := range []string{`400 "b`, `414 "GET /xxxxx`, `200 "GET /y"`} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("%.100q, want %s", lines[i], want)
		}
	}
}

func TestBuffersAreFlushed(t *testing.T) {
	s := start(t, `log_format f '$uri'; server { say ok;
		access_log size.log f buffer=20;
		access_log time.log f buffer=1m flush=1ms;
		access_log never.log f buffer=1m;
		access_log never.log f; }`)
	s.Get("/123456789")
	s.expect("size.log", "")
	s.Get("/abcdefghi")
	s.expect("size.log", "/123456789\n")
	s.Get("/longer-than-the-whole-buffer")
	s.expect("size.log", "/123456789\n/abcdefghi\n/longer-than-the-whole-buffer\n")
	s.expect("never.log", "")
	testkit.Eventually(t, webtest.Patience, func() error { return s.has("time.log", "/longer") })
	s.Plan.Logs.Flush()
	if got := s.file("never.log"); strings.Count(got, "\n") != 6 {
		t.Error(got)
	}
}

// Logs named by variables are there only for documents that exist, and are found again after they were moved away.
func TestPathsWithVariables(t *testing.T) {
	s := start(t, `log_format f '$uri'; access_log "logs/$host.log" f; root docs/$host; server { say ok; }`)
	if err := os.MkdirAll(filepath.Join(s.dir, "docs/here"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Get("/1", "Host: here")
	s.Get("/2", "Host: there")
	s.expect("logs/here.log", "/1\n")
	if err := os.Rename(filepath.Join(s.dir, "logs/here.log"), filepath.Join(s.dir, "logs/old")); err != nil {
		t.Fatal(err)
	}
	s.Get("/3", "Host: HERE")
	s.expect("logs/here.log", "/3\n")
	s.expect("logs/there.log", "")
	if err := os.RemoveAll(filepath.Join(s.dir, "logs")); err != nil {
		t.Fatal(err)
	}
	s.Log.Lines()
	s.Get("/4", "Host: here")
	want := `[crit] *4 open() "` + s.dir + `/logs/here.log" failed (2: No such file or directory), client: unix:, server: , request: "GET /4 HTTP/1.1", host: "here"`
	if lines := s.Log.Lines(); len(lines) != 1 || lines[0] != want {
		t.Errorf("%q", lines)
	}
}

func TestProblems(t *testing.T) {
	for inside, want := range map[string]string{
		"access_log a.log nope;":                                                    `unknown log format "nope"`,
		"access_log off combined;":                                                  `invalid parameter "combined"`,
		"access_log a.log combined fast;":                                           `invalid parameter "fast"`,
		"access_log a.log combined buffer=0;":                                       `invalid buffer size "0"`,
		"access_log a.log combined buffer=x;":                                       `invalid buffer size "x"`,
		"access_log a.log combined flush=1s;":                                       `no buffer is defined for access_log "a.log"`,
		"access_log a.log combined buffer=1k flush=0;":                              `invalid flush time "0"`,
		"access_log a.log combined gzip=10;":                                        `invalid compression level "10"`,
		"access_log syslog:server=h..h;":                                            `host not found in "h..h" in syslog server "h..h"`,
		"access_log syslog:tag=x;":                                                  `no syslog server specified`,
		"access_log syslog:server=127.0.0.1 combined buffer=1k;":                    `logs to syslog cannot be buffered`,
		"access_log $host.log combined buffer=1k;":                                  `buffered logs cannot have variables in name`,
		"access_log a.log combined if=$nope;":                                       `unknown "nope" variable`,
		"access_log /nowhere/a.log;":                                                `open() "/nowhere/a.log" failed (2: No such file or directory)`,
		"log_format combined x;":                                                    `duplicate "log_format" name "combined"`,
		"log_format a x; log_format A y;":                                           `duplicate "log_format" name "A"`,
		"log_format a;":                                                             `invalid number of arguments in "log_format" directive`,
		"log_format a escape=html x;":                                               `unknown log format escaping "html"`,
		"log_format a '$';":                                                         `invalid variable name in "$"`,
		"access_log a.log combined buffer=1k; access_log a.log combined buffer=2k;": `access_log "DIR/a.log" already defined with conflicting parameters`,
		"open_log_file_cache min_uses=2;":                                           `"open_log_file_cache" must have "max" parameter`,
		"open_log_file_cache max=0;":                                                `invalid "open_log_file_cache" parameter "max=0"`,
	} {
		dir := t.TempDir()
		_, err := webtest.Load(t, modules, inside+" server { }", webtest.Prefix(dir))
		want = strings.ReplaceAll(want, "DIR", dir) + " in /test.conf:1"
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", inside, err, want)
		}
	}
}

// A URI that is no path is there and empty, as in nginx.
func TestPathOfABadRequest(t *testing.T) {
	s := start(t, `log_format f "<$uri> <$request_uri>"; access_log logs/f f; server { say ok; }`)
	s.Send("GET /../x HTTP/1.0\r\n\r\n")
	s.expect("logs/f", "<> <->\n")
}

func TestCompressedLogs(t *testing.T) {
	s := start(t, `log_format f "$uri"; access_log packed.log f gzip flush=10ms; server { say ok; }`)
	s.Get("/a")
	s.Get("/b")
	var text []byte
	testkit.Eventually(t, webtest.Patience, func() error {
		reader, err := gzip.NewReader(strings.NewReader(s.file("packed.log")))
		if err != nil {
			return err // not flushed yet
		}
		text, err = io.ReadAll(reader) // all members of it
		if err == nil && !strings.HasSuffix(string(text), "/b\n") {
			err = errors.New("the second line is missing")
		}
		return err
	})
	if string(text) != "/a\n/b\n" {
		t.Errorf("%q", text)
	}
}

// An empty name is the standard error stream, as in nginx.
func TestEmptyName(t *testing.T) {
	s := start(t, `access_log ""; error_log "" info; server { say ok; }`)
	s.Get("/")
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err) // nothing but logs/
	}
}

func TestFilesAreMadeThoughNobodyWritesToThem(t *testing.T) {
	s := start(t, `access_log logs/made.log; server { access_log off; say ok; }`)
	if _, err := os.Stat(filepath.Join(s.dir, "logs/made.log")); err != nil {
		t.Error(err)
	}
}
