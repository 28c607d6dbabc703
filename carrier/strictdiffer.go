package carrier

import (
	"fmt"

	"starling/cluster/strict"
	"starling/logs"
	"starling/zone"
)

// Members need the same settings of a strict zone, and the same lease: a node that gives another one up waits for its
// own lease, which must not end before the other's. Settings and lease make the tag of a zone, and a node hears no
// message with a tag that it does not have. So members with other settings cannot hurt; but their operator should know.

// tagOf is the tag of a zone among the members. The usual lease changes nothing: older releases have no other.
func (r *strictRunner) tagOf(gate *strict.Gate) uint64 {
	if leaseUS := r.leaseOf(gate); leaseUS != StrictLeaseUS {
		return zone.KeyHash(fmt.Appendf(nil, "%d\n%d\n", gate.Tag, leaseUS))
	}
	return gate.Tag
}

// leaseOf is the lease of a zone. Connections are ended when it ends, so theirs is as long as other zones wait for a
// node that is silent.
func (r *strictRunner) leaseOf(gate *strict.Gate) int64 {
	if gate.Conns() {
		return r.config.ConnLeaseUS
	}
	return r.leaseUS
}

// differing is the time in which a member has sent, without a long pause, messages of zones that this node does not
// have with the same settings.
type differing struct {
	sinceUS, lastUS int64
}

const (
	// differsUS is how long a member may have other settings: all nodes are being reloaded.
	differsUS = 10_000_000
	// agreesUS is the pause in such messages after which its settings are the same: several pings of the longest lease.
	agreesUS = 5_000_000
)

func (d *differing) note(nowUS int64) {
	if d.lastUS == 0 || nowUS >= d.lastUS+agreesUS {
		d.sinceUS = nowUS
	}
	d.lastUS = nowUS
}

// lasts reports whether the member has other settings for long.
func (d *differing) lasts(nowUS int64) bool {
	return d.lastUS != 0 && nowUS < d.lastUS+agreesUS && d.lastUS >= d.sinceUS+differsUS
}

// tellDiffering names the members with other settings, or another limit.
func (r *strictRunner) tellDiffering(nowUS int64) {
	for seat, member := range r.seats.members {
		if r.others[seat].lasts(nowUS) {
			r.tellOnce(logs.Warn, "strict limits: member %s has a strict zone that this node lacks, or has with other "+
				"settings: name, key, rate, burst and zone_sync_strict_lease (of connections: name, key and "+
				"zone_sync_timeout) must be the same on all nodes", member)
		}
	}
	r.tellLimits(nowUS)
}

// missing has, by seat, the time since which a member has been connected and has sent no message about one zone of
// this node; 0: it is not connected.
type missing [strict.MembersMost]int64

// note notes whether a member is connected, and reports whether it has said nothing for long.
func (m *missing) note(seat strict.Seat, connected bool, nowUS int64) bool {
	switch {
	case !connected:
		m[seat] = 0
	case m[seat] == 0:
		m[seat] = nowUS
	}
	return connected && nowUS-m[seat] >= differsUS
}

// tellMissing names the members that are connected and take no part in a zone of this node. If they have it without
// strict, they admit requests that the others do not know of.
func (r *strictRunner) tellMissing(nowUS int64) {
	for gate := range r.silent {
		if _, open := r.open[gate]; !open {
			delete(r.silent, gate)
		}
	}
	r.mu.Lock()
	letters := r.wrote
	r.mu.Unlock()
	for gate := range r.open {
		if r.silent[gate] == nil {
			r.silent[gate] = &missing{}
		}
		for seat, member := range r.seats.members {
			connected, _ := r.carrier.node.KeepsStrict(r.seats.addresses[seat])
			silent := r.silent[gate].note(strict.Seat(seat), connected, nowUS)
			switch {
			case !silent || strict.Seat(seat) == r.seats.self || r.others[seat].lasts(nowUS):
			case letters[seat].differs(nowUS, r.leaseUS):
				r.tellOnce(logs.Warn, "strict limits: member %s has another list of zone_sync_server and takes no "+
					"part in %v: make the lists the same and reload", member, gate)
			default:
				r.tellOnce(logs.Warn, "strict limits: member %s is connected and takes no part in %v: if its "+
					"configuration lacks \"strict\", it admits requests beside the limit; add \"strict\" there, or "+
					"remove it from all nodes", member, gate)
			}
		}
	}
}
