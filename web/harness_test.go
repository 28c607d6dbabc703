package web_test

import (
	"strings"
	"testing"
	"time"

	"starling/conf"
	"starling/modules/web/core"
	"starling/vars"
	"starling/web"
	"starling/web/webtest"
)

// The module of these tests: `say <text>` answers with a text, variables expanded; `refuse <status>` ends with a status
// in one of the phases; `allowed` grants access; `read` answers with the request body; `stream` sends its words one by
// one.
type probeSettings struct {
	say          *vars.Template[*web.Request]
	refuse       int
	access       int // 0: no opinion; 1: granted
	read         bool
	stream       []string
	internal     string
	named        string
	holds        bool
	unanswered   bool
	headerName   string
	headerValue  string
	delayMS      int
	promiseBytes int
}

const probeContexts = conf.HTTP | conf.Server | conf.Location | conf.LimitExcept

func probe(holding chan struct{}) *web.Module {
	m := &web.Module{Module: conf.Module{Name: "probe", New: conf.NewOf[probeSettings], Clone: conf.CloneOf[probeSettings]}}
	field := func(name, syntax string, set func(s *probeSettings, a *conf.Args) error) {
		m.Directives = append(m.Directives, conf.Directive{Name: name, Syntax: syntax, In: probeContexts, Set: conf.Raw(set)})
	}
	number := func(name string, place func(*probeSettings) *int) {
		m.Directives = append(m.Directives, conf.Directive{Name: name, Syntax: "<n>", In: probeContexts, Set: conf.Field(place, conf.Number)})
	}
	field("say", "<text>", func(s *probeSettings, a *conf.Args) error {
		t, err := web.Side.Compile(a, a.Words[0])
		s.say = &t
		return err
	})
	number("refuse", func(s *probeSettings) *int { return &s.refuse })
	number("access", func(s *probeSettings) *int { return &s.access })
	number("delay_ms", func(s *probeSettings) *int { return &s.delayMS })
	number("promise", func(s *probeSettings) *int { return &s.promiseBytes })
	field("read", "", func(s *probeSettings, _ *conf.Args) error { s.read = true; return nil })
	field("hold", "", func(s *probeSettings, _ *conf.Args) error { s.holds = true; return nil })
	field("unanswered", "", func(s *probeSettings, _ *conf.Args) error { s.unanswered = true; return nil })
	field("stream", "<word>...", func(s *probeSettings, a *conf.Args) error { s.stream = a.Words; return nil })
	field("go_to", "<uri>", func(s *probeSettings, a *conf.Args) error { s.internal = a.Words[0]; return nil })
	field("go_to_named", "<name>", func(s *probeSettings, a *conf.Args) error { s.named = a.Words[0]; return nil })
	field("header", "<name> <value>", func(s *probeSettings, a *conf.Args) error {
		s.headerName, s.headerValue = a.Words[0], a.Words[1]
		return nil
	})
	settings := func(b *web.Block) *probeSettings { return conf.Settings[probeSettings](b.Scope, &m.Module) }
	m.Handlers = []web.Hook{
		{Phase: web.PreAccess, Build: func(b *web.Block) (web.Handler, error) {
			s := settings(b)
			if s.refuse == 0 {
				return nil, nil
			}
			return func(*web.Request) web.Result { return web.Result(s.refuse) }, nil
		}},
		{Phase: web.Access, Build: func(b *web.Block) (web.Handler, error) {
			s := settings(b)
			if s.access == 0 {
				return nil, nil
			}
			return func(*web.Request) web.Result { return web.Result(s.access) }, nil
		}},
		{Phase: web.Access, Build: func(b *web.Block) (web.Handler, error) {
			if settings(b).access == 0 {
				return nil, nil
			}
			return func(r *web.Request) web.Result { // a second opinion by header
				if v, sent := r.Header("x-password"); sent {
					if string(v) == "right" {
						return web.OK
					}
					return 401
				}
				return web.Declined
			}, nil
		}},
		{Phase: web.Content, Build: func(b *web.Block) (web.Handler, error) {
			return contentOf(settings(b), holding), nil
		}},
	}
	m.Filters = []web.FilterHook{{Build: func(b *web.Block) (web.Filter, error) { return headerOf(settings(b)), nil }}}
	return m
}

// headerOf is the filter that adds the header.
func headerOf(s *probeSettings) web.Filter {
	if s.headerName == "" {
		return nil
	}
	return func(r *web.Request) web.Body {
		r.AddHeader([]byte(s.headerName), []byte(s.headerValue))
		return nil
	}
}

// afterBody reads the body before a redirect if the location says so.
func afterBody(s *probeSettings, redirect web.Handler) web.Handler {
	if !s.read {
		return redirect
	}
	return func(r *web.Request) web.Result {
		if _, err := r.WholeBody(1 << 20); err != nil {
			return r.ErrorStatus(err)
		}
		return redirect(r)
	}
}

func contentOf(s *probeSettings, holding chan struct{}) web.Handler {
	switch {
	case s.delayMS > 0:
		return func(r *web.Request) web.Result {
			if !r.Delay(millis(s.delayMS)) {
				holding <- struct{}{}
				return 499
			}
			return r.Respond(200, "text/plain", []byte("waited"))
		}
	case s.promiseBytes > 0:
		return func(r *web.Request) web.Result {
			r.Out.ContentLength = int64(s.promiseBytes)
			r.Write([]byte("less"))
			return web.Done
		}
	case s.unanswered:
		return func(*web.Request) web.Result { return web.Done }
	case s.internal != "":
		path, query, _ := strings.Cut(s.internal, "?")
		return afterBody(s, func(r *web.Request) web.Result { return r.InternalRedirect([]byte(path), []byte(query)) })
	case s.named != "":
		return afterBody(s, func(r *web.Request) web.Result { return r.NamedRedirect(s.named) })
	case s.stream != nil:
		return func(r *web.Request) web.Result {
			for _, word := range s.stream {
				if _, err := r.Write([]byte(word)); err != nil {
					return web.Done
				}
			}
			return web.Done
		}
	case s.read:
		return func(r *web.Request) web.Result {
			body, err := r.WholeBody(1 << 20)
			if err != nil {
				return r.ErrorStatus(err)
			}
			return r.Respond(200, "text/plain", body)
		}
	case s.holds:
		return func(r *web.Request) web.Result {
			holding <- struct{}{}
			<-holding
			return r.Respond(200, "text/plain", []byte("held"))
		}
	case s.say != nil:
		return func(r *web.Request) web.Result { return r.Respond(200, "text/plain", r.Expand(s.say)) }
	}
	return nil
}

func modules() []*web.Module { return []*web.Module{&core.Module, probe(make(chan struct{}))} }

func start(t testing.TB, text string, options ...webtest.Option) *webtest.Server {
	t.Helper()
	return webtest.Start(t, modules(), text, options...)
}

// body is what stands behind the head of a raw response; status is its first line without the protocol.
func body(response string) string {
	_, b, _ := strings.Cut(response, "\r\n\r\n")
	return b
}

func status(response string) string {
	line, _, _ := strings.Cut(response, "\r\n")
	return strings.TrimPrefix(line, "HTTP/1.1 ")
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }
