package cluster

import (
	"fmt"
	"strings"
	"testing"

	"starling/cluster/wire"
)

// actor is a program that knows the protocol and keeps to nothing else: it connects to a host, or is dialled by it, as
// it likes.
type actor struct {
	f       *fabric
	host    *host
	session *Session
	opened  bool // the preamble of what the host sends was read
}

// comes connects to a host from an address, with the subject of a certificate or without one, and says hello.
func (f *fabric) comes(to *host, address, subject string, hello wire.Hello) *actor {
	f.t.Helper()
	s, err := to.node.Connected(Connection{Address: address + ":50000", Host: address, Subject: subject}, to.reading())
	if err != nil {
		f.t.Fatal(err)
	}
	a := &actor{f: f, host: to, session: s}
	s.Receive(wire.AppendFrame([]byte(wire.Preamble), wire.TypeHello, hello.Append(nil), nil), to.reading()) // it ends the session, or not
	return a
}

// isDialled answers a host that dialled an address of its list.
func (f *fabric) isDialled(by *host, address, subject string, hello wire.Hello) *actor {
	f.t.Helper()
	host, _, _ := strings.Cut(address, ":")
	s, err := by.node.Connected(Connection{Outgoing: true, Address: address, Host: host, Subject: subject}, by.reading())
	if err != nil {
		f.t.Fatal(err)
	}
	reply := wire.Reply{Status: wire.StatusAccepted, Hello: hello}
	s.Receive(wire.AppendFrame([]byte(wire.Preamble), wire.TypeReply, reply.Append(nil), nil), by.reading())
	return &actor{f: f, host: by, session: s}
}

// says sends a frame.
func (a *actor) says(t wire.Type, body []byte) error {
	return a.session.Receive(wire.AppendFrame(nil, t, body, nil), a.host.reading())
}

// ended returns why the host ended the session, "" if it did not.
func (a *actor) ended() string {
	if e := a.session.Ended(); e != nil {
		return e.Err.Error()
	}
	return ""
}

// helloOf is what a node with an id would say, with the origins of its zones kv and lim.
func helloOf(id NodeID, life, origins uint64) wire.Hello {
	return wire.Hello{
		MinVersion: 1, Version: 1, Features: wire.FeatureRepair, NodeID: uint64(id), Incarnation: life, TimeoutMS: 5000, WallMS: 1_800_000_000_000,
		Zones: []wire.Zone{
			{Name: "kv", Kind: 2, Expression: "$arg_k", Bytes: 8 << 20, TimeoutMS: 3_600_000, Origin: origins, Ready: true},
			{Name: "lim", Kind: 3, Expression: "$remote_addr", Bytes: 8 << 20, RateMilli: testRateMilli, Origin: origins + 1, Ready: true},
		},
	}
}

// honest and evil are who they are; evil says to be whom it wants.
const (
	honestID = NodeID(0xa1)
	evilID   = NodeID(0xe1)
)

// meeting is how an actor meets a host.
type meeting func(f *fabric, h *host) *actor

func comes(address, subject string, hello wire.Hello) meeting {
	return func(f *fabric, h *host) *actor { return f.comes(h, address, subject, hello) }
}

func dialled(address, subject string, hello wire.Hello) meeting {
	return func(f *fabric, h *host) *actor { return f.isDialled(h, address, subject, hello) }
}

var (
	honest, copied = helloOf(honestID, 7, 70), helloOf(honestID, 7, 70)
	otherLife      = helloOf(honestID, 8, 90)
)

