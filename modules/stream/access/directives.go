// Package access is allow and deny for stream: it restricts connections by address.
package access

import (
	"fmt"

	"starling/conf"
	"starling/logs"
	"starling/nginx/accesslist"
	"starling/stream"
)

// Settings of one block: the rules of allow and deny in their order.
type Settings struct{ Rules []accesslist.Rule }

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name: "access",
		Doc: "Allows or denies connections by client address. The first matching rule applies; without a match, " +
			"access is allowed.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			rule("allow", "Allows access for an address, a network, `all`, or clients of unix sockets (`unix:`)."),
			rule("deny", "Denies access for an address, a network, `all`, or clients of unix sockets (`unix:`)."),
		},
	},
	Handlers: []stream.Hook{{Phase: stream.Access, Build: build}},
}

func rule(name, doc string) conf.Directive {
	return conf.Directive{
		Name: name, Syntax: "<address>", In: conf.Stream | conf.StreamServer, Repeat: true, Doc: doc,
		Set: conf.List(func(s *Settings) *[]accesslist.Rule { return &s.Rules }, parse),
	}
}

func parse(a *conf.Args) (accesslist.Rule, error) {
	r, lowBits, err := accesslist.ParseRule(a.Node.Name == "allow", a.Words[0])
	if err != nil {
		return r, fmt.Errorf("invalid parameter \"%s\"", a.Words[0])
	}
	if lowBits {
		a.Warn("low address bits of %s are meaningless", a.Words[0])
	}
	return r, nil
}

func build(b *stream.Block) (stream.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if len(s.Rules) == 0 {
		return nil, nil
	}
	list := accesslist.New(s.Rules)
	return func(session *stream.Session) stream.Result {
		if list.Check(session.Remote.Addr()) == accesslist.Denied {
			session.Logf(logs.Error, "access forbidden by rule")
			return stream.StatusForbidden
		}
		return stream.Declined
	}, nil
}
