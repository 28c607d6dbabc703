package web

import (
	"errors"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"starling/logs"
	"starling/web/h1"
)

// Bounds of what one client request can start.
const (
	// maxSubrequestDepth is nginx's (NGX_HTTP_MAX_SUBREQUESTS and one): a location that requests itself ends there.
	maxSubrequestDepth = 51
	// maxSubrequests bounds those of one client request, however they are nested: each holds the memory of a request
	// until the client's ends. Pages with hundreds of parts exceed it on purpose.
	maxSubrequests = 1000
)

// Subrequest describes a request to another location of the same server.
type Subrequest struct {
	Path, Query []byte // valid until the parent ends
	// SameMethod uses the method of the parent; otherwise it is GET.
	SameMethod bool
	// WithBody forwards the body that the parent has kept whole (KeepBody); otherwise there is none.
	WithBody bool
	// KeepBytes is the maximum kept of the response body, in the limits of subrequest_output_buffer_size; a larger one
	// fails. 0 drops the body.
	KeepBytes int64
	// Part makes the body a part of the client's response, sent as it arrives, after its own filters and before the
	// joint ones: at once if the last of the other filters calls Run between two pieces, or see Start and Prepend.
	Part bool
	// Clone continues in the parent's location with its content phase, as if the parent had come that far again. Path
	// and Query are the parent's.
	Clone bool
	// Bare makes an error that would be answered with a page, or by error_page, an empty response with its status.
	Bare bool
	// Continue is Clone with this handler instead of the content phase.
	Continue Handler
}

// Sub is a request whose wire is memory. It starts at the server's rewrites, skips access control, has its own
// variables that start with the values of the parent's, and is logged according to log_subrequest.
type Sub struct {
	request *Request
	at      step // where it starts
	memory  memoryWire
	done    chan struct{} // closed when it was answered and logged; nil before Start
	before  *Sub          // of the same kind, started before this one by the same parent: it is logged first
	resume  Handler       // of Subrequest.Continue
	breaks  bool          // it ends the response to the client, too
}

// family is the state shared by all requests of one client request.
type family struct{ members atomic.Int32 }

var (
	errTooDeep = errors.New("subrequests cycle")
	errTooMany = errors.New("too many subrequests")
)

// Parent is the request that started a subrequest, nil for a client's.
func (r *Request) Parent() *Request { return r.parent }

// Outermost is the client's request, which is r itself if it is no subrequest.
func (r *Request) Outermost() *Request {
	for r.parent != nil {
		r = r.parent
	}
	return r
}

// Subrequest makes a request inside this one. It fails if they are nested too deep or too many; the failure is logged,
// and the caller ends with 500.
func (r *Request) Subrequest(s Subrequest) (*Sub, error) {
	root := r.Outermost()
	switch {
	case r.depth >= maxSubrequestDepth:
		r.Logf(logs.Error, "subrequests cycle while processing \"%s\"", s.Path)
		return nil, errTooDeep
	case root.family.members.Add(1) > maxSubrequests:
		r.Logf(logs.Error, "more than %d subrequests while processing \"%s\"", maxSubrequests, s.Path)
		return nil, errTooMany
	}
	child := r.site.take(r.Conn)
	sub := &child.sub
	sub.request, sub.at, sub.resume = child, fromServerRewrite, s.Continue
	sub.memory.keepBytes, sub.memory.bare, sub.memory.turn = s.KeepBytes, s.Bare, r.sub.memory.turn
	if s.Part {
		sub.memory.partOf = root
	}
	child.wire, child.in, child.parent, child.depth = &sub.memory, r.in, r, r.depth+1
	child.inherit(r, s)
	if s.Clone || s.Continue != nil {
		child.clone(r)
	}
	r.subs = append(r.subs, sub)
	return sub, nil
}

// inherit copies from its parent to a subrequest.
func (r *Request) inherit(parent *Request, s Subrequest) {
	r.Line, r.Target, r.Proto, r.Version = parent.Line, parent.Target, parent.Proto, parent.Version
	r.Headers, r.Seen = slices.Clip(parent.Headers), parent.Seen
	r.Host, r.Port, r.Remote = parent.Host, parent.Port, parent.Remote
	r.Path, r.Query = s.Path, s.Query
	r.Method, r.MethodID = methodGet, h1.MethodGet
	if s.SameMethod {
		r.Method, r.MethodID = parent.Method, parent.MethodID
	}
	r.Internal, r.Server, r.Location = true, parent.Server, parent.Server.base
	r.ContentLength, r.announced = 0, parent.AnnouncedLength()
	if k := &parent.kept; s.WithBody && k.whole {
		r.kept = keptBody{memory: k.memory, file: k.file, whole: true, borrowed: true}
		r.ContentLength = k.bytes()
		r.bodyRead = r.ContentLength
	}
	r.id, r.hasID = parent.ID(), true
	r.fence = parent.fence
	r.State.Inherit(&parent.State)
}

// clone continues what inherit copied.
func (r *Request) clone(parent *Request) {
	r.Path, r.Query, r.Method, r.MethodID = parent.Path, parent.Query, parent.Method, parent.MethodID
	r.Location, r.Displaced, r.BehindAlias = parent.Location, parent.Displaced, parent.BehindAlias
	r.Captures.CopyFrom(&parent.Captures)
	r.sub.at = fromContent
}

