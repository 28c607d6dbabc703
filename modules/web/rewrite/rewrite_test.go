package rewrite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/rewrite"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &rewrite.Module, webtest.Say()}

// ask is what a request gets: the status, the target of a redirect if there is one, and the body of our own answers.
func ask(s *webtest.Server, target string, headers ...string) string {
	head, body, _ := strings.Cut(s.Get(target, headers...), "\r\n\r\n")
	answer := strings.Fields(head)[1]
	for line := range strings.SplitSeq(head, "\r\n") {
		if to, found := strings.CutPrefix(line, "Location: "); found {
			return answer + " " + to
		}
	}
	if strings.HasPrefix(body, "<html>") || body == "" {
		return answer
	}
	return answer + " " + body
}

type want map[string]string // answers by target

func check(t *testing.T, text string, wanted want) {
	t.Helper()
	s := webtest.Start(t, modules, text)
	for target, answer := range wanted {
		if got := ask(s, target); got != answer {
			t.Errorf("%s gets %q, want %q", target, got, answer)
		}
	}
}

func TestReturn(t *testing.T) {
	check(t, `server {
		location /text { return 200 "$uri?"; }
		location /empty { return 200; }
		location /none { return 204; }
		location /code { return 403; }
		location /words { return 404 "not $arg_a"; }
		location /moved { return 301 /to?$args; }
		location /full { return 302 http://example.com$uri; }
		location /url { return https://example.com/; }
		location /scheme { return $scheme://example.com/; }
		location /307 { return 307 /x; }
		location /odd { return 299 odd; }
	}`, want{
		"/text": "200 /text?", "/empty": "200", "/none": "204", "/code": "403", "/words?a=here": "404 not here",
		"/moved?a=b": "301 http://localhost/to?a=b", "/full": "302 http://example.com/full", "/url": "302 https://example.com/",
		"/scheme": "302 http://example.com/", "/307": "307 http://localhost/x", "/odd": "299 odd",
	})
}

