package keyval

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"starling/conf"
	"starling/logs"
	"starling/side"
	"starling/vars"
	"starling/zone"
	"starling/zone/kinds"
)

// Directives are keyval_zone and keyval of one side.
func Directives[C side.Subject](of *side.Side[C]) []conf.Directive {
	in := of.Block
	return []conf.Directive{
		zoneDirective(of.Name, in),
		{
			Name: "keyval", Syntax: "<key> <$variable> zone=<name>", Params: keyvalParams, In: in, Repeat: true,
			Doc: "Creates a variable with the value of the key in the zone. The variable is empty if the key is not " +
				"found. `set` on the variable writes the pair, with the zone's timeout; in a zone with `state`, the " +
				"request continues when the pair is on disk.",
			Set: func(_ any, a *conf.Args) error { return declareVariable(of, a) },
		},
	}
}

// declareVariable is keyval.
func declareVariable[C side.Subject](of *side.Side[C], a *conf.Args) error {
	p := side.PlanOf(a)
	key, err := of.Compile(a, a.Words[0])
	if err != nil {
		return err
	}
	name, isVariable := strings.CutPrefix(a.Words[1], "$")
	if !isVariable || name == "" {
		return fmt.Errorf("invalid variable name \"%s\"", a.Words[1])
	}
	zone, err := mention(p, of.Name, a.Value("zone"), a.Node)
	if err != nil {
		return err
	}
	return of.Variables(p).Declare(vars.Variable[C]{
		Name:   name,
		Doc:    "The value of `" + a.Words[0] + "` in the zone `" + a.Value("zone") + "`.",
		Append: func(c C, _ string, dst []byte) ([]byte, bool) { return lookup(c, &key, zone.Zone(), dst) },
		Assign: func(c C, value []byte) { assign(c, &key, zone.Zone(), value) },
	})
}

// assign writes a pair when `set` assigns its variable. An unchanged pair is not written again, so that a `set` on
// every request does not become an update to every peer. With a timeout it is, because its lifetime restarts.
func assign[C side.Subject](c C, key *vars.Template[C], z *Zone, value []byte) {
	name, same := key.Append(nil, c), false
	if z.Timeout == 0 || z.spec.wait > 0 {
		old, found := z.Get(name, c.Now())
		same = found && bytes.Equal(old, value)
	}
	if same && z.Timeout == 0 {
		return
	}
	now := c.Now()
	err := z.Set(name, value, kinds.NoExpire, now)
	if err == nil {
		if !same {
			z.await(c)
		}
		return
	}
	repeats := &z.unset
	if errors.Is(err, kinds.ErrFull) {
		repeats = &z.noRoom // a bad key must not hide a full zone
	}
	if note, write := repeats.Next(now.MonoMS); write { // each such request would repeat the line
		c.Logf(logs.Error, "cannot set key \"%s\" in keyval zone \"%s\": %v%s", name, z.Name, err, note)
	}
}

// await waits until the peers have the changed pair, if the zone is declared so.
func (z *Zone) await(c side.Subject) {
	if z.spec.wait == 0 {
		return
	}
	if r, ok := c.(interface{ Waits() }); ok {
		r.Waits()
	}
	side.Await(z.Deliver(zone.Need{LimitMS: z.spec.wait.Milliseconds()}), z.spec.wait, c.Plan().Clock)
}

// lookup appends the value of the evaluated key. The key is in dst while it is needed, so nothing is allocated.
func lookup[C side.Subject](c C, key *vars.Template[C], z *Zone, dst []byte) ([]byte, bool) {
	start := len(dst)
	dst = key.Append(dst, c)
	end := len(dst)
	dst, found := z.AppendValue(dst, dst[start:end], c.Now())
	if !found {
		return dst[:start], false
	}
	return dst[:start+copy(dst[start:], dst[end:])], true
}

// keyvalParams explains the parameters of keyval.
var keyvalParams = map[string]string{
	"zone": "Zone in which the key is looked up.",
}
