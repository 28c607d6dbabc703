package modules_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"starling/modules/web/api"
	"starling/modules/web/core"
	"starling/modules/web/stubstatus"
	"starling/web"
	"starling/web/webtest"
)

// A block inside a location may answer by another family than the location. Two families in one block cannot.
func TestWhoAnswers(t *testing.T) {
	f := fleet{}
	f.backend(t, "a", func(*http.Request) string { return "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na" })
	all := append([]*web.Module{&core.Module, &stubstatus.Module}, append(slices.Clone(families[1:]), &api.Module)...) // before proxy and behind it
	s := webtest.Start(t, all, strings.ReplaceAll(`server {
		location /status { stub_status; if ($arg_a) { proxy_pass http://ADDRESS; } if ($arg_b) { } }
		location /api { api; if ($arg_a) { proxy_pass http://ADDRESS; } limit_except GET { proxy_pass http://ADDRESS; } }
		location /proxy { proxy_pass http://ADDRESS; location /proxy/status { stub_status; } location /proxy/api { api; } }
	}`, "ADDRESS", f["a"].addr))
	for call, want := range map[string]string{
		"GET /status": "Active", "GET /status?a=1": "a", "GET /status?b=1": "Active",
		"GET /api": "[1,", "GET /api?a=1": "a", "PUT /api": "a", "GET /proxy": "a", "GET /proxy/status": "Active", "GET /proxy/api": "[1,",
	} {
		got := s.Client().Do(call + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if !strings.HasPrefix(got.Text, want) {
			t.Errorf("%s: %d %s", call, got.StatusCode, got.Text)
		}
	}
	for _, inside := range []string{"proxy_pass http://127.0.0.1:1; api;", "api; proxy_pass http://127.0.0.1:1;"} {
		_, err := webtest.Load(t, all, "server { location / { "+inside+" } }")
		if got := fmt.Sprint(err); !strings.HasSuffix(got, "cannot be used in the same location in /test.conf:1") {
			t.Errorf("%s: %s", inside, got)
		}
	}
}
