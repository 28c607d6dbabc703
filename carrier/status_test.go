package carrier

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"starling/lib/testkit"
)

// shows says whether the status has these members, each "address member state error", and that word on agreement.
func (n *node) shows(agree bool, want ...string) error {
	status := n.carrier.Status()
	got := []string{}
	for _, m := range status.Members {
		got = append(got, fmt.Sprintf("%q %s %s %q", m.Address, m.Member, m.State, m.LastError))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("members are %v, want %v", got, want)
	}
	if status.Agree != agree {
		return fmt.Errorf("nodes_agree is %v", status.Agree)
	}
	return nil
}

// A node that has lost a member does not know whether they agree, whatever it agrees with those that are left.
func TestNodesAgreeOnlyWhereAllMembersAreReached(t *testing.T) {
	a, b := listen(t, 0), listen(t, 1)
	a.start([]Member{b.member()}, nil)
	b.start([]Member{a.member()}, nil)
	address := b.listener.Addr().String()
	eventually(t, func() error { return a.shows(true, fmt.Sprintf("%q %s connected \"\"", address, b.member())) })
	b.stop()
	eventually(t, func() error {
		return a.shows(false, fmt.Sprintf("%q %s connecting \"connect() failed (111: Connection refused)\"", address, b.member()))
	})
	again := &node{t: t, index: 1, clock: b.clock, log: &journalLog{t: t}}
	var err error
	if again.listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	again.start([]Member{a.member()}, nil)
	eventually(t, func() error { return a.shows(true, fmt.Sprintf("%q %s connected \"\"", address, b.member())) })
}

// A name that is not answered is in the status: nobody would miss an address that was never known.
func TestANameWithoutAnswerIsShown(t *testing.T) {
	a, b := listen(t, 0), listen(t, 1)
	dns := &addresses{}
	dns.answer(errors.New("SERVFAIL"))
	named := Member{Host: "cluster.test", Port: b.member().Port, Resolve: true, Line: "a.conf:7"}
	b.start([]Member{a.member()}, nil)
	a.start([]Member{named}, func(config *Config) { config.Resolver = dns })
	eventually(t, func() error { return a.shows(false, fmt.Sprintf("\"\" %s unresolved \"SERVFAIL\"", named)) })
	dns.answer(nil, testkit.Loopback())
	connected := fmt.Sprintf("%q %s connected \"\"", b.listener.Addr(), named)
	eventually(t, func() error { return a.shows(true, connected) })
	dns.answer(errors.New("timed out"))
	eventually(t, func() error { return a.shows(true, connected, fmt.Sprintf("\"\" %s unresolved \"timed out\"", named)) })
}
