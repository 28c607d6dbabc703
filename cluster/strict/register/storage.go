package register

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// magic begins the state on disk; its digit is the version.
const magic = "starling register 1\n"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrOtherList is the error for the state of another list of members: this member belongs to no group of the present
// one. Start it without a state; the group of the new list is founded when all its members have it.
var ErrOtherList = errors.New("the file is of another list of members")

// save writes all of the member's state: it is a few KB, and is written once per vote and value.
func (r *Register) save() {
	first, err1 := r.storage.FirstIndex()
	last, err2 := r.storage.LastIndex()
	hard, _, err3 := r.storage.InitialState()
	snapshot, err4 := r.storage.Snapshot()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		r.failed = fmt.Errorf("register: %w", err)
		return
	}
	var entries []*raftpb.Entry
	if first = max(first, snapshot.GetMetadata().GetIndex()+1); first <= last {
		if entries, err1 = r.storage.Entries(first, last+1, 1<<62); err1 != nil {
			r.failed = fmt.Errorf("register: %w", err1)
			return
		}
	}
	out := []byte(magic)
	for _, v := range []uint64{r.cfg.List, r.member.group, uint64(r.member.id)} {
		out = binary.LittleEndian.AppendUint64(out, v)
	}
	parts := []proto.Message{hard, snapshot}
	for _, e := range entries {
		parts = append(parts, e)
	}
	for _, part := range parts {
		b, err := proto.Marshal(part)
		if err != nil {
			r.failed = fmt.Errorf("register: %w", err)
			return
		}
		out = appendBytes(out, b)
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
	r.stats.Saves++
	if err := r.cfg.Disk.Save(out); err != nil {
		r.failed = fmt.Errorf("register: cannot save its state: %w", err)
	}
}

// load reads what save wrote.
func (r *Register) load(saved []byte) error {
	const head, sum = len(magic) + 3*8, 4
	if len(saved) < head+sum || string(saved[:len(magic)]) != magic {
		return errors.New("the file is not a state of the register")
	}
	body, stored := saved[:len(saved)-sum], binary.LittleEndian.Uint32(saved[len(saved)-sum:])
	if crc32.Checksum(body, castagnoli) != stored {
		return errors.New("the file is damaged")
	}
	at := body[len(magic):]
	if binary.LittleEndian.Uint64(at) != r.cfg.List {
		return ErrOtherList
	}
	r.member = member{group: binary.LittleEndian.Uint64(at[8:]), id: id(binary.LittleEndian.Uint64(at[16:]))}
	if !r.member.id.valid(r.cfg.Seats) || r.member.id.seat() != r.cfg.Self || r.member.group == 0 {
		return fmt.Errorf("the file is of seat %d, this node has seat %d", r.member.id.seat(), r.cfg.Self)
	}
	return r.loadLog(body[head:])
}

func (r *Register) loadLog(rest []byte) error {
	hard, snapshot := new(raftpb.HardState), new(raftpb.Snapshot)
	var entries []*raftpb.Entry
	for i := 0; len(rest) > 0; i++ {
		part, after, ok := cutBytes(rest)
		if !ok {
			return errTruncated
		}
		into := proto.Message(new(raftpb.Entry))
		switch i {
		case 0:
			into = hard
		case 1:
			into = snapshot
		default:
			entries = append(entries, into.(*raftpb.Entry))
		}
		if err := proto.Unmarshal(part, into); err != nil {
			return fmt.Errorf("the file is damaged: %w", err)
		}
		rest = after
	}
	if snapshot.GetMetadata().GetIndex() > 0 {
		if err := r.storage.ApplySnapshot(snapshot); err != nil {
			return fmt.Errorf("the file is damaged: %w", err)
		}
	}
	return errors.Join(r.storage.SetHardState(hard), r.storage.Append(entries))
}
