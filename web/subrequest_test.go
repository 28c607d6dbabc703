package web_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"starling/conf"
	"starling/logs"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// asker is a module whose directives make subrequests: `ask` runs one and answers with what it got, `beside` starts
// one.
func asker() *web.Module {
	type settings struct {
		ask, beside string
		keep        int64
	}
	m := &web.Module{Module: conf.Module{Name: "asker", New: conf.NewOf[settings], Clone: conf.CloneOf[settings]}}
	word := func(name string, place func(*settings) *string) conf.Directive {
		return conf.Directive{Name: name, Syntax: "<uri>", In: conf.Location, Set: conf.Field(place, func(s string) (string, error) { return s, nil })}
	}
	m.Directives = []conf.Directive{
		word("ask", func(s *settings) *string { return &s.ask }),
		word("beside", func(s *settings) *string { return &s.beside }),
		{Name: "keep", Syntax: "<bytes>", In: conf.Location, Set: conf.Field(func(s *settings) *int64 { return &s.keep }, conf.Size)},
	}
	m.Handlers = []web.Hook{
		{Phase: web.PreContent, Build: func(b *web.Block) (web.Handler, error) {
			s := conf.SettingsOf[settings](b.Scope)
			if s.beside == "" {
				return nil, nil
			}
			return func(r *web.Request) web.Result {
				sub, err := r.Subrequest(web.Subrequest{Path: []byte(s.beside), SameMethod: true})
				if err != nil {
					return 500
				}
				sub.Start()
				return web.Declined
			}, nil
		}},
		{Phase: web.Content, Build: func(b *web.Block) (web.Handler, error) {
			s := conf.SettingsOf[settings](b.Scope)
			if s.ask == "" {
				return nil, nil
			}
			return func(r *web.Request) web.Result {
				sub, err := r.Subrequest(web.Subrequest{Path: []byte(s.ask), KeepBytes: s.keep})
				if err != nil {
					return 500
				}
				answered := sub.Run()
				return r.Respond(200, "text/plain", fmt.Appendf(nil, "%d %s %v", answered.Out.Status, sub.Body(), sub.Failed() != nil))
			}, nil
		}},
		{Phase: web.Log, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				r.Logf(logs.Error, "logged")
				return web.Declined
			}, nil
		}},
	}
	return m
}

func TestSubrequests(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, asker(), probe(nil)}, `server {
		server_name here;
		location /kept { keep 100; ask /said; }
		location /dropped { ask /said; }
		location /over { keep 3; ask /said; }
		location /missing { ask /none; }
		location /refused { keep 1000; ask /forbidden; }
		location /nested { keep 100; ask /kept; }
		location /cycle { keep 100; ask /cycle; }
		location = /said { internal; say "$uri $request_uri $request_method"; }
		location = /forbidden { refuse 403; }
	}`)
	for _, c := range []struct{ target, want string }{
		{"/kept?x", "200 /said /kept?x GET false"},
		{"/dropped", "200  false"},
		{"/over", "200  true"},
		{"/missing", "404  false"},
		{"/nested", "200 200 /said /nested GET false false"},
	} {
		if got := body(s.Get(c.target)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.target, got, c.want)
		}
	}
	if got := body(s.Get("/refused")); !strings.HasPrefix(got, "403 <html>") {
		t.Errorf("an error page: %q", got)
	}
	if got := s.Get("/cycle"); !strings.HasPrefix(got, "HTTP/1.1 200 ") ||
		!strings.Contains(strings.Join(s.Log.Lines(), "\n"), `subrequests cycle while processing "/cycle"`) {
		t.Errorf("a cycle: %q\n%s", got, strings.Join(s.Log.Lines(), "\n"))
	}
}

// TestSubrequestsBesideTheirParent: the answer does not wait for them, the end of the request does.
func TestSubrequestsBesideTheirParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, []*web.Module{&core.Module, asker(), probe(make(chan struct{}, 2))}, `server {
			server_name here;
			location / { beside /slow; say "answer"; }
			location /slow { log_subrequest on; delay_ms 1000; }
		}`)
		c := s.Client()
		c.Write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if r := c.Read("GET"); r.Text != "answer" {
			t.Errorf("got %q", r.Text)
		}
		if lines := s.Log.Lines(); len(lines) != 0 {
			t.Errorf("the request has ended: %q", lines)
		}
		if r := c.Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); r.Text != "answer" {
			t.Errorf("the next request: %q", r.Text)
		}
		lines := s.Log.Lines()
		if len(lines) != 2 || !strings.Contains(lines[0], `subrequest: "/slow"`) || strings.Contains(lines[1], "subrequest") {
			t.Errorf("got %q", lines)
		}
	})
}

// TestSubrequestsAreNotLoggedUnlessAsked also sees that a panic in one ends neither the process nor the request.
func TestSubrequestsAreNotLoggedUnlessAsked(t *testing.T) {
	panics := &web.Module{Module: conf.Module{Name: "panics", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.PreContent, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				if r.Parent() != nil && string(r.Path) == "/panic" {
					panic("on purpose")
				}
				return web.Declined
			}, nil
		}}}}
	s := webtest.Start(t, []*web.Module{&core.Module, panics, asker(), probe(nil)}, `server {
		location / { beside /said; say "x"; }
		location /said { say "y"; }
		location /panics { beside /panic; say "z"; }
		location /panic { say "never"; }
	}`)
	s.Get("/")
	if lines := s.Log.Lines(); len(lines) != 1 {
		t.Errorf("got %q", lines)
	}
	if got := s.Get("/panics"); !strings.HasSuffix(got, "z") {
		t.Errorf("got %q", got)
	}
	if lines := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(lines, "panic while serving a subrequest: on purpose") {
		t.Errorf("got %s", lines)
	}
}
