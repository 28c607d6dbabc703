package web

import (
	"starling/nginx/httptime"
	"starling/web/h1"
)

// Conditions says who applies the conditions of the client (If-Match and its like) to a response with status 200.
type Conditions uint8

const (
	// ConditionsApply leaves them to SendHead.
	ConditionsApply Conditions = iota
	// ConditionsApplied means that the handler has applied them. A filter does so again if it makes another status 200.
	ConditionsApplied
	// ConditionsPassed means that they were passed on to a server, which has answered (nginx: disable_not_modified).
	ConditionsPassed
)

// Validators are what conditions are compared with.
type Validators struct {
	ETag     []byte // nil: there is none
	Modified int64  // Last-Modified, in seconds since 1970; NotDated without a valid one
}

// NotDated is the time of a response without a valid Last-Modified, as in nginx.
const NotDated = -1

// conditions are the headers of a request that make it conditional.
var conditions = h1.SetOf(h1.HeaderIfModifiedSince, h1.HeaderIfUnmodifiedSince, h1.HeaderIfNoneMatch,
	h1.HeaderIfMatch)

// Conditional reports whether the request has conditions. Those of the client are not about what a subrequest asks for.
func (r *Request) Conditional() bool { return r.Seen&conditions != 0 && r.parent == nil }

// Check evaluates the conditions of the client in nginx's order (ngx_http_not_modified_header_filter): 412, 304, or 0
// to send the response.
func (r *Request) Check(v Validators) int {
	if !r.Conditional() {
		return 0
	}
	if value := r.KnownHeader(h1.HeaderIfUnmodifiedSince); value != nil {
		since := timeOf(value)
		if v.Modified == NotDated || since < v.Modified {
			return 412
		}
	}
	if value := r.KnownHeader(h1.HeaderIfMatch); value != nil && !matchesTag(value, v.ETag, false) {
		return 412
	}
	since, tags := r.KnownHeader(h1.HeaderIfModifiedSince), r.KnownHeader(h1.HeaderIfNoneMatch)
	if since == nil && tags == nil || since != nil && r.modifiedSince(since, v.Modified) ||
		tags != nil && !matchesTag(tags, v.ETag, true) {
		return 0
	}
	return 304
}

// CheckHead applies the conditions to a response whose head is complete: it makes a head with 304 of it, or returns 412
// for the caller to answer with.
func (r *Request) CheckHead() int {
	out := &r.Out
	if out.Status != 200 || !r.Conditional() {
		return 0
	}
	v := Validators{Modified: NotDated}
	v.ETag, _ = out.Headers.Get(h1.HeaderETag)
	if text := r.LastModified(); len(text) > 0 {
		v.Modified = timeOf(text)
	}
	status := r.Check(v)
	if status == 304 {
		out.Status, out.Reason, out.ContentType, out.ContentLength, out.Ranges = 304, nil, nil, -1, NoRanges
		r.RemoveHeader(h1.HeaderContentEncoding)
		r.RemoveHeader(h1.HeaderAcceptRanges)
	}
	return status
}

// LastModified is the Last-Modified of the response, as a handler has set it or a server has sent it.
func (r *Request) LastModified() []byte {
	if len(r.Out.LastModified) > 0 {
		return r.Out.LastModified
	}
	sent, _ := r.Out.Headers.Get(h1.HeaderLastModified)
	return sent
}

// timeOf reads a time; one that is invalid is before all others.
func timeOf(text []byte) int64 {
	if seconds, ok := httptime.Parse(text); ok {
		return seconds
	}
	return NotDated
}

func (r *Request) modifiedSince(value []byte, modified int64) bool {
	how := r.Location.Core.IfModifiedSince
	if how == ModifiedOff || modified == NotDated {
		return true
	}
	since := timeOf(value)
	return since != modified && (how == ModifiedExact || since < modified)
}

// matchesTag reports whether a list of entity tags has the response's (ngx_http_test_if_match). The weak comparison
// ignores one W/ on both sides.
func matchesTag(list, etag []byte, weak bool) bool {
	if string(list) == "*" {
		return true
	}
	if etag == nil {
		return false
	}
	if weak {
		etag = withoutWeak(etag)
	}
	for len(list) > 0 {
		if weak {
			list = withoutWeak(list)
		}
		if len(etag) > len(list) {
			return false
		}
		if string(list[:len(etag)]) == string(etag) {
			rest := list[len(etag):]
			for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
				rest = rest[1:]
			}
			if len(rest) == 0 || rest[0] == ',' {
				return true
			}
			list = rest
		}
		for len(list) > 0 && list[0] != ',' {
			list = list[1:]
		}
		for len(list) > 0 && (list[0] == ',' || list[0] == ' ' || list[0] == '\t') {
			list = list[1:]
		}
	}
	return false
}

func withoutWeak(tag []byte) []byte {
	if len(tag) > 2 && tag[0] == 'W' && tag[1] == '/' {
		return tag[2:]
	}
	return tag
}
