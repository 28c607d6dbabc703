package web

import (
	"slices"
	"strings"

	"starling/logs"
	"starling/nginx/escape"
	"starling/web/h1"
)

// step is where the phases start, or restart after an internal redirect.
type step int

const (
	fromPostRead step = iota
	fromServerRewrite
	fromLocation
	fromRewrite
	fromContent
)

// maxURIChanges bounds redirects inside one request, as in nginx.
const maxURIChanges = 10

// runWith continues from a result until the response was sent or the connection is abandoned.
func (r *Request) runWith(result Result) {
	for {
		switch {
		case result == Redirected:
			result = r.process(r.resume)
		case r.replacement != 0:
			status := r.replacement
			r.replacement = 0
			result = r.answer(status)
		case result >= 100:
			result = r.answer(int(result))
		case r.unreadFault != nil:
			result = r.answerFault()
		default:
			return
		}
	}
}

// process runs the phases from a step on, and returns the result that ended them.
func (r *Request) process(at step) Result {
	if at == fromPostRead {
		if result := r.readEarly(); result != Declined {
			return result
		}
		if result := r.handle(r.Server.phases[PostRead]); result != Declined {
			return result
		}
		at = fromServerRewrite
	}
	if at == fromServerRewrite {
		r.leave()
		r.Location, r.Displaced = r.Server.base, false
		if result := r.handle(r.Server.phases[ServerRewrite]); result != Declined {
			return result
		}
		at = fromLocation
	}
	if at == fromLocation {
		if result := r.locate(); result != Declined {
			return result
		}
	}
	if at == fromContent {
		return r.content()
	}
	// Each phase reads the location again: a handler may have switched it (if).
	if result := r.handle(r.Location.phases[Rewrite]); result != Declined {
		return result
	}
	if result := r.handle(r.Location.phases[PreAccess]); result != Declined {
		return result
	}
	if r.parent == nil { // what a request may access, its subrequests may too
		if result := r.access(); result != Declined {
			return result
		}
	}
	if result := r.handle(r.Location.phases[PreContent]); result != Declined {
		return result
	}
	return r.content()
}

// content asks the families for the response.
func (r *Request) content() Result {
	if r.orphaned {
		r.Logf(logs.Error,
			"an earlier matching \"if\" set a content handler, but the last matching \"if\" (in %s:%d) did not "+
				"inherit it", r.Location.Scope.Node.File, r.Location.Scope.Node.Line)
		return 500
	}
	for _, h := range r.Location.phases[Content] {
		if result := h(r); result != Declined {
			return result
		}
	}
	return r.noContent()
}

// handle runs the handlers of a phase; OK counts as Declined.
func (r *Request) handle(handlers []Handler) Result {
	for _, h := range handlers {
		if result := h(r); result != Declined && result != OK {
			return result
		}
	}
	if r.GaveUp {
		r.GaveUp = false
		return 500
	}
	return Declined
}

// noContent is nginx's response if no handler makes content for the URI.
func (r *Request) noContent() Result {
	if n := len(r.Path); n > 0 && r.Path[n-1] == '/' {
		if r.LogEnabled(logs.Error) {
			r.Logf(logs.Error, "directory index of \"%s\" is forbidden", r.Filename())
		}
		return 403
	}
	return 404
}

// locate finds the location, and checks its rules for the whole request.
func (r *Request) locate() Result {
	r.leave()
	r.Location, r.BehindAlias, r.orphaned = r.Server.base, false, false
	_, redirect := r.Server.tree.search(r)
	if r.GaveUp {
		r.GaveUp = false
		return 500
	}
	if redirect != nil {
		return r.addSlash(redirect)
	}
	if e := r.Location.limitExcept; e != nil && !slices.Contains(e.Core.AllowedMethods, string(r.Method)) {
		r.Location = e
	}
	core := r.Location.Core
	if core.Internal && !r.Internal {
		return 404
	}
	r.limited = !r.Location.LimitsBody
	if r.limited {
		return r.limitBody()
	}
	return Declined
}

// limitBody applies client_max_body_size to a body as far as its size is known.
func (r *Request) limitBody() Result {
	size, limit := r.requestBytes(), r.Location.Core.MaxBodyBytes
	if limit <= 0 || size <= limit {
		return Declined
	}
	r.Logf(logs.Error, "client intended to send too large body: %d bytes", size)
	if !r.bodyLent && !r.bodyAsked {
		r.refuseBody()
	}
	return 413
}

// readEarly reads the body before everything else if the server says so (client_body_early_read).
func (r *Request) readEarly() Result {
	conditions := r.Server.base.Core.EarlyBody
	if len(conditions) == 0 || r.parent != nil || !r.HasBody() || !r.AnyTrue(conditions) {
		return Declined
	}
	if result := r.limitBody(); result != Declined {
		return result
	}
	if err := r.KeepBody(true); err != nil {
		return r.ErrorStatus(err)
	}
	return Declined
}

