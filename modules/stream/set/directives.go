// Package set is set for stream: variables with values made at the beginning of a session.
package set

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/plan"
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
		Doc:   "Variables of one's own.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "set", Syntax: "<$variable> <value>", In: places, Repeat: true,
			Doc: "Sets a variable to a text, which may contain variables. It happens before the handshake, so what TLS tells is not known yet.",
			Set: conf.List(func(s *Settings) *[]assignment { return &s.assignments }, parse),
		}},
	},
	Handlers: []stream.Hook{{Phase: stream.PreAccess, Build: build}},
}

func parse(a *conf.Args) (assignment, error) {
	p := side.PlanOf(a)
	name, found := strings.CutPrefix(a.Words[0], "$")
	if !found || name == "" {
		return assignment{}, fmt.Errorf("invalid variable name \"%s\"", a.Words[0])
	}
	value, err := stream.Side.Compile(a, a.Words[1])
	if err != nil {
		return assignment{}, err
	}
	assign, err := assignable(p, name)
	return assignment{assign, value}, err
}

// assignable makes a variable one that can be set, if it may be. What a map or its kin makes of it holds until it is set.
func assignable(p *plan.Plan, name string) (func(*stream.Session, []byte), error) {
	all := stream.Side.Variables(p)
	known, _ := all.Find(name)
	switch {
	case known == nil:
		if _, err := stream.Side.SlotVariable(p, name); err != nil {
			return nil, err
		}
		known, _ = all.Find(name)
		return known.Assign, nil
	case known.Assign != nil:
		return known.Assign, nil
	case !known.Replaceable:
		return nil, fmt.Errorf("the duplicate \"%s\" variable", name)
	}
	before, slot := *known, stream.Side.NewSlot(p)
	assign := func(s *stream.Session, value []byte) { s.SetSlot(slot, value) }
	return assign, all.Declare(vars.Variable[*stream.Session]{Name: name, Doc: before.Doc, Replaceable: true, Assign: assign,
		Append: func(s *stream.Session, rest string, dst []byte) ([]byte, bool) {
			if value := s.Slot(slot); value.Set {
				return append(dst, value.Value...), true
			}
			return before.Append(s, rest, dst)
		}})
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
