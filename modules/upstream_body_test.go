package modules_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"starling/web/webtest"
)

// TestLargeBodiesMoveOn: a body that is in a file is sent whole to the next server when the first fails after it had all of it.
func TestLargeBodiesMoveOn(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 20000)
	head := "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
	for _, request := range []string{
		fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(long), long),
		fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(long), long),
	} {
		for _, status := range []int{0, 503} {
			var addrs []string
			answers := []int{status, 200}
			for i := range answers {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if body, err := io.ReadAll(r.Body); err != nil || string(body) != long || r.ContentLength != int64(len(long)) {
						t.Errorf("server %d got %d bytes of %d (%d announced): %v", i, len(body), len(long), r.ContentLength, err)
					}
					if answers[i] == 0 {
						panic(http.ErrAbortHandler) // closes the connection
					}
					w.WriteHeader(answers[i])
				}))
				t.Cleanup(server.Close)
				addrs = append(addrs, server.Listener.Addr().String())
			}
			s := webtest.Start(t, families, `upstream u { server `+addrs[0]+`; server `+addrs[1]+` backup; }
				server { add_header X-Status $upstream_status; location / { proxy_pass http://u; proxy_next_upstream error http_503; } }`)
			got := s.Send(request)
			if want := fmt.Sprintf("\r\nX-Status: %d, 200\r\n", map[int]int{0: 502, 503: 503}[status]); !strings.Contains(got, want) {
				t.Errorf("%q lacks %q %v", got, want, s.Log.Lines())
			}
		}
	}
}