// requestBytes is the size of the body that client_max_body_size limits, as far as it is known: the declared one, or
// what has been read. A body that was read still counts after an error page or an X-Accel-Redirect, as in nginx; one
// that was discarded, or that a subrequest has from its parent, does not.
func (r *Request) requestBytes() int64 {
	switch {
	case r.parent != nil:
		return 0
	case r.bodyLent:
		return r.ContentLength // the goroutine that reads the body counts
	case r.refused, r.bodyRead > 0 && !r.bodyAsked:
		return 0
	}
	return max(r.ContentLength, r.bodyRead)
}

// addSlash redirects the client from /x to /x/.
func (r *Request) addSlash(l *Location) Result {
	r.Location = l
	to := escape.Append(r.Scratch(), []byte(l.Name), escape.Path)
	if len(r.Query) > 0 {
		to = append(append(to, '?'), r.Query...)
	}
	r.Out.Location = r.KeepScratch(to)
	return 301
}

// access applies satisfy. With any, the first handler that grants access ends the phase, and a rejection applies only
// if none does; 401 is preferred so that the client can try again with a password.
func (r *Request) access() Result {
	refusal := Declined
	for _, h := range r.Location.phases[Access] {
		result := h(r)
		switch {
		case result == Declined:
		case result == OK:
			if r.Location.Core.SatisfyAny {
				r.RemoveHeader(h1.HeaderWWWAuthenticate)
				return Declined
			}
		case r.Location.Core.SatisfyAny && (result == 401 || result == 403):
			if refusal != 401 {
				refusal = result
			}
		case result == 401:
			return r.delayRefusal()
		default:
			return result
		}
	}
	if refusal == 401 {
		return r.delayRefusal()
	}
	if refusal == 403 {
		r.Logf(logs.Error, "access forbidden by rule")
	}
	return refusal
}

// delayRefusal applies auth_delay (ngx_http_core_auth_delay).
func (r *Request) delayRefusal() Result {
	delay := r.Location.Core.AuthDelay
	if delay == 0 {
		return 401
	}
	r.Logf(logs.Info, "delaying unauthorized request")
	if !r.Delay(delay) {
		return statusClientClosed
	}
	return 401
}

// InternalRedirect continues with another URI as if the client had sent it; it returns Redirected, or 500 after the
// tenth time.
func (r *Request) InternalRedirect(path, query []byte) Result {
	if r.uriChanges--; r.uriChanges < 0 {
		r.Logf(logs.Error, "rewrite or internal redirection cycle while internally redirecting to \"%s\"", path)
		return 500
	}
	r.Path, r.Query = path, query
	r.Internal, r.resume = true, fromServerRewrite
	return Redirected
}

// Relocate finds the location of another URI (rewrite … last): unlike after InternalRedirect, the server's own rewrites
// do not run again. It returns Redirected, or 500 after the tenth redirect of either kind.
func (r *Request) Relocate(path, query []byte) Result {
	if r.uriChanges--; r.uriChanges < 0 {
		r.Logf(logs.Error, "rewrite or internal redirection cycle while processing \"%s\"", path)
		return 500
	}
	r.Path, r.Query = path, query
	r.resume = fromLocation
	return Redirected
}

// NamedRedirect continues in the location @name (with or without the @), with the URI unchanged.
func (r *Request) NamedRedirect(name string) Result {
	if r.uriChanges--; r.uriChanges < 0 {
		r.Logf(logs.Error, "rewrite or internal redirection cycle while redirect to named location \"%s\"", name)
		return 500
	}
	if len(r.Path) == 0 {
		r.Logf(logs.Error, "empty URI in redirect to named location \"%s\"", name)
		return 500
	}
	l := r.Server.named(name)
	if l == nil {
		r.Logf(logs.Error, "could not find named location \"%s\"", name)
		return 500
	}
	r.leave()
	r.Location, r.Internal, r.resume, r.orphaned = l, true, fromRewrite, false
	return Redirected
}

// named finds the location @name.
func (s *Server) named(name string) *Location { return s.tree.named[strings.TrimPrefix(name, "@")] }

// SwitchTo makes a compiled block the request's location; its handlers apply from the next phase on. In nginx, a
// content handler stays until another block sets one, though with the settings of the last block: a proxy_pass would
// have no destination there.
func (r *Request) SwitchTo(l *Location) {
	r.orphaned = (r.orphaned || r.Location.answers != "") && l.answers == ""
	r.leave()
	r.Location = l
}

// leave is called before the request gets another location: one that closes connections has closed this one, whatever
// the next says, as in nginx.
func (r *Request) leave() {
	if r.keep && r.Location != r.Server.base && !r.mayKeep() {
		r.keep = false
	}
}
