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
func assign[C side.Subject](c C, key *vars.Template[C], zone *Zone, value []byte) {
	name := key.Append(nil, c)
	if zone.Timeout == 0 {
		if old, found := zone.Get(name, c.Now()); found && bytes.Equal(old, value) {
			return
		}
	}
	now := c.Now()
	err := zone.Set(name, value, kinds.NoExpire, now)
	if err == nil {
		return
	}
	repeats := &zone.unset
	if errors.Is(err, kinds.ErrFull) {
		repeats = &zone.noRoom // a bad key must not hide a full zone
	}
	if note, write := repeats.Next(now.MonoMS); write { // each such request would repeat the line
		c.Logf(logs.Error, "cannot set key \"%s\" in keyval zone \"%s\": %v%s", name, zone.Name, err, note)
	}
}

// lookup appends the value of the evaluated key. The key is in dst while it is needed, so nothing is allocated.
func lookup[C side.Subject](c C, key *vars.Template[C], zone *Zone, dst []byte) ([]byte, bool) {
	start := len(dst)
	dst = key.Append(dst, c)
	end := len(dst)
	dst, found := zone.AppendValue(dst, dst[start:end], c.Now())
	if !found {
		return dst[:start], false
	}
	return dst[:start+copy(dst[start:], dst[end:])], true
}

// keyvalParams explains the parameters of keyval.
var keyvalParams = map[string]string{
	"zone": "Zone in which the key is looked up.",
}
