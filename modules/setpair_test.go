package modules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	streamcore "starling/modules/stream/core"
	streamkeyval "starling/modules/stream/keyval"
	"starling/modules/stream/set"
	webcore "starling/modules/web/core"
	webkeyval "starling/modules/web/keyval"
	"starling/modules/web/rewrite"
	"starling/stream/streamtest"
	"starling/web"
	"starling/web/webtest"
)

// A `set` on a variable of keyval writes the pair, which other requests find.
func TestSetWritesThePairOfAKeyval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, []*web.Module{&webcore.Module, &rewrite.Module, &webkeyval.Module, webtest.Say()}, `
			keyval_zone zone=plain:32k; keyval_zone zone=short:32k timeout=10s; keyval_zone zone=nets:32k type=ip;
			keyval $arg_k $plain zone=plain; keyval $arg_k $short zone=short; keyval $arg_k $net zone=nets;
			server {
				location / { say "[$plain][$short][$net]"; }
				location /plain { set $plain $arg_v; say "[$plain]"; }
				location /short { set $short $arg_v; say "[$short]"; }
				location /net { set $net $arg_v; say "[$net]"; }
			}`)
		check := func(target, want string) {
			t.Helper()
			if got := s.Get(target); !strings.HasSuffix(got, "\r\n\r\n"+want) {
				t.Errorf("%s: got %q, want %s", target, got, want)
			}
		}
		check("/plain?k=a&v=1", "[1]")
		check("/plain?k=a&v=2", "[2]")
		check("/plain?k=b", "[]")
		check("/short?k=a&v=s", "[s]")
		check("/?k=a", "[2][s][]")
		check("/net?k=10.0.0.0/8&v=ten", "[]") // a network is written, and looked up by address
		check("/?k=10.1.1.1", "[][][ten]")

		time.Sleep(6 * time.Second)
		check("/short?k=a&v=s", "[s]") // its life starts anew
		time.Sleep(6 * time.Second)
		check("/?k=a", "[2][s][]")
		time.Sleep(6 * time.Second)
		check("/?k=a", "[2][][]")

		check("/plain?v=1", "[]")
		s.Logged(`cannot set key "" in keyval zone "plain": invalid key`)
		check("/net?k=x&v=1", "[]")
		s.Logged(`cannot set key "x" in keyval zone "nets": invalid key`)
		for i := range 500 {
			s.Get(fmt.Sprintf("/plain?k=%d&v=1", i))
		}
		// A zone that stays full gets a line a minute, which counts the others.
		time.Sleep(time.Minute)
		s.Get("/plain?k=last&v=1")
		full := slices.DeleteFunc(s.Log.Lines(), func(line string) bool { return !strings.Contains(line, `in keyval zone "plain": zone is full`) })
		if len(full) != 2 || strings.Contains(full[0], "more since") || !strings.Contains(full[1], "more since the last such line)") {
			t.Errorf("the lines about a full zone: %q", full)
		}
	})
}

func TestStreamSetWritesThePairOfAKeyval(t *testing.T) {
	s := streamtest.Start(t, `stream { keyval_zone zone=seen:32k; keyval $remote_addr $seen zone=seen;
		server { listen 1; say "<$seen>"; } server { listen 2; set $seen yes; say "<$seen>"; } }`,
		nil, &streamcore.Module, &set.Module, &streamkeyval.Module, streamtest.Say())
	for i, want := range []string{"<>", "<yes>"} {
		if got := s.Ask(i); got != want {
			t.Errorf("port %d: %s, want %s", i, got, want)
		}
	}
	if got := s.Ask(0); got != "<yes>" {
		t.Errorf("after the set: %s", got)
	}
}
