package otel

import (
	"crypto/rand"
	"encoding/hex"

	"starling/conf"
	"starling/vars"
	"starling/web"
	"starling/web/h1"
)

// traceContext is the context of a request: identifiers and flags in the layout below, then the tracestate. It is the
// value of a slot, so that subrequests have it too. It is never changed in place: they may run at the same time.
type traceContext []byte

// The layout of a traceContext.
const (
	traceAt  = 0
	spanAt   = traceAt + 16
	parentAt = spanAt + 8
	flagsAt  = parentAt + 8
	stateAt  = flagsAt + 1
)

// The flags.
const (
	sampled byte = 1 << iota
	parentSampled
	hasParent
)

func (c traceContext) traceID() (id [16]byte) { return [16]byte(c[traceAt:spanAt]) }
func (c traceContext) spanID() (id [8]byte)   { return [8]byte(c[spanAt:parentAt]) }
func (c traceContext) parentID() (id [8]byte) { return [8]byte(c[parentAt:flagsAt]) }
func (c traceContext) has(flag byte) bool     { return c[flagsAt]&flag != 0 }
func (c traceContext) state() []byte          { return c[stateAt:] }

// contextOf returns the context of a request, nil if it has none.
func contextOf(r *web.Request) traceContext { return r.Slot(in(r).slot).Value }

// ensure returns the context of a request and makes it if there is none: a child of what the client sent, if the
// location extracts it.
func ensure(r *web.Request, s *Settings) traceContext {
	slot := in(r).slot
	if c := traceContext(r.Slot(slot).Value); c != nil {
		return c
	}
	var parent, state []byte
	if s.context&extract != 0 {
		parent, _ = r.Header("traceparent")
		state, _ = r.Header("tracestate")
	}
	c := traceContext(r.Alloc(stateAt + len(state)))
	clear(c[:stateAt])
	if parseParent(c, parent) {
		copy(c[stateAt:], state)
	} else {
		rand.Read(c[traceAt:spanAt]) // never fails: the runtime ends the process first
		c = c[:stateAt:stateAt]
	}
	rand.Read(c[spanAt:parentAt])
	r.SetSlot(slot, c)
	return c
}

// parentBytes is the length of a traceparent of version 00: "00-TRACE-SPAN-FLAGS".
const parentBytes = 2 + 1 + 32 + 1 + 16 + 1 + 2

// parseParent reads a traceparent into a context. As in nginx's module, only version 00 is known.
func parseParent(c traceContext, text []byte) bool {
	if len(text) != parentBytes || string(text[:3]) != "00-" || text[35] != '-' || text[52] != '-' {
		return false
	}
	var flags [1]byte
	var ids [24]byte
	for _, part := range []struct{ to, from []byte }{
		{ids[:16], text[3:35]}, {ids[16:], text[36:52]}, {flags[:], text[53:55]},
	} {
		if _, err := hex.Decode(part.to, part.from); err != nil {
			return false
		}
	}
	if [16]byte(ids[:16]) == [16]byte{} || [8]byte(ids[16:]) == [8]byte{} {
		return false
	}
	copy(c[traceAt:spanAt], ids[:16])
	copy(c[parentAt:flagsAt], ids[16:])
	c[flagsAt] = hasParent
	if flags[0]&1 != 0 {
		c[flagsAt] |= parentSampled
	}
	return true
}

// appendParent writes the traceparent of the request's own span.
func (c traceContext) appendParent(dst []byte) []byte {
	dst = hex.AppendEncode(append(dst, "00-"...), c[traceAt:spanAt])
	dst = hex.AppendEncode(append(dst, '-'), c[spanAt:parentAt])
	if c.has(sampled) {
		return append(dst, "-01"...)
	}
	return append(dst, "-00"...)
}

var (
	nameParent = []byte("traceparent")
	nameState  = []byte("tracestate")
)

// injectInto replaces the headers of the context.
func (c traceContext) injectInto(r *web.Request) {
	headers := make(h1.Headers, 0, len(r.Headers)+2) // the old ones belong to the connection
	for i := range r.Headers {
		if one := r.Headers[i : i+1]; one.Lookup("traceparent", 0) < 0 && one.Lookup("tracestate", 0) < 0 {
			headers = append(headers, one[0])
		}
	}
	headers = append(headers, h1.Header{Name: nameParent, Value: r.KeepScratch(c.appendParent(r.Scratch()))})
	if len(c.state()) > 0 {
		headers = append(headers, h1.Header{Name: nameState, Value: c.state()})
	}
	r.Headers = headers
}

func variables() []vars.Variable[*web.Request] {
	one := func(name, doc string, value func(c traceContext, dst []byte) ([]byte, bool)) vars.Variable[*web.Request] {
		return vars.Variable[*web.Request]{
			Name: name, Doc: doc,
			Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
				c := contextOf(r)
				if c == nil {
					c = ensure(r, conf.SettingsOf[Settings](r.Location.Scope))
				}
				return value(c, dst)
			},
		}
	}
	return []vars.Variable[*web.Request]{
		one("otel_trace_id", "The identifier of the trace of a request, 32 hexadecimal digits.",
			func(c traceContext, dst []byte) ([]byte, bool) { return hex.AppendEncode(dst, c[traceAt:spanAt]), true }),
		one("otel_span_id", "The identifier of the span of a request, 16 hexadecimal digits.",
			func(c traceContext, dst []byte) ([]byte, bool) {
				return hex.AppendEncode(dst, c[spanAt:parentAt]), true
			}),
		one("otel_parent_id", "The identifier of the parent span that the client sent.",
			func(c traceContext, dst []byte) ([]byte, bool) {
				if !c.has(hasParent) {
					return dst, false
				}
				return hex.AppendEncode(dst, c[parentAt:flagsAt]), true
			}),
		one("otel_parent_sampled", "`1` if the client's span is sampled, otherwise `0`.",
			func(c traceContext, dst []byte) ([]byte, bool) {
				if c.has(parentSampled) {
					return append(dst, '1'), true
				}
				return append(dst, '0'), true
			}),
	}
}

// decided returns the context with the decision whether the request is sampled.
func (c traceContext) decided(r *web.Request, isSampled bool) traceContext {
	if c.has(sampled) == isSampled {
		return c
	}
	c = r.Copy(c)
	c[flagsAt] ^= sampled
	r.SetSlot(in(r).slot, c)
	return c
}
