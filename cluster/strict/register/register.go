package register

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"starling/cluster/strict"
)

// Config is what a register starts with.
type Config struct {
	Self  strict.Seat
	Seats int    // of the list
	List  uint64 // identifies the list: a hash of it
	// Random returns random bits: for an ID, and for how long a member waits before it campaigns.
	Random func() uint64
	Disk   Disk
	// TickUS is the unit of the library's time, 0: TickUS. Members need not have the same.
	TickUS int64
	// Used means that something may have been spent before: this node had a state of another list of members, or
	// counted without the register.
	Used bool
}

// Disk keeps what a member must not forget: whom it voted for, and what was decided.
type Disk interface {
	// Save replaces the state. It is durable when Save returns; until then nothing that depends on it is sent.
	Save(state []byte) error
}

// Value is a decided value.
type Value struct {
	Name   string
	Number uint64
	Data   []byte
}

// Letter is a message to a seat.
type Letter struct {
	To   strict.Seat
	Body []byte
}

const (
	// TickUS is the usual unit of the library's time.
	TickUS = 10_000
	// A follower that hears of no leader campaigns after campaignTicks to twice that: about the usual lease.
	campaignTicks  = 10
	heartbeatTicks = 3
	// announceTicks is how often a member says who it is, as long as somebody may not know.
	announceTicks = 20
	// inflightMost and messageBytes bound what a leader has under way to a follower.
	inflightMost = 64
	messageBytes = 64 << 10
)

// Register is one member. It is pure and not safe for concurrent use.
type Register struct {
	cfg     Config
	member  member
	storage *raft.MemoryStorage
	node    *raft.RawNode // nil until the member belongs to a group
	state   state
	stale   bool // the snapshot in the storage has other voters

	nextUS    int64
	countdown int // ticks until it campaigns
	announce  int // ticks until it announces itself
	out       []Letter
	decided   []Value
	snapshots []uint64 // whom one was sent to
	changing  bool     // a change of the voters is proposed, and not applied yet
	failed    error
	stats     Stats
}

// Stats count what happened to a register.
type Stats struct {
	Saves, Rejected, Campaigns, Replaced uint64
}

// New returns a register with what its disk has: nil if that has nothing.
func New(cfg Config, saved []byte, nowUS int64) (*Register, error) {
	switch {
	case cfg.Seats < 1 || cfg.Seats > strict.MembersMost || int(cfg.Self) < 0 || int(cfg.Self) >= cfg.Seats:
		return nil, fmt.Errorf("seat %d of %d is none of 1 to %d", cfg.Self, cfg.Seats, strict.MembersMost)
	case cfg.Random == nil || cfg.Disk == nil:
		return nil, errors.New("a register needs random numbers and a disk")
	}
	r := &Register{cfg: cfg, storage: raft.NewMemoryStorage(), state: newState(), nextUS: nowUS}
	if saved == nil {
		r.member = member{id: newID(cfg.Self, cfg.Random())}
		return r, nil
	}
	if err := r.load(saved); err != nil {
		return nil, err
	}
	if err := r.join(); err != nil {
		return nil, err
	}
	return r, nil
}

// quiet drops the library's own lines: what it says about a single message is not for operators.
var quiet = &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)}

// join makes the library's node from the storage.
func (r *Register) join() error {
	applied, err := r.restore()
	if err != nil {
		return err
	}
	for _, v := range r.state.newerThan(newState()) {
		r.decide(v)
	}
	node, err := raft.NewRawNode(&raft.Config{
		ID: uint64(r.member.id), ElectionTick: campaignTicks, HeartbeatTick: heartbeatTicks, Storage: r.storage,
		Applied: applied, MaxSizePerMsg: messageBytes, MaxInflightMsgs: inflightMost, PreVote: true,
		DisableProposalForwarding: true, Logger: quiet,
	})
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	r.node, r.changing = node, false
	r.resetCampaign()
	return nil
}

