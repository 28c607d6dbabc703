package carrier

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"starling/cluster"
	"starling/cluster/wire"
	"starling/lib/plural"
)

// maxReasons bounds how many failing members one answer lists; `members` of the status has all.
const maxReasons = 3

// settledAfter is how long a node must have been ready without interruption to stay so without having met a member. It
// is longer than a network that just comes up, or members that restart at the same time, need.
const settledAfter = 10 * time.Second

// returnWithin is how long a node that has just started waits, before it is ready, for the members that it reached to
// connect to it. Until they do, their updates do not arrive, and if they stop, they take their last ones along. It is
// longer than a new address needs through the name servers of Kubernetes. A member whose list lacks this node must not
// delay it for good.
const returnWithin = 15 * time.Second

// absences are the errors of a dial that only mean that no peer is there.
var absences = []error{
	errTimedOut, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENETUNREACH, syscall.ENETDOWN,
	syscall.EADDRNOTAVAIL,
	syscall.ETIMEDOUT, syscall.ENOENT, // of a unix socket
}

// isAbsence distinguishes an absent member (refused, no route, no answer) from one that is there but fails to connect
// with this node.
func isAbsence(err error) bool {
	for _, absence := range absences {
		if errors.Is(err, absence) {
			return true
		}
	}
	return false
}

// endedByAbsence is isAbsence for a session that ended before it was established: the peer sent nothing, or is about to
// stop.
func endedByAbsence(e *cluster.Ending) bool {
	return e.Silent || e.Theirs && e.Reason == wire.ReasonStopping || isAbsence(e.Err)
}

// readiness is the answer to a load balancer.
type readiness struct {
	ready bool
	// alone means that there are other members, and none is connected.
	alone bool
	// reason is why the node is not ready.
	reason string
	// warning names the failing members of a node that is ready nevertheless.
	warning string
}

// readiness reports whether the node has what the others have. It is not ready if a member is there and the two fail to
// connect: a wrong certificate or configuration of a node must stop its rollout. A node that has met a member since it
// started, or since a reload changed who may connect, stays ready, and so does one that has been ready for settledAfter
// while no member was there: then the other node has just changed, and taking both out of service would turn one
// mistake into an outage. After a common restart, nodes that are connected among themselves, and are more than those
// that fail, are ready: the failing ones are at fault.
func (c *Carrier) readiness() readiness {
	connected, both := c.node.Meetings()
	others, faults := c.otherMembers()
	r := readiness{ready: c.node.Ready(), alone: others > 0 && connected == 0, warning: inShort(faults)}
	awaited := c.awaited()
	switch {
	case c.settled.Load():
	case len(faults) > both: // this node and those it is connected with are not the majority
		c.readyFor(false)
		r.ready, r.reason, r.warning = false, r.warning, ""
		return r
	case r.ready && awaited > 0:
		r.ready, r.reason = false, fmt.Sprintf("waiting until %s to it, too; if their lists lack this node, it is "+
			"ready %v after its start", plural.Of(awaited, "member that this node reached connects",
			"members that this node reached connect"), returnWithin)
		return r
	case c.readyFor(r.ready) >= settledAfter || r.ready && both > 0:
		c.settled.Store(true)
	}
	if !r.ready {
		r.reason = "initial sync has not completed"
		if zones := c.node.Syncing(); len(zones) > 0 {
			r.reason += ": " + inShort(zones)
		}
	}
	return r
}

// awaited counts the members that this node reached and that are still to connect to it before it is ready.
func (c *Carrier) awaited() int {
	if since := c.clock.Now().MonoMS - c.startedMS.Load(); since >= returnWithin.Milliseconds() {
		return 0
	}
	return c.node.Unreturned()
}

// readyFor records whether the node is ready now, and returns how long it has been.
func (c *Carrier) readyFor(ready bool) time.Duration {
	if !ready {
		c.readySinceMS.Store(0)
		return 0
	}
	now := c.clock.Now().MonoMS + 1 // 0 is never
	since := c.readySinceMS.Load()
	if since == 0 {
		c.readySinceMS.CompareAndSwap(0, now)
		return 0
	}
	return time.Duration(now-since) * time.Millisecond
}

// unsettle starts over: earlier success proves nothing under the current rules.
func (c *Carrier) unsettle() {
	c.settled.Store(false)
	c.readySinceMS.Store(0)
}

// inShort joins the first reasons and counts the rest.
func inShort(reasons []string) string {
	if more := len(reasons) - maxReasons; more > 0 {
		return fmt.Sprintf("%s; and %d more", strings.Join(reasons[:maxReasons], "; "), more)
	}
	return strings.Join(reasons, "; ")
}

// otherMembers counts the addresses that are not this node's own, and the names without one. It reports each reachable
// member that fails to connect with this node.
func (c *Carrier) otherMembers() (others int, faults []string) {
	c.mu.Lock()
	dialers := sortedDialers(c.dialers)
	for _, w := range c.watches {
		if _, addresses, _ := w.status(); addresses == 0 {
			others++
		}
	}
	c.mu.Unlock()
	for _, d := range dialers {
		d.mu.Lock()
		if d.state != isSelf {
			others++
		}
		if d.state == connecting && d.faulty && (d.session == nil || !d.session.Established()) {
			faults = append(faults, fmt.Sprintf("cannot sync with reachable member %s: %s", d.target.key(), d.trouble))
		}
		d.mu.Unlock()
	}
	return others, faults
}
