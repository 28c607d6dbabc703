package modules_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestTemporarilyDisabled: the log says what was being done when a server was taken out.
func TestTemporarilyDisabled(t *testing.T) {
	f := fleet{}
	f.dead(t, "dead")
	f.backend(t, "ok", says("ok"))
	f.backend(t, "closes", func(*http.Request) string { return "" })
	f.backend(t, "sick", func(*http.Request) string { return reply(503, "sick") })
	f.backend(t, "short", func(*http.Request) string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nno chunk\r\n"
	})
	for _, test := range []struct{ first, scheme, doing string }{
		{"dead", "http", "connecting to upstream"},
		{"ok", "https", "SSL handshaking to upstream"},
		{"closes", "http", "reading response header from upstream"},
		{"sick", "http", "reading response header from upstream"},
		{"short", "http", "reading upstream"},
	} {
		t.Run(test.first, func(t *testing.T) {
			s := f.start(t, `upstream u { server {`+test.first+`}; server {ok}; }
				server { location / { proxy_pass `+test.scheme+`://u; proxy_next_upstream error http_503; } }`)
			s.Get("/")
			log := strings.Join(s.Log.Lines(), "\n")
			if want := "[warn] *1 upstream server temporarily disabled while " + test.doing + ", client: "; !strings.Contains(log, want) {
				t.Errorf("want %s in\n%s", want, log)
			}
		})
	}
}
