// Package mirror is mirror: it sends copies of requests to other locations and drops their answers.
package mirror

import (
	"fmt"

	"starling/conf"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "mirror",
		Doc:   "Mirrors requests to other locations and discards their responses.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "mirror", Syntax: "<uri>|off", DefaultDoc: "off", In: places, Repeat: true,
				Doc: "Adds a URI of the same server that gets a copy of each request with its method, arguments and " +
					"body. The client does not wait for the copy, but the next request on the connection can be " +
					"delayed.",
				Set: conf.Raw(setMirror),
			}, {
				Name: "mirror_request_body", Syntax: "on | off", Default: "on", In: places,
				Doc: "Includes the body in the copies. The body is then buffered completely, as with " +
					"`proxy_request_buffering on`.",
				Set: conf.Field(func(s *Settings) *bool { return &s.body }, conf.Flag),
			},
		},
	},
	Handlers: []web.Hook{{Phase: web.PreContent, Build: build}},
}

// Settings of one block.
type Settings struct {
	paths [][]byte
	off   bool
	body  bool
}

func setMirror(s *Settings, a *conf.Args) error {
	word := a.Words[0]
	if a.FirstWrite(&s.paths) {
		s.paths, s.off = nil, word == "off"
		if s.off {
			return nil
		}
	} else if s.off || word == "off" {
		return fmt.Errorf("\"mirror off\" cannot be combined with other \"mirror\" directives")
	}
	s.paths = append(s.paths[:len(s.paths):len(s.paths)], []byte(word))
	return nil
}
