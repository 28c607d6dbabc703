package modules_test

import (
	"regexp"
	"strings"
	"testing"

	"starling/modules"
	"starling/modules/web/core"
	"starling/modules/web/otel"
	"starling/modules/web/proxy"
	"starling/modules/web/rewrite"
	"starling/modules/web/upstream"
	"starling/web"
	"starling/web/webtest"
)

// TestTraceContextReachesTheServer: the server behind gets the span of the request as its parent.
func TestTraceContextReachesTheServer(t *testing.T) {
	backend := webtest.Serve(t, func(p *webtest.Peer) { p.Answer(p.Head()) })
	s := backend.Proxied([]*web.Module{&core.Module, &otel.Module, &upstream.Module, &proxy.Module},
		"otel_trace_context propagate; proxy_set_header X-Span $otel_span_id;")
	const trace = "0af7651916cd43dd8448eb211c80319c"
	got := s.Get("/", "Traceparent: 00-"+trace+"-b9c7c989f97918e1-01", "Tracestate: a=b")
	parent := regexp.MustCompile(`(?m)^traceparent: 00-` + trace + `-([0-9a-f]{16})-00\r$`).FindStringSubmatch(got)
	if parent == nil || !strings.Contains(got, "\r\nX-Span: "+parent[1]+"\r\n") || !strings.Contains(got, "\r\ntracestate: a=b\r\n") {
		t.Errorf("the server gets %q", got)
	}
	if n := strings.Count(strings.ToLower(got), "traceparent:"); n != 1 {
		t.Errorf("%d headers with parents in %q", n, got)
	}
}

// TestTracingBeginsBeforeReturn: return ends the phase in which it is decided, in the order of the families.
func TestTracingBeginsBeforeReturn(t *testing.T) {
	var order []*web.Module
	for _, m := range modules.Web() {
		if m == &core.Module || m == &otel.Module || m == &rewrite.Module {
			order = append(order, m)
		}
	}
	s := webtest.Start(t, order, `server { otel_trace_context inject; location / { return 200 "$http_traceparent"; } }`)
	if got := s.Get("/"); !regexp.MustCompile(`\r\n\r\n00-[0-9a-f]{32}-[0-9a-f]{16}-00$`).MatchString(got) {
		t.Errorf("got %q", got)
	}
}
