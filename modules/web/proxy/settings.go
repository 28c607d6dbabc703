package proxy

import (
	"starling/conf"
	"starling/vars"
	"starling/web"
	"starling/web/forward"
)

// Settings of one block: those of every forwarding family, and those that only HTTP has.
type Settings struct {
	forward.Settings
	version       version
	headers       []forward.SetHeader
	method        *vars.Template[*web.Request]
	redirects     []rule
	redirectOff   bool
	cookieDomains []rule
	cookiePaths   []rule
	cookieFlags   []flagRule
}

// version is a version of HTTP.
type version uint8

const (
	http11 version = iota
	http10
	http2
)

type value = vars.Template[*web.Request]

func newSettings() any { return &Settings{Settings: forward.NewSettings()} }

// enter removes what a nested location does not inherit.
func enter(settings any, in conf.Context) { settings.(*Settings).Enter(in) }

func check(s *Settings, scope *conf.Scope) error { return s.Check(&family, scope) }

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.Target == nil {
		return nil, nil
	}
	rewrites, err := s.redirectsOf(b.Plan)
	if err != nil {
		return nil, err
	}
	c := &common{Settings: s, head: newHeadPlan(s), rewrites: rewrites}
	if s.version == http2 {
		return forward.Build(b, &familyHTTP2, &s.Settings, newProtocolHTTP2(c))
	}
	return forward.Build(b, &family, &s.Settings, &protocol{c})
}