// restore makes the state from the snapshot in the storage, and returns its index.
func (r *Register) restore() (index uint64, err error) {
	snapshot, err := r.storage.Snapshot()
	if err != nil {
		return 0, fmt.Errorf("register: %w", err)
	}
	if r.state, err = parseState(snapshot.GetData()); err != nil {
		return 0, fmt.Errorf("register: %w", err)
	}
	r.state.voters = snapshot.GetMetadata().GetConfState()
	return snapshot.GetMetadata().GetIndex(), nil
}

func (r *Register) resetCampaign() {
	r.countdown = campaignTicks + int(r.cfg.Random()%campaignTicks)
}

// Leads reports whether this member may propose.
func (r *Register) Leads() bool {
	return r.node != nil && r.failed == nil && r.node.BasicStatus().RaftState == raft.StateLeader
}

// Leader returns the member that leads, as far as this one knows.
func (r *Register) Leader() (seat strict.Seat, known bool) {
	if r.node == nil || r.failed != nil {
		return 0, false
	}
	leader := id(r.node.BasicStatus().Lead)
	return leader.seat(), leader.valid(r.cfg.Seats)
}

// Founded reports whether this member belongs to a group: before, nothing is decided.
func (r *Register) Founded() bool { return r.node != nil }

// usedName is the name under which a group keeps that a member had another list. No zone has such a name.
const usedName = "\x00used"

// Used reports whether something may have been spent before the group was founded: a member had another list.
func (r *Register) Used() bool { return r.state.values[usedName].Number > 0 }

// Failed returns why the register stopped: its disk failed. It says no more then.
func (r *Register) Failed() error { return r.failed }

// Stats returns the counters.
func (r *Register) Stats() Stats { return r.stats }

// DueUS is when Tick wants to be called next.
func (r *Register) DueUS() int64 { return r.nextUS }

// Out returns the messages to send, and forgets them.
func (r *Register) Out() []Letter {
	out := r.out
	r.out = nil
	return out
}

// Decided returns the latest values that were decided since the last call, at most one of each name.
func (r *Register) Decided() []Value {
	decided := r.decided
	r.decided = nil
	return decided
}

// Latest returns the last decided value of a name.
func (r *Register) Latest(name string) (Value, bool) {
	v, ok := r.state.values[name]
	return v, ok
}

// Tick does what is due. The library's own timers draw from crypto/rand, so it gets ticks only as a leader; followers
// campaign when this says so.
func (r *Register) Tick(nowUS int64) {
	if nowUS < r.nextUS || r.failed != nil {
		return
	}
	tickUS := cmp.Or(r.cfg.TickUS, TickUS)
	r.nextUS = max(r.nextUS+tickUS, nowUS+tickUS/2)
	if r.announce--; r.announce <= 0 {
		r.announce = announceTicks
		r.announceSelf()
	}
	if r.node == nil {
		return
	}
	r.guard(func() {
		if r.Leads() {
			for _, to := range r.snapshots { // it may be lost: the library asks whether it came, and sends it again
				r.node.ReportSnapshot(to, raft.SnapshotFinish)
			}
			r.snapshots = nil
			r.node.Tick()
			return
		}
		r.changing, r.snapshots = false, nil
		if r.countdown--; r.countdown <= 0 {
			r.resetCampaign()
			r.stats.Campaigns++
			_ = r.node.Campaign() // a member that is no voter yet does not campaign
		}
	})
	r.settle()
}

// Propose asks for a value to be decided, if a member leads and the number is the next one. A proposal may be lost:
// Decided says what became of it.
func (r *Register) Propose(v Value) error {
	if err := v.check(); err != nil {
		return err
	}
	leader, known := r.Leader()
	switch {
	case !known:
		return errors.New("register: no member leads")
	case leader != r.cfg.Self:
		to := id(r.node.BasicStatus().Lead)
		r.send(leader, message{kind: proposes, group: r.member.group, id: to, body: v.append(nil)})
		return nil
	}
	return r.propose(v)
}

// waitingMost bounds the entries that wait for a majority. Members propose a value of each name now and then.
const waitingMost = 4 * namesMost

