package modules_test

import (
	"fmt"
	"strings"
	"testing"

	"starling/modules/web/authrequest"
	"starling/modules/web/core"
	"starling/modules/web/mirror"
	"starling/modules/web/proxy"
	"starling/modules/web/rewrite"
	"starling/modules/web/upstream"
	"starling/modules/web/userid"
	"starling/web"
	"starling/web/webtest"
)

// TestPartsOfADroppedResponse: a page whose body nobody gets has no parts in the response to the client.
func TestPartsOfADroppedResponse(t *testing.T) {
	for name, directive := range map[string]string{"mirror": "mirror", "auth_request": "auth_request"} {
		t.Run(name, func(t *testing.T) {
			families := append([]*web.Module{&mirror.Module, &authrequest.Module}, ssiFamilies...)
			dir := writePages(t, map[string]string{
				"page.txt":  "page",
				"copy.html": `<!--#include virtual="/part.txt"-->x<!--#include virtual="/part.txt" wait="yes"-->`,
				"part.txt":  "part",
			})
			s := webtest.Start(t, families, fmt.Sprintf(`server { root %s; location / { %s /copy.html; }
				location = /copy.html { ssi on; } location = /part.txt { } }`, dir, directive))
			for range 20 {
				if got := ssiPage(s, "/page.txt"); got != "page" {
					t.Fatalf("the client gets %q", got)
				}
			}
		})
	}
}

// TestCharsetBesideTheClientsRequest fails with the race detector if a mirror reads the charset of the response to the
// client, which is made meanwhile.
func TestCharsetBesideTheClientsRequest(t *testing.T) {
	b := charsetBackend(t, "text/html", "", "body", 10)
	s := webtest.Start(t, append([]*web.Module{&mirror.Module}, charsetFamilies...), fmt.Sprintf(`%s server { charset utf-8;
		source_charset koi8-r; location / { mirror /copy; proxy_pass http://%s; } location = /copy { proxy_pass http://%s; } }`,
		charsetMaps, b.Addr, b.Addr))
	for range 20 {
		got := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if got.Header.Get("Content-Type") != "text/html; charset=utf-8" || got.Text != "body" {
			t.Fatalf("got %q, %q", got.Header, got.Text)
		}
	}
}

// TestUserIDBesideTheClientsRequest: a mirror is told the identifier that the client gets, whichever is first.
func TestUserIDBesideTheClientsRequest(t *testing.T) {
	told := make(chan string, 1)
	b := webtest.Serve(t, func(p *webtest.Peer) {
		head := p.Head()
		_, id, _ := strings.Cut(head, "X-Id: ")
		id, _, _ = strings.Cut(id, "\r\n")
		told <- id
		p.Say("HTTP/1.0 200 OK\r\n\r\n")
	})
	families := []*web.Module{&core.Module, &rewrite.Module, &userid.Module, &upstream.Module, &proxy.Module, &mirror.Module, webtest.Say()}
	s := webtest.Start(t, families, fmt.Sprintf(`server { userid_service 258;
		location / { userid on; mirror /copy; say "$uid_got$uid_set"; }
		location /without { mirror /copy; say "$uid_got$uid_set"; }
		location = /copy { proxy_set_header X-Id $uid_got$uid_set; proxy_pass http://%s; } }`, b.Addr))
	const known = "uid=AgEAAEzd3GkTnR0EAgMDAwA="
	for _, c := range []struct{ path, cookie string }{{"/", ""}, {"/", known}, {"/without", known}} {
		for range 10 {
			_, body := askUserID(s, c.path, c.cookie)
			if id := <-told; id != body || (body == "") != (c.path == "/without") {
				t.Errorf("%v: the client has %q, its mirror %q", c, body, id)
			}
		}
	}
}

// TestAPartThatBreaksBesideOthers: a part that is made in parallel to others cannot be stored, which ends the response.
func TestAPartThatBreaksBesideOthers(t *testing.T) {
	s := startSSI(t, map[string]string{
		"page.html":  `1<!--#include virtual="/inner.html"-->2<!--#include virtual="/inner.html"-->3<!--#include virtual="/inner.html"-->4`,
		"inner.html": `<!--#include virtual="/large.txt" set="x"-->x`,
		"large.txt":  strings.Repeat("x", 4097),
	}, "subrequest_output_buffer_size 4096;")
	for range 20 {
		if got := s.Send("GET /page.html HTTP/1.0\r\n\r\n"); strings.Contains(got, "4") && strings.HasSuffix(got, "4") {
			t.Fatalf("the response is complete: %q", got)
		}
		s.Logged("too big subrequest response")
	}
}
