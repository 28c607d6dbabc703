package metrics_test

import (
	"strings"
	"testing"

	"starling/admin"
	"starling/modules/web/core"
	"starling/modules/web/metrics"
	"starling/plan"
	"starling/web"
	"starling/web/webtest"
)

func TestPage(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, &metrics.Module}, `server {
		location /metrics { metrics; location /metrics/inner { } } }`)
	catalog := plan.Part[admin.Catalog](s.Plan)
	catalog.Resources = []admin.Resource{
		{Path: "silent"},
		{Path: "one", Metrics: []admin.Metric{admin.Counter("ones_total", "*zone", "Ones.")}, Handle: func(*admin.Call) admin.Answer {
			return admin.Answer{Body: map[string]int{"a": 1}}
		}},
	}
	const page = "# HELP ones_total Ones.\n# TYPE ones_total counter\nones_total{zone=\"a\"} 1\n"
	for _, c := range []struct{ request, status, body string }{
		{"GET /metrics", "200 OK", page},
		{"GET /metrics?name[]=x", "200 OK", page},
		{"HEAD /metrics", "200 OK", ""},
		{"POST /metrics", "405 Not Allowed", ""},
		{"GET /metrics/inner", "404 Not Found", ""},
	} {
		head, body, _ := strings.Cut(s.Send(c.request+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "\r\n\r\n")
		ok := strings.HasPrefix(c.status, "200")
		if !strings.HasPrefix(head, "HTTP/1.1 "+c.status) || ok && body != c.body || ok != strings.Contains(head, "Content-Type: text/plain; version=0.0.4") {
			t.Errorf("%s: %s\n%s", c.request, head, body)
		}
	}
	catalog.Resources[1].Handle = func(*admin.Call) admin.Answer { return admin.Answer{Body: func() {}} }
	if got := s.Get("/metrics"); !strings.HasPrefix(got, "HTTP/1.1 500") {
		t.Errorf("what cannot be encoded: %s", got)
	}
}