// Dropped reports whether the body of the response goes nowhere: of a subrequest for its status, or of a mirror.
func (r *Request) Dropped() bool {
	m := &r.sub.memory
	return r.parent != nil && m.partOf == nil && m.keepBytes == 0
}

// breakParents ends the requests around a subrequest, as far as their goroutine is its own: one that was started tells
// its parent when that joins it.
func (r *Request) breakParents() {
	for ; r.parent != nil; r = r.parent {
		if r.sub.done != nil {
			r.sub.breaks = true
			return
		}
		r.parent.Break()
	}
}

// Request is the subrequest before it is served: a family can give it state.
func (s *Sub) Request() *Request { return s.request }

// Run serves the subrequest synchronously, but for what that starts: only the end of the client's request waits for
// it. The request it returns, and its variables, are valid until the parent ends.
func (s *Sub) Run() *Request {
	s.request.serveSub()
	return s.request
}

// Prepend runs a subrequest with Part before the body of its parent's response, Append after it. A filter calls them
// before the head is sent.
func (s *Sub) Prepend() {
	parent := s.request.parent
	parent.before = append(parent.before, s)
}

// Append is described at Prepend.
func (s *Sub) Append() {
	parent := s.request.parent
	parent.after = append(parent.after, s)
}

// Start serves the subrequest in parallel to its parent. The client's request ends no sooner, but a subrequest around
// it can. That of a Part returns when the part waits for something (Waits) or has ended; Join sends the part.
func (s *Sub) Start() {
	s.request.parent.prepareStart()
	s.memory.beside = true
	if s.memory.partOf != nil {
		s.memory.turn = newTurn(s.memory.partOf, s.memory.turn)
	}
	s.done = make(chan struct{})
	for _, other := range s.request.parent.subs {
		if other == s {
			break
		}
		// A part does not wait for others than parts: the response waits for it.
		if other.done != nil && (other.memory.partOf == nil) == (s.memory.partOf == nil) {
			s.before = other
		}
	}
	go func() {
		defer close(s.done)
		defer func() {
			if reason := recover(); reason != nil {
				s.request.panicked = true
				s.request.Conn.server.Log.Logf(logs.Alert, "%vpanic while serving a subrequest: %v %s",
					logs.Connection(s.request.Conn.Serial), reason, debug.Stack())
			}
		}()
		s.request.serveSub()
	}()
	if s.memory.partOf != nil {
		select {
		case <-s.memory.turn.waits:
		case <-s.done:
		}
	}
}

// running reports whether the subrequest, or one that it has started, was started and has not ended.
func (s *Sub) running() bool {
	if s.done != nil {
		select {
		case <-s.done:
		default:
			return true
		}
	}
	return s.request.subsRun()
}

// subsRun reports whether a subrequest goes on beside the request.
func (r *Request) subsRun() bool {
	return slices.ContainsFunc(r.subs, (*Sub).running)
}

// Wait waits for the response of a subrequest that was started, and returns it as Run does.
func (s *Sub) Wait() *Request {
	if s.done != nil {
		if s.memory.partOf != nil {
			s.memory.turn.lose() // unless Join came first
		}
		<-s.done
	}
	return s.request
}

// Release gives the memory and the server's connection of a subrequest back before its parent ends, for a parent that
// makes many one after another. It and its variables are not valid any more. It stays if it has started something that
// has not ended.
func (s *Sub) Release() {
	r := s.Wait()
	if s.running() {
		return
	}
	parent := r.parent
	parent.subs = slices.DeleteFunc(parent.subs, func(other *Sub) bool { return other == s })
	parent.Outermost().family.members.Add(-1)
	s.giveBack()
}

func (s *Sub) giveBack() {
	if cap(s.memory.body) > maxKeptAnswerBytes {
		s.memory.body = nil
	}
	s.request.site.give(s.request)
}

// Body is the buffered part of the response, valid until the parent ends.
func (s *Sub) Body() []byte { return s.memory.body }

// Failed reports whether the response is incomplete.
func (s *Sub) Failed() error { return s.request.failure }

func (r *Request) serveSub() {
	r.StartedAt = r.Now()
	if resume := r.sub.resume; resume != nil {
		r.runWith(resume(r))
	} else {
		r.runWith(r.process(r.sub.at))
	}
	r.finish()
	// What it has started goes on: nobody waits for that before the end of the client's request (joinSubs).
	if !r.Location.Core.LogSubrequest {
		return
	}
	if before := r.sub.before; before != nil {
		<-before.done
	}
	r.runLog()
}

// joinSubs waits for the subrequests and theirs: they read the head and the kept body of their parent.
func (r *Request) joinSubs() {
	for _, s := range r.subs {
		s.Wait().joinSubs()
	}
}

// giveSubs forgets the subrequests.
func (r *Request) giveSubs() {
	for i, s := range r.subs {
		r.subs[i] = nil
		s.Wait()
		s.giveBack()
	}
	r.subs = r.subs[:0]
}
