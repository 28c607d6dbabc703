package upstreams

import (
	"fmt"
	"net/netip"
	"strings"

	"starling/conf"
	"starling/plan"
	"starling/vars"
)

// Bind is proxy_bind: the local address to connect from, which variables may say. Its zero value leaves it to the system.
type Bind[C any] struct {
	fixed netip.AddrPort
	by    *vars.Template[C]
}

// BindDirective is proxy_bind of one side; place finds it in the module's settings.
func BindDirective[S, C any](in conf.Context, variables func(*plan.Plan) *vars.Registry[C], place func(*S) *Bind[C]) conf.Directive {
	return conf.Directive{
		Name: "proxy_bind", Syntax: "<address> [transparent]", DefaultDoc: "off", In: in, Unsupported: []string{"transparent"},
		Doc: "Sets the local address to connect from.",
		Set: conf.Whole(place, func(a *conf.Args) (Bind[C], error) { return readBind(a, variables(a.Env.(*plan.Plan))) }),
	}
}

func readBind[C any](a *conf.Args, variables *vars.Registry[C]) (b Bind[C], err error) {
	word := a.Words[0]
	if word == "off" {
		return b, nil
	}
	t, err := variables.Compile(word, a.Node)
	if err != nil {
		return b, err
	}
	if _, literal := t.Literal(); !literal {
		b.by = &t
		return b, nil
	}
	if b.fixed, err = parseBind(word); err != nil {
		return b, fmt.Errorf("invalid address \"%s\"", word)
	}
	return b, nil
}

// parseBind reads an address with or without a port.
func parseBind(text string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(ip, 0), nil
	}
	return netip.ParseAddrPort(text)
}

// Address gives the local address for c; it is not valid where the system is to choose.
func (b *Bind[C]) Address(c C) (netip.AddrPort, error) {
	if b.by == nil {
		return b.fixed, nil
	}
	text := b.by.Append(nil, c)
	if len(text) == 0 {
		return netip.AddrPort{}, nil
	}
	address, err := parseBind(string(text))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("invalid local address \"%s\"", text)
	}
	return address, nil
}
