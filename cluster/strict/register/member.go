package register

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"starling/cluster/strict"
)

// A member's ID belongs to its file. Raft breaks if a voter forgets its vote, so a member whose file is lost is a new
// voter: it has another ID, and the leader replaces the old one of its seat by one joint change of the configuration.
//
// A group has an ID, too. Only seat 0 founds one, and only while all members of the list say that they belong to none:
// so a list never has two groups, unless seat 0 loses its file while it founds. Members that have a file stay in their
// group. A changed list is another list, whose members found a group when all of them have it.
type member struct {
	id    id
	group uint64 // 0: none
	heard [strict.MembersMost]announcement
	ticks uint64
}

// id is random, and ends with its seat.
type id uint64

const seatBits = 8

func newID(seat strict.Seat, random uint64) id {
	return id(random|1)<<seatBits | id(seat+1)
}

func (i id) seat() strict.Seat { return strict.Seat(i&(1<<seatBits-1)) - 1 }

// valid reports whether an ID can be one of a list.
func (i id) valid(seats int) bool { return i.seat() >= 0 && int(i.seat()) < seats && i>>seatBits != 0 }

// announcement is what a member without a group says.
type announcement struct {
	id   id
	tick uint64 // when it was heard
	used bool
}

// usedBefore is the group that a member announces that had another list.
const usedBefore = 1

// freshTicks is how long a member counts as there after it announced itself.
const freshTicks = 3 * announceTicks

// announceSelf tells the others that this member has no group. Seat 0 founds one if nobody has.
func (r *Register) announceSelf() {
	m := &r.member
	m.ticks += announceTicks
	if r.node != nil {
		return
	}
	for i := range r.cfg.Seats {
		if strict.Seat(i) != r.cfg.Self {
			about := message{kind: announces, list: r.cfg.List, id: m.id}
			if r.cfg.Used {
				about.group = usedBefore
			}
			r.send(strict.Seat(i), about)
		}
	}
	m.heard[r.cfg.Self] = announcement{m.id, m.ticks, r.cfg.Used}
	if r.cfg.Self != 0 {
		return
	}
	var ids []uint64
	used := false
	for _, a := range m.heard[:r.cfg.Seats] {
		if a.id == 0 || a.tick+freshTicks < m.ticks {
			return
		}
		ids, used = append(ids, uint64(a.id)), used || a.used
	}
	if used {
		r.state.values[usedName] = Value{Name: usedName, Number: 1}
	}
	r.found(ids)
}

// found makes a group of all members of the list.
func (r *Register) found(ids []uint64) {
	r.member.group = r.cfg.Random() | 1
	index, term := uint64(1), uint64(1)
	first := &raftpb.Snapshot{Data: r.state.append(nil), Metadata: &raftpb.SnapshotMetadata{
		ConfState: &raftpb.ConfState{Voters: ids}, Index: &index, Term: &term,
	}}
	if r.failed = r.storage.ApplySnapshot(first); r.failed != nil {
		return
	}
	if r.failed = r.storage.SetHardState(&raftpb.HardState{Term: &term, Commit: &index}); r.failed != nil {
		return
	}
	r.begin()
}

// begin saves that this member belongs to a group now, and takes part in it.
func (r *Register) begin() {
	if r.save(); r.failed == nil {
		r.failed = r.join()
	}
}

// onAnnounce hears of a member without a group.
func (r *Register) onAnnounce(from strict.Seat, m message) error {
	switch {
	case m.list != r.cfg.List:
		return fmt.Errorf("its list of members differs from this node's")
	case !m.id.valid(r.cfg.Seats) || m.id.seat() != from:
		return fmt.Errorf("register ID %x is not one of seat %d", uint64(m.id), from)
	case r.node == nil:
		r.member.heard[from] = announcement{m.id, r.member.ticks, m.group == usedBefore}
		return nil
	}
	voters := r.state.voters.GetVoters()
	switch {
	case slices.Contains(voters, uint64(m.id)):
		r.send(from, message{kind: invites, list: r.cfg.List, group: r.member.group, id: m.id})
	case r.Leads() && !r.changing && len(r.state.voters.GetVotersOutgoing()) == 0:
		r.replace(m.id)
	}
	return nil
}

// replace proposes that an ID takes the place of the one that its seat had.
func (r *Register) replace(newcomer id) {
	change := &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{single(raftpb.ConfChangeAddNode, newcomer)}}
	for _, voter := range r.state.voters.GetVoters() {
		if id(voter).seat() == newcomer.seat() {
			change.Changes = append(change.Changes, single(raftpb.ConfChangeRemoveNode, id(voter)))
		}
	}
	r.guard(func() { r.changing = r.node.ProposeConfChange(change) == nil })
	r.settle()
}

func single(kind raftpb.ConfChangeType, of id) *raftpb.ConfChangeSingle {
	node := uint64(of)
	return &raftpb.ConfChangeSingle{Type: &kind, NodeId: &node}
}

// acceptable reports whether a change replaces the voter of one seat by another of it, or ends a joint configuration.
func (r *Register) acceptable(change *raftpb.ConfChangeV2) bool {
	changes := change.GetChanges()
	if joint := len(r.state.voters.GetVotersOutgoing()) > 0; joint || len(changes) != 2 {
		return joint && len(changes) == 0
	}
	added, removed := id(changes[0].GetNodeId()), id(changes[1].GetNodeId())
	voters := r.state.voters.GetVoters()
	return changes[0].GetType() == raftpb.ConfChangeAddNode && changes[1].GetType() == raftpb.ConfChangeRemoveNode &&
		added.valid(r.cfg.Seats) && added.seat() == removed.seat() &&
		slices.Contains(voters, uint64(removed)) && !slices.Contains(voters, uint64(added))
}

// onInvite joins the group to which this member's ID was added.
func (r *Register) onInvite(m message) error {
	if m.list != r.cfg.List || m.id != r.member.id || m.group == 0 || r.node != nil {
		return nil // to an earlier life, or repeated
	}
	r.member.group = m.group
	r.begin()
	return nil
}
