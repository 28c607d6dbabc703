package register

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"starling/cluster/strict"
)

// kind is the kind of a message between members, its first byte.
type kind byte

// The kinds.
const (
	announces kind = 1 // a member without a group is there
	invites   kind = 2 // it belongs to the sender's group now
	raftKind  kind = 3 // a message of the library
	proposes  kind = 4 // a value for the leader to propose
)

// message is one between members.
type message struct {
	kind  kind
	list  uint64 // of announces and invites
	group uint64 // of all but announces
	id    id
	body  []byte // of raftKind and proposes
}

// LetterMost bounds a message in bytes: a snapshot has the values of all names.
const LetterMost = namesMost*(nameMost+dataMost+32) + 64<<10

func (r *Register) send(to strict.Seat, m message) {
	body := []byte{byte(m.kind)}
	for _, v := range []uint64{m.list, m.group, uint64(m.id)} {
		body = binary.LittleEndian.AppendUint64(body, v)
	}
	r.out = append(r.out, Letter{to, append(body, m.body...)})
}

const headBytes = 1 + 3*8

func parseMessage(body []byte) (m message, err error) {
	if len(body) < headBytes || len(body) > LetterMost {
		return m, fmt.Errorf("message of the register has %d bytes", len(body))
	}
	at := body[1:]
	return message{
		kind: kind(body[0]), list: binary.LittleEndian.Uint64(at), group: binary.LittleEndian.Uint64(at[8:]),
		id: id(binary.LittleEndian.Uint64(at[16:])), body: at[24:],
	}, nil
}

// Receive takes a message of a seat: the caller knows that it is from there. An error says what is wrong with it; the
// register goes on.
func (r *Register) Receive(from strict.Seat, body []byte) error {
	m, err := parseMessage(body)
	if err != nil || r.failed != nil || from == r.cfg.Self || int(from) < 0 || int(from) >= r.cfg.Seats {
		return err
	}
	switch m.kind {
	case announces:
		err = r.onAnnounce(from, m)
	case invites:
		err = r.onInvite(m)
	case raftKind:
		err = r.onRaft(from, m)
	case proposes:
		err = r.onPropose(from, m)
	default:
		return nil // of a later release
	}
	if err != nil {
		r.stats.Rejected++
	}
	return err
}

func (r *Register) sendRaft(m *raftpb.Message) {
	body, err := proto.Marshal(m)
	if err != nil || len(body) > LetterMost-headBytes {
		r.stats.Rejected++
		return
	}
	r.send(id(m.GetTo()).seat(), message{kind: raftKind, group: r.member.group, id: id(m.GetTo()), body: body})
}

// addressed reports whether a message of a group is for this member.
func (r *Register) addressed(from strict.Seat, m message) (bool, error) {
	if r.node == nil || m.id != r.member.id {
		return false, nil // to an earlier life, or too early
	}
	if m.group != r.member.group {
		return false, fmt.Errorf("seat %d belongs to another group of the register: remove its file there or here",
			from)
	}
	return true, nil
}

// onPropose proposes what another member wants to be decided, if that is the next value of its name: a member could do
// so itself if it led.
func (r *Register) onPropose(from strict.Seat, m message) error {
	if mine, err := r.addressed(from, m); !mine {
		return err
	}
	v, err := parseValue(m.body)
	if err != nil {
		return fmt.Errorf("seat %d proposes a value: %w", from, err)
	}
	if v.Name == usedName {
		return fmt.Errorf("seat %d proposes a value of %q, which is none of a zone", from, v.Name)
	}
	if !r.Leads() || v.Number != r.state.values[v.Name].Number+1 {
		return nil // late: the sender proposes again
	}
	return r.propose(v)
}

// onRaft passes a message to the library unless no member that follows the protocol could have sent it.
func (r *Register) onRaft(from strict.Seat, m message) error {
	if mine, err := r.addressed(from, m); !mine {
		return err
	}
	inner := new(raftpb.Message)
	if err := proto.Unmarshal(m.body, inner); err != nil {
		return fmt.Errorf("message of the register: %w", err)
	}
	if err := r.checkRaft(from, inner); err != nil {
		return err
	}
	switch inner.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap, raftpb.MsgVote:
		r.resetCampaign()
	}
	// What it returns is about messages of members that left, and proposals: nothing is lost with them.
	r.guard(func() { _ = r.node.Step(inner) })
	r.settle()
	return nil
}

const (
	// termsMost bounds how far ahead a term may be. Terms grow by one at each election, and only if a majority would
	// vote for the member, so they grow slowly; the library cannot go on after the last one.
	termsMost = 1 << 20
	// indexMost is beyond the indexes of any log.
	indexMost = 1 << 48
	// entriesMost bounds the entries of one message.
	entriesMost = 4096
)

func (r *Register) checkRaft(from strict.Seat, m *raftpb.Message) error {
	sender := id(m.GetFrom())
	switch {
	case !sender.valid(r.cfg.Seats) || sender.seat() != from || id(m.GetTo()) != r.member.id:
		return fmt.Errorf("message of the register from %x is not from seat %d", uint64(sender), from)
	case m.GetTerm() > r.node.BasicStatus().GetTerm()+termsMost:
		return fmt.Errorf("term %d is too far ahead", m.GetTerm())
	case m.GetIndex() > indexMost || m.GetCommit() > indexMost || len(m.GetEntries()) > entriesMost:
		return errors.New("an index of the register's log is out of range")
	}
	switch m.GetType() {
	case raftpb.MsgApp:
		for i, e := range m.GetEntries() {
			if e.GetIndex() != m.GetIndex()+1+uint64(i) || e.GetTerm() > m.GetTerm() {
				return errors.New("entries of the register's log do not follow each other")
			}
			if t := e.GetType(); t != raftpb.EntryNormal && t != raftpb.EntryConfChangeV2 {
				return fmt.Errorf("entry %d of the register's log has type %v", e.GetIndex(), t)
			}
		}
	case raftpb.MsgHeartbeat:
		if last, err := r.storage.LastIndex(); err != nil || m.GetCommit() > last {
			return errors.New("a leader of the register counts on entries that this node lacks: its file was replaced")
		}
	case raftpb.MsgSnap:
		return r.checkSnapshot(m.GetSnapshot())
	case raftpb.MsgAppResp, raftpb.MsgHeartbeatResp, raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgPreVote,
		raftpb.MsgPreVoteResp:
	default:
		return fmt.Errorf("members do not send %v", m.GetType())
	}
	return nil
}

func (r *Register) checkSnapshot(s *raftpb.Snapshot) error {
	cs := s.GetMetadata().GetConfState()
	if s.GetMetadata().GetIndex() > indexMost || len(cs.GetVoters()) != r.cfg.Seats || len(cs.GetLearners()) > 0 ||
		len(cs.GetLearnersNext()) > 0 || len(cs.GetVotersOutgoing()) > r.cfg.Seats {
		return errors.New("a snapshot of the register has other voters than the list has members")
	}
	for _, set := range [][]uint64{cs.GetVoters(), cs.GetVotersOutgoing()} {
		var seen [strict.MembersMost]bool
		for _, voter := range set {
			if !id(voter).valid(r.cfg.Seats) || seen[id(voter).seat()] {
				return fmt.Errorf("a snapshot of the register has the voter %x", voter)
			}
			seen[id(voter).seat()] = true
		}
	}
	_, err := parseState(s.GetData())
	return err
}
