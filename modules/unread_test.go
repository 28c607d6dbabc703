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
			for _, framed := range []string{
				fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body),
				"Transfer-Encoding: chunked\r\n\r\n" + inChunks(body),
			} {
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

// TestTheAPIForgetsABodyWithinTheLimit: it has no use for that of a GET, and says in JSON that one is too long.
func TestTheAPIForgetsABodyWithinTheLimit(t *testing.T) {
	s := startAPI(t)
	for bytes, want := range map[int]string{1500: "200 200", 1501: "413"} {
		body := strings.Repeat("x", bytes)
		for _, framed := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n%s", bytes, body), "Transfer-Encoding: chunked\r\n\r\n" + inChunks(body)} {
			got := s.Send("GET /api/ HTTP/1.1\r\nHost: a\r\n" + framed + "GET /api/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			var statuses []string
			for _, answer := range strings.Split(got, "HTTP/1.1 ")[1:] {
				statuses = append(statuses, answer[:3])
			}
			if strings.Join(statuses, " ") != want {
				t.Errorf("%d bytes: %v, want %s: %s", bytes, statuses, want, got)
			}
			if want == "413" && !strings.Contains(got, `"request body is longer than 1500 bytes (client_max_body_size)"`) {
				t.Errorf("%d bytes: no word of the limit in JSON: %s", bytes, got)
			}
		}
	}
}

// TestTheAPINamesTheLimitOfABody: the directive to change is the one that says less.
func TestTheAPINamesTheLimitOfABody(t *testing.T) {
	for limits, want := range map[string]string{
		"client_max_body_size 10; client_body_buffer_size 1k;": "10 bytes (client_max_body_size)",
		"client_max_body_size 2k; client_body_buffer_size 1k;": "1024 bytes (client_body_buffer_size)",
		"client_max_body_size 0; client_body_buffer_size 1k;":  "1024 bytes (client_body_buffer_size)",
	} {
		s := webtest.Start(t, append([]*web.Module{&api.Module}, families...), "server { location /api { "+limits+" api write=on; } }")
		body := `{"a":"` + strings.Repeat("x", 1100) + `"}`
		for _, framed := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), "Transfer-Encoding: chunked\r\n\r\n" + inChunks(body)} {
			got := s.Send("POST /api/9/http/keyvals/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + framed)
			if !strings.HasPrefix(got, "HTTP/1.1 413") || !strings.Contains(got, want) {
				t.Errorf("%s: %s", limits, got)
			}
		}
	}
}
