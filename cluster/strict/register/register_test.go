package register

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"starling/cluster/strict"
)

// group is some members whose messages arrive at once, in one goroutine.
type group struct {
	t       *testing.T
	rng     *rand.Rand
	nowUS   int64
	members []*Register // nil: down
	disks   []*disk
	cut     func(from, to strict.Seat) bool
	decided []map[string][]Value // by seat
}

type disk struct {
	state []byte
	err   error
}

// Save implements Disk.
func (d *disk) Save(state []byte) error {
	if d.err == nil {
		d.state = state
	}
	return d.err
}

func newGroup(t *testing.T, size int) *group {
	g := &group{t: t, rng: rand.New(rand.NewPCG(1, 2)), cut: func(strict.Seat, strict.Seat) bool { return false }}
	for range size {
		g.members = append(g.members, nil)
		g.disks = append(g.disks, &disk{})
		g.decided = append(g.decided, map[string][]Value{})
	}
	for i := range size {
		g.start(strict.Seat(i))
	}
	return g
}

func (g *group) config(i strict.Seat) Config {
	return Config{Self: i, Seats: len(g.members), List: 77, Random: g.rng.Uint64, Disk: g.disks[i]}
}

func (g *group) start(i strict.Seat) {
	g.t.Helper()
	r, err := New(g.config(i), g.disks[i].state, g.nowUS)
	if err != nil {
		g.t.Fatal(err)
	}
	g.members[i] = r
}

// run lets time pass, tick by tick.
func (g *group) run(ticks int) {
	for range ticks {
		g.nowUS += TickUS
		for _, r := range g.members {
			if r != nil {
				r.Tick(g.nowUS)
			}
		}
		g.deliver()
	}
}

// deliver passes messages on until there are none.
func (g *group) deliver() {
	for again := true; again; {
		again = false
		for i, r := range g.members {
			if r == nil {
				continue
			}
			for _, v := range r.Decided() {
				g.decided[i][v.Name] = append(g.decided[i][v.Name], v)
			}
			for _, letter := range r.Out() {
				again = true
				if to := g.members[letter.To]; to != nil && !g.cut(strict.Seat(i), letter.To) {
					if err := to.Receive(strict.Seat(i), letter.Body); err != nil {
						g.t.Errorf("seat %d rejects a message of seat %d: %v", letter.To, i, err)
					}
				}
			}
		}
	}
}

// leader runs until one member leads, among those that are up.
func (g *group) leader() (strict.Seat, *Register) {
	g.t.Helper()
	for range 500 {
		for i, r := range g.members {
			if r != nil && r.Leads() {
				return strict.Seat(i), r
			}
		}
		g.run(1)
	}
	g.t.Fatal("no member leads")
	return 0, nil
}

// decide has a value decided.
func (g *group) decide(name string, number uint64, data string) {
	g.t.Helper()
	_, r := g.leader()
	if err := r.Propose(Value{Name: name, Number: number, Data: []byte(data)}); err != nil {
		g.t.Fatal(err)
	}
	g.deliver()
}

func (g *group) latest(i int, name string) string {
	if g.members[i] == nil {
		return "down"
	}
	v, _ := g.members[i].Latest(name)
	return fmt.Sprintf("%d %s", v.Number, v.Data)
}

func (g *group) expect(name, want string, seats ...int) {
	g.t.Helper()
	g.run(20)
	for _, i := range seats {
		if got := g.latest(i, name); got != want {
			g.t.Errorf("seat %d has %q of %s, want %q", i, got, name, want)
		}
	}
}

// Each number of each name is decided once; a number that is not the next one is void.
func TestEachNumberIsDecidedOnce(t *testing.T) {
	g := newGroup(t, 3)
	g.decide("a", 1, "first")
	g.decide("a", 1, "late")
	g.decide("a", 3, "early")
	g.decide("b", 1, "other")
	g.decide("a", 2, "second")
	g.expect("a", "2 second", 0, 1, 2)
	g.expect("b", "1 other", 0, 1, 2)
	for i, had := range g.decided {
		if len(had["a"]) != 2 || string(had["a"][0].Data) != "first" {
			t.Errorf("seat %d was told %v", i, had["a"])
		}
	}
}