// propose has the library decide on a value. Only the leader can.
func (r *Register) propose(v Value) error {
	last, err := r.storage.LastIndex()
	if err == nil && last > r.node.BasicStatus().GetCommit()+waitingMost {
		err = errors.New("too many values wait for a majority of the members")
	}
	if err == nil {
		r.guard(func() { err = r.node.Propose(v.append(nil)) })
		r.settle()
	}
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}

// guard calls the library, which panics on some messages that only a member that lost its disk sends. The member then
// goes on from what it has saved, as after a restart.
func (r *Register) guard(call func()) {
	defer func() {
		if problem := recover(); problem != nil {
			r.stats.Rejected++
			r.failed = r.join()
		}
	}()
	call()
}

// settle saves, sends and applies what the library has ready.
func (r *Register) settle() {
	for r.failed == nil && r.node != nil && r.node.HasReady() {
		r.guard(r.oneReady)
	}
}

func (r *Register) oneReady() {
	ready := r.node.Ready()
	if !raft.IsEmptySnap(ready.Snapshot) {
		if err := r.storage.ApplySnapshot(ready.Snapshot); err != nil {
			r.failed = fmt.Errorf("register: %w", err)
			return
		}
	}
	if !raft.IsEmptyHardState(ready.HardState) {
		if err := r.storage.SetHardState(ready.HardState); err != nil {
			r.failed = fmt.Errorf("register: %w", err)
			return
		}
	}
	if err := r.storage.Append(ready.Entries); err != nil {
		r.failed = fmt.Errorf("register: %w", err)
		return
	}
	if ready.MustSync || !raft.IsEmptySnap(ready.Snapshot) {
		if r.save(); r.failed != nil {
			return
		}
	}
	for _, m := range ready.Messages {
		r.sendRaft(m)
	}
	if !raft.IsEmptySnap(ready.Snapshot) {
		before := r.state
		if _, err := r.restore(); err != nil {
			r.failed = err
			return
		}
		for _, v := range r.state.newerThan(before) {
			r.decide(v)
		}
	}
	for _, entry := range ready.CommittedEntries {
		r.apply(entry)
	}
	r.node.Advance(ready)
	for _, m := range ready.Messages {
		if m.GetType() == raftpb.MsgSnap {
			r.snapshots = append(r.snapshots, m.GetTo())
		}
	}
	r.compact()
}

func (r *Register) apply(entry *raftpb.Entry) {
	switch entry.GetType() {
	case raftpb.EntryConfChangeV2:
		r.changing = false
		change := new(raftpb.ConfChangeV2)
		if err := proto.Unmarshal(entry.GetData(), change); err != nil || !r.acceptable(change) {
			r.stats.Rejected++ // all members reject it alike
			return
		}
		r.state.voters = r.node.ApplyConfChange(change)
		r.stale = true
		r.stats.Replaced += uint64(len(change.GetChanges()) / 2)
	case raftpb.EntryNormal:
		if len(entry.GetData()) == 0 {
			return
		}
		if v, err := parseValue(entry.GetData()); err == nil && r.state.accept(v) {
			r.decide(v)
		}
	}
}

// decide notes a value for the caller, who needs only the latest one of a name.
func (r *Register) decide(v Value) {
	r.decided = slices.DeleteFunc(r.decided, func(old Value) bool { return old.Name == v.Name })
	r.decided = append(r.decided, v)
}

// keptEntries is how many applied entries stay in the log for members that are a little behind. Others get a snapshot.
const keptEntries = 16

// compact replaces applied entries by a snapshot of the state, so that log and file stay small.
func (r *Register) compact() {
	first, err := r.storage.FirstIndex()
	applied := r.node.BasicStatus().Applied
	long := err == nil && applied >= first+2*keptEntries
	if !long && !r.stale {
		return
	}
	r.stale = false // a new voter accepts only a snapshot that has it
	if _, err = r.storage.CreateSnapshot(applied, r.state.voters, r.state.append(nil)); err == nil && long {
		err = r.storage.Compact(applied - keptEntries)
	}
	if err != nil {
		r.failed = fmt.Errorf("register: cannot compact the log: %w", err)
	}
}
