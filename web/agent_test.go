package web

import (
	"testing"

	"starling/web/h1"
)

// The names are those of headers_in in nginx; browsers name others that they resemble.
func TestBrowserOf(t *testing.T) {
	for agent, want := range map[string]browser{
		"":         browserOther,
		"curl/8.0": browserOther,
		"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)":                   browserMSIE,
		"Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2) Gecko/1 Chrome/1": browserMSIE,
		"MSIE foo": browserMSIE,
		"MSIE fo":  browserOther, // too short
		"msie foo": browserOther,
		"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.0; en) Opera 8.0": browserOpera,
		"Opera/9.80 (X11) Gecko/1": browserOpera,
		"Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0":            browserGecko,
		"Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Safari/537.36": browserChrome,
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14) Chrome/120 Safari/537.36":               browserChrome,
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14) Version/17 Safari/605":                  browserSafari,
		"Mozilla/5.0 (Windows) Version/5 Safari/605":                                        browserOther,
		"Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko":                     browserOther, // MSIE 11
	} {
		if got := browserOf([]byte(agent)); got != want {
			t.Errorf("%q is %d, want %d", agent, got, want)
		}
	}
}

// Opera and others that name Safari too keep their connections; so does an MSIE that is not one of the first.
func TestMisbehavingBrowsers(t *testing.T) {
	for agent, want := range map[string][2]bool{ // msie6 for a POST, safari
		"Mozilla/4.0 (compatible; MSIE 5.5; Windows NT 5.0)":                       {true, false},
		"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)":                       {true, false},
		"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)":                  {false, false},
		"Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1)":                       {false, false},
		"Mozilla/4.0 (compatible; MSIE 60.0; Windows NT 5.1)":                      {false, false},
		"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.0; en) Opera 8.0":         {false, false},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14) Version/17 Safari/605":         {false, true},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14) Version/17 Safari/605 Opera/9": {false, false},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14) Gecko/1 Safari/605":            {false, false},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14) Chrome/120 Safari/537.36":      {false, false},
		"Mozilla/5.0 (compatible; MSIE 9.0; Mac OS X) Version/17 Safari/605":       {false, false},
	} {
		var r Request
		r.Method = []byte("POST")
		r.Headers = h1.Headers{{ID: h1.HeaderUserAgent, Name: []byte("User-Agent"), Value: []byte(agent)}}
		r.Seen = h1.SetOf(h1.HeaderUserAgent)
		got := [2]bool{r.misbehaves(DisabledBrowsers{MSIE6: true}), r.misbehaves(DisabledBrowsers{Safari: true})}
		if got != want {
			t.Errorf("%q: %t, want %t", agent, got, want)
		}
		r.Method = []byte("GET")
		if r.misbehaves(DisabledBrowsers{MSIE6: true}) {
			t.Errorf("a GET of %q", agent)
		}
	}
}
