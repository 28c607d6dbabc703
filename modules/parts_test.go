package modules_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"starling/modules/web/addition"
	"starling/modules/web/core"
	"starling/modules/web/proxy"
	"starling/modules/web/rewrite"
	"starling/modules/web/ssi"
	"starling/modules/web/static"
	"starling/modules/web/sub"
	"starling/modules/web/upstream"
	"starling/web"
	"starling/web/webtest"
)

// Filters of a part can make it longer or shorter than its Content-Length said.
func TestPartsOfAnotherLength(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "proxied part")
	}))
	t.Cleanup(server.Close)
	dir := writePages(t, map[string]string{"page.html": "page:", "piece.html": "a part of a page", "ssi.html": `<!--#include virtual="/piece.html" -->.`})
	families := []*web.Module{&core.Module, &rewrite.Module, &sub.Module, &ssi.Module, &addition.Module, &proxy.Module, &upstream.Module, &static.Module}
	for with, word := range map[string]string{"a much longer text": "longer", "x": "shorter", "": "empty"} {
		s := webtest.Start(t, families, fmt.Sprintf(`default_type text/html; server { root %s; sub_filter part "%s"; sub_filter "not found" "%[2]s";
			location /error { add_after_body /none; rewrite ^ /page.html break; }
			location /file { add_after_body /piece.html; rewrite ^ /page.html break; }
			location /said { add_after_body /return; rewrite ^ /page.html break; }
			location /proxied { add_after_body /proxy; rewrite ^ /page.html break; }
			location /include { ssi on; rewrite ^ /ssi.html break; }
			location /return { return 200 "the part it is"; }
			location /proxy { proxy_pass %s; } }`, dir, with, server.URL))
		for target, want := range map[string]string{
			"/file": "page:a " + with + " of a page", "/said": "page:the " + with + " it is", "/proxied": "page:proxied " + with,
			"/include": "a " + with + " of a page.",
		} {
			if got := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n").Text; got != want {
				t.Errorf("%s, %s: got %q, want %q", word, target, got, want)
			}
		}
		got := s.Client().Do("GET /error HTTP/1.1\r\nHost: a\r\n\r\n").Text
		if !strings.HasPrefix(got, "page:<html>") || !strings.HasSuffix(got, "</html>\r\n") || !strings.Contains(got, "<title>404 "+with+"</title>") {
			t.Errorf("%s, an error page: %q", word, got)
		}
	}
}

// Servers of parts get the body of the client's request, as from nginx, with the method GET.
func TestPartsWithTheBodyOfTheClient(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/ssi":
			fmt.Fprintf(w, `<!--#include virtual="/part" --><!--#include virtual="/part" set="x" -->;<!--#echo var="x" encoding="none" -->`)
		default:
			fmt.Fprintf(w, "%s %s %d %q %v;", r.Method, r.URL.Path, r.ContentLength, body[:min(len(body), 4)], err)
		}
	}))
	t.Cleanup(server.Close)
	families := []*web.Module{&core.Module, &ssi.Module, &addition.Module, &proxy.Module, &upstream.Module}
	s := webtest.Start(t, families, `server { client_body_temp_path `+t.TempDir()+`; client_body_buffer_size 1k;
		location / { proxy_pass `+server.URL+`; }
		location /ssi { ssi on; proxy_pass `+server.URL+`; }
		location /added { add_before_body /part; add_after_body /part; proxy_pass `+server.URL+`; }
		location /part { proxy_pass `+server.URL+`; } }`)
	for _, length := range []int{5, 100_000} { // the second is in a file
		part := fmt.Sprintf(`GET /part %d "xxxx" <nil>;`, length)
		for target, want := range map[string]string{
			"/ssi": part + ";" + part, "/added": part + fmt.Sprintf(`POST /added %d "xxxx" <nil>;`, length) + part,
		} {
			request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", target, length, strings.Repeat("x", length))
			if got := s.Client().Do(request).Text; got != want {
				t.Errorf("%s, %d bytes: got %q, want %q", target, length, got, want)
			}
		}
		if got := s.Client().Do("GET /added HTTP/1.1\r\nHost: a\r\n\r\n").Text; !strings.Contains(got, `GET /part 0 "" <nil>;`) {
			t.Errorf("no body: %q", got)
		}
	}
}
