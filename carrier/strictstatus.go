package carrier

import (
	"fmt"

	"starling/cluster"
	"starling/lib/clock"
)

// StrictUnsettled says why a strict zone does not decide yet, "" if all do. It is a reason to let clients wait a
// little: a node that has just started refuses their requests. It does so for longer than clients should wait in zones
// of connections, which do not count here.
func (c *Carrier) StrictUnsettled() string {
	config := c.config.Load().Strict
	if config == nil {
		return ""
	}
	for _, gate := range config.Gates {
		if gate.Additive() || gate.Conns() {
			continue
		}
		switch status := gate.Status(clock.SteadyUS()); {
		case status.Closed != "":
			return fmt.Sprintf("%v: %s", gate, status.Closed)
		case status.State != "member":
			return fmt.Sprintf("%v waits for the other members", gate)
		}
	}
	return ""
}

// showStrict shows how the members agree on strict zones: by their views, and not by what their additive counts have.
// They agree while this node decides, in a view with all members of the list.
func (c *Carrier) showStrict(status *Status) {
	config := c.config.Load().Strict
	if config == nil {
		return
	}
	configured := c.strict.membersOfList()
	for _, gate := range config.Gates {
		z, shared := status.Zones[gate.Name]
		if !shared {
			continue
		}
		s := gate.Status(clock.SteadyUS())
		shown := &cluster.StrictZone{
			State: s.State, Reason: s.Closed, View: s.View.Number, Members: s.Deciding(), Configured: configured,
			KeysHeld: s.Keys, KeysOwned: s.Owned,
		}
		if z.Strict = shown; shown.State != "additive" { // that agrees as its counts do
			z.Agreement = "unknown"
			if shown.State == "member" && len(shown.Members) == configured {
				z.Agreement = "agree"
			}
		}
		status.Zones[gate.Name] = z
	}
	status.SumUp()
}