// A member that does not lead has the leader propose. A late proposal is void, and none is made while nobody leads.
func TestMembersProposeThroughTheLeader(t *testing.T) {
	g := newGroup(t, 3)
	g.decide("a", 1, "all")
	at, _ := g.leader()
	other := g.members[(at+1)%3]
	for _, v := range []Value{{"a", 2, []byte("two")}, {"a", 2, []byte("late")}, {"b", 1, []byte("other")}} {
		if seat, known := other.Leader(); !known || seat != at {
			t.Fatalf("seat %d leads, not %d (known: %v)", at, seat, known)
		}
		if err := other.Propose(v); err != nil {
			t.Fatal(err)
		}
		g.deliver()
	}
	g.expect("a", "2 two", 0, 1, 2)
	g.expect("b", "1 other", 0, 1, 2)
	g.members[at], g.members[(at+2)%3] = nil, nil
	g.run(50)
	if err := other.Propose(Value{Name: "a", Number: 3}); err == nil || !strings.Contains(err.Error(), "no member leads") {
		t.Errorf("alone: %v", err)
	}
}

// A minority decides nothing, and follows when it is back.
func TestAMinorityDecidesNothing(t *testing.T) {
	g := newGroup(t, 3)
	g.decide("a", 1, "all")
	at, alone := g.leader()
	g.cut = func(from, to strict.Seat) bool { return from == at || to == at }
	if err := alone.Propose(Value{Name: "a", Number: 2, Data: []byte("alone")}); err != nil {
		t.Fatal(err)
	}
	g.run(100)
	for i, r := range g.members {
		if strict.Seat(i) != at && r.Leads() {
			if err := r.Propose(Value{Name: "a", Number: 2, Data: []byte("two")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	g.run(20)
	if got := g.latest(int(at), "a"); got != "1 all" {
		t.Errorf("the member that is cut off has %q", got)
	}
	g.cut = func(strict.Seat, strict.Seat) bool { return false }
	g.expect("a", "2 two", 0, 1, 2)
}

// Members that start again go on with what they saved; many values do not make the file grow.
func TestMembersStartAgain(t *testing.T) {
	g := newGroup(t, 3)
	for i := range uint64(200) {
		g.decide("a", i+1, strings.Repeat("x", 100))
	}
	g.run(20)
	for i, d := range g.disks {
		if len(d.state) > 3*keptEntries*200 {
			t.Errorf("the file of seat %d has %d bytes", i, len(d.state))
		}
		g.members[i] = nil
	}
	for i := range g.members {
		g.start(strict.Seat(i))
	}
	g.decide("a", 201, "again")
	g.expect("a", "201 again", 0, 1, 2)
}

// A member that was away for longer than the log is gets a snapshot.
func TestAMemberThatWasAwayFollows(t *testing.T) {
	g := newGroup(t, 3)
	g.decide("a", 1, "all")
	at, _ := g.leader()
	away := (at + 1) % 3
	g.members[away] = nil
	for i := range uint64(100) {
		g.decide("a", i+2, "two")
	}
	g.start(away)
	g.expect("a", "101 two", 0, 1, 2)
}

// A member without its file has another ID, and takes the place of the old one. Its vote counts then.
func TestALostFile(t *testing.T) {
	g := newGroup(t, 3)
	g.decide("a", 1, "all")
	old := g.members[2].member.id
	g.members[2], g.disks[2].state = nil, nil
	g.run(50)
	g.leader()
	g.start(2)
	g.run(100)
	g.expect("a", "1 all", 0, 1, 2)
	if now := g.members[2].member.id; now == old || !g.members[2].Founded() {
		t.Errorf("ID %x was %x; it belongs to a group: %v", now, old, g.members[2].Founded())
	}
	g.members[0] = nil
	g.decide("a", 2, "with the new one")
	g.expect("a", "2 with the new one", 1, 2)
}

// A group remembers that one of its members had another list: what was spent under it counts.
func TestAGroupRemembersThatAListWasChanged(t *testing.T) {
	for _, used := range []bool{false, true} {
		g := newGroup(t, 3)
		config := g.config(2)
		config.Used = used
		r, err := New(config, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		g.members[2] = r
		g.decide("a", 1, "all")
		g.expect("a", "1 all", 0, 1, 2)
		g.members[1] = nil
		g.start(1)
		g.run(100)
		for i, r := range g.members {
			if r.Used() != used {
				t.Errorf("seat %d: used before %v, want %v", i, r.Used(), used)
			}
		}
	}
}

// Nobody founds a group without all members: one that is away may have a file of a group.
func TestFoundingNeedsAll(t *testing.T) {
	g := newGroup(t, 3)
	g.members[1] = nil
	g.run(300)
	for _, i := range []int{0, 2} {
		if g.members[i].Founded() {
			t.Errorf("seat %d belongs to a group", i)
		}
	}
	g.start(1)
	g.decide("a", 1, "all")
	g.expect("a", "1 all", 0, 1, 2)
}

// What is not saved is not said: the register ends with its disk, and the others go on.
func TestAFailingDisk(t *testing.T) {
	g := newGroup(t, 3)
	g.decide("a", 1, "all")
	at, r := g.leader()
	g.disks[at].err = errors.New("no space left")
	if err := r.Propose(Value{Name: "a", Number: 2, Data: []byte("lost")}); err != nil {
		t.Fatal(err)
	}
	if err := r.Failed(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("failed: %v", err)
	}
	if out := r.Out(); len(out) != 0 || r.Leads() {
		t.Errorf("it still sends %d messages", len(out))
	}
	g.members[at] = nil
	g.decide("a", 2, "two")
	for i := range g.members {
		if i != int(at) {
			g.expect("a", "2 two", i)
		}
	}
}

// withSnapshot is the file of a member whose snapshot has other contents. The member does not go on.
func (g *group) withSnapshot(i int, data []byte) (state []byte) {
	g.t.Helper()
	r := g.members[i]
	index, term := uint64(1000), uint64(1)
	err := r.storage.ApplySnapshot(&raftpb.Snapshot{Data: data, Metadata: &raftpb.SnapshotMetadata{
		ConfState: r.state.voters, Index: &index, Term: &term,
	}})
	if r.save(); err != nil || r.failed != nil {
		g.t.Fatal(err, r.failed)
	}
	g.members[i] = nil
	return g.disks[i].state
}

// A file of another list or seat, or a damaged one, is not used.
func TestFilesThatAreNotUsed(t *testing.T) {
	g := newGroup(t, 3)
	g.decide("a", 1, "all")
	good := g.disks[1].state
	damaged := append([]byte(nil), good...)
	damaged[len(damaged)/2] ^= 1
	later := g.withSnapshot(1, []byte{200})
	for _, test := range []struct {
		name   string
		state  []byte
		change func(*Config)
		want   string
	}{
		{"of another list", good, func(c *Config) { c.List = 78 }, ErrOtherList.Error()},
		{"of another seat", good, func(c *Config) { c.Self = 2 }, "the file is of seat 1, this node has seat 2"},
		{"damaged", damaged, func(*Config) {}, "the file is damaged"},
		{"cut off", good[:30], func(*Config) {}, "not a state of the register"},
		{"of a later release", later, func(*Config) {}, "the register's data is truncated"},
		{"foreign", []byte(strings.Repeat("text", 50)), func(*Config) {}, "not a state of the register"},
	} {
		config := g.config(1)
		test.change(&config)
		r, err := New(config, test.state, 0)
		if err == nil || r != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v, want %q", test.name, r, err, test.want)
		}
	}
}
