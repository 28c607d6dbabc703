package access_test

import (
	"net/netip"
	"strings"
	"testing"

	"starling/conf"
	"starling/modules/web/access"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// from lets a test come from the address in its argument, as realip would.
func from() *web.Module {
	return &web.Module{
		Module: conf.Module{Name: "from", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.PostRead, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				if addr, err := netip.ParseAddr(string(r.Query)); err == nil {
					r.Remote = netip.AddrPortFrom(addr, 1)
				}
				return web.Declined
			}, nil
		}}},
	}
}

func TestRules(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, from(), &access.Module, webtest.Say()}, `
		deny 192.0.2.66;
		server {
			location / { say in; }
			location /own { allow 10.0.0.0/8; allow 2001:db8::/32; deny all; say in; }
			location /unix { allow unix:; deny all; say in; }
			location /writes { limit_except GET { deny all; } say in; }
			location /own/nested { say in; }
		}`)
	for target, want := range map[string]string{
		"/?192.0.2.66": "403", "/?192.0.2.67": "200", "/own?192.0.2.66": "403", "/own?10.1.1.1": "200", "/own?::ffff:10.1.1.1": "200",
		"/own?2001:db8::5": "200", "/own?2001:db9::5": "403", "/own": "403", "/unix": "200", "/unix?127.0.0.1": "403", "/writes": "200",
		"/own/nested?192.0.2.66": "403", "/own/nested": "200",
	} {
		if got := strings.Fields(s.Get(target))[1]; got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
	s.Log.Lines()
	if got := s.Send("POST /writes HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("limit_except lets through: %q", got)
	}
	if lines := s.Log.Lines(); len(lines) != 1 || !strings.Contains(lines[0], "] *") || !strings.Contains(lines[0], "access forbidden by rule, client: unix:") {
		t.Errorf("logged %q", lines)
	}
}

func TestMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		`allow localhost;`:  `invalid parameter "localhost"`,
		`deny 10.0.0.0/33;`: `invalid parameter "10.0.0.0/33"`,
		`deny;`:             `invalid number of arguments in "deny" directive`,
	} {
		_, err := webtest.Load(t, []*web.Module{&core.Module, &access.Module}, text+"server { }")
		if want := problem + " in /test.conf:1"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
	s := webtest.Start(t, []*web.Module{&core.Module, &access.Module}, `allow 10.0.0.1/8; server { }`)
	if lines := s.Log.Lines(); len(lines) != 1 || lines[0] != "[warn] low address bits of 10.0.0.1/8 are meaningless in /test.conf:1" {
		t.Errorf("warned %q", lines)
	}
}
