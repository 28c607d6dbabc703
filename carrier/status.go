package carrier

import (
	"maps"
	"slices"
	"strings"

	"starling/cluster"
)

// Status is the core's status with the members as they are dialled. Its Agree is true only while all members are
// reached: two halves of a cluster that do not see each other agree among themselves.
type Status struct {
	cluster.Status
	Members []MemberStatus `json:"members"`
	// Alone means that there are other members, and none is connected.
	Alone bool `json:"alone,omitempty"`
	// NotReady is why Ready is false: the node is learning, or fails to connect to a member that is there.
	NotReady string `json:"not_ready,omitempty"`
	// Warning names members that are there and fail to connect, while the node stays ready: see readiness.
	Warning string `json:"warning,omitempty"`
}

// MemberStatus is one address that is dialled, or a name that cannot be looked up.
type MemberStatus struct {
	Address string `json:"address"` // empty for a name
	Member  string `json:"member"`  // as configured
	// State is "connected", "connecting", "self" or "alias" (another address reaches the same node); of a name
	// "resolving" until the first answer, and "unresolved" while there is none: addresses known before stay members.
	State string `json:"state"`
	// LastError is why the address is not connected, or the name not resolved.
	LastError string `json:"last_error,omitempty"`
}

const (
	resolving  = "resolving"
	unresolved = "unresolved"
)

// Status describes the node for the API.
func (c *Carrier) Status() Status {
	status := Status{Status: c.node.Status(c.clock.Now()), Members: []MemberStatus{}}
	c.showStrict(&status)
	readiness := c.readiness()
	status.Ready, status.Alone = readiness.ready, readiness.alone
	status.NotReady, status.Warning = readiness.reason, readiness.warning
	c.mu.Lock()
	dialers := sortedDialers(c.dialers)
	watches := slices.SortedFunc(
		maps.Values(c.watches),
		func(a, b *watch) int { return strings.Compare(a.member.String(), b.member.String()) },
	)
	c.mu.Unlock()
	var absent []string
	for _, d := range dialers {
		m := d.status()
		if m.State == string(connecting) {
			absent = append(absent, m.Address)
		}
		status.Agree = status.Agree && m.State != string(connecting)
		status.Members = append(status.Members, m)
	}
	for _, w := range watches {
		if m, addresses, trouble := w.status(); trouble {
			status.Agree = status.Agree && addresses > 0
			status.Members = append(status.Members, m)
			if addresses == 0 {
				absent = append(absent, "")
			}
		}
	}
	c.node.Absent(&status.Status, absent)
	if len(absent) > 0 {
		status.Unreached()
	}
	return status
}

func (d *dialer) status() MemberStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := MemberStatus{
		Address:   d.target.key(),
		Member:    d.target.member.String(),
		State:     string(d.state),
		LastError: d.trouble,
	}
	if d.session != nil && d.session.Established() {
		m.State, m.LastError = string(connected), ""
	}
	return m
}

// status returns the status of a name, if it has one, and how many of its addresses are known.
func (w *watch) status() (m MemberStatus, addresses int, trouble bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m = MemberStatus{Member: w.member.String(), State: unresolved, LastError: w.trouble}
	if w.trouble == "" {
		m.State = resolving
	}
	return m, len(w.targets), w.trouble != "" || !w.known
}
