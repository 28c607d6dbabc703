// Package otel is ngx_otel_module: it records a span for each request that is traced, sends the spans to an
// OpenTelemetry collector, and passes the trace context on in W3C's headers.
//
// The spans are made and sent by the official SDK. Without otel_exporter nothing of it runs.
package otel

import (
	"starling/conf"
	"starling/plan"
	"starling/side"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "otel",
		Doc:   "Traces requests with OpenTelemetry.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "otel_exporter", In: conf.HTTP, Opens: conf.Lines,
				Doc: "Sets the collector: `endpoint [(http|https)://]HOST:PORT` speaks OTLP/gRPC; " +
					"`trusted_certificate FILE` verifies it (the system's authorities by default); " +
					"`header NAME VALUE` is sent with each batch; `interval TIME` (5s) is the longest time between " +
					"two batches, `batch_size NUMBER` (512) the spans of one, and `batch_count NUMBER` (4) how many " +
					"can be waiting, filled and sent; further spans are dropped.",
				Set: conf.Raw(setExporter),
			}, {
				Name: "otel_service_name", Syntax: "<name>", In: conf.HTTP, DefaultDoc: "unknown_service:nginx",
				Doc: "Sets the attribute `service.name` of the resource.",
				Set: conf.Raw(func(_ *Settings, a *conf.Args) error {
					c := of(side.PlanOf(a))
					c.service = a.Words[0]
					return nil
				}),
			}, {
				Name: "otel_resource_attr", Syntax: "<name> <value>", In: conf.HTTP, Repeat: true,
				Doc: "Sets an attribute of the resource.",
				Set: conf.Raw(func(_ *Settings, a *conf.Args) error {
					c := of(side.PlanOf(a))
					c.resource = append(c.resource, [2]string{a.Words[0], a.Words[1]})
					return nil
				}),
			}, {
				Name: "otel_trace", Syntax: "<condition>", In: places, DefaultDoc: "off",
				Doc: "Traces a request if the value, which can contain variables, is `on` or `1`. The location " +
					"where the request begins decides.",
				Set: conf.Raw(setTrace),
			}, {
				Name: "otel_trace_context", Syntax: "extract | inject | propagate | ignore", Default: "ignore",
				In: places,
				Doc: "Takes the trace context from the headers `traceparent` and `tracestate` of a request " +
					"(`extract`), replaces these headers by those of the request's own span (`inject`), or both " +
					"(`propagate`).",
				Set: conf.Field(func(s *Settings) *propagation { return &s.context }, conf.OneOf(propagations)),
			}, {
				Name: "otel_span_name", Syntax: "<name>", In: places, DefaultDoc: "the name of the location",
				Doc: "Sets the name of the span; it can contain variables.",
				Set: conf.Whole(func(s *Settings) **vars.Template[*web.Request] { return &s.name }, compile(0)),
			}, {
				Name: "otel_span_attr", Syntax: "<name> <value>", In: places, Repeat: true,
				Doc: "Adds an attribute to the span. The value can contain variables. Those named " +
					"`http.request.header.…` and `http.response.header.…` become lists of one value.",
				Set: conf.List(func(s *Settings) *[]spanAttribute { return &s.attributes }, readAttribute),
			},
		},
	},
	Variables: variables(),
	Handlers:  []web.Hook{{Phase: web.Rewrite, Build: buildStart}, {Phase: web.Log, Build: buildEnd}},
	Link:      link,
}

// propagation are the bits of otel_trace_context.
type propagation uint8

const (
	extract propagation = 1 << iota
	inject
)

var propagations = map[string]propagation{
	"ignore": 0, "extract": extract, "inject": inject, "propagate": extract | inject,
}

// Settings of one block.
type Settings struct {
	trace      *vars.Template[*web.Request] // nil: off
	context    propagation
	name       *vars.Template[*web.Request] // nil: the location's
	attributes []spanAttribute
}

// spanAttribute is one otel_span_attr.
type spanAttribute struct {
	name  string
	value *vars.Template[*web.Request]
}

func compile(word int) func(a *conf.Args) (*vars.Template[*web.Request], error) {
	return func(a *conf.Args) (*vars.Template[*web.Request], error) {
		t, err := web.Side.Compile(a, a.Words[word])
		return &t, err
	}
}

func readAttribute(a *conf.Args) (spanAttribute, error) {
	value, err := compile(1)(a)
	return spanAttribute{a.Words[0], value}, err
}

func setTrace(s *Settings, a *conf.Args) (err error) {
	if c := of(side.PlanOf(a)); c.traced == nil {
		c.traced = a.Node
	}
	s.trace, err = compile(0)(a)
	return err
}

// tracing is the state of a configuration.
type tracing struct {
	exporter *exporterSettings // nil without otel_exporter
	service  string
	resource [][2]string // names and values
	traced   *conf.Node  // the first otel_trace
	slot     int         // of the requests' contexts, if any has one
	spans    *exporter   // while it runs
}

// of is the state while the configuration is bound and built, in is that while it serves.
func of(p *plan.Plan) *tracing { return plan.Part[tracing](p) }

func in(r *web.Request) *tracing { return plan.Find[tracing](r.Plan()) }

// contextSlot marks the slot of contexts.
type contextSlot struct{}

func link(p *plan.Plan) error {
	c := of(p)
	if c.exporter == nil {
		if c.traced != nil {
			return conf.At(c.traced, "\"otel_exporter\" block is missing")
		}
	} else {
		c.run(p)
	}
	for _, v := range variables() {
		if web.Side.Variables(p).Uses(v.Name) {
			c.reserve(p)
		}
	}
	return nil
}

// reserve makes room for the context in each request. A configuration that has no use for it has none.
func (c *tracing) reserve(p *plan.Plan) { c.slot = side.SlotOf[contextSlot](&web.Side, p) }
