// Package lookup makes variables whose values depend on other values: map, geo and split_clients, for both http and
// stream.
package lookup

import (
	"fmt"
	"net/netip"
	"strings"

	"starling/conf"
	"starling/logs"
	"starling/nginx/trusted"
	"starling/side"
	"starling/vars"
)

// family are the lookups of one side.
type family[C side.Subject] struct {
	side *side.Side[C]
	// forwarded is the client's address after the trusted proxies' X-Forwarded-For; nil if the side has no headers.
	forwarded Forwarded[C]
}

// Forwarded finds the client's address behind trusted proxies.
type Forwarded[C side.Subject] func(c C, from netip.Addr, networks *trusted.Networks, recursive bool) netip.Addr

// Directives are map, geo and split_clients of a side. forwarded is nil if requests have no headers.
func Directives[C side.Subject](of *side.Side[C], forwarded Forwarded[C]) []conf.Directive {
	s, in := &family[C]{of, forwarded}, of.Block
	return []conf.Directive{
		{
			Name: "map", Syntax: "<source> <$variable>", In: in, Opens: conf.Lines, Repeat: true,
			Doc: "Creates a variable whose value depends on the source. Each line contains a source value and the " +
				"resulting value, which can contain variables. Source values are case-insensitive; `~` starts a " +
				"regular expression, `~*` a case-insensitive one; `hostnames` also enables `*.example.org`, " +
				"`www.example.*` and `.example.org`. Order of precedence: exact value, longest `*.` mask, longest " +
				"`.*` mask, first matching expression, `default`; an empty value matches no expression. A backslash " +
				"before a special word escapes it. `include` reads lines from a file; `volatile` disables caching of " +
				"the value.",
			Set: func(_ any, a *conf.Args) error { return s.declareMap(a) },
		},
		{
			Name: "geo", Syntax: "<$address> [<$variable>]", In: in, Opens: conf.Lines, Repeat: true,
			Doc: "Creates a variable whose value depends on an address: the first of two variables, or by default " +
				"the client's. Each line contains a network or, after `ranges`, `FIRST-LAST`, and a value; the " +
				"longest matching network wins, otherwise `default`. `255.255.255.255` matches invalid addresses. " +
				"`delete` removes a network, `include` reads lines from a file, `volatile` disables caching of the " +
				"value. In http, `proxy` lists trusted proxies whose X-Forwarded-For is used; `proxy_recursive` " +
				"skips trusted addresses in it.",
			Set: func(_ any, a *conf.Args) error { return s.declareGeo(a) },
		},
		{
			Name: "split_clients", Syntax: "<source> <$variable>", In: in, Opens: conf.Lines, Repeat: true,
			Doc: "Creates a variable that splits clients by a hash (MurmurHash2) of the source. Each line contains a " +
				"percentage, or `*` for the rest, and a value.",
			Set: func(_ any, a *conf.Args) error { return s.declareSplit(a) },
		},
	}
}

// choice is the result of a lookup: a literal, or a text with variables.
type choice[C side.Subject] struct {
	literal []byte
	text    *vars.Template[C] // nil for a literal
}

// none is the value if nothing matches: empty, but set.
func none[C side.Subject]() *choice[C] { return &choice[C]{literal: []byte{}} }

// variableName reads the name of the variable to create.
func variableName(word string) (string, error) {
	name, found := strings.CutPrefix(word, "$")
	if !found || name == "" {
		return "", fmt.Errorf("invalid variable name \"%s\"", word)
	}
	return name, nil
}

// maxNesting is how many lookups may depend on each other, as in nginx: more are a cycle of maps.
const maxNesting = 100

// lookup is one map, geo or split_clients: find returns the value for c. It may use the memory after the end of dst,
// and returns dst with its length unchanged.
type lookup[C side.Subject] interface {
	find(c C, dst []byte) (*choice[C], []byte)
}

// declare creates the variable of a lookup. Unless it is volatile, its value is found once for each c.
func (s *family[C]) declare(a *conf.Args, name, doc string, volatile bool, by lookup[C]) error {
	p, slot := side.PlanOf(a), -1
	if !volatile {
		slot = s.side.NewSlot(p)
	}
	return s.side.Variables(p).Declare(vars.Variable[C]{Name: name, Doc: doc, Replaceable: true,
		Append: func(c C, _ string, dst []byte) ([]byte, bool) {
			state := c.SideState()
			if slot >= 0 {
				if kept := state.Slot(slot); kept.Set {
					return append(dst, kept.Value...), true
				}
			}
			if state.Nesting >= maxNesting {
				c.Logf(logs.Error, "cycle while evaluating variable \"%s\"", name)
				return dst, false
			}
			state.Nesting++
			dst = evaluate(c, slot, by, dst)
			state.Nesting--
			return dst, true
		}})
}

// evaluate appends the result of a lookup to dst, and keeps it unless slot is negative.
func evaluate[C side.Subject](c C, slot int, by lookup[C], dst []byte) []byte {
	found, dst := by.find(c, dst)
	start := len(dst)
	if found.text != nil {
		dst = found.text.Append(dst, c)
	} else {
		dst = append(dst, found.literal...)
	}
	switch {
	case slot < 0:
	case found.text == nil:
		*c.SideState().Slot(slot) = side.Slot{Value: found.literal, Set: true}
	default:
		*c.SideState().Slot(slot) = side.Slot{Value: c.Copy(dst[start:]), Set: true}
	}
	return dst
}
