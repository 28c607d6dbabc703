package core

import (
	"strings"

	"starling/conf"
)

const locationsIf = locations | conf.LocationIf

// off lists the directives of features that starling does not have. Only the value that turns the feature off is
// accepted: company files turn off by name what they do not want. The other values of nginx are rejected.
var off = []struct {
	name, accepted, refused string
	in                      conf.Context
	lacks                   string
}{
	{"dav_methods", "off", "<method>...", locations, "WebDAV"},
	{"create_full_put_path", "off", "on", locations, "WebDAV"},
}

// Off is the family of directives whose feature does not exist.
func Off() *conf.Module {
	m := &conf.Module{
		Name: "off",
		Doc: "Directives of features that Starling does not support. Only the value that switches the feature off " +
			"is accepted.",
		New:   conf.NewOf[struct{}],
		Clone: conf.CloneOf[struct{}],
	}
	for _, d := range off {
		m.Directives = append(
			m.Directives,
			conf.Directive{Name: d.name, Syntax: d.accepted, Refused: d.refused, In: d.in,
				Repeat: strings.HasSuffix(d.refused, "..."), // a set, to which each adds
				Doc:    "Accepted only with the value that switches it off. Not supported: " + d.lacks + ".",
				Set:    func(any, *conf.Args) error { return nil }},
		)
	}
	return m
}