// claims tell who comes, in which order, and why each is ended.
var claims = []struct {
	name     string
	meetings []meeting
	want     []string // why each has ended, in the end
}{
	{"another address takes the id", []meeting{comes("10.0.0.1", "", honest), comes("10.6.6.6", "", copied)},
		[]string{"", "node ID 00000000000000a1 is already claimed by 10.0.0.1; rejecting 10.6.6.6"}},
	{"… or another life of it", []meeting{comes("10.0.0.1", "", honest), comes("10.6.6.6", "", otherLife)},
		[]string{"", "is already claimed by 10.0.0.1"}},
	{"another certificate takes the id", []meeting{comes("10.0.0.1", "CN=one", honest), comes("10.0.0.1", "CN=evil", copied)},
		[]string{"", `is already claimed by "CN=one"; rejecting "CN=evil"`}},
	{"who comes first keeps nothing when the node is reached at its address",
		[]meeting{comes("10.6.6.6", "", copied), dialled("10.0.0.1:9000", "", honest), comes("10.0.0.1", "", honest)},
		[]string{"belongs to 10.0.0.1; rejecting 10.6.6.6", "", ""}},
	{"… nor with a certificate",
		[]meeting{comes("10.6.6.6", "CN=evil", copied), dialled("10.0.0.1:9000", "CN=one", honest), comes("10.0.0.5", "CN=one", honest)},
		[]string{`belongs to "CN=one"; rejecting "CN=evil"`, "", ""}},
	{"… nor where it was dialled with another's id", []meeting{comes("10.0.0.1", "CN=one", honest), dialled("10.6.6.6:9000", "CN=evil", copied),
		dialled("10.0.0.1:9000", "CN=one", honest)}, []string{"", "node is reconnected at its first address|replaced|rejecting \"CN=evil\"", ""}},
	{"a member answers with the id of another one", []meeting{dialled("10.0.0.1:9000", "CN=one", honest), dialled("10.6.6.6:9000", "CN=evil", copied)},
		[]string{"", `is already claimed by "CN=one"; rejecting "CN=evil"`}},
	{
		"… without certificates: it looks like another way to it, and is left",
		[]meeting{dialled("10.0.0.1:9000", "", honest), dialled("10.6.6.6:9000", "", copied)},
		[]string{"", "node is already connected at 10.0.0.1:9000"},
	},
	{"a certificate is more than an address", []meeting{comes("10.6.6.6", "", copied), comes("10.0.0.1", "CN=one", honest), comes("10.6.6.6", "", copied)},
		[]string{"belongs to \"CN=one\"", "", "is already claimed by \"CN=one\""}},
	{"a node behind NAT comes from another address than it is reached at", []meeting{dialled("10.0.0.1:9000", "", honest), comes("192.0.2.1", "", honest)},
		[]string{"", ""}},
	{"nodes behind one address have ids of their own", []meeting{comes("192.0.2.1", "", honest), comes("192.0.2.1", "", helloOf(evilID, 1, 80))},
		[]string{"", ""}},
	{"a certificate may move to another address", []meeting{comes("10.0.0.1", "CN=one", honest), comes("10.0.0.9", "CN=one", otherLife)}, []string{"", ""}},
	{"a certificate that all nodes have tells nothing: the address does",
		[]meeting{comes("10.0.0.1", "CN=all", honest), comes("10.6.6.6", "CN=all", copied)},
		[]string{"", `is already claimed by "CN=all" at 10.0.0.1; rejecting "CN=all" at 10.6.6.6`}},
	{"another's origins are refused by name", []meeting{comes("10.0.0.1", "", honest), comes("10.6.6.6", "", helloOf(evilID, 1, 70))},
		[]string{"", `zone "kv": origin 0000000000000046 is already claimed by node 00000000000000a1 of 10.0.0.1; rejecting 10.6.6.6`}},
	{"… and those who brought them too early lose them to who is reached",
		[]meeting{comes("10.6.6.6", "", helloOf(evilID, 1, 70)), dialled("10.0.0.1:9000", "", honest), comes("10.0.0.1", "", honest)},
		[]string{"origin 0000000000000046 belongs to node 00000000000000a1 of 10.0.0.1:9000; rejecting 10.6.6.6", "", ""}},
	{"… also of one zone alone", []meeting{comes("10.0.0.1", "CN=one", honest), comes("10.6.6.6", "CN=evil", helloOf(evilID, 1, 71))},
		[]string{"", `zone "kv": origin 0000000000000047 is already claimed by node`}},
}

// TestAnIDBelongsToWhoBroughtIt: to a certificate, or an address.
func TestAnIDBelongsToWhoBroughtIt(t *testing.T) {
	for _, test := range claims {
		t.Run(test.name, func(t *testing.T) {
			f := newFabric(t, 1)
			h := f.hosts[0]
			all := map[string]bool{"CN=all": true}
			h.node.subjects.Store(&all)
			f.step(int(AloneMS) + 100)
			var actors []*actor
			for _, meet := range test.meetings {
				actors = append(actors, meet(f, h))
			}
			for i, want := range test.want {
				got := actors[i].ended()
				matches := want == "" && got == ""
				for text := range strings.SplitSeq(want, "|") {
					matches = matches || text != "" && strings.Contains(got, text)
				}
				if !matches {
					t.Errorf("number %d ended for %q, want %q", i, got, want)
				}
				if !strings.Contains(got, "; rejecting ") {
					continue
				}
				lines := len(h.said(got))
				if !actors[i].session.Ended().Quiet { // the carrier logs the end as well
					lines++
				}
				if lines != 1 {
					t.Errorf("%d lines tell that number %d is rejected, want one", lines, i)
				}
			}
		})
	}
}

// This node's own origins are nobody else's.
func TestOwnOriginsAreRefused(t *testing.T) {
	f := newFabric(t, 1)
	h := f.hosts[0]
	hello := helloOf(evilID, 1, 70)
	hello.Zones[1].Origin = uint64(h.node.table.Load().byName["lim"].origin)
	if got := f.comes(h, "10.6.6.6", "", hello).ended(); !strings.Contains(got, "belongs to this node") {
		t.Errorf("it ended for %q", got)
	}
}

// One certificate or address brings a few ids, whatever it makes up, and the others' places are left.
func TestIDsOfOneIdentityAreBounded(t *testing.T) {
	f := newFabric(t, 1)
	h := f.hosts[0]
	for i := range 100 {
		got := f.comes(h, "10.6.6.6", "CN=evil", helloOf(evilID+NodeID(i), 1, uint64(1000+10*i))).ended()
		if refused := i >= maxIDs; refused != strings.Contains(got, `16 nodes of "CN=evil" are already connected`) {
			t.Fatalf("id number %d ended for %q", i, got)
		}
	}
	if got := f.comes(h, "10.0.0.1", "CN=one", helloOf(honestID, 1, 70)).ended(); got != "" {
		t.Errorf("another one is refused: %s", got)
	}
}

// Ten years ahead: five ids of five certificates that only connect, and five of a member that is in the list with five
// addresses.
func TestTimeHasOneVoicePerMember(t *testing.T) {
	const tenYearsMS = 315_360_000_000
	f := newFabric(t, 3)
	f.settle(2000, "ready", f.ready)
	h := f.hosts[0]
	for i := range 5 {
		hello := helloOf(evilID+NodeID(i), 1, uint64(1000+10*i))
		hello.WallMS += tenYearsMS
		f.isDialled(h, fmt.Sprintf("10.6.6.%d:9000", i), "CN=evil", hello)
		hello = helloOf(evilID+NodeID(10+i), 1, uint64(2000+10*i))
		hello.WallMS += tenYearsMS
		f.comes(h, fmt.Sprintf("10.6.7.%d", i), fmt.Sprintf("CN=%d", i), hello)
	}
	f.step(200)
	if got := h.node.clocks.offsetMS(h.reading()); got != 0 {
		t.Errorf("cluster time moved by %v", ms(got))
	}
	lines := h.said("clock of peer 10.6.")
	if len(lines) == 0 || !strings.Contains(lines[0], "ahead of cluster time; ignoring it") {
		t.Errorf("the log tells %q", lines)
	}
	shown := 0
	for _, p := range h.node.Status(h.reading()).Peers {
		if p.ClockRefused {
			shown++
		}
	}
	if shown != 10 {
		t.Errorf("%d peers are shown with a clock that is refused, want 10", shown)
	}
}

// A clock that is wrong by an hour on this node is said to be this node's.
func TestTheOwnClockIsToldWrong(t *testing.T) {
	f := newFabric(t, 3)
	f.hosts[2].skewMS = -3_600_000
	f.settle(2000, "ready", f.ready)
	f.step(2000)
	if lines := f.hosts[2].said("this node's clock is 1h0m0s behind the clocks of most members"); len(lines) != 1 {
		t.Errorf("it tells %d times: %q", len(lines), lines)
	}
	if lines := f.hosts[0].said("clock of peer host2"); len(lines) == 0 {
		t.Error("the others do not tell which clock is wrong")
	}
}

// provenHello is that of a node whose id was made for the subjects of its certificates, and whose origins were made of
// its id.
func provenHello(subjects ...string) wire.Hello {
	proof := wire.Proof{Salt: 5, Subjects: subjects}
	h := helloOf(IDOf(proof), 7, 70)
	h.Proof = proof
	for i := range h.Zones {
		z := &h.Zones[i]
		z.Incarnation = 3
		z.Origin = uint64(originOf(NodeID(h.NodeID), h.Incarnation, z.Name, z.Incarnation))
	}
	return h
}

