package carrier

import (
	"fmt"
	"testing"

	"starling/lib/clock"
)

// With shares, a node without a majority admits its part of the limit, logs it, and decides with the others when they
// are back. A process that is replaced admits nothing by itself.
func TestAStrictNodeAloneAdmitsItsShare(t *testing.T) {
	nodes, members := strictMesh(t, 3, nil)
	for _, n := range nodes {
		n.gate.Share(true)
	}
	allReady(t, nodes)
	logged := func(want string) {
		t.Helper()
		eventually(t, func() error {
			if nodes[0].log.find(want) == "" {
				return fmt.Errorf("the log has no line %q", want)
			}
			return nil
		})
	}
	for _, n := range nodes[1:] {
		n.stop()
	}
	logged(`strict limits: zone "lim" admits this node's share of the limit only: this node does not reach the majority of the members`)
	beganUS := clock.SteadyUS()
	before := nodes[0].gate.Status(beganUS).Fallback.Admitted
	const want = strictRate / 4
	admitted := 0
	eventually(t, func() error {
		for range 20 {
			if nodes[0].ask("key") {
				admitted++
			}
		}
		if admitted < want {
			return fmt.Errorf("%d requests were admitted", admitted)
		}
		return nil
	})
	allowed := strictRate/3. + float64(clock.SteadyUS()-beganUS)/1e6*strictRate/3
	s := nodes[0].gate.Status(clock.SteadyUS()).Fallback
	if float64(admitted) > allowed || s.Admitted != before+uint64(admitted) || !s.Active {
		t.Errorf("%d are admitted where %.1f are allowed: %+v", admitted, allowed, s)
	}

	again := &strictNode{node: listenAgain(t, nodes[1].node), dir: nodes[1].dir}
	again.start(members, again.strictly)
	allReady(t, []*strictNode{nodes[0], again})
	logged(`strict limits: zone "lim" decides with the other members again; alone, this node admitted `)

	nodes[0].carrier.Redirect()
	eventually(t, func() error {
		if s := nodes[0].gate.Status(clock.SteadyUS()); s.Closed == "" || s.Fallback.Active {
			return fmt.Errorf("it still decides: %+v", s)
		}
		return nil
	})
	if nodes[0].ask("key") {
		t.Error("a process that was replaced admits a request")
	}
}
