package otel_test

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"starling/conf"
	"starling/lib/certs"
	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/modules/web/otel"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &otel.Module, webtest.Say()}

const (
	parentTrace = "0af7651916cd43dd8448eb211c80319c"
	parentSpan  = "b9c7c989f97918e1"
	parentState = "congo=ucfJifl5GOE,rojo=00f067aa0ba902b7"
	fromParent  = "Traceparent: 00-" + parentTrace + "-" + parentSpan + "-01"
	withState   = "Tracestate: " + parentState
)

func body(answer string) string {
	_, text, _ := strings.Cut(answer, "\r\n\r\n")
	return text
}

func TestSpanOfARequest(t *testing.T) {
	c := newCollector(t, nil)
	s := start(t, c.exporter()+`otel_trace on; server { server_name www.example.com other;
		location /ok { say hello; } location /err { error_page 404 =500 /ok; } location ~ \.x$ { say x; } }`)
	before := time.Now()
	client := s.LoopbackClient()
	client.Do("POST /ok/there?a=%20b HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test/1\r\nContent-Length: 3\r\n\r\nabc")
	b := c.next()
	if b.scope != "nginx" || b.resource["service.name"] != "unknown_service:nginx" || len(b.spans) != 1 {
		t.Fatalf("got %+v", b)
	}
	span := b.spans[0]
	got := attributesOf(span.Attributes)
	for name, want := range map[string]any{
		"http.method": "POST", "http.target": "/ok/there?a=%20b", "http.route": "/ok", "http.scheme": "http",
		"http.flavor": "1.1", "http.user_agent": "test/1", "http.request_content_length": int64(3),
		"http.response_content_length": int64(5), "http.status_code": int64(200), "net.host.name": "www.example.com",
		"net.sock.peer.addr": "127.0.0.1",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for _, name := range []string{"net.host.port", "net.sock.peer.port"} {
		if port, _ := got[name].(int64); port < 1024 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if len(got) != 13 {
		t.Errorf("%d attributes: %v", len(got), got)
	}
	begun, ended := time.Unix(0, int64(span.StartTimeUnixNano)), time.Unix(0, int64(span.EndTimeUnixNano))
	if span.Name != "/ok" || span.Kind != tracev1.Span_SPAN_KIND_SERVER || len(span.ParentSpanId) > 0 ||
		begun.Before(before.Add(-time.Second)) || ended.Before(begun) || ended.After(time.Now().Add(time.Second)) {
		t.Errorf("got %v", span)
	}
	for target, want := range map[string]struct {
		name   string
		status int64
		code   tracev1.Status_StatusCode
	}{
		"/err": {"/ok", 500, tracev1.Status_STATUS_CODE_ERROR},
		"/a.x": {`\.x$`, 200, tracev1.Status_STATUS_CODE_UNSET},
	} {
		s.Get(target)
		span := c.one()
		status := attributesOf(span.Attributes)["http.status_code"]
		if span.Name != want.name || status != want.status || span.Status.GetCode() != want.code {
			t.Errorf("%s: got %v %v %v", target, span.Name, status, span.Status)
		}
	}
}

func TestNamesAndAttributesFromTheConfiguration(t *testing.T) {
	c := newCollector(t, nil)
	s := start(t, strings.Replace(c.exporter(), "}", "header X-Token secret; header Authorization \"Basic value\"; }", 1)+`
		otel_service_name shop; otel_resource_attr my.name "my name"; otel_resource_attr service.name ignored;
		otel_trace on; otel_span_attr outer 1;
		server {
			location / { say ok; }
			location /custom {
				otel_span_name "$request_method custom"; otel_span_attr http.request $request;
				otel_span_attr http.request.header.x-y $http_x_y; otel_span_attr http.response.header.content-type $sent_http_content_type;
				say ok;
			}
		}`)
	s.Get("/custom", "X-Y: z\xff")
	b := c.next()
	got := attributesOf(b.spans[0].Attributes)
	if b.spans[0].Name != "GET custom" || got["http.request"] != "GET /custom HTTP/1.1" || got["outer"] != nil ||
		fmt.Sprint(got["http.request.header.x-y"]) != "[z\ufffd]" || fmt.Sprint(got["http.response.header.content-type"]) != "[text/plain]" {
		t.Errorf("got %s %v", b.spans[0].Name, got)
	}
	if b.resource["service.name"] != "shop" || b.resource["my.name"] != "my name" {
		t.Errorf("the resource is %v", b.resource)
	}
	if h := b.headers; fmt.Sprint(h["x-token"], h["authorization"]) != "[secret] [Basic value]" {
		t.Errorf("the headers are %v", h)
	}
	s.Get("/")
	if got := attributesOf(c.one().Attributes); got["outer"] != "1" {
		t.Errorf("got %v", got)
	}
}

// TestAClientCannotSpoilABatch: Protocol Buffers refuse texts that are not UTF-8, and with them all spans of the batch.
func TestAClientCannotSpoilABatch(t *testing.T) {
	c := newCollector(t, nil)
	s := start(t, c.exporter()+`otel_trace on; server { server_name ""; otel_span_name $uri; say ok; }`)
	s.Get("/%ff\xfe", "User-Agent: \xc3(", "Host: x")
	span := c.one()
	if span.Name != "/\ufffd" || attributesOf(span.Attributes)["http.user_agent"] != "\ufffd(" {
		t.Errorf("got %v", span)
	}
}

const contexts = `
	otel_trace on;
	server {
		say "$otel_trace_id $otel_span_id $otel_parent_id $otel_parent_sampled [$http_traceparent] [$http_tracestate]";
		location /ignore { }
		location /extract { otel_trace_context extract; }
		location /inject { otel_trace_context inject; }
		location /propagate { otel_trace_context propagate; }
		location /off { otel_trace off; otel_trace_context propagate; }
	}`

func TestTraceContext(t *testing.T) {
	c := newCollector(t, nil)
	s := start(t, c.exporter()+contexts)
	for _, r := range []struct {
		path                string
		headers             []string
		extracts, injects   bool
		sampled, parentFlag string
	}{
		{"/ignore", []string{fromParent, withState}, false, false, "", "0"},
		{"/extract", []string{fromParent, withState}, true, false, "", "1"},
		{"/inject", []string{fromParent, withState}, false, true, "01", "0"},
		{"/propagate", []string{withState, fromParent, fromParent}, true, true, "01", "1"},
		{"/propagate", []string{strings.TrimSuffix(fromParent, "1") + "0", withState}, true, true, "01", "0"},
		{"/propagate", nil, false, true, "01", "0"},
		{"/propagate", []string{"Traceparent: nonsense", withState}, false, true, "01", "0"},
		{"/off", []string{fromParent, withState}, true, true, "00", "1"},
	} {
		got := regexp.MustCompile(`^([0-9a-f]{32}) ([0-9a-f]{16}) ([0-9a-f]{16})? ([01]) \[(.*)\] \[(.*)\]$`).
			FindStringSubmatch(body(s.Get(r.path, r.headers...)))
		if got == nil {
			t.Fatalf("%+v: no answer of the right form", r)
		}
		trace, span, parent, flag, header, state := got[1], got[2], got[3], got[4], got[5], got[6]
		name := fmt.Sprintf("%s %q", r.path, r.headers)
		if extracted := trace == parentTrace && parent == parentSpan; extracted != r.extracts || !extracted && parent != "" || flag != r.parentFlag {
			t.Errorf("%s: got %q", name, got)
		}
		wantHeader, wantState := "", ""
		if r.injects {
			wantHeader = "00-" + trace + "-" + span + "-" + r.sampled
			if r.extracts {
				wantState = parentState
			}
		} else {
			wantHeader, wantState = strings.TrimPrefix(r.headers[0], "Traceparent: "), parentState
		}
		if header != wantHeader || state != wantState {
			t.Errorf("%s: the server gets %q and %q, want %q and %q", name, header, state, wantHeader, wantState)
		}
		if r.sampled == "00" {
			continue
		}
		sent := c.one()
		if hex.EncodeToString(sent.TraceId) != trace || hex.EncodeToString(sent.SpanId) != span || hex.EncodeToString(sent.ParentSpanId) != parent {
			t.Errorf("%s: the span is %v, want %q", name, sent, got)
		}
		if r.extracts && sent.TraceState != parentState {
			t.Errorf("%s: the span has the state %q", name, sent.TraceState)
		}
	}
	if len(c.batches) > 0 {
		t.Errorf("traced although it is off: %v", c.next())
	}
}

func TestMalformedParents(t *testing.T) {
	s := start(t, "server { otel_trace_context extract; say $otel_parent_id; }")
	for _, header := range []string{
		"", "00", "01-" + parentTrace + "-" + parentSpan + "-01", "00-" + parentTrace + "-" + parentSpan + "-1",
		"00-" + strings.Repeat("0", 32) + "-" + parentSpan + "-01", "00-" + parentTrace + "-" + strings.Repeat("0", 16) + "-01",
		"00-" + strings.Repeat("x", 32) + "-" + parentSpan + "-01", "00-" + parentTrace + "-" + parentSpan + "-xx",
		"00_" + parentTrace + "-" + parentSpan + "-01", "00-" + parentTrace + "_" + parentSpan + "-01",
		"00-" + parentTrace + "-" + parentSpan + "_01", "00-" + parentTrace + "-" + parentSpan + "-01-more",
	} {
		if got := body(s.Get("/", "traceparent: "+header)); got != "" {
			t.Errorf("%q: the parent is %q", header, got)
		}
	}
	if got := body(s.Get("/", fromParent)); got != parentSpan {
		t.Errorf("got %q", got)
	}
}

func TestConditions(t *testing.T) {
	c := newCollector(t, nil)
	s := start(t, c.exporter()+`otel_trace $arg_t; server {
		location / { say ok; } location /inner { internal; otel_trace off; say ok; } location /to { error_page 404 /inner; } }`)
	for target, traced := range map[string]bool{
		"/?t=on": true, "/?t=1": true, "/?t=off": false, "/?t=yes": false, "/?t=ON": false, "/": false,
		"/to?t=on": true, // the location at the end of a redirect does not decide
	} {
		s.Get(target)
		s.Get("/last?t=on")
		first := attributesOf(c.one().Attributes)["http.target"]
		if traced {
			c.one()
		}
		if got := first == target; got != traced {
			t.Errorf("%s: traced %v, want %v", target, got, traced)
		}
	}
}

// inside is a family that answers with what a subrequest finds.
func inside() *web.Module {
	return &web.Module{Module: conf.Module{Name: "inside", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.PreContent, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				if r.Parent() != nil || string(r.Path) != "/outer" {
					return web.Declined
				}
				sub, err := r.Subrequest(web.Subrequest{Path: []byte("/inner"), KeepBytes: 1 << 10})
				if err != nil {
					return 500
				}
				sub.Run()
				return r.Respond(200, "text/plain", sub.Body())
			}, nil
		}}}}
}