// Who can prove an id or an origin has it, whoever was faster, and in whatever list the other one stands.
func TestWhatIsProvenWins(t *testing.T) {
	real := provenHello("CN=server", "CN=one")
	copiedOrigins := helloOf(evilID, 1, 70)
	for i := range copiedOrigins.Zones {
		copiedOrigins.Zones[i].Origin = real.Zones[i].Origin
	}
	claimsToProve := copiedOrigins
	claimsToProve.Zones = append([]wire.Zone(nil), copiedOrigins.Zones...)
	for i := range claimsToProve.Zones {
		claimsToProve.Zones[i].Incarnation = 3
	}
	for _, test := range []struct {
		name     string
		meetings []meeting
		want     []string
	}{
		{"an id taken by a member that was dialled and dialled", []meeting{
			dialled("10.6.6.6:9000", "CN=evil", real), comes("10.6.6.6", "CN=evil", real),
			dialled("10.0.0.1:9000", "CN=server", real), comes("10.0.0.1", "CN=one", real),
		}, []string{"; rejecting ", "; rejecting ", "", ""}},
		{"an id that is proven is not taken by any other claim", []meeting{comes("10.0.0.1", "CN=one", real), comes("10.6.6.6", "CN=evil", real)},
			[]string{"", "; rejecting "}},
		{"origins taken by a member", []meeting{dialled("10.6.6.6:9000", "CN=evil", copiedOrigins), comes("10.6.6.6", "CN=evil", copiedOrigins), comes("10.0.0.1", "CN=one", real)},
			[]string{"", "; rejecting ", ""}},
		{"origins that are not made of the id", []meeting{comes("10.6.6.6", "CN=evil", claimsToProve)}, []string{"does not belong to node 00000000000000e1"}},
	} {
		f, h := lonely(t)
		var actors []*actor
		for _, meet := range test.meetings {
			actors = append(actors, meet(f, h))
		}
		for i, want := range test.want {
			if got := actors[i].ended(); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s: number %d ended for %q, want %q", test.name, i, got, want)
			}
		}
	}
}

// Two nodes each of which takes somebody else for the other one refuse each other, and learn from that who is there.
func TestRefusalsTellWhoIsThere(t *testing.T) {
	f, h := lonely(t)
	f.comes(h, "10.6.6.6", "", honest)
	s, err := h.node.Connected(Connection{Outgoing: true, Address: "10.0.0.1:9000", Host: "10.0.0.1"}, h.reading())
	if err != nil {
		t.Fatal(err)
	}
	reply := wire.Reply{Status: wire.StatusRefused, Text: "it takes this node for somebody else", Hello: honest}
	s.Receive(wire.AppendFrame([]byte(wire.Preamble), wire.TypeReply, reply.Append(nil), nil), h.reading())
	if got := f.comes(h, "10.0.0.1", "", honest).ended(); got != "" {
		t.Errorf("the node that was reached is refused: %s", got)
	}
}

// Where what tells nodes apart has changed, or an address is out of the list, ids are free again.
func TestIDsAreUnbound(t *testing.T) {
	f, h := lonely(t)
	old := f.comes(h, "10.0.0.1", "CN=old", honest)
	if err := old.says(wire.TypeData, data(lim, 1, 2)); err != nil {
		t.Fatal(err)
	}
	old.session.Lost(nil, h.reading())
	if got := f.comes(h, "10.0.0.1", "CN=new", honest).ended(); got == "" {
		t.Error("another certificate has the id")
	}
	h.node.ForgetIdentities()
	if got := f.comes(h, "10.0.0.1", "CN=new", honest).ended(); got != "" {
		t.Errorf("after a reload that changes who may connect: %s", got)
	}
	if got := h.node.table.Load().byName["lim"].resume(71); got != 2 {
		t.Errorf("its journal goes on at frame %d, as if somebody else had sent frame 1", got)
	}

	f, h = lonely(t)
	f.isDialled(h, "10.0.0.1:9000", "", honest).session.Lost(nil, h.reading())
	f.comes(h, "192.0.2.1", "", honest) // another one, or NAT
	h.node.Unlist("10.0.0.1:9000")
	f.isDialled(h, "10.0.0.9:9000", "", honest)
	if got := f.comes(h, "10.0.0.9", "", otherLife).ended(); got != "" {
		t.Errorf("a node that moved with the list is refused: %s", got)
	}
}