func TestReturn444ClosesWithoutAWord(t *testing.T) {
	s := webtest.Start(t, modules, `server { return 444; }`)
	if got := s.Get("/"); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestSetAndIf(t *testing.T) {
	check(t, `server {
		set $a server;
		set $empty "";
		if ($arg_s) { set $a "s-$arg_s"; }
		location / {
			set $a "$a/";
			if ($arg_eq = yes) { return 200 equal; }
			if ($arg_ne != yes) { set $a "${a}ne"; }
			if ($arg_re ~ "^(?<word>[a-z]+)-(\d)$") { return 200 "$word $2 $1"; }
			if ($arg_case ~* ^ABC) { return 200 caseless; }
			if ($arg_not !~ ^x) { set $a "${a},not"; }
			if ($arg_notcase !~* ^X) { set $a "${a},notcase"; }
			if ($empty) { return 500; }
			if ($arg_zero) { return 200 true; }
			say $a;
		}
	}`, want{
		"/":                      "200 server/ne,not,notcase",
		"/?s=1":                  "200 s-1/ne,not,notcase",
		"/?eq=yes":               "200 equal",
		"/?ne=yes":               "200 server/,not,notcase",
		"/?re=abc-7":             "200 abc 7 abc",
		"/?case=abcd":            "200 caseless",
		"/?not=x&notcase=xy":     "200 server/ne",
		"/?zero=0":               "200 server/ne,not,notcase",
		"/?zero=00":              "200 true",
		"/?re=abc-7&eq=yes&s=no": "200 equal",
	})
}

// TestSetOfAFamilyAppliesWhereItRuns: a set of $arg_NAME changes it only in requests for which the set runs.
func TestSetOfAFamilyAppliesWhereItRuns(t *testing.T) {
	check(t, `server {
		location / { say "$arg_a $arg_b,$arg_none,$http_host"; }
		location /set { set $arg_a set; set $http_host h; say "$arg_a $arg_b,$arg_none,$http_host"; }
		location /again { if ($arg_x) { set $ARG_A again; } say $arg_a; }
	}`, want{
		"/?a=1&b=2":      "200 1 2,,localhost",
		"/set?a=1&b=2":   "200 set 2,,h",
		"/again?a=1":     "200 1",
		"/again?a=1&x=1": "200 again",
	})
}

// TestANamedCaptureDecidesForUnset: as in nginx, a variable of a named capture is absent until it has a value, without a
// warning, also if a set of the same name comes before it, and if its name is one of a family.
func TestANamedCaptureDecidesForUnset(t *testing.T) {
	s := webtest.Start(t, modules, `server {
		location /set { set $who me; set $arg_a mine; say "[$who][$arg_a]"; }
		location /unset { say "[$who][$arg_a][$other]"; }
		location /other { set $other x; }
		location ~ ^/user/(?<who>[a-z]*)(?<arg_a>[0-9]*) { say "[$who][$arg_a]"; }
	}`)
	for target, want := range map[string]string{
		"/set?a=1": "200 [me][mine]", "/unset?a=1": "200 [][][]", "/user/you12": "200 [you][12]",
	} {
		if got := ask(s, target); got != want {
			t.Errorf("%s gets %q, want %q", target, got, want)
		}
	}
	log := strings.Join(s.Log.Lines(), "\n")
	if strings.Contains(log, `"who"`) || strings.Contains(log, `"arg_a"`) || !strings.Contains(log, `using uninitialized "other" variable`) {
		t.Error(log)
	}
}

func TestIfMakesALocation(t *testing.T) {
	check(t, `server {
		location /a {
			if ($arg_x) { set $seen "x $seen"; say "if $seen"; }
			if ($arg_y) { set $seen "y $seen"; }
			say "location $seen";
		}
		location /b {
			if ($arg_x) { say one; }
			if ($arg_y) { say two; }
		}
	}`, want{
		"/a":         "200 location ",
		"/a?x=1":     "200 if x ",
		"/a?y=1":     "200 location y ",
		"/a?x=1&y=1": "200 location y x ", // the last that holds counts, and it inherits from the location
		"/b?x=1&y=1": "200 two",
		"/b?x=1":     "200 one",
		"/b":         "404",
	})
}

func TestFileTests(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "program": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := webtest.Start(t, modules, `server { location / { root `+dir+`; set $r "";
		if (-f $request_filename) { set $r "${r}f"; }
		if (!-f $request_filename) { set $r "${r}!f"; }
		if (-d $request_filename) { set $r "${r}d"; }
		if (!-d $request_filename) { set $r "${r}!d"; }
		if (-e $request_filename) { set $r "${r}e"; }
		if (!-e $request_filename) { set $r "${r}!e"; }
		if (-x $request_filename) { set $r "${r}x"; }
		if (!-x $request_filename) { set $r "${r}!x"; }
		return 200 $r; } }`)
	for target, answer := range (want{
		"/plain": "200 f!de!x", "/program": "200 f!dex", "/folder": "200 !fdex", "/none": "200 !f!d!e!x", "/plain/x": "200 !f!d!e!x",
	}) {
		if got := ask(s, target); got != answer {
			t.Errorf("%s gets %q, want %q", target, got, answer)
		}
	}
}

func TestRewrite(t *testing.T) {
	check(t, `server {
		rewrite ^/server/(.*) /$1;
		location / { say "$uri $args"; }
		location /last { rewrite ^/last(.*)$ /first$1 last; return 500; }
		location /first { return 200 "first $uri $args"; }
		location /break { rewrite ^ /first break; say "broke $uri"; }
		location /on { rewrite ^/on /two; rewrite ^/two /three; }
		location /three { say "three $uri"; }
		location /query { rewrite ^/query/(.*) /q?x=$1 last; }
		location /drop { rewrite ^ /q? last; }
		location /dropq { rewrite ^ /q?a=b? last; }
		location /redirect { rewrite ^/redirect/(.*) http://example.com/$1; }
		location /temporary { rewrite ^ /to redirect; }
		location /permanent { rewrite ^ /to?c=d permanent; }
		location /permanentq { rewrite ^ /to?c=d? permanent; }
		location /none { rewrite ^/never /x last; return 200 same; }
		location /loop { rewrite ^ /loop last; }
		location /void { rewrite ^/void(.*) $1 last; }
		location /stop { set $v 1; break; return 500; }
	}`, want{
		"/server/x?a=1": "200 /x a=1", "/last/y?b=1": "200 first /first/y b=1", "/break": "200 broke /first",
		"/on": "200 three /three", "/query/v?w=1": "200 /q x=v&w=1", "/query/v": "200 /q x=v",
		"/drop?a=b": "200 /q ", "/dropq?c=d": "200 /q a=b",
		"/redirect/a?b=c": "302 http://example.com/a?b=c", "/temporary": "302 http://localhost/to",
		"/permanent": "301 http://localhost/to?c=d", "/permanent?a=b": "301 http://localhost/to?c=d&a=b",
		"/permanentq?a=b": "301 http://localhost/to?c=d", "/none": "200 same", "/loop": "500", "/void": "500", "/stop": "404",
	})
}

// The commands of a server run once, whether its own settings, a location or the target of "last" respond.
func TestCommandsOfAServerRunOnce(t *testing.T) {
	check(t, `server {
		rewrite ^/(a.*)$ /aa/$1;
		rewrite ^/again /wrong;
		set $n "${n}i";
		if ($arg_x) { set $n "${n}x"; }
		say "$uri $n";
		location /in { say "in $uri $n"; }
		location /last { rewrite ^ /again last; }
		location /both { set $n "${n}b"; rewrite ^ /in/both last; }
		location /outer { error_page 404 /after; return 404; }
	}`, want{
		"/none": "200 /none i", "/none?x=1": "200 /none ix", "/a": "200 /aa/a i", "/in": "200 in /in i", "/last": "200 /again i",
		"/both": "200 in /in/both ib", "/outer": "404 /aa/after ii",
	})
}

func TestEscapes(t *testing.T) {
	check(t, `server {
		location /set/ { if ($uri ~ ^/set/(.*)) { set $c $1; } say $c; }
		location /args/ { rewrite ^/args/(.*) /q?a=$1 last; }
		location /redirect/ { rewrite ^/redirect/(.*) http://example.com/$1 redirect; }
		location /return/ { if ($uri ~ ^/return/(.*)) { return 200 $1; } }
		location /q { say $args; }
	}`, want{
		"/args/x%20%26y":    "200 a=x%20%26y",
		"/args/x+y":         "200 a=x%2By",
		"/args/xy":          "200 a=xy",
		"/redirect/%D0%BA":  "302 http://example.com/%D0%BA",
		"/redirect/a%2Bb":   "302 http://example.com/a+b",
		"/redirect/a%25%3F": "302 http://example.com/a%25?",
		"/return/a%20b":     "200 a b",
		"/set/a%20b":        "200 a%20b", // nginx escapes here until a rewrite has matched
	})
}

func TestLimitExceptHasNoCommands(t *testing.T) {
	s := webtest.Start(t, modules, `server { location / { return 200 get; limit_except GET { say other; } } }`)
	if got := ask(s, "/"); got != "200 get" {
		t.Errorf("GET: %q", got)
	}
	if got := s.Send("DELETE / HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "other") {
		t.Errorf("DELETE: %q", got)
	}
}

func TestLogs(t *testing.T) {
	s := webtest.Start(t, modules, `server { location / {
		rewrite_log on; rewrite ^/a$ /b; rewrite ^/never /c;
		if ($arg_u) { return 200 "[$unset]"; }
		set $unset 1; say x; } }`)
	ask(s, "/a")
	lines := strings.Join(s.Log.Lines(), "\n")
	for _, part := range []string{
		`[notice] *1 "^/a$" matches "/a", client:`, `rewritten data: "/b", args: ""`, `"^/never" does not match "/b"`,
	} {
		if !strings.Contains(lines, part) {
			t.Errorf("%s is not in\n%s", part, lines)
		}
	}
	ask(s, "/?u=1")
	if lines := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(lines, `[warn] *2 using uninitialized "unset" variable`) {
		t.Errorf("no warning in\n%s", lines)
	}
}

func TestMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		`return abc;`:                   `invalid return code "abc"`,
		`return 1000;`:                  `invalid return code "1000"`,
		`return http://x y;`:            `invalid return code "http://x"`,
		`set a b;`:                      `invalid variable name "a"`,
		`set $host b;`:                  `the duplicate "host" variable`,
		`rewrite ^ "";`:                 `empty replacement`,
		`rewrite ^ /x later;`:           `invalid parameter "later"`,
		`if $a { }`:                     `invalid condition "$a"`,
		`if ($a { }`:                    `invalid condition "$a"`,
		`if ($a = b c) { }`:             `invalid condition "$a"`,
		`if ($a < b) { }`:               `unexpected "<" in condition`,
		`if (-z $uri) { }`:              `invalid condition "-z"`,
		`if (word) { }`:                 `invalid condition "word"`,
		`if ($a) { if ($b) { } }`:       `"if" directive is not allowed here`,
		`return 200 $nowhere;`:          `unknown "nowhere" variable`,
		`if ($nowhere) { return 200; }`: `unknown "nowhere" variable`,
		`return;`:                       `invalid number of arguments in "return" directive`,
		`rewrite_log maybe;`:            `invalid value "maybe" in "rewrite_log" directive, it must be "on" or "off"`,
	} {
		_, err := webtest.Load(t, modules, "\nserver {\n"+text+"\n}")
		if want := problem + " in /test.conf:3"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// The last if that matches is the location. One with nothing in it has no use for what an earlier one says.
func TestWhoAnswersAfterSeveralIfs(t *testing.T) {
	check(t, `server {
		location /outer { say outer; if ($arg_a) { } if ($arg_b) { say b; } }
		location /inner { if ($arg_a) { say a; } if ($arg_b) { } if ($arg_c) { say c; } }
		location /gone { if ($arg_a) { say a; } if ($arg_b) { rewrite ^ /plain last; } }
		location /plain { say plain; }
		location /named { error_page 404 = @named; if ($arg_a) { say a; } if ($arg_b) { return 404; } }
		location @named { set $x 1; if ($x) { } say named; }
	}`, want{
		"/outer": "200 outer", "/outer?a=1": "200 outer", "/outer?b=1": "200 b", "/outer?a=1&b=1": "200 b",
		"/inner": "404", "/inner?a=1": "200 a", "/inner?b=1": "404", "/inner?a=1&b=1": "500", "/inner?a=1&b=1&c=1": "200 c",
		"/gone?a=1&b=1": "200 plain", "/named?a=1&b=1": "200 named",
	})
}