func TestSubrequestsBelongToTheSpan(t *testing.T) {
	c := newCollector(t, nil)
	s := webtest.Start(t, append(slices.Clip(modules), inside()), c.exporter()+`
		otel_trace on; server { location /inner { say $otel_span_id; } location /outer { log_subrequest on; } }`)
	t.Cleanup(s.Plan.Retire)
	got := body(s.Get("/outer"))
	span := c.one()
	if id := hex.EncodeToString(span.SpanId); !strings.Contains(got, id) || span.Name != "/outer" {
		t.Errorf("the subrequest says %q, the span is %s of %s", got, id, span.Name)
	}
	s.Get("/inner")
	if span := c.one(); span.Name != "/inner" {
		t.Errorf("a span of %s: a subrequest has none of its own", span.Name)
	}
}

func TestBatches(t *testing.T) {
	c := newCollector(t, nil)
	s := start(t, "otel_exporter { endpoint http://"+c.address+"; batch_size 3; interval 1d; } otel_trace on; server { say ok; }")
	for range 7 {
		s.Get("/")
	}
	for range 2 {
		if b := c.next(); len(b.spans) != 3 {
			t.Errorf("%d spans in a batch, want 3", len(b.spans))
		}
	}
	if len(c.batches) > 0 {
		t.Error("a batch was sent before its time")
	}
	s.Plan.Quit(t.Context())
	if n := len(c.one().Attributes); n == 0 {
		t.Error("the last span is empty")
	}
	s.Get("/") // changes nothing any more
}

