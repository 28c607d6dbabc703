package web

import (
	"starling/admin"
	"starling/conf"
	"starling/plan"
	"starling/vars"
)

// Module is the declaration of everything that one family of directives adds to the http side.
type Module struct {
	conf.Module
	Variables []vars.Variable[*Request]
	// Handlers run in the phases, within a phase in the order of the module list.
	Handlers []Hook
	// Filters run just before a response head is sent, in the order of the module list.
	Filters []FilterHook
	// Server takes settings that belong to a virtual server as a whole (TLS).
	Server func(b *Block, s *Server) error
	// Link runs once per configuration, after binding and before anything is built: zones get their values.
	Link func(p *plan.Plan) error
	// API returns the module's branches of the API, once per configuration after it was built.
	API func(p *plan.Plan) []admin.Resource
}

// Hook makes the handler of one phase.
type Hook struct {
	Phase Phase
	// Build is called for each location, and for each server in the phases PostRead and ServerRewrite. A nil Handler
	// means that there is nothing to do in that block.
	Build func(b *Block) (Handler, error)
	// LastResort marks content that is used if no directive names another: files. A location has one of all others.
	LastResort bool
}

// FilterHook makes the filter of one location; nil means that there is nothing to do.
type FilterHook struct {
	Build func(b *Block) (Filter, error)
	// Joint marks a filter that sees the response with the subrequests that are part of it: what a compression must
	// do. Each part passes the other filters by itself, those of its own location. Joint filters come last.
	Joint bool
}

// Handler does the work of one phase. It can block: each connection has its own goroutine.
type Handler func(r *Request) Result

// Result is the decision of a handler. Values of 100 and more are statuses: the request ends with that one, and
// error_page applies. 444 closes the connection without a response.
type Result int

// The results that are not statuses.
const (
	Declined   Result = iota // continue with the next handler
	OK                       // access granted (phase Access; elsewhere the same as Declined)
	Done                     // the response was sent
	Redirected               // URI or location changed: InternalRedirect, NamedRedirect
)

// CloseConnection is nginx's status 444: no response, the connection is closed.
const CloseConnection Result = 444

// Phase is a step of a request, in nginx's order. The location is found between ServerRewrite and Rewrite.
type Phase int

// The phases.
const (
	PostRead Phase = iota
	ServerRewrite
	Rewrite
	PreAccess
	Access // satisfy all|any is applied here
	PreContent
	Content
	Log // the result is ignored
	phaseCount
)

// ofServer reports whether handlers of the phase are built per server, not per location.
func (p Phase) ofServer() bool { return p == PostRead || p == ServerRewrite }
