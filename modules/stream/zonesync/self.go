package zonesync

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"starling/carrier"
	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/stream"
)

// self is where a server with zone_sync is reached, as far as its configuration tells.
type self struct {
	listens side.Listens
	// own are the addresses of this machine.
	own []netip.Addr
}

// reached reports whether an address of the list leads to this server.
func (s *self) reached(m carrier.Member, address netip.AddrPort) bool {
	return slices.ContainsFunc(s.listens, func(l side.Listen) bool {
		switch {
		case m.Unix != "" || l.Addr.IsUnix():
			return m.Unix != "" && m.Unix == l.Addr.Path
		case l.Addr.Port() != address.Port():
			return false
		case !l.Addr.Wildcard():
			return l.Addr.Addr().Unmap() == address.Addr().WithZone("")
		}
		ip := address.Addr()
		if ip.Is4() != l.Addr.Addr().Is4() && (ip.Is6() || l.Options.IPv6Only) {
			return false
		}
		return ip.IsLoopback() || ip.IsUnspecified() || slices.Contains(s.own, ip.WithZone(""))
	})
}

// ownAddresses are those of the interfaces of this machine.
func ownAddresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	for _, one := range list {
		if network, ok := one.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(network.IP); ok {
				own = append(own, ip.Unmap())
			}
		}
	}
	return own, nil
}

// try makes the carrier of a configuration that is only tested. Prepare looks up the names of static members, as nginx
// does with -t.
func (s *state) try(p *plan.Plan) error {
	prepared, err := carrier.Prepare(context.Background(), s.config)
	if err != nil {
		return err
	}
	s.advise(p, prepared)
	c, err := prepared.New()
	if err == nil {
		c.Close()
	}
	return err
}

// advise tells the operator when strict zones wait for something that may never come: that the node finds itself in the
// list. It finds itself by dialling, which an address that is mapped to this machine allows, too; so this is advice.
func (s *state) advise(p *plan.Plan, prepared *carrier.Prepared) {
	if s.config.Strict == nil {
		return
	}
	own, err := ownAddresses()
	if err != nil {
		return // then nothing is known
	}
	if here := (&self{s.listens, own}); !prepared.Lists(here.reached) {
		p.Log.Logf(logs.Warn, "%v", conf.At(s.node, "%s", s.absence()))
	}
}

// absence says that this node is not in the list.
func (s *state) absence() string {
	if len(s.config.Members) == 0 {
		return "strict zones reject without zone_sync_server: list all nodes of the cluster, this one included"
	}
	var members, listens []string
	for _, m := range s.config.Members {
		members = append(members, m.String())
	}
	for _, l := range s.listens {
		listens = append(listens, l.Addr.String())
	}
	return fmt.Sprintf("no zone_sync_server leads to this node, which listens on %s: strict zones reject until it "+
		"finds itself in the list; add its address, on all nodes alike, or, if one of the addresses is mapped to "+
		"this machine, ignore this; the list is %s", strings.Join(listens, ", "), strings.Join(members, ", "))
}

// listensOf are the addresses of the block's server.
func listensOf(b *stream.Block) side.Listens {
	return conf.SettingsOf[stream.Settings](b.Scope).Listens
}
