package web_test

import (
	"strings"
	"testing"
)

func TestVariablesOfRequestHeaders(t *testing.T) {
	s := start(t, `server { say "$content_type|$http_content_type|$is_request_port$request_port"; }`)
	for headers, want := range map[string]string{
		"Host: a":      "||",
		"Host: a:8080": "||:8080",
		"Host: a\r\nContent-Type: text/x\r\nContent-Type: text/y": "text/x, text/y|text/x, text/y|",
	} {
		if got := body(s.Send("GET / HTTP/1.0\r\n" + headers + "\r\n\r\n")); got != want {
			t.Errorf("%q: got %q, want %q", headers, got, want)
		}
	}
}

// TestCapturesEndWithTheirRequest: memory of a request is used again, for the next client too.
func TestCapturesEndWithTheirRequest(t *testing.T) {
	s := start(t, `server { location / { say "[$1$name]"; } location ~ ^/(?<name>secret) { say "<$1$name>"; } }`)
	for range 10 { // another goroutine may take the memory meanwhile
		if got := s.Get("/secret"); !strings.HasSuffix(got, "<secretsecret>") {
			t.Fatalf("got %q", got)
		}
		if got := s.Get("/x"); !strings.HasSuffix(got, "[]") {
			t.Fatalf("the next request sees %q", got)
		}
	}
}
