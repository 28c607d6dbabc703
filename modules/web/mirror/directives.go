// Package mirror is mirror: copies of requests go to other locations too, whose answers are dropped.
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
		Doc:   "Sends copies of requests to other locations and drops the answers.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "mirror", Syntax: "<uri>|off", DefaultDoc: "off", In: places, Repeat: true,
				Doc: "Adds a location of the same server that gets a copy of each request, with its method, arguments and body. The client does not " +
					"wait for the copy; only the next request of its connection may.",
				Set: conf.Raw(setMirror),
			}, {
				Name: "mirror_request_body", Syntax: "on | off", Default: "on", In: places,
				Doc: "Whether copies have the body. It is then read as a whole before the request goes on, as if `proxy_request_buffering` were on.",
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
