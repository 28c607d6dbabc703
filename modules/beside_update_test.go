package modules_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
	"starling/modules/web/addition"
	"starling/modules/web/ssi"
	"starling/modules/web/static"
	"starling/web"
	"starling/web/webtest"
)

var updateFamilies = slices.Concat(fenceFamilies, []*web.Module{&addition.Module, &ssi.Module, &static.Module})

// answerParts answers /part and the slices of it, and /inner, which is a page.
func answerParts(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/inner"):
		io.WriteString(w, `[<!--#include virtual="/part"-->]`)
	case r.Header.Get("Range") != "":
		http.ServeContent(w, r, "part", time.Time{}, strings.NewReader("part"))
	default:
		io.WriteString(w, "part")
	}
}

// TestResponsesDoNotWaitForUpdatesOfParts: the response to the client is whole before the updates of stale responses have
// ended that its parts, or other subrequests, have started. The end of the client's request waits for them.
func TestResponsesDoNotWaitForUpdatesOfParts(t *testing.T) {
	const stale = `proxy_cache one; proxy_cache_valid 1s; proxy_cache_use_stale updating; proxy_cache_background_update on; `
	const part = `location /part { LOG ` + stale + ` proxy_pass ORIGIN; }`
	tests := []struct {
		name, conf, page, want string
		updates                int
	}{
		{"a part", part, `1<!--#include virtual="/part"-->2`, "1part2", 1},
		{"a part in turn", part, `1<!--#include virtual="/part" wait="yes"-->2`, "1part2", 1},
		{"several parts", part,
			`<!--#include virtual="/part/a"-->1<!--#include virtual="/part/b"-->2<!--#include virtual="/part/c"-->3`, "part1part2part3", 3},
		{"a part of a part", part + `location /inner { LOG ssi_types *; proxy_pass ORIGIN; }`,
			`1<!--#include virtual="/inner"-->2`, "1[part]2", 1},
		{"a part of a part in turn", part + `location /inner { LOG ssi_types *; proxy_pass ORIGIN; }`,
			`1<!--#include virtual="/inner" wait="yes"-->2`, "1[part]2", 1},
		{"a variable", part, `1<!--#include virtual="/part" set="x"-->2<!--#echo var="x"-->`, "12part", 1},
		{"addition", part + `add_after_body /part;`, `page`, "pagepart", 1},
		{"auth_request", part + `auth_request /part;`, `page`, "page", 1},
		{"slices", `location = /page.html { limit_conn conns 1; slice 2; proxy_set_header Range $slice_range; ` + stale +
			` proxy_cache_key $uri$slice_range; proxy_cache_valid 206 1s; proxy_pass ORIGIN/part; }`, ``, "part", 2},
	}
	for _, test := range tests {
		for _, log := range []string{"", "log_subrequest on;"} {
			t.Run(test.name+" "+log, func(t *testing.T) {
				t.Parallel()
				o := newOrigin(t, answerParts)
				dir := writePages(t, map[string]string{"page.html": test.page})
				conf := test.conf
				if test.page != "" {
					conf += ` location = /page.html { limit_conn conns 1; }`
				}
				s := webtest.Start(t, updateFamilies, `proxy_cache_path cache keys_zone=one:1m; limit_conn_zone $host zone=conns:1m;
					server { root `+dir+`; ssi on; `+
					strings.NewReplacer("LOG", log, "ORIGIN", o.URL).Replace(conf)+` }`)
				awaitPage(t, s, test.want)
				pass(s, 5*time.Second)
				begun, proceed := make(chan bool, 10), make(chan bool)
				o.answers(func(w http.ResponseWriter, r *http.Request) {
					if !strings.HasPrefix(r.URL.Path, "/inner") {
						begun <- true
						<-proceed
					}
					answerParts(w, r)
				})
				t.Cleanup(func() { close(proceed) })
				c := s.LoopbackClient()
				if got := c.Do("GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n").Text; got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
				for range test.updates {
					webtest.Receive(t, begun)
				}
				if r := s.LoopbackClient().Do("GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n"); r.StatusCode != 503 {
					t.Errorf("the request of a client has ended before its updates: another one gets %q", r.Status)
				}
				for range test.updates {
					proceed <- true
				}
				awaitPage(t, s, test.want)
			})
		}
	}
}

// awaitPage asks for the page until limit_conn lets it pass.
func awaitPage(t *testing.T, s *webtest.Server, want string) {
	t.Helper()
	testkit.Eventually(t, webtest.Patience, func() error {
		if got := s.LoopbackClient().Do("GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n").Text; got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
}
