package web_test

import (
	"strings"
	"testing"

	"starling/conf"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// A mistake in a handler ends the connection; what was kept for the time of the request is given back all the same.
func TestWhatARequestHoldsIsGivenBackAfterAPanic(t *testing.T) {
	held := 0
	m := &web.Module{Module: conf.Module{Name: "mistake", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				held++
				r.AtEnd(func(any, uint64) { held-- }, nil, 0)
				r.WhenDone(func(any, uint64) { held-- }, nil, 0)
				held++
				if string(r.Path) == "/bad" {
					panic("a mistake")
				}
				return r.Respond(200, "", []byte("ok"))
			}, nil
		}}}}
	s := webtest.Start(t, []*web.Module{&core.Module, m}, "server { }")
	for _, path := range []string{"/bad", "/", "/bad"} {
		answer := s.Get(path)
		if (path == "/bad") != (answer == "") {
			t.Errorf("%s: %q", path, answer)
		}
	}
	s.Site.Retire()
	<-s.Site.Drained()
	if held != 0 {
		t.Errorf("%d are still held", held)
	}
	if lines := strings.Join(s.Log.Lines(), "\n"); strings.Count(lines, "panic while serving a request: a mistake") != 2 {
		t.Error(lines)
	}
}
