// Package authrequest is auth_request: the answer of another location decides on access.
package authrequest

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/side"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "auth_request",
		Doc:   "Authorizes requests by the response to a subrequest.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "auth_request", Syntax: "<uri>|off", Default: "off", In: places,
				Doc: "Sends a subrequest without a body to a URI of the same server. A 2xx response allows the " +
					"request, 401 and 403 reject it with that status, any other response is an error (500).",
				Set: conf.Raw(func(s *Settings, a *conf.Args) error {
					s.path = []byte(a.Words[0])
					if a.Words[0] == "off" {
						s.path = nil
					}
					return nil
				}),
			}, {
				Name: "auth_request_set", Syntax: "<$variable> <value>", In: places, Repeat: true,
				Doc: "Sets a variable of the request when the subrequest completes. The value can contain variables " +
					"of the subrequest, such as `$upstream_http_NAME`.",
				Set: conf.List(func(s *Settings) *[]assignment { return &s.assignments }, parseAssignment),
			},
		},
	},
	Handlers: []web.Hook{{Phase: web.Access, Build: build}},
}

// Settings of one block.
type Settings struct {
	path        []byte // nil: off
	assignments []assignment
}

type assignment struct {
	assign func(*web.Request, []byte)
	value  vars.Template[*web.Request]
}

func parseAssignment(a *conf.Args) (x assignment, err error) {
	name, found := strings.CutPrefix(a.Words[0], "$")
	if !found || name == "" {
		return x, fmt.Errorf("invalid variable name \"%s\"", a.Words[0])
	}
	if x.assign, err = web.Side.Assignable(side.PlanOf(a), name); err != nil {
		return x, err
	}
	x.value, err = web.Side.Compile(a, a.Words[1])
	return x, err
}
