package modules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/conf"
	"starling/modules/web/core"
	"starling/modules/web/gzip"
	"starling/modules/web/rewrite"
	"starling/modules/web/ssi"
	"starling/modules/web/static"
	"starling/modules/web/sub"
	"starling/nginx/version"
	"starling/web"
	"starling/web/webtest"
)

var ssiFamilies = []*web.Module{&core.Module, &rewrite.Module, &sub.Module, &ssi.Module, &gzip.Module, &static.Module}

const ssiFailed = "[an error occurred while processing the directive]"

// ssiForbidden is nginx's page for a folder without an index.
var ssiForbidden = "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n" +
	"<hr><center>" + version.Server + "</center>\r\n</body>\r\n</html>\r\n"

// writePages makes a folder with pages.
func writePages(t *testing.T, pages map[string]string) (dir string) {
	dir = t.TempDir()
	for name, text := range pages {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// startSSI serves pages from files; names ending in .txt have no commands.
func startSSI(t *testing.T, pages map[string]string, more string) *webtest.Server {
	return webtest.Start(t, ssiFamilies, "server { root "+writePages(t, pages)+"; ssi on; "+more+" }")
}

func ssiPage(s *webtest.Server, target string) string {
	return s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n").Text
}

func TestSSICommands(t *testing.T) {
	parts := map[string]string{
		"part.html": `[<!--# echo var="x" -->]`, "part.txt": "(part)", "empty.html": "", "dir/part.html": "{dir}",
		"dir/page.html": `<!--#include virtual="part.html"--><!--#include file="../part.html"-->`,
		"sets.html":     `<!--# set var="x" value="new" -->`,
	}
	for page, want := range map[string]string{
		`plain <!-- comment --> <!-<!--#`:                           "plain <!-- comment --> <!-",
		`a<!--# echo var="v" -->b`:                                  "a&lt;&quot;q&quot;&amp; 1&gt;b",
		`<!--#echo var='V' encoding="url"-->`:                       `%3C%22q%22&%201%3E`,
		`<!--#echo var="v" encoding="none" --><!--#echo var="v"-->`: `<"q"& 1><"q"& 1>`,
		`<!--#echo var="none"--><!--#echo var="none" default="d"--><!--#echo var="none" default=""-->`:                   "(none)d",
		`<!--#set var="a" value="1 \$b ${arg_n}"--><!--#set var='B' value='<$a>'--><!--#echo var="b" encoding="none"-->`: "<1 $b 5>",
		`<!--#set var="a" value='q\"q\\q\n'--><!--#echo var="a" encoding="none"-->`:                                      `q"q\q\n`,
		`<!--#include virtual="/part.txt"-->, <!--#include file="part.txt" -->`:                                          "(part), (part)",
		`<!--#set var="x" value="v"--><!--#include virtual="/part.html"-->`:                                              "[v]",
		`<!--#include virtual="/sets.html" wait="yes"--><!--#echo var="x"-->`:                                            "new",
		`<!--#include virtual="/part%2etxt?x=$arg_n"-->`:                                                                 "(part)",
		`<!--#include virtual="/dir/page.html"-->`:                                                                       "{dir}" + ssiFailed,
		`<!--#include virtual="/none.html" set="s"--><!--#echo var="s" default="-"-->.`:                                  ".",
		`<!--#include virtual="/part.txt" set="s"--><<!--#echo var="s"-->>`:                                              "<(part)>",
		`<!--#block name="b"-->block <!--#echo var="arg_n"--><!--#endblock-->|<!--#include virtual="/empty.html" stub="b"-->|` +
			`<!--#include virtual="/none.html" stub="b" -->|<!--#include virtual="/part.txt" stub="b"-->`: "|block 5|block 5|(part)",
		`<!--#block name="b"-->ends in <!-<!--#endblock--><!--#include virtual="/empty.html" stub="b"-->.`:                   "ends in <!-.",
		`<!--#include virtual="/part.txt" stub="none"-->`:                                                                    ssiFailed,
		`<!--#if expr="$arg_n"-->yes<!--#else-->no<!--#endif-->`:                                                             "yes",
		`<!--#if expr="$none"-->yes<!--#else-->no<!--#endif-->.`:                                                             "no.",
		`<!--#if expr="$arg_n = 4"-->4<!--#elif expr="$arg_n = 5"-->5<!--#elif expr="$arg_n"-->x<!--#else-->no<!--#endif-->`: "5",
		`<!--#if expr="$arg_n!=5"-->no<!--#endif-->.`:                                                                        ".",
		`<!--#if expr="$arg_s = /^(\w)(?P<rest>.*)/"--><!--#echo var="1"-->,<!--#echo var="rest"--><!--#endif-->`:            "a,bc",
		`<!--#if expr="$arg_s != /x/"-->no x<!--#endif-->`:                                                                   "no x",
		`<!--#if expr="$arg_n"--><!--#if expr="$arg_n"-->x<!--#endif-->`:                                                     ssiFailed + "x",
		`<!--#if expr="none"--><!--#endif-->`:                                                                                "",
		`<!--#else-->`:                                                                                                       ssiFailed, `<!--#endif-->`: ssiFailed, `<!--#nothing-->`: ssiFailed, `<!--#echo-->`: ssiFailed,
		`<!--#echo var="a" var="b"-->`: ssiFailed, `<!--#echo vr="a"-->`: ssiFailed, `<!--#echo var=a-->.`: ssiFailed + ".",
		`<!--#echo var-->.`: ssiFailed + ".", `<!--#if expr="$a ~ b"-->`: ssiFailed, `<!--#include virtual="/../x"-->`: ssiFailed,
		`<!--#include virtual=""-->.`: ssiForbidden + ".", `<!--#include file=""-->.`: ssiForbidden + ".", `<!--#include virtual="$none"-->`: ssiFailed,
		`<!--#include virtual="%2"-->.`: ssiForbidden + ".", `<!--#include virtual="%"-->.`: ssiForbidden + ".", `<!--#include virtual="/pa%72t%2x.txt"-->`: "(part)",
		`<!--#include virtual="/%part.txt"-->`: "(part)", `<!--#include virtual="/part.txt%00"-->`: ssiFailed,
		`<!--#config errmsg=""--><!--#nothing-->.`: ".", `<!--#echo var=""-->.`: "(none).", `<!--#set var="" value="x"-->.`: ".", `<!--#if expr=""-->x<!--#endif-->.`: ".",
		`<!--#include-->`: ssiFailed, `<!--#include virtual="/a" file="b"-->`: ssiFailed, `<!--#set var="a" value="$"-->`: ssiFailed,
		`<!--#include virtual="/a" wait="maybe"-->`: ssiFailed, `<!--#if expr="$arg_n = /(/"-->x<!--#endif-->`: ssiFailed + "x" + ssiFailed,
		`<!--#config errmsg="oops"--><!--#nothing-->`:            "oops",
		`<!--#config timefmt="%Y"--><!--#echo var="date_gmt"-->`: "2026",
		`<!--#echo var="` + strings.Repeat("a", 257) + `"-->.`:   ssiFailed + ".",
		`<!--#` + strings.Repeat("a", 33) + `-->.`:               ssiFailed + ".",
		`<!--#echo ` + strings.Repeat(`a="b" `, 17) + `-->.`:     ssiFailed + ".",
		`<!--#echo var="unset" default="d"-->.`:                  ".",
	} {
		parts["page.html"] = page
		s := startSSI(t, parts, `set $v '<"q"& 1>'; location /elsewhere { set $unset x; }`)
		if strings.Contains(page, "date_gmt") {
			want = fmt.Sprint(time.UnixMilli(s.Plan.Clock.Now().WallMS).UTC().Year())
		}
		if got := ssiPage(s, "/page.html?n=5&s=abc"); got != want {
			t.Errorf("%s\ngot  %q\nwant %q", page, got, want)
		}
	}
}

// A format that makes no date is an error wherever the date is used, whatever the default of an echo is.
func TestSSIDatesWithoutText(t *testing.T) {
	for page, want := range map[string]string{
		`<!--#config timefmt=""--><!--#echo var="date_gmt"-->.`:                                                    ssiFailed + ".",
		`<!--#config timefmt=""--><!--#echo var="DATE_LOCAL" default="d"-->.`:                                      ssiFailed + ".",
		`<!--#config timefmt="" errmsg="oops"--><!--#echo var="date_gmt"-->.`:                                      "oops.",
		`<!--#config timefmt=""--><!--#set var="x" value="$date_gmt"--><!--#echo var="x"-->.`:                      ssiFailed + "(none).",
		`<!--#config timefmt=""--><!--#include virtual="/part.txt?$date_gmt"-->.`:                                  ssiFailed + ".",
		`<!--#config timefmt=""--><!--#if expr="$date_local"-->x<!--#else-->y<!--#endif-->.`:                       ssiFailed + "x" + ssiFailed + "y" + ssiFailed + ".",
		`<!--#config timefmt=""--><!--#echo var="none"--><!--#config timefmt="a%%"--><!--#echo var="date_gmt"-->.`: "(none)a%.",
		`<!--#config timefmt=""--><!--#set var="date_gmt" value="x"--><!--#echo var="date_gmt"-->.`:                "x.",
		`<!--#config timefmt=""--><!--#include virtual="/date.html"-->.`:                                           "x.",
		`<!--#config timefmt="` + strings.Repeat("%c", 100) + `"--><!--#echo var="date_gmt"-->.`:                   ssiFailed + ".",
	} {
		s := startSSI(t, map[string]string{"page.html": page, "part.txt": "part",
			"date.html": `<!--#config timefmt="x"--><!--#echo var="date_gmt"-->`}, "")
		if got := ssiPage(s, "/page.html"); got != want {
			t.Errorf("%s\ngot  %q\nwant %q", page, got, want)
		}
	}
}

// TestSSIParts: parts arrive in order whatever the other filters hold back, and are compressed with the page.
func TestSSIParts(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 20_000)
	s := startSSI(t, map[string]string{
		"page.html": `<p>one</p><!--#include virtual="/part.html"--><p>two</p><!--#include virtual="/big.txt"--><p>end</p>`,
		"part.html": `<p>part</p>`, "big.txt": big, "itself.html": `x<!--#include virtual="/itself.html"-->`,
		"large.html": `<!--#block name="a"-->` + strings.Repeat(big, 4) + `<!--#endblock-->after`,
	}, `location /page.html { sub_filter "<p>" "<b>"; sub_filter_once off; } location /zipped/ { gzip on; alias html; }
		location = /none { return 404; }`)
	page := s.Client().Do("GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n")
	if want := "<b>one</p><p>part</p><b>two</p>" + big + "<b>end</p>"; page.Text != want {
		t.Errorf("got %d bytes %.60q", len(page.Text), page.Text)
	}
	if page.ContentLength >= 0 || page.Header.Get("ETag") != "" || page.Header.Get("Last-Modified") != "" {
		t.Errorf("head: %v", page.Header)
	}
	if got := ssiPage(s, "/itself.html"); got != strings.Repeat("x", 52)+ssiFailed {
		t.Errorf("a page that includes itself: %q", got)
	}
	if got := ssiPage(s, "/large.html"); !strings.HasSuffix(got, ssiFailed+"after") {
		t.Errorf("…%q", got[max(0, len(got)-80):])
	}
	s.Logged("need more than 1048576 bytes")
	if got := s.Send("HEAD /page.html HTTP/1.0\r\n\r\n"); strings.Contains(got, "<p>") || strings.Contains(got, "Content-Length") {
		t.Errorf("HEAD: %s", got)
	}
}

// TestSSIStoresParts: a part that is too large to be stored in a variable ends the response, as in nginx.
func TestSSIStoresParts(t *testing.T) {
	s := startSSI(t, map[string]string{
		"page.html": `<!--#include virtual="$arg_part" set="x"--><!--#echo var="x"-->after`,
		"4096.txt":  strings.Repeat("x", 4096), "4097.txt": strings.Repeat("x", 4097), "none.txt": "",
		"small/none.txt": "", "small/4096.txt": strings.Repeat("x", 4096), "large/4097.txt": strings.Repeat("x", 4097),
	}, `location /small/ { subrequest_output_buffer_size 10; } location /large/ { subrequest_output_buffer_size 5000; }
		subrequest_output_buffer_size 4096;`)
	for _, c := range []struct {
		part string
		kept int // -1: too large
	}{
		{"/4096.txt", 4096}, {"/4097.txt", -1}, {"/none.txt", 0}, {"/small/none.txt", 0}, {"/small/4096.txt", -1},
		{"/large/4097.txt", 4097}, {"/missing.txt", 0},
	} {
		got := s.Send("GET /page.html?part=" + c.part + " HTTP/1.0\r\n\r\n")
		if c.kept < 0 {
			if got != "" {
				t.Errorf("%s: got %.100q", c.part, got)
			}
			s.Logged("too big subrequest response")
			continue
		}
		if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != strings.Repeat("x", c.kept)+"after" {
			t.Errorf("%s: got %d bytes: %.200q", c.part, len(body), got)
		}
	}
}

func TestSSISettings(t *testing.T) {
	pages := map[string]string{"a.html": `<!--#nothing-->.`, "a.txt": `<!--#nothing-->.`, "b.html": `<!--#echo var="` + strings.Repeat("a", 9) + `"-->.`}
	for settings, want := range map[string]map[string]string{
		"":                        {"/a.html": ssiFailed + ".", "/a.txt": pages["a.txt"], "/b.html": "(none)."},
		"ssi_silent_errors on;":   {"/a.html": "."},
		"ssi_types text/plain;":   {"/a.txt": ssiFailed + ".", "/a.html": ssiFailed + "."},
		"ssi_value_length 8;":     {"/b.html": ssiFailed + "."},
		"location / { ssi off; }": {"/a.html": pages["a.html"]},
	} {
		s := startSSI(t, pages, "types { text/html html; text/plain txt; } "+settings)
		for path, want := range want {
			if got := ssiPage(s, path); got != want {
				t.Errorf("%s %s: %q, want %q", settings, path, got, want)
			}
		}
	}
	s := startSSI(t, pages, "ssi_last_modified on;")
	if h := s.Client().Do("GET /a.html HTTP/1.1\r\nHost: a\r\n\r\n").Header; h.Get("Last-Modified") == "" || !strings.HasPrefix(h.Get("ETag"), `W/"`) {
		t.Errorf("ssi_last_modified: %v", h)
	}
}

// largestPiece is a filter that notes how long the pieces are that the filter before it has passed on.
type largestPiece struct{ bytes int }

func (l *largestPiece) Write(next web.Next, p []byte, last bool) error {
	l.bytes = max(l.bytes, len(p))
	return next.Write(p, last)
}

func (l *largestPiece) Flush(next web.Next) error { return next.Flush() }

// TestSSIMemory: a short page cannot make the process hold much more than the bound of a page.
func TestSSIMemory(t *testing.T) {
	const doublings, echoes = 10, 100
	long := `<!--#set var="x" value="` + strings.Repeat("a", 256) + `"-->` +
		strings.Repeat(`<!--#set var="x" value="$x$x"-->`, doublings) // 256 KB
	pages := map[string]string{
		"blocks.html": strings.Repeat(`<!--#block name=""--><!--#endblock-->`, 20_000) + "after",
		"value.html":  long + `<!--#if expr="$x != $x$x$x$x$x"-->after`,
		"echoes.html": long + strings.Repeat(`<!--#echo var="x"-->`, echoes),
	}
	dir := t.TempDir()
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var pieces largestPiece
	watch := web.Module{
		Module: conf.Module{Name: "pieces", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Filters: []web.FilterHook{{Build: func(*web.Block) (web.Filter, error) {
			return func(*web.Request) web.Body { return &pieces }, nil
		}}},
	}
	families := []*web.Module{&core.Module, &ssi.Module, &watch, &static.Module}
	s := webtest.Start(t, families, "server { root "+dir+"; ssi on; }")
	for _, path := range []string{"/blocks.html", "/value.html"} {
		if got := ssiPage(s, path); !strings.HasSuffix(got, ssiFailed+"after") {
			t.Errorf("%s: …%q", path, got[max(0, len(got)-80):])
		}
		s.Logged("need more than 1048576 bytes")
	}
	pieces.bytes = 0
	if got := len(ssiPage(s, "/echoes.html")); got != echoes*256<<doublings {
		t.Errorf("echoes: %d bytes", got)
	}
	if pieces.bytes > 2*256<<doublings {
		t.Errorf("%d bytes were held back", pieces.bytes)
	}
}
