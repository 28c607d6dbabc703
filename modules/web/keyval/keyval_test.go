package keyval_test

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/admin"
	"starling/modules/web/core"
	"starling/modules/web/keyval"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &keyval.Module, webtest.Say()}

const text = `
	keyval_zone zone=one:32k timeout=1m;
	keyval_zone zone=nets:32k type=ip;
	keyval_zone zone=paths:32k type=prefix;
	keyval $arg_key $value zone=one;
	keyval $arg_ip $net zone=nets;
	keyval $uri $path zone=paths;
	server { location / { say "[$value][$net][$path]"; } }`

// put sends pairs to a zone the way the API does.
func put(t *testing.T, s *webtest.Server, zone, body string) {
	t.Helper()
	a := s.Resource("http/keyvals").Handle(&admin.Call{Method: "POST", Version: 9, Tail: []string{zone}, Body: []byte(body)})
	if a.Err != nil {
		t.Fatalf("%s: %v", body, a.Err)
	}
}

func TestLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, text)
		put(t, s, "one", `{"a":"1","b":{"value":"2","expire":500}}`)
		put(t, s, "nets", `{"10.0.0.0/8":"ten","10.1.0.0/16":"ten-one","2001:db8::/32":"doc"}`)
		put(t, s, "paths", `{"/a":"short","/a/b":"long"}`)
		check := func(target, want string) {
			t.Helper()
			if got := s.Get(target); !strings.HasSuffix(got, "\r\n\r\n"+want) {
				t.Errorf("%s: got %q, want %s", target, got, want)
			}
		}
		check("/?key=a", "[1][][]")
		check("/?key=b", "[2][][]")
		check("/?key=none&ip=10.1.2.3", "[][ten-one][]")
		check("/?ip=10.2.2.3", "[][ten][]")
		check("/?ip=2001:db8::1", "[][doc][]")
		check("/?ip=192.0.2.1", "[][][]")
		check("/a/bc", "[][][long]")
		check("/ab", "[][][short]")
		time.Sleep(600 * time.Millisecond)
		check("/?key=b", "[][][]")
		time.Sleep(time.Minute)
		check("/?key=a", "[][][]")
	})
}

func TestReloadKeepsPairs(t *testing.T) {
	s := webtest.Start(t, modules, text)
	put(t, s, "one", `{"a":"1"}`)
	again := webtest.Start(t, modules, strings.Replace(text, "timeout=1m", "timeout=2m", 1), webtest.After(s))
	if got := again.Get("/?key=a"); !strings.HasSuffix(got, "[1][][]") {
		t.Errorf("the pairs are gone: %q", got)
	}
	other := webtest.Start(t, modules, strings.Replace(text, "one:32k", "one:64k", 1), webtest.After(again))
	if got := other.Get("/?key=a"); !strings.HasSuffix(got, "[1][][]") {
		t.Errorf("another size drops the pairs: %q", got)
	}
}

func TestStateSurvives(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	with := func(dir string) string {
		return strings.Replace(text, "timeout=1m", "timeout=1m state="+dir+"/one.keyval", 1)
	}
	s := webtest.Start(t, modules, with(dir))
	put(t, s, "one", `{"a":"1"}`)
	// What is on disk now, with nothing closed, is what a crash leaves.
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	again := webtest.Start(t, modules, with(copied))
	if got := again.Get("/?key=a"); !strings.HasSuffix(got, "[1][][]") {
		t.Errorf("the pair is gone: %q", got)
	}
}

func TestMistakes(t *testing.T) {
	const zone = "keyval_zone zone=one:32k;"
	for text, problem := range map[string]string{
		`keyval_zone zone=one;`:                                 `invalid zone size "zone=one"`,
		`keyval_zone zone=one:1x;`:                              `invalid zone size "zone=one:1x"`,
		`keyval_zone zone=:32k;`:                                `"keyval_zone" must have "zone" parameter`,
		zone + `keyval_zone zone=one:64k;`:                      `the size 65536 of shared memory zone "one" conflicts with already declared size 32768`,
		`keyval_zone zone=one:1k;`:                              `zone "one" is too small`,
		`keyval_zone zone=one:32k timeout=0;`:                   `invalid timeout "timeout=0"`,
		`keyval_zone zone=one:32k sync=soon;`:                   `invalid time "sync=soon"`,
		`keyval_zone zone=one:32k sync=1h;`:                     `invalid time "sync=1h"`,
		`keyval_zone zone=one:32k type=regex;`:                  `invalid parameter "type=regex"`,
		`keyval_zone zone=one:32k state=;`:                      `invalid state file "state="`,
		`keyval_zone state=x;`:                                  `"keyval_zone" must have "zone" parameter`,
		zone + zone:                                             `duplicate zone "one"`,
		zone + `keyval $uri value zone=one;`:                    `invalid variable name "value"`,
		zone + `keyval $uri $host zone=one;`:                    `the duplicate "host" variable`,
		zone + `keyval $uri $v;`:                                `invalid number of arguments in "keyval" directive`,
		zone + `keyval $nowhere $v zone=one;`:                   `unknown "nowhere" variable`,
		zone + `keyval $uri $v zone=one; keyval a $v zone=one;`: `the duplicate "v" variable`,
	} {
		_, err := webtest.Load(t, modules, "\n"+text+"\n server { }")
		if want := problem + " in /test.conf:2"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}
