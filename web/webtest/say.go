package webtest

import (
	"starling/conf"
	"starling/vars"
	"starling/web"
)

// saying are the settings of Say.
type saying struct {
	text  vars.Template[*web.Request]
	given bool
}

// Say is a family for tests of other families: `say <text>` responds with 200 and a text with variables. It responds in
// the content phase, after all limits and checks, which `return` precedes.
func Say() *web.Module {
	return &web.Module{
		Module: conf.Module{
			Name: "say", New: conf.NewOf[saying], Clone: conf.CloneOf[saying],
			Directives: []conf.Directive{{
				Name: "say", Syntax: "<text>",
				In: conf.HTTP | conf.Server | conf.Location | conf.LocationIf | conf.LimitExcept,
				Set: conf.Raw(func(s *saying, a *conf.Args) (err error) {
					s.given = true
					s.text, err = web.Side.Compile(a, a.Words[0])
					return err
				}),
			}},
		},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(b *web.Block) (web.Handler, error) {
			s := conf.SettingsOf[saying](b.Scope)
			if !s.given {
				return nil, nil
			}
			return func(r *web.Request) web.Result { return r.Respond(200, "text/plain", r.Expand(&s.text)) }, nil
		}}},
	}
}
