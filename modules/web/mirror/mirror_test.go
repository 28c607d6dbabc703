package mirror_test

import (
	"fmt"
	"strings"
	"testing"

	"starling/conf"
	"starling/modules/web/core"
	"starling/modules/web/mirror"
	"starling/web"
	"starling/web/webtest"
)

// copies is a module that answers and tells the test of each request it sees, with its body.
func copies() (*web.Module, chan string) {
	seen := make(chan string, 10)
	return &web.Module{Module: conf.Module{Name: "copies", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				body, err := r.WholeBody(1 << 20)
				seen <- fmt.Sprintf("%s %s?%s %s %v", r.Method, r.Path, r.Query, body, err)
				return r.Respond(200, "text/plain", []byte("answer"))
			}, nil
		}}}}, seen
}

func TestMirrors(t *testing.T) {
	module, seen := copies()
	s := webtest.Start(t, []*web.Module{&core.Module, &mirror.Module, module}, `
		mirror /outer;
		server {
			location / { }
			location /two { mirror /a; mirror /b; }
			location /head-only { mirror /a; mirror_request_body off; }
			location /none { mirror off; }
		}`)
	for _, c := range []struct {
		target, body string
		want         map[string]int
	}{
		{"/x?q", "abc", map[string]int{"POST /x?q abc <nil>": 1, "POST /outer?q abc <nil>": 1}},
		{"/two", "abc", map[string]int{"POST /two? abc <nil>": 1, "POST /a? abc <nil>": 1, "POST /b? abc <nil>": 1}},
		{"/head-only", "abc", map[string]int{"POST /head-only? abc <nil>": 1, "POST /a?  <nil>": 1}},
		{"/none", "abc", map[string]int{"POST /none? abc <nil>": 1}},
	} {
		got := s.Send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", c.target, len(c.body), c.body))
		if !strings.HasSuffix(got, "answer") {
			t.Errorf("%s: got %q", c.target, got)
		}
		for range c.want {
			if one := <-seen; c.want[one] == 0 {
				t.Errorf("%s: unexpected %q", c.target, one)
			}
		}
		select {
		case one := <-seen:
			t.Errorf("%s: one too many: %q", c.target, one)
		default:
		}
	}
}

func TestMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		`mirror /a; mirror off;`: `"mirror off" cannot be combined with other "mirror" directives`,
		`mirror off; mirror /a;`: `"mirror off" cannot be combined with other "mirror" directives`,
		`mirror;`:                `invalid number of arguments in "mirror" directive`,
		`mirror_request_body x;`: `invalid value "x" in "mirror_request_body" directive, it must be "on" or "off"`,
	} {
		_, err := webtest.Load(t, []*web.Module{&core.Module, &mirror.Module}, "\n"+text+"\n server { }")
		if want := problem + " in /test.conf:2"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}
