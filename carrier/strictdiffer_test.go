package carrier

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"starling/cluster/strict"
)

// A node with another lease is no member: the majority decides, and it does when it has theirs. All may have another.
func TestNodesWithAnotherLease(t *testing.T) {
	nodes, _ := strictMesh(t, 3, func(i int, c *Config) {
		if i == 2 {
			c.Strict.LeaseUS = 4 * StrictLeaseUS
		}
	})
	allReady(t, nodes[:2])
	flood(t, nodes, "key", strictRate/4)
	if err := nodes[2].ready(); err == nil || nodes[2].ask("key") {
		t.Errorf("the node with another lease decides: %v", err)
	}
	for i, n := range nodes[:2] {
		config, limits := n.config, *n.config.Strict
		limits.LeaseUS = 4 * StrictLeaseUS
		config.Strict = &limits
		if err := n.carrier.Reload(config); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			allReady(t, nodes[2:])
			allReady(t, nodes[:1])
		}
	}
	allReady(t, nodes)
	flood(t, nodes, "key", strictRate/4)
}

// The lease is a part of a zone's settings, unless it is the usual one: that is what older releases send. Zones of
// connections have another one.
func TestTheTagOfAZone(t *testing.T) {
	gate := strict.NewGate("lim", strict.Limit{Rate: strict.Request}, 10, 7)
	seen := map[uint64]int64{}
	for _, leaseUS := range []int64{StrictLeaseUS, 100_000, 200_000} {
		r := &strictRunner{leaseUS: leaseUS}
		tag := r.tagOf(gate)
		if other, known := seen[tag]; known || (leaseUS == StrictLeaseUS) != (tag == gate.Tag) {
			t.Errorf("lease %d us: tag %x, that of %d", leaseUS, tag, other)
		}
		seen[tag] = leaseUS
	}
	conns := strict.NewConnGate("conns", 10, 100, 7)
	one, other := &strictRunner{leaseUS: 100_000}, &strictRunner{leaseUS: 200_000}
	one.config.ConnLeaseUS, other.config.ConnLeaseUS = 5_000_000, 5_000_000
	if one.tagOf(conns) != other.tagOf(conns) {
		t.Error("a zone of connections depends on zone_sync_strict_lease")
	}
	if other.config.ConnLeaseUS = 6_000_000; one.tagOf(conns) == other.tagOf(conns) {
		t.Error("a zone of connections does not depend on zone_sync_timeout")
	}
}

// toldOnceFrom fails the test if the log has another number of lines with a text than one from a time on, none before.
func toldOnceFrom(t *testing.T, log *journalLog, text string, fromUS, nowUS int64) {
	t.Helper()
	want := 0
	if nowUS >= fromUS {
		want = 1
	}
	if got := log.count(text); got != want {
		t.Fatalf("at %d us: %d lines, want %d", nowUS, got, want)
	}
}

// A member with other settings is named when that lasts: not while all nodes are being reloaded.
func TestMembersWithOtherSettingsAreNamed(t *testing.T) {
	r, log := idleRunner(t)
	r.seats = &seating{members: []string{"a", "b", "c"}, self: 0}
	for nowUS := int64(1_000_000); nowUS < 60_000_000; nowUS += 100_000 {
		stranger := strictItem{via: 1, zone: 1, m: strict.Message{Kind: strict.Pong, From: 1}}
		if nowUS%20_000_000 < 8_000_000 { // b is one of those for less than 10 s each time
			r.receive(&stranger, nowUS)
		}
		if nowUS > 30_000_000 {
			stranger.m.From, stranger.via = 2, 2
			r.receive(&stranger, nowUS)
		}
		r.tellDiffering(nowUS)
		toldOnceFrom(t, log, "has a strict zone that this node lacks", 30_100_000+differsUS, nowUS)
	}
	if line := log.find("member c has a strict zone"); !strings.HasSuffix(line, "must be the same on all nodes") {
		t.Error(fmt.Sprint("no line about c: ", line))
	}
}

