package otel_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"starling/web/webtest"
)

// batch is what a collector receives at once.
type batch struct {
	resource map[string]any
	scope    string
	spans    []*tracev1.Span
	headers  metadata.MD
}

// testCollector is a collector of OTLP/gRPC.
type testCollector struct {
	collector.UnimplementedTraceServiceServer
	t       testing.TB
	address string
	batches chan batch
	// block, if set, delays each answer until it can be received from.
	block chan struct{}
	begun chan struct{} // gets a value for each batch before block
	fail  error
}

// maxBatches is more than any test sends.
const maxBatches = 1000

func newCollector(t testing.TB, secure *tls.Config) *testCollector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var options []grpc.ServerOption
	if secure != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(secure)))
	}
	server := grpc.NewServer(options...)
	c := &testCollector{
		t: t, address: listener.Addr().String(), batches: make(chan batch, maxBatches), begun: make(chan struct{}, maxBatches),
	}
	collector.RegisterTraceServiceServer(server, c)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return c
}

func (c *testCollector) Export(
	ctx context.Context,
	request *collector.ExportTraceServiceRequest,
) (*collector.ExportTraceServiceResponse, error) {
	c.begun <- struct{}{}
	if c.block != nil {
		select {
		case <-c.block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if c.fail != nil {
		return nil, c.fail
	}
	headers, _ := metadata.FromIncomingContext(ctx)
	for _, of := range request.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			c.batches <- batch{attributesOf(of.Resource.Attributes), scope.Scope.Name, scope.Spans, headers}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func (c *testCollector) next() batch { return webtest.Receive(c.t, c.batches) }

// one waits for a batch of one span.
func (c *testCollector) one() *tracev1.Span {
	c.t.Helper()
	b := c.next()
	if len(b.spans) != 1 {
		c.t.Fatalf("%d spans in a batch, want 1", len(b.spans))
	}
	return b.spans[0]
}

// exporter is an otel_exporter that sends each span at once.
func (c *testCollector) exporter() string {
	return "otel_exporter { endpoint " + c.address + "; batch_size 1; }\n"
}

func attributesOf(pairs []*common.KeyValue) map[string]any {
	all := map[string]any{}
	for _, p := range pairs {
		switch v := p.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			all[p.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			all[p.Key] = v.IntValue
		case *common.AnyValue_ArrayValue:
			texts := []string{}
			for _, one := range v.ArrayValue.Values {
				texts = append(texts, one.GetStringValue())
			}
			all[p.Key] = texts
		default:
			all[p.Key] = fmt.Sprintf("%T", v)
		}
	}
	return all
}

// start starts a server that ends its exporter with the test.
func start(t testing.TB, text string, options ...webtest.Option) *webtest.Server {
	t.Helper()
	s := webtest.Start(t, modules, text, options...)
	t.Cleanup(s.Plan.Retire)
	return s
}
