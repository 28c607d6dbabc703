package register

import (
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"starling/cluster/strict"
)

// said is a message of the library as a peer would send it.
func said(to *Register, from id, change func(*raftpb.Message)) []byte {
	m := &raftpb.Message{
		From: proto.Uint64(uint64(from)), To: proto.Uint64(uint64(to.member.id)),
		Term: proto.Uint64(to.node.BasicStatus().GetTerm()),
	}
	change(m)
	inner, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return letter(message{kind: raftKind, group: to.member.group, id: to.member.id, body: inner})
}

// letter is a message as bytes.
func letter(m message) []byte {
	r := &Register{}
	r.send(0, m)
	return r.out[0].Body
}

// A peer that lies about the log is rejected, and the member goes on.
func TestWhatMembersDoNotSend(t *testing.T) {
	for _, test := range []struct {
		name   string
		from   strict.Seat
		change func(*raftpb.Message)
		want   string
	}{
		{"from another seat", 0, func(m *raftpb.Message) { m.Type = raftpb.MsgVote.Enum() }, "is not from seat 0"},
		{"a term far ahead", 1, func(m *raftpb.Message) {
			m.Type, m.Term = raftpb.MsgVote.Enum(), proto.Uint64(1<<63)
		}, "too far ahead"},
		{"a proposal", 1, func(m *raftpb.Message) {
			m.Type, m.Entries = raftpb.MsgProp.Enum(), []*raftpb.Entry{{}}
		}, "members do not send"},
		{"a local message", 1, func(m *raftpb.Message) { m.Type = raftpb.MsgHup.Enum() }, "members do not send"},
		{"a commit beyond the log", 1, func(m *raftpb.Message) {
			m.Type, m.Commit = raftpb.MsgHeartbeat.Enum(), proto.Uint64(1<<40)
		}, "that this node lacks"},
		{"an index out of range", 1, func(m *raftpb.Message) {
			m.Type, m.Index = raftpb.MsgApp.Enum(), proto.Uint64(1<<60)
		}, "out of range"},
		{"entries with a gap", 1, func(m *raftpb.Message) {
			m.Type, m.Entries = raftpb.MsgApp.Enum(), []*raftpb.Entry{{Index: proto.Uint64(9)}}
		}, "do not follow each other"},
		{"an old change of voters", 1, func(m *raftpb.Message) {
			m.Type = raftpb.MsgApp.Enum()
			m.Entries = []*raftpb.Entry{{Index: proto.Uint64(1), Type: raftpb.EntryConfChange.Enum()}}
		}, "has type"},
		{"a snapshot without voters", 1, func(m *raftpb.Message) {
			m.Type, m.Snapshot = raftpb.MsgSnap.Enum(), &raftpb.Snapshot{}
		}, "other voters"},
	} {
		g := newGroup(t, 3)
		g.decide("a", 1, "all")
		r := g.members[2]
		err := r.Receive(test.from, said(r, g.members[1].member.id, test.change))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		g.decide("a", 2, "still there")
		g.expect("a", "2 still there", 0, 1, 2)
	}
}

// What a peer proposes must be a value, and for this group; values that wait for a majority do not fill the memory.
func TestWhatMembersDoNotPropose(t *testing.T) {
	g := newGroup(t, 3)
	g.decide("a", 1, "all")
	at, r := g.leader()
	from := (at + 1) % 3
	propose := func(group uint64, to id, body []byte) error {
		return r.Receive(from, letter(message{kind: proposes, group: group, id: to, body: body}))
	}
	used := Value{Name: usedName, Number: 1}
	for _, test := range []struct {
		name  string
		group uint64
		body  []byte
		want  string
	}{
		{"of another group", r.member.group + 1, nil, "another group"},
		{"no value", r.member.group, []byte{200}, "truncated"},
		{"a name of no zone", r.member.group, used.append(nil), "is none of a zone"},
	} {
		if err := propose(test.group, r.member.id, test.body); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	second := Value{Name: "a", Number: 2, Data: []byte("two")}
	if err := propose(r.member.group, r.member.id+1<<seatBits, second.append(nil)); err != nil {
		t.Errorf("to an earlier life: %v", err)
	}
	g.expect("a", "1 all", 0, 1, 2)
	g.cut = func(strict.Seat, strict.Seat) bool { return true }
	var err error
	for range 2 * waitingMost {
		err = propose(r.member.group, r.member.id, second.append(nil))
	}
	if last, _ := r.storage.LastIndex(); err == nil || last > 2*waitingMost {
		t.Errorf("%d entries wait: %v", last, err)
	}
}

// The library panics on what it thinks impossible. The member then goes on from its file.
func TestALibraryThatPanics(t *testing.T) {
	g := newGroup(t, 3)
	g.decide("a", 1, "all")
	g.run(20)
	r := g.members[2]
	r.guard(func() {
		_ = r.node.Step(&raftpb.Message{ // beyond the checks of Receive
			Type: raftpb.MsgHeartbeat.Enum(), From: proto.Uint64(uint64(g.members[1].member.id)),
			To: proto.Uint64(uint64(r.member.id)), Term: proto.Uint64(r.node.BasicStatus().GetTerm() + 1),
			Commit: proto.Uint64(1 << 40),
		})
		t.Error("the library did not panic")
	})
	if r.Failed() != nil || r.Stats().Rejected == 0 {
		t.Fatalf("failed: %v, %+v", r.Failed(), r.Stats())
	}
	g.run(100)
	g.decide("a", 2, "still there")
	g.expect("a", "2 still there", 0, 1, 2)
}

// FuzzReceive lets a member of the group say anything.
func FuzzReceive(f *testing.F) {
	g := newGroup(&testing.T{}, 3)
	g.decide("a", 1, "all")
	for _, change := range []func(*raftpb.Message){
		func(m *raftpb.Message) { m.Type = raftpb.MsgVote.Enum() },
		func(m *raftpb.Message) { m.Type, m.Commit = raftpb.MsgHeartbeat.Enum(), proto.Uint64(1) },
		func(m *raftpb.Message) {
			m.Type, m.Entries = raftpb.MsgApp.Enum(), []*raftpb.Entry{{Index: proto.Uint64(1), Data: []byte("x")}}
		},
		func(m *raftpb.Message) {
			m.Type, m.Snapshot = raftpb.MsgSnap.Enum(), &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
				Index: proto.Uint64(50), Term: proto.Uint64(1), ConfState: g.members[2].state.voters,
			}}
		},
	} {
		f.Add(byte(raftKind), said(g.members[2], g.members[1].member.id, change)[headBytes:])
	}
	f.Add(byte(announces), []byte{})
	f.Add(byte(invites), []byte{})
	saved := slices.Clone(g.disks[2].state)
	f.Fuzz(func(t *testing.T, first byte, rest []byte) {
		g := newGroup(t, 3)
		g.disks[2].state = saved
		g.start(2)
		r := g.members[2]
		body := letter(message{kind: kind(first), list: 77, group: r.member.group, id: r.member.id, body: rest})
		_ = r.Receive(1, body) // it may object; nothing may panic
		r.Tick(TickUS * 2)
		if r.Failed() != nil {
			t.Errorf("it failed: %v", r.Failed())
		}
	})
}