// A member with another limit of connections is named when that lasts, once, and not when it has the same again.
func TestMembersWithAnotherLimitAreNamed(t *testing.T) {
	r, log := idleRunner(t)
	r.seats = &seating{members: []string{"a", "b", "c"}, self: 0}
	gate := strict.NewConnGate("conns", 10, 100, 7)
	r.open[gate] = gate.Tag
	for nowUS := int64(1_000_000); nowUS < 60_000_000; nowUS += 100_000 {
		limits := []int64{1: 5, 2: 12}
		if nowUS%20_000_000 > 8_000_000 { // b is reloaded again and again
			limits[1] = 10
		}
		if nowUS < 30_000_000 {
			limits[2] = 10
		}
		for seat := strict.Seat(1); seat <= 2; seat++ {
			kind := []strict.Kind{strict.AskSlots, strict.ReturnSlots}[nowUS/100_000%2]
			m := strict.Message{Kind: kind, From: seat, Key: "k", Slots: 1, Limit: limits[seat]}
			r.receive(&strictItem{via: seat, zone: gate.Tag, m: m}, nowUS)
		}
		r.tellLimits(nowUS)
		toldOnceFrom(t, log, "has limit_conn with", 30_000_000+differsUS, nowUS)
	}
	want := `zone "conns": member c has limit_conn with 12, this node with 10: up to 12 connections are admitted until`
	if line := log.find("has limit_conn with"); !strings.Contains(line, want) {
		t.Errorf("%s\nwant %s", line, want)
	}
}

// A member that takes no part in a strict zone any more is named by the others, with what to do, and only that one.
func TestMembersThatTakeNoPartAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"without strict": {
			func(config *Config) { config.Strict = nil },
			`member %s is connected and takes no part in zone "lim": if its configuration lacks "strict"`,
		},
		"another list": {
			func(config *Config) { config.Members = append(config.Members, Member{Host: "127.0.0.1", Port: 1}) },
			`member %s has another list of zone_sync_server and takes no part in zone "lim"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes, _ := strictMesh(t, 3, nil)
			allReady(t, nodes)
			config := nodes[2].config
			config.Members = slices.Clone(config.Members)
			c.change(&config)
			if err := nodes[2].carrier.Reload(config); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(c.want, nodes[2].member())
			eventually(t, func() error {
				for _, n := range nodes[:2] {
					if line := n.log.find("takes no part in"); !strings.Contains(line, want) {
						return fmt.Errorf("node %d has not named node 2: %q, want %q", n.index, line, want)
					}
				}
				return nil
			})
			for _, n := range nodes[:2] {
				if got := n.log.count("takes no part in"); got != 1 {
					t.Errorf("node %d has %d such lines, want 1", n.index, got)
				}
			}
		})
	}
}

// While a node has no register, as after a failure of its disk, it hears nobody: that is no silence of the members.
func TestTimeWithoutARegisterIsNotSilence(t *testing.T) {
	r, _ := idleRunner(t)
	gate := strict.NewGate("lim", strict.Limit{Rate: strict.Request}, 10, 7)
	r.open[gate], r.silent[gate] = gate.Tag, &missing{1: 1}
	r.end("its register failed", false)
	if silent := r.silent[gate]; silent != nil {
		t.Errorf("members are silent since %v", *silent)
	}
}

// Only silence of a connected member counts.
func TestSilenceOfAMember(t *testing.T) {
	var m missing
	for _, c := range []struct {
		nowUS     int64
		connected bool
		want      bool
	}{
		{1, false, false}, {differsUS, true, false}, {2*differsUS - 1, true, false}, {2 * differsUS, true, true},
		{2*differsUS + 1, false, false}, {2*differsUS + 2, true, false}, {3 * differsUS, true, false},
	} {
		if got := m.note(1, c.connected, c.nowUS); got != c.want {
			t.Errorf("at %d us, connected %v: %v, want %v", c.nowUS, c.connected, got, c.want)
		}
	}
}
