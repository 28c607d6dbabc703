package balance

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/upstream"
)

// TestSlowStart: a server that is back ramps up to its share with the methods that weigh servers. Without the
// ramp, the methods that prefer idle servers would send it everything.
func TestSlowStart(t *testing.T) {
	const held = 22
	for _, c := range []struct {
		method Method
		args   []string
	}{
		{Method{New: func([]string) (upstream.Balancer, error) { return RoundRobin{}, nil }}, nil}, {leastConn, nil},
		{leastTimeHTTP, []string{"last_byte"}}, {leastTimeStream, []string{"connect"}},
	} {
		g, servers := timedGroup(t, c.method, c.args, 1, 1)
		ramp, yes, no := 10*time.Second, true, false
		at := clock.Reading{WallMS: 1 << 40, MonoMS: 1 << 40}
		for _, change := range []upstream.Change{{SlowStart: &ramp, Down: &yes}, {Down: &no}} {
			if _, err := g.Change(servers[1].ID, change, at); err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []struct {
			after time.Duration
			least int // of the held requests on the recovering server
			most  int
		}{{0, 0, 0}, {time.Second, 1, 2}, {5 * time.Second, 6, 8}, {10 * time.Second, 11, 11}, {time.Minute, 11, 11}} {
			now := at.Add(step.after)
			var attempts [held]upstream.Attempt
			names := ""
			for i := range attempts {
				g.Begin(&attempts[i])
				s, err := attempts[i].Pick(now)
				if err != nil {
					t.Fatal(err)
				}
				names += s.Name
			}
			for i := range attempts {
				attempts[i].Free(upstream.Success, now)
			}
			if got := strings.Count(names, "1"); got < step.least || got > step.most {
				t.Errorf("%s %v, %v after the return: %d of %d requests, want %d to %d", c.method.Name, c.args, step.after, got, held, step.least, step.most)
			}
		}
	}
}

// TestSlowStartOfHashes: the keys of a server that is back move to it one after the other, each once, and in the end
// all are where they were before. Random requests come to it in a share that grows.
func TestSlowStartOfHashes(t *testing.T) {
	const keys = 4000
	for _, c := range []struct {
		method Method
		args   []string
		random bool
	}{
		{hash, []string{"key"}, false}, {hash, []string{"key", "consistent"}, false}, {ipHash, nil, false},
		{randomHTTP, nil, true}, {randomStream, []string{"two"}, true},
	} {
		g, servers := timedGroup(t, c.method, c.args, 1, 1, 2)
		at := clock.Reading{WallMS: 1 << 40, MonoMS: 1 << 40}
		// of returns which keys the last server has; none are held, so "two" decides by chance.
		of := func(now clock.Reading) map[int]bool {
			mine := map[int]bool{}
			for i := range keys {
				a := upstream.Attempt{}
				g.Begin(&a)
				a.Key = fmt.Append(nil, "key ", i)
				a.Client = netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
				s, err := a.Pick(now)
				if err != nil {
					t.Fatal(err)
				}
				if s == servers[2] {
					mine[i] = true
				}
				a.Free(upstream.Success, now)
			}
			return mine
		}
		all := of(at)
		ramp, yes, no := 10*time.Second, true, false
		for _, change := range []upstream.Change{{SlowStart: &ramp, Down: &yes}, {Down: &no}} {
			if _, err := g.Change(servers[2].ID, change, at); err != nil {
				t.Fatal(err)
			}
		}
		before := map[int]bool{}
		for _, tenths := range []int{0, 1, 3, 5, 8, 10, 30} {
			mine := of(at.Add(time.Duration(tenths) * time.Second))
			// At least its share of its keys, at most its share of the weights so far.
			least := len(all) * min(tenths, 10) / 10
			most := keys * least / (keys - len(all) + least)
			if slices.Contains(c.args, "two") && tenths > 0 { // the one drawn again may be another one
				most = len(all)
			}
			if got := len(mine); got > most*4/3 || got < least*4/5 || tenths == 0 && got > 0 {
				t.Errorf("%s %v, after %d s: %d of %d keys, want %d to %d", c.method.Name, c.args, tenths, got, len(all), least, most)
			}
			for key := range before {
				if !c.random && !mine[key] {
					t.Fatalf("%s %v, after %d s: key %d has moved away again", c.method.Name, c.args, tenths, key)
				}
			}
			before = mine
		}
		if !c.random && !maps.Equal(before, all) {
			t.Errorf("%s %v: other keys than before, %d of %d", c.method.Name, c.args, len(before), len(all))
		}
	}
}

// TestRandomTwoByTime: the one of two that has answered faster is preferred, however few connections the other has.
func TestRandomTwoByTime(t *testing.T) {
	at := clock.Reading{MonoMS: 1000}
	for _, c := range []struct {
		method Method
		args   []string
		want   string
	}{
		{randomHTTP, []string{"two"}, "1"}, {randomHTTP, []string{"two", "least_conn"}, "1"},
		{randomHTTP, []string{"two", "least_time=last_byte"}, "0"}, {randomHTTP, []string{"two", "least_time=header"}, "1"},
		{randomStream, []string{"two", "least_time=last_byte"}, "0"}, {randomStream, []string{"two", "least_time=first_byte"}, "1"},
		{randomStream, []string{"two", "least_time=connect"}, "1"},
	} {
		g, servers := timedGroup(t, c.method, c.args, 1, 1)
		servers[0].Stats.Measure(upstream.Times{Connect: time.Second, Header: time.Second, Response: 20 * time.Millisecond})
		servers[1].Stats.Measure(upstream.Times{Connect: 20 * time.Millisecond, Header: 20 * time.Millisecond, Response: time.Second})
		var busy upstream.Attempt // on the server that answers whole responses faster
		g.Begin(&busy)
		busy.Want([]byte(servers[0].SessionID()))
		if s, err := busy.Pick(at); err != nil || s != servers[0] {
			t.Fatal(s, err)
		}
		for range 5 {
			var a upstream.Attempt
			g.Begin(&a)
			s, err := a.Pick(at)
			if err != nil || s.Name != c.want {
				t.Errorf("%v: server %s (%v), want %s", c.args, s.Name, err, c.want)
			}
			a.Free(upstream.Success, at)
		}
	}
	for _, args := range [][]string{{"two", "least_time=connect"}, {"two", "least_time"}, {"least_conn"}, {"two", "three"}} {
		if _, err := randomHTTP.New(args); err == nil {
			t.Errorf("http accepts %v", args)
		}
	}
	if _, err := randomStream.New([]string{"two", "least_time=header"}); err == nil {
		t.Error("stream accepts least_time=header")
	}
}
