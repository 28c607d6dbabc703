package modules_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"starling/modules/web/access"
	"starling/modules/web/api"
	"starling/modules/web/limitreq"
	"starling/modules/web/static"
	"starling/modules/web/stubstatus"
	"starling/modules/web/tryfiles"
	"starling/web"
	"starling/web/webtest"
)

// TestWhoeverDoesNotReadTheBody: client_max_body_size is kept by all families alike, with a length and without one.
func TestWhoeverDoesNotReadTheBody(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(root+"/file", []byte("file"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := fleet{}
	f.backend(t, "a", says("a"))
	all := append([]*web.Module{&limitreq.Module, &access.Module, &stubstatus.Module, &tryfiles.Module, &static.Module, &api.Module}, families...)
	s := webtest.Start(t, all, strings.ReplaceAll(`limit_req_zone $uri zone=z:32k rate=1r/m; server { root `+root+`; client_max_body_size 10;
		location /return { return 200 ok; } location /redirect { return 301 /elsewhere; } location /page { error_page 404 =200 /file; return 404; }
		location /deny { deny all; } location /try { try_files /file =404; } location /status { stub_status; }
		location /limited { limit_req zone=z; try_files /file =404; } location /proxied { proxy_pass http://ADDRESS; }
		location /headless { proxy_pass http://ADDRESS; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
		location /streamed { proxy_pass http://ADDRESS; proxy_request_buffering off; } }`, "ADDRESS", f["a"].addr))
	if got := s.Client().Do("GET /limited HTTP/1.1\r\nHost: x\r\n\r\n"); got.StatusCode != 200 {
		t.Fatal(got.StatusCode)
	}
	for target, want := range map[string]int{
		"/return": 200, "/redirect": 301, "/page": 200, "/deny": 403, "/try": 405, "/status": 405, "/limited": 503, "/proxied": 200, "/headless": 200,
		"/streamed": 200, "/file": 405, "/none": 404, "/": 403,
	} {
		for body, want := range map[string]int{"": want, "0123456789": want, "0123456789a": 413} {
			for _, framed := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), "Transfer-Encoding: chunked\r\n\r\n" + inChunks(body)} {
				got := s.Client().Do("POST " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + framed)
				if got.StatusCode != want || want == 413 && got.Header.Get("Location") != "" {
					t.Errorf("%s %q: %d %v, want %d", target, framed, got.StatusCode, got.Header, want)
				}
			}
		}
	}
}

func inChunks(body string) string {
	if body != "" {
		body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
	}
	return body + "0\r\n\r\n"
}

// TestTheRestOfABodyIsForgottenWithinTheLimit: behind an answer that did not wait for it, too.
func TestTheRestOfABodyIsForgottenWithinTheLimit(t *testing.T) {
	s := startAPI(t)
	for bytes, want := range map[int]int{1500: 2, 1501: 1} {
		request := "GET /api/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + inChunks(strings.Repeat("x", bytes))
		got := s.Send(request + "GET /api/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if n := strings.Count(got, "HTTP/1.1 200"); n != want {
			t.Errorf("%d bytes: %d answers, want %d: %s", bytes, n, want, got)
		}
	}
}
