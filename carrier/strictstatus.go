package carrier

import (
	"fmt"

	"starling/lib/clock"
)

// StrictUnsettled says why a strict zone does not decide yet, "" if all do. It is a reason to let clients wait a
// little: a node that has just started refuses their requests.
func (c *Carrier) StrictUnsettled() string {
	config := c.config.Load().Strict
	if config == nil {
		return ""
	}
	for _, gate := range config.Gates {
		if gate.Additive() {
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
