package connect

import (
	"fmt"
	"net/netip"
	"strings"

	"starling/conf"
	"starling/side"
	"starling/vars"
)

// Bind is PREFIX_bind: the local address for connections, which can have variables. With its zero value, the system
// selects it.
type Bind[C side.Subject] struct {
	fixed netip.AddrPort
	by    *vars.Template[C]
}

func readBind[C side.Subject](s *side.Side[C], a *conf.Args) (b Bind[C], err error) {
	word := a.Words[0]
	if word == "off" {
		return b, nil
	}
	t, err := s.Compile(a, word)
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

// parseBind parses an address with or without a port.
func parseBind(text string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(ip, 0), nil
	}
	return netip.ParseAddrPort(text)
}

// Address returns the local address for c; it is invalid if the system selects it.
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
