package web_test

import (
	"strings"
	"testing"
)

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
