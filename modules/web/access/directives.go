// Package access is allow and deny: it restricts access by address.
package access

import (
	"fmt"
	"slices"

	"starling/conf"
	"starling/logs"
	"starling/nginx/accesslist"
	"starling/web"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name: "access",
		Doc: "Allows or denies access by client address. The first matching rule applies; without a match, access " +
			"is allowed.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "allow", Syntax: "<address>", In: conf.HTTP | conf.Server | conf.Location | conf.LimitExcept,
				Repeat: true,
				Doc: "Allows access for an address, a network (`10.0.0.0/8`, `2001:db8::/32`), `all`, or clients of " +
					"unix sockets (`unix:`).",
				Set: conf.Raw(addRule),
			}, {
				Name: "deny", Syntax: "<address>", In: conf.HTTP | conf.Server | conf.Location | conf.LimitExcept,
				Repeat: true,
				Doc:    "Denies access for an address, a network, `all`, or clients of unix sockets (`unix:`).",
				Set:    conf.Raw(addRule),
			},
		},
	},
	Handlers: []web.Hook{{Phase: web.Access, Build: build}},
}

// Settings of one block.
type Settings struct{ Rules []accesslist.Rule }

func addRule(s *Settings, a *conf.Args) error {
	rule, lowBits, err := accesslist.ParseRule(a.Node.Name == "allow", a.Words[0])
	if err != nil {
		return fmt.Errorf("invalid parameter \"%s\"", a.Words[0])
	}
	if lowBits {
		a.Warn("low address bits of %s are meaningless", a.Words[0])
	}
	if a.FirstWrite(&s.Rules) {
		s.Rules = nil
	}
	s.Rules = append(slices.Clip(s.Rules), rule)
	return nil
}

func build(b *web.Block) (web.Handler, error) {
	rules := conf.SettingsOf[Settings](b.Scope).Rules
	if len(rules) == 0 {
		return nil, nil
	}
	list, log := accesslist.New(rules), satisfiesAll(b)
	return func(r *web.Request) web.Result {
		switch list.Check(r.Remote.Addr()) {
		case accesslist.Allowed:
			return web.OK
		case accesslist.Denied:
			if log {
				r.Logf(logs.Error, "access forbidden by rule")
			}
			return 403
		}
		return web.Declined
	}, nil
}

// satisfiesAll: with `satisfy any` another handler may still admit the client, so nothing is logged.
func satisfiesAll(b *web.Block) bool { return !conf.SettingsOf[web.Settings](b.Scope).SatisfyAny }
