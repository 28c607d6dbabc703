package web_test

import (
	"strings"
	"testing"

	"starling/conf"
	"starling/vars"
	"starling/web"
	"starling/web/webtest"
)

// say is the handler of the tests: `say <text>` answers with a text, variables expanded.
type saySettings struct{ text *sayText }

type sayText = vars.Template[*web.Request]

var say = &web.Module{
	Module: conf.Module{
		Name: "say", New: conf.NewOf[saySettings], Clone: conf.CloneOf[saySettings],
		Directives: []conf.Directive{{
			Name: "say", Syntax: "<text>", In: conf.HTTP | conf.Server | conf.Location | conf.LimitExcept,
			Set: conf.Raw(func(s *saySettings, a *conf.Args) error {
				t, err := web.CompileTemplate(a, a.Words[0])
				s.text = &t
				return err
			}),
		}},
	},
}

func sayModule() *web.Module {
	m := *say
	m.Handlers = []web.Hook{{Phase: web.Content, Build: func(b *web.Block) (web.Handler, error) {
		text := conf.Settings[saySettings](b.Scope, &m.Module).text
		if text == nil {
			return nil, nil
		}
		return func(r *web.Request) web.Result {
			return r.Respond(200, "text/plain", r.Expand(text))
		}, nil
	}}}
	return &m
}

func start(t testing.TB, text string, options ...webtest.Option) *webtest.Server {
	t.Helper()
	return webtest.Start(t, []*web.Module{&web.Core, sayModule()}, text, options...)
}

func TestSmoke(t *testing.T) {
	s := start(t, `server { location / { say "hello $uri"; } }`)
	got := s.Get("/x")
	if !strings.HasSuffix(got, "\r\n\r\nhello /x") {
		t.Fatalf("%q", got)
	}
	t.Log(got)
	t.Log(s.Send("GET / HTTP/1.1\r\n\r\n"))
	t.Log(s.Send("GET /\r\n"))
	t.Log(s.Send("HEAD / HTTP/1.0\r\n\r\n"))
	c := s.LoopbackClient()
	for range 3 {
		t.Log(c.Do("GET /k HTTP/1.1\r\nHost: a\r\n\r\n").Text)
	}
}
