package otel

import (
	"strings"
	"time"

	otelattribute "go.opentelemetry.io/otel/attribute"

	"starling/conf"
	"starling/web"
)

// buildStart decides about tracing where a request finds its location, before its rewrites, as nginx's module does.
func buildStart(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.trace == nil && s.context == 0 {
		return nil, nil
	}
	of(b.Plan).reserve(b.Plan)
	return s.begin, nil
}

func (s *Settings) begin(r *web.Request) web.Result {
	if r.Internal { // an internal redirect does not overrule the decision
		return web.Declined
	}
	trace := false
	if s.trace != nil {
		value := string(r.Expand(s.trace))
		trace = value == "on" || value == "1"
	}
	if s.context == 0 && !trace {
		return web.Declined
	}
	c := ensure(r, s).decided(r, trace)
	if s.context&inject != 0 {
		c.injectInto(r)
	}
	return web.Declined
}

// buildEnd records the span with the settings of the location that answered.
func buildEnd(b *web.Block) (web.Handler, error) {
	c := of(b.Plan)
	if c.exporter == nil || c.traced == nil {
		return nil, nil
	}
	s := conf.SettingsOf[Settings](b.Scope)
	c.reserve(b.Plan)
	return func(r *web.Request) web.Result {
		if found := contextOf(r); found != nil && found.has(sampled) && r.Parent() == nil {
			c.spans.record(found, s.spanOf(r))
		}
		return web.Declined
	}, nil
}

// span is what is recorded of a request.
type span struct {
	name       string
	start, end time.Time
	failed     bool
	attributes []otelattribute.KeyValue
}

// defaultAttributes is how many spanOf adds by itself.
const defaultAttributes = 14

// spanOf has the attributes of nginx's module, which follow the semantic conventions of OpenTelemetry 1.16.
func (s *Settings) spanOf(r *web.Request) *span {
	location := text([]byte(r.Location.Name))
	x := &span{
		name: location, start: time.UnixMilli(r.StartedAt.WallMS), end: time.UnixMilli(r.Now().WallMS),
		attributes: make([]otelattribute.KeyValue, 0, defaultAttributes+len(s.attributes)),
	}
	if s.name != nil {
		x.name = text(r.Expand(s.name))
	}
	x.addRequest(r, location)
	x.add("http.response_content_length", r.BodyBytesSent())
	if status := r.Status(); status != 0 {
		x.add("http.status_code", int64(status))
		x.failed = status >= 500
	}
	x.addConnection(r)
	for _, a := range s.attributes {
		value := text(r.Expand(a.value))
		if strings.HasPrefix(a.name, "http.request.header.") || strings.HasPrefix(a.name, "http.response.header.") {
			x.attributes = append(x.attributes, otelattribute.StringSlice(a.name, []string{value}))
		} else {
			x.addText(a.name, value)
		}
	}
	return x
}

func (x *span) addRequest(r *web.Request, location string) {
	x.addText("http.method", text(r.Method))
	x.addText("http.target", text(r.Target))
	if location != "" {
		x.addText("http.route", location)
	}
	if r.Conn.TLS != nil {
		x.addText("http.scheme", "https")
	} else {
		x.addText("http.scheme", "http")
	}
	if number, found := strings.CutPrefix(string(r.Proto), "HTTP/"); found {
		x.addText("http.flavor", text([]byte(number)))
	}
	if agent, sent := r.Header("user-agent"); sent {
		x.addText("http.user_agent", text(agent))
	}
	x.add("http.request_content_length", max(r.ContentLength, 0))
}

func (x *span) addConnection(r *web.Request) {
	name := r.Server.Name
	if name == "" {
		name = string(r.Host)
	}
	x.addText("net.host.name", text([]byte(name)))
	usual := uint16(80)
	if r.Conn.TLS != nil {
		usual = 443
	}
	if port := r.Conn.Local.Port(); port != usual && port != 0 {
		x.add("net.host.port", int64(port))
	}
	if r.Remote.IsValid() {
		x.addText("net.sock.peer.addr", r.Remote.Addr().String())
	} else {
		x.addText("net.sock.peer.addr", "unix:")
	}
	x.add("net.sock.peer.port", int64(r.Remote.Port()))
}

func (x *span) add(name string, value int64) {
	x.attributes = append(x.attributes, otelattribute.Int64(name, value))
}

func (x *span) addText(name, value string) {
	x.attributes = append(x.attributes, otelattribute.String(name, value))
}

// text copies bytes of a client. Protocol Buffers refuse a whole batch for one text that is not UTF-8.
func text(b []byte) string { return strings.ToValidUTF8(string(b), "\ufffd") }
