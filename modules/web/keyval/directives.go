// Package keyval makes variables whose values come from zones of key-value pairs.
package keyval

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/keyvals"
	"starling/observe"
	"starling/plan"
	"starling/vars"
	"starling/web"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "keyval",
		Doc:   "Variables whose values are looked up in zones of key-value pairs, which the API changes while the server runs.",
		New:   conf.NewOf[struct{}],
		Clone: conf.CloneOf[struct{}],
		Directives: []conf.Directive{
			keyvals.ZoneDirective(keyvals.HTTP, conf.HTTP),
			{
				Name: "keyval", Syntax: "<key> <$variable> zone=<name>", In: conf.HTTP, Repeat: true,
				Doc: "Makes a variable whose value is that of the key in the zone; there is none where the key is not found.",
				Set: declare,
			},
		},
	},
	API: func(p *plan.Plan) []observe.Resource { return keyvals.Resources(p, keyvals.HTTP) },
}

// declare makes the variable of a keyval directive.
func declare(_ any, a *conf.Args) error {
	p := web.PlanOf(a)
	key, err := web.CompileTemplate(a, a.Words[0])
	if err != nil {
		return err
	}
	name, isVariable := strings.CutPrefix(a.Words[1], "$")
	if !isVariable || name == "" {
		return fmt.Errorf("invalid variable name \"%s\"", a.Words[1])
	}
	zone, err := keyvals.Mention(p, keyvals.HTTP, a.Value("zone"), a.Node)
	if err != nil {
		return err
	}
	return web.Variables(p).Declare(vars.Variable[*web.Request]{
		Name: name,
		Doc:  "The value of `" + a.Words[0] + "` in the zone `" + a.Value("zone") + "`.",
		Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
			return lookup(r, &key, zone.Zone(), dst)
		},
	})
}

// lookup appends the value of the evaluated key. The key stands in dst for as long as it is needed, so nothing is allocated.
func lookup(r *web.Request, key *vars.Template[*web.Request], zone *keyvals.Zone, dst []byte) ([]byte, bool) {
	start := len(dst)
	dst = key.Append(dst, r)
	end := len(dst)
	dst, found := zone.AppendValue(dst, dst[start:end], r.Now())
	if !found {
		return dst[:start], false
	}
	return dst[:start+copy(dst[start:], dst[end:])], true
}
