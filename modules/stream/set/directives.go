// Package set is set for stream: variables whose values are set at the start of a session.
package set

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/side"
	"starling/stream"
	"starling/vars"
)

const places = conf.StreamServer

// Settings of one server: its assignments in their order.
type Settings struct{ assignments []assignment }

type assignment struct {
	assign func(*stream.Session, []byte)
	value  vars.Template[*stream.Session]
}

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "set",
		Doc:   "User-defined variables.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "set", Syntax: "<$variable> <value>", In: places, Repeat: true,
			Doc: "Sets a variable to a text, which can contain variables. TLS variables are still empty: the value " +
				"is set before the handshake.",
			Set: conf.List(func(s *Settings) *[]assignment { return &s.assignments }, parse),
		}},
	},
	Handlers: []stream.Hook{{Phase: stream.PreAccess, Build: build}},
}

func parse(a *conf.Args) (assignment, error) {
	name, found := strings.CutPrefix(a.Words[0], "$")
	if !found || name == "" {
		return assignment{}, fmt.Errorf("invalid variable name \"%s\"", a.Words[0])
	}
	value, err := stream.Side.Compile(a, a.Words[1])
	if err != nil {
		return assignment{}, err
	}
	assign, err := stream.Side.Assignable(side.PlanOf(a), name)
	return assignment{assign, value}, err
}

func build(b *stream.Block) (stream.Handler, error) {
	all := conf.SettingsOf[Settings](b.Scope).assignments
	if len(all) == 0 {
		return nil, nil
	}
	return func(s *stream.Session) stream.Result {
		for i := range all {
			all[i].assign(s, all[i].value.Append([]byte{}, s))
		}
		return stream.Declined
	}, nil
}
