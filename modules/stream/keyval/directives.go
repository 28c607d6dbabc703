// Package keyval makes variables of stream sessions whose values come from zones of key-value pairs.
package keyval

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/keyvals"
	"starling/observe"
	"starling/plan"
	"starling/stream"
	"starling/vars"
)

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "keyval",
		Doc:   "Variables whose values are looked up in zones of key-value pairs, which the API changes while the server runs.",
		New:   conf.NewOf[settings],
		Clone: conf.CloneOf[settings],
		Directives: []conf.Directive{
			keyvals.ZoneDirective(keyvals.Stream, conf.Stream),
			{
				Name: "keyval", Syntax: "<key> <$variable> zone=<name>", In: conf.Stream, Repeat: true,
				Doc: "Makes a variable whose value is that of the key in the zone; there is none where the key is not found.",
				Set: declare,
			},
		},
	},
	API: func(p *plan.Plan) []observe.Resource { return keyvals.Resources(p, keyvals.Stream) },
}

// settings are none: what the directives say goes to the zones and to the registry of variables.
type settings struct{}

// declare makes the variable of a keyval directive.
func declare(_ any, a *conf.Args) error {
	p := stream.PlanOf(a)
	key, err := stream.CompileTemplate(a, a.Words[0])
	if err != nil {
		return err
	}
	name, isVariable := strings.CutPrefix(a.Words[1], "$")
	if !isVariable || name == "" {
		return fmt.Errorf("invalid variable name \"%s\"", a.Words[1])
	}
	zone, err := keyvals.Mention(p, keyvals.Stream, a.Value("zone"), a.Node)
	if err != nil {
		return err
	}
	return stream.Variables(p).Declare(vars.Variable[*stream.Session]{
		Name: name,
		Doc:  "The value of `" + a.Words[0] + "` in the zone `" + a.Value("zone") + "`.",
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			return lookup(s, &key, zone.Zone(), dst)
		},
	})
}

// lookup appends the value of the evaluated key, which stands in dst for as long as it is needed.
func lookup(s *stream.Session, key *vars.Template[*stream.Session], zone *keyvals.Zone, dst []byte) ([]byte, bool) {
	start := len(dst)
	dst = key.Append(dst, s)
	end := len(dst)
	dst, found := zone.AppendValue(dst, dst[start:end], s.Now())
	if !found {
		return dst[:start], false
	}
	return dst[:start+copy(dst[start:], dst[end:])], true
}
