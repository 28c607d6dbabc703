package carrier

import (
	"net/netip"
	"strings"
	"testing"

	"starling/cluster/strict"
)

// A node that does not find itself in the list says so once, naming the list, but not at once: it must dial first. A
// reload with another list begins anew.
func TestANodeThatIsNotInTheListSaysSo(t *testing.T) {
	r, log := idleRunner(t)
	gate := strict.NewGate("lim", strict.Limit{Rate: strict.Request}, 10, 7)
	r.carrier.config.Load().Strict = &StrictConfig{Gates: []*strict.Gate{gate}}
	lists := func(hosts ...string) {
		r.carrier.members = nil
		for _, host := range hosts {
			m := Member{Host: host, Port: 9000}
			address := netip.AddrPortFrom(netip.MustParseAddr(host), 9000)
			r.carrier.members = append(r.carrier.members, resolved{m, []target{{member: m, address: address}}})
		}
	}
	const line = "none of the addresses in the list of zone_sync_server leads to this node: "
	nowUS := int64(7_000_000)
	for _, list := range [][]string{{"10.0.0.1", "10.0.0.2"}, {"10.0.0.2", "10.0.0.3"}} {
		lists(list...)
		named := list[0] + ":9000, " + list[1] + ":9000"
		for sinceUS := int64(0); sinceUS < unseatedToldUS; sinceUS += lookEveryUS {
			r.look(nowUS + sinceUS)
			if log.find(line+named) != "" {
				t.Fatalf("the log says it after %d us", sinceUS)
			}
		}
		if want := "this node has not found itself in the list of zone_sync_server yet: " + named; gate.Closed() != want {
			t.Errorf("closed: %q, want %q", gate.Closed(), want)
		}
		for range 3 {
			nowUS += unseatedToldUS
			r.look(nowUS)
		}
		if got := log.count(line + named); got != 1 || !strings.Contains(log.find(line+named), "rejects requests") {
			t.Errorf("the log says it %d times: %q", got, log.find(line+named))
		}
	}
}
