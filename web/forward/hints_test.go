package forward_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"starling/web/webtest"
)

// TestEarlyHints: whose 103 goes on, and what of it.
func TestEarlyHints(t *testing.T) {
	const hint, final = "HTTP/1.1 103 Early Hints|Link: </a>||", "HTTP/1.1 200 OK|Content-Length: 0||"
	const answer = "HTTP/1.1 200 OK|Content-Length: 0|Connection: close||"
	get := "GET /?yes=1&no=0&maybe=00 HTTP/1.1|Host: a|Connection: close||"
	for _, c := range []struct{ name, conf, request, answer, want string }{
		{"by default", ``, get, hint + final, answer},
		{"always", `early_hints 1;`, get, hint + final, hint + answer},
		{"never", `early_hints 0 "" $arg_none;`, get, hint + final, answer},
		{"by a variable", `early_hints $arg_yes;`, get, hint + final, hint + answer},
		{"by a variable that is 0", `early_hints $arg_no;`, get, hint + final, answer},
		{"only 0 itself is none", `early_hints $arg_maybe;`, get, hint + final, hint + answer},
		{"one of several", `early_hints $arg_none $arg_no; early_hints $arg_yes;`, get, hint + final, hint + answer},
		{"inherited", `early_hints 1; location / { proxy_pass http://BACKEND; }`, get, hint + final, hint + answer},
		{"not inherited", `early_hints 1; location / { early_hints 0; proxy_pass http://BACKEND; }`, get, hint + final, answer},
		{"several", `early_hints 1;`, get, hint + "HTTP/1.1 102 Processing||" + hint + final, hint + hint + answer},
		{"what is hidden", `early_hints 1; proxy_hide_header X-Secret;`, get,
			"HTTP/1.1 103 Early Hints|X-Secret: a|Link: </a>|X-Accel-Expires: 1|Connection: x||" + final, hint + answer},
		{"without anything to say", `early_hints 1;`, get, "HTTP/1.1 103 Early Hints|X-Pad: a||" + final, answer},
		{"with framing", `early_hints 1;`, get, "HTTP/1.1 103 Early Hints|Content-Length: 5|Link: </a>||" + final, hint + answer},
		{"with framing that contradicts itself", `early_hints 1;`, get,
			"HTTP/1.1 103 Early Hints|Content-Length: x|Link: </a>|Content-Length: 5|Transfer-Encoding: chunked|Transfer-Encoding: x||" + final, hint + answer},
		{"with fields of the connection", `early_hints 1;`, get, "HTTP/1.1 103 Early Hints|connection: X-Hop, close|x-hop: 1|Keep-Alive: timeout=1|" +
			"Upgrade: x|TE: x|Trailer: X|Proxy-Connection: x|Link: </a>|Connection: ,X-Other|X-OTHER: 2||" + final, hint + answer},
		{"with nothing but framing", `early_hints 1;`, get, "HTTP/1.1 103 Early Hints|Content-Length: 0||" + final, answer},
		{"framing in one that is not passed", ``, get, "HTTP/1.1 102 Processing|Content-Length: 1|Content-Length: 2||" + final, answer},
		{"HTTP/1.0", `early_hints 1;`, "GET / HTTP/1.0||", hint + final, answer},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := func(text string) string { return strings.ReplaceAll(text, "|", webtest.CRLF) }
			s := webtest.Answers(t, lines(c.answer)).Proxied(modules, c.conf)
			if got := webtest.Undated(s.Send(lines(c.request))); got != lines(c.want) {
				t.Errorf("got  %q\nwant %q\n%v", got, lines(c.want), s.Log.Lines())
			}
		})
	}
}

// TestEarlyHintsOverHTTP2: the same for a stream.
func TestEarlyHintsOverHTTP2(t *testing.T) {
	b := webtest.Answers(
		t,
		"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\nLink: </a>\r\nConnection: x\r\nX: 1\r\nTransfer-Encoding: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
	)
	s := b.Proxied(modules, `http2 on; early_hints $arg_hints; location / { proxy_pass http://BACKEND; }`)
	transport := &http.Transport{Protocols: new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return s.DialLoopback(), nil }}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	for query, want := range map[string][]string{"hints=1": {"103 map[Link:[</a>]]"}, "hints=0": nil} {
		var got []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			got = append(got, fmt.Sprintf("%d %v", code, header))
			return nil
		}})
		request, err := http.NewRequestWithContext(ctx, "GET", "http://a/?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != 200 || string(body) != "hi" || !slices.Equal(got, want) {
			t.Errorf("%s: %d %q %v after %q, want %q", query, response.StatusCode, body, err, got, want)
		}
	}
}