func TestTheIntervalSendsAnIncompleteBatch(t *testing.T) {
	c := newCollector(t, nil)
	s := start(t, "otel_exporter { endpoint "+c.address+"; interval 1ms; } otel_trace on; server { say ok; }")
	s.Get("/")
	c.one()
}

// TestASlowCollector: two batches of one span exist, and what does not fit is dropped without delay to requests.
func TestASlowCollector(t *testing.T) {
	c := newCollector(t, nil)
	c.block = make(chan struct{})
	s := start(t, "otel_exporter { endpoint "+c.address+"; batch_size 1; batch_count 2; } otel_trace on; server { say ok; }")
	for range 5 {
		s.Get("/")
	}
	s.AwaitLog("[notice] a span was dropped: the collector at " + c.address + " is too slow or cannot be reached")
	close(c.block)
	c.one()
	c.one()
	for _, line := range s.Log.Lines() {
		if strings.Contains(line, "dropped") {
			t.Errorf("a second line: %s", line)
		}
	}
}

func TestFailuresAreLoggedOnce(t *testing.T) {
	c := newCollector(t, nil)
	c.fail = errors.New("the disk is full")
	s := start(t, c.exporter()+"otel_trace on; server { say ok; }")
	for range 3 {
		s.Get("/")
	}
	s.AwaitLog("[error] exporting 1 span to the collector at " + c.address + " failed")
	s.Plan.Retire()
	for _, line := range s.Log.Lines() {
		if strings.Contains(line, "exporting") {
			t.Errorf("a second line: %s", line)
		}
	}
	if len(c.begun) == 0 {
		t.Error("the collector got nothing")
	}
}

