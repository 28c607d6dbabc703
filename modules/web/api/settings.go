package api

import (
	"starling/conf"
	"starling/vars"
	"starling/web"
)

// Settings of one location.
type Settings struct {
	enabled bool
	node    *conf.Node
	Write   bool
	// requestID is $request_id, named in errors.
	requestID vars.Template[*web.Request]
	origins   []origin // their pages may write, besides those of the Host
}

// enter: a nested location does not inherit the api; blocks that represent the location itself do.
func enter(settings any, in conf.Context) {
	if in == conf.Location {
		s := settings.(*Settings)
		*s = Settings{origins: s.origins}
	}
}

func setAPI(s *Settings, a *conf.Args) error {
	id, err := web.Side.Compile(a, "$request_id")
	*s = Settings{origins: s.origins, enabled: true, node: a.Node, Write: a.Value("write") == "on", requestID: id}
	return err
}
