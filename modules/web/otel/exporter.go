package otel

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/credentials"

	"starling/lib/clock"
	"starling/lib/plural"
	"starling/logs"
	"starling/nginx/version"
	"starling/plan"
)

const (
	// exportTimeout is how long a collector may take for one batch.
	exportTimeout = 10 * time.Second
	// lastTimeout is how long the end of a configuration waits for the last batches.
	lastTimeout = time.Second
	// defaultService is what nginx's module calls a service without a name.
	defaultService = "unknown_service:nginx"
)

// run starts the exporter with the configuration, and ends it with the last request.
func (c *tracing) run(p *plan.Plan) {
	p.OnStart(func(ctx context.Context) (err error) {
		c.spans, err = start(ctx, c, p)
		return err
	})
	p.OnQuit(func(ctx context.Context) { c.spans.close(ctx) })
	p.OnRetire(func() {
		if c.spans != nil { // the start can have failed before
			ctx, cancel := context.WithTimeout(context.Background(), lastTimeout)
			defer cancel()
			c.spans.close(ctx)
		}
	})
}

// exporter sends spans in batches, one batch after the other. At most batch_count batches exist: one that fills, the
// others wait or are being sent. It is the processor of the SDK's tracer.
type exporter struct {
	endpoint string
	log      logs.Logger
	clock    *clock.Clock
	tracer   trace.Tracer
	client   *otlptrace.Exporter

	mu      sync.Mutex
	closed  bool
	filling batch // nil: the next span takes a free one
	free    chan batch
	full    chan batch
	ended   chan struct{} // closed once the last batch was sent
	stop    context.CancelFunc
	spans   int // of a batch

	dropped, failed logs.Repeats
}

type batch []sdktrace.ReadOnlySpan

func start(ctx context.Context, c *tracing, p *plan.Plan) (*exporter, error) {
	s := c.exporter
	options := []otlptracegrpc.Option{
		otlptracegrpc.WithEndpoint(s.endpoint), otlptracegrpc.WithHeaders(s.headers),
		otlptracegrpc.WithTimeout(exportTimeout),
		// A batch that is sent again would keep its place from new ones.
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}),
	}
	if s.tls == nil {
		options = append(options, otlptracegrpc.WithInsecure())
	} else {
		options = append(options, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(s.tls)))
	}
	client, err := otlptracegrpc.New(ctx, options...)
	if err != nil {
		return nil, err
	}
	x := &exporter{
		endpoint: s.endpoint, log: p.Log, clock: p.Clock, client: client, spans: s.batchSpans,
		free: make(chan batch, s.batches), full: make(chan batch, s.batches), ended: make(chan struct{}),
	}
	for range s.batches {
		x.free <- batch{}
	}
	x.tracer = sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(x), sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithResource(c.resourceOf()), sdktrace.WithRawSpanLimits(noLimits),
	).Tracer("nginx", trace.WithInstrumentationVersion(version.Nginx))
	sending, stop := context.WithCancel(context.Background())
	x.stop = stop
	go x.send(sending, s.interval)
	return x, nil
}

// noLimits: a span has the attributes of the configuration.
var noLimits = sdktrace.SpanLimits{
	AttributeValueLengthLimit: -1, AttributeCountLimit: -1, EventCountLimit: -1, LinkCountLimit: -1,
	AttributePerEventCountLimit: -1, AttributePerLinkCountLimit: -1,
}

// resourceOf describes the service.
func (c *tracing) resourceOf() *resource.Resource {
	attributes := []attribute.KeyValue{attribute.String("service.name", defaultService)}
	for _, a := range c.resource {
		attributes = append(attributes, attribute.String(a[0], a[1]))
	}
	if c.service != "" {
		attributes = append(attributes, attribute.String("service.name", c.service))
	}
	return resource.NewSchemaless(attributes...) // the last of a name counts
}

// ids gives a span the identifiers of its context.
type ids struct{}

type contextKey struct{}

func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	c := ctx.Value(contextKey{}).(traceContext)
	return c.traceID(), c.spanID()
}

func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	return ctx.Value(contextKey{}).(traceContext).spanID()
}

// record makes a span of the SDK, which ends up in OnEnd.
func (x *exporter) record(c traceContext, s *span) {
	ctx := context.WithValue(context.Background(), contextKey{}, c)
	if c.has(hasParent) {
		parent := trace.SpanContextConfig{TraceID: c.traceID(), SpanID: c.parentID(), Remote: true}
		if state, err := trace.ParseTraceState(string(c.state())); err == nil {
			parent.TraceState = state // one that is malformed is only passed on
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(parent))
	}
	_, recorded := x.tracer.Start(ctx, s.name, trace.WithTimestamp(s.start), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(s.attributes...))
	if s.failed {
		recorded.SetStatus(codes.Error, "")
	}
	recorded.End(trace.WithTimestamp(s.end))
}

// OnEnd adds a span to the batch that fills, or drops it if all batches wait for the collector.
func (x *exporter) OnEnd(s sdktrace.ReadOnlySpan) {
	if x.add(s) {
		return
	}
	if note, write := x.dropped.Next(x.clock.Now().MonoMS); write {
		x.log.Logf(logs.Notice, "a span was dropped: the collector at %s is too slow or cannot be reached, and "+
			"batch_count batches wait for it%s", x.endpoint, note)
	}
}

func (x *exporter) add(s sdktrace.ReadOnlySpan) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return false
	}
	if x.filling == nil {
		select {
		case x.filling = <-x.free:
		default:
			return false
		}
	}
	if x.filling = append(x.filling, s); len(x.filling) == x.spans {
		x.flush()
	}
	return true
}

// flush hands the batch that fills to send. Must be called with the lock held.
func (x *exporter) flush() {
	if len(x.filling) > 0 {
		x.full <- x.filling // has room for all batches
		x.filling = nil
	}
}

// send sends batches that are full, and what there is after each interval.
func (x *exporter) send(ctx context.Context, interval time.Duration) {
	defer close(x.ended)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case b, more := <-x.full:
			if !more {
				return
			}
			x.export(ctx, b)
			clear(b)
			x.free <- b[:0]
		case <-ticker.C:
			x.mu.Lock()
			if !x.closed {
				x.flush()
			}
			x.mu.Unlock()
		}
	}
}

func (x *exporter) export(ctx context.Context, b batch) {
	err := x.client.ExportSpans(ctx, b)
	if err == nil {
		return
	}
	if note, write := x.failed.Next(x.clock.Now().MonoMS); write {
		x.log.Logf(logs.Error, "exporting %s to the collector at %s failed: %v%s", plural.Of(len(b), "span", "spans"),
			x.endpoint, err, note)
	}
}

// close sends what is left, until the context ends.
func (x *exporter) close(ctx context.Context) {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return
	}
	x.flush()
	x.closed = true
	close(x.full)
	x.mu.Unlock()
	select {
	case <-x.ended:
	case <-ctx.Done():
	}
	x.stop()
	<-x.ended
	if err := x.client.Shutdown(context.Background()); err != nil {
		x.log.Logf(logs.Error, "closing the connection to the collector at %s failed: %v", x.endpoint, err)
	}
}

// OnStart, Shutdown and ForceFlush belong to the SDK's interface of processors.
func (x *exporter) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// Shutdown is not called by the SDK: close ends the exporter.
func (x *exporter) Shutdown(context.Context) error { return nil }

// ForceFlush is not called by the SDK.
func (x *exporter) ForceFlush(context.Context) error { return nil }
