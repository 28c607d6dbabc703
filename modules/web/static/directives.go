// Package static serves files: index, conditional requests and byte ranges.
package static

import (
	"strings"

	"starling/conf"
	"starling/vars"
	"starling/web"
)

// Module is the family. It must be last in the list: it answers what no other family answered.
var Module = web.Module{
	Module: conf.Module{
		Name:  "static",
		Doc:   "Serves static files from `root` or `alias`.",
		New:   func() any { return &Settings{} },
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "index", Syntax: "<file>...", DefaultDoc: "index.html", In: conf.HTTP | conf.Server | conf.Location,
			Repeat: true,
			Doc: "Sets the index files of a directory; the first existing file is used. Names can contain variables; " +
				"the last one can be an absolute path.",
			Set: conf.Raw(setIndex),
		}},
	},
	Handlers: []web.Hook{
		{Phase: web.Content, LastResort: true, Build: buildIndex},
		{Phase: web.Content, LastResort: true, Build: buildFiles},
	},
}

// Settings of one block.
type Settings struct{ Index []vars.Template[*web.Request] }

func setIndex(s *Settings, a *conf.Args) error {
	if a.FirstWrite(&s.Index) {
		s.Index = nil
	}
	list := append([]vars.Template[*web.Request]{}, s.Index...)
	for i, word := range a.Words {
		if strings.HasPrefix(word, "/") && i != len(a.Words)-1 {
			a.Warn("only the last index in \"index\" directive should be absolute")
		}
		if word == "" {
			return conf.At(a.Node, "index \"%s\" in \"index\" directive is invalid", word)
		}
		t, err := web.Side.Compile(a, word)
		if err != nil {
			return err
		}
		list = append(list, t)
	}
	s.Index = list
	return nil
}
