package browser_test

import (
	"strings"
	"testing"

	"starling/modules/web/browser"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &browser.Module, webtest.Say()}

const (
	firefox   = "Mozilla/5.0 (X11; U; FreeBSD i386; en-US; rv:1.8.0.5) Gecko/20060729 Firefox/1.5.0.5"
	newer     = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	explorer  = "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"
	operaAsIE = "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.0; en) Opera 8.0"
	opera     = "Opera/9.01 (X11; FreeBSD 6 i386; U; en)"
	safari    = "Mozilla/5.0 (Macintosh; U; PPC Mac OS X; ru-ru) AppleWebKit/125.2 (KHTML, like Gecko) Safari/125.7"
	konqueror = "Mozilla/5.0 (compatible; Konqueror/3.4; Linux) KHTML/3.4.2 (like Gecko)"
	netscape  = "Mozilla/4.72 [en] (X11; U; Linux 2.2.14)"
	lynx      = "Lynx/2.8.5rel.1 libwww-FM/2.14"
)

func TestBrowsers(t *testing.T) {
	for _, c := range []struct {
		settings string
		want     map[string]string // by User-Agent: m(odern) or a(ncient), and msie
	}{
		{"", map[string]string{newer: "a", "": "a", explorer: "a1", operaAsIE: "a"}},
		{"modern_browser unlisted;", map[string]string{newer: "m", "": "m", lynx: "m"}},
		{"modern_browser unlisted; ancient_browser Lynx Links; ancient_browser netscape4;",
			map[string]string{newer: "m", lynx: "a", netscape: "a", opera: "m", "Mozilla/4.7": "m"}},
		{"modern_browser gecko 1.8.0.5;", map[string]string{firefox: "m", newer: "m", explorer: "a1", lynx: "a", "": "a"}},
		{"modern_browser gecko 1.8.1;", map[string]string{firefox: "a", newer: "m"}},
		{"modern_browser GECKO 2.0; modern_browser unlisted;", map[string]string{firefox: "a", newer: "m", lynx: "m", safari: "m"}},
		{"modern_browser msie 6.0;", map[string]string{explorer: "m1", operaAsIE: "a", "Mozilla/4.0 (compatible; MSIE 5.5; Windows)": "a1",
			"MSIE 7.0 Windows": "a1"}}, // too early in the text
		{"modern_browser msie 6.0; modern_browser opera 8.0;", map[string]string{explorer: "m1", operaAsIE: "m", opera: "m", "Opera/7.50 (X11)": "a"}},
		{"modern_browser safari 125.7; modern_browser konqueror 3.5;", map[string]string{safari: "m", konqueror: "a",
			"Mozilla/5.0 (compatible; Konqueror/3.10; X)": "m"}},
		{"modern_browser gecko 1.0; modern_browser gecko 2.0;", map[string]string{firefox: "m"}}, // the first counts
	} {
		s := webtest.Start(t, modules, c.settings+` modern_browser_value m; ancient_browser_value a;
			server { say "$modern_browser$ancient_browser$msie"; }`)
		for agent, want := range c.want {
			headers := []string{}
			if agent != "" {
				headers = append(headers, "User-Agent: "+agent)
			}
			if got := s.Get("/", headers...); !strings.HasSuffix(got, "\r\n\r\n"+want) {
				t.Errorf("%s %q:\n%s\nwant %s", c.settings, agent, got, want)
			}
		}
	}
}

func TestBlocksInherit(t *testing.T) {
	s := webtest.Start(t, modules, `modern_browser gecko 2.0; ancient_browser Lynx;
		server {
			location / { say "<$modern_browser>"; }
			location /value { modern_browser_value old; modern_browser_value new; say "<$modern_browser>"; }
			location /values { modern_browser gecko 999; ancient_browser_value a; ancient_browser_value b; say "<$ancient_browser>"; }
			location /other { modern_browser unlisted; say "<$modern_browser>"; }
			location /none { ancient_browser Firefox; modern_browser unlisted; say "<$modern_browser>"; } }`)
	for target, want := range map[string]string{"/": "<1>", "/value": "<new>", "/values": "<b>", "/other": "<1>", "/none": "<>"} {
		if got := s.Get(target, "User-Agent: "+newer); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s", target, got)
		}
	}
}

func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		"modern_browser netscape 4;": `unknown browser name "netscape" in /test.conf:1`,
		"modern_browser msie;":       `invalid parameter "msie" in /test.conf:1`,
		"modern_browser msie 6x;":    `invalid browser version "6x" in /test.conf:1`,
		"modern_browser msie 6.0 7;": `invalid number of arguments in "modern_browser" directive in /test.conf:1`,
		"ancient_browser;":           `invalid number of arguments in "ancient_browser" directive in /test.conf:1`,
	} {
		if _, err := webtest.Load(t, modules, text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