func TestNobodyListens(t *testing.T) {
	s := start(t, "otel_exporter { endpoint "+testkit.FreeAddress(t)+"; batch_size 1; } otel_trace on; server { say ok; }")
	if got := body(s.Get("/")); got != "ok" {
		t.Errorf("got %q", got)
	}
	s.AwaitLog("connection refused")
}

func TestTheCollectorIsVerified(t *testing.T) {
	ca, err := certs.NewAuthority("ca")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Pair("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	c := newCollector(t, &tls.Config{Certificates: []tls.Certificate{pair}})
	trusted := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate().Raw}))
	block := "otel_exporter { endpoint https://" + c.address + "; batch_size 1; trusted_certificate ca.pem; } otel_trace on; server { say ok; }"
	start(t, block, webtest.File("/ca.pem", trusted)).Get("/")
	c.one()
	s := start(t, strings.Replace(block, "trusted_certificate ca.pem;", "", 1))
	s.Get("/")
	s.AwaitLog("certificate signed by unknown authority")
}

// TestTheEndDoesNotWaitLong: a collector that does not answer delays neither a reload nor a stop.
func TestTheEndDoesNotWaitLong(t *testing.T) {
	c := newCollector(t, nil)
	c.block = make(chan struct{})
	defer close(c.block)
	s := start(t, c.exporter()+"otel_trace on; server { say ok; }")
	s.Get("/")
	webtest.Receive(t, c.begun)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Plan.Quit(ctx)
}

func TestOffCostsNothing(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	without := webtest.Start(t, []*web.Module{&core.Module, webtest.Say()}, "server { say ok; }")
	with := start(t, "server { say ok; }")
	if slots, before := web.Side.Slots(with.Plan), web.Side.Slots(without.Plan); slots != before {
		t.Errorf("a request has %d slots, want %d", slots, before)
	}
	if got, want := with.Allocations(request), without.Allocations(request); got > want {
		t.Errorf("%v allocations, %v without the family", got, want)
	}
	if got := start(t, "otel_trace_context extract; server { say $otel_trace_id; }").Allocations(request); got > 0 {
		t.Errorf("%v allocations for the context of a request", got)
	}
	stacks := make([]byte, 1<<20)
	if stacks = stacks[:runtime.Stack(stacks, true)]; strings.Contains(string(stacks), "otel.(*exporter)") {
		t.Errorf("something runs:\n%s", stacks)
	}
}

func TestMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		"otel_trace on;": `"otel_exporter" block is missing`,
		"server { location / { otel_trace off; } }":        `"otel_exporter" block is missing`,
		"otel_exporter { }":                                `"otel_exporter" requires "endpoint"`,
		"otel_exporter { endpoint http://; }":              `"otel_exporter" requires "endpoint"`,
		"otel_exporter { endpoint a; } otel_exporter { }":  `"otel_exporter" directive is duplicate`,
		"otel_exporter { endpoint; }":                      `invalid number of arguments in "endpoint" directive of "otel_exporter"`,
		"otel_exporter { header x; }":                      `invalid number of arguments in "header" directive of "otel_exporter"`,
		"otel_exporter { endpoint a; endpoint b; }":        `"endpoint" directive of "otel_exporter" is duplicate`,
		"otel_exporter { nonsense 1; }":                    `unknown directive "nonsense" in "otel_exporter"`,
		"otel_exporter { interval 1x; }":                   `"interval" directive of "otel_exporter" has an invalid value`,
		"otel_exporter { interval 0; }":                    `"interval" directive of "otel_exporter" has an invalid value`,
		"otel_exporter { batch_size 0; }":                  `"batch_size" directive of "otel_exporter" has an invalid value`,
		"otel_exporter { batch_count 70000; }":             `"batch_count" directive of "otel_exporter" has an invalid value`,
		"otel_exporter { header a:b c; }":                  `"header" directive of "otel_exporter" has invalid header name`,
		"otel_exporter { header grpc-x c; }":               `"header" directive of "otel_exporter" has invalid header name`,
		"otel_exporter { header a \"\xff\"; }":             `"header" directive of "otel_exporter" has invalid header value`,
		"otel_exporter { trusted_certificate none.pem; }":  `"trusted_certificate" directive of "otel_exporter" cannot be read: open() "/none.pem" failed (2: No such file or directory)`,
		"otel_exporter { trusted_certificate test.conf; }": `"trusted_certificate" directive of "otel_exporter" has no certificate in "/test.conf"`,
		"otel_trace_context both;":                         `invalid value "both"`,
	} {
		_, err := webtest.Load(t, modules, "\n"+text+"\nserver { }")
		if err == nil || !strings.HasPrefix(err.Error(), problem) || !strings.Contains(err.Error(), "/test.conf:2") {
			t.Errorf("%s\n got %v\nwant %s in /test.conf:2", text, err, problem)
		}
	}
}
