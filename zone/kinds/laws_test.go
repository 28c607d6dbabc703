package kinds_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"starling/lib/clock"
	"starling/zone"
	"starling/zone/kinds"
	"starling/zone/zonetest"
)

func TestLaws(t *testing.T) {
	zonetest.Laws(t, zonetest.Subject{
		Name: "session",
		New: func() zone.Shared {
			return kinds.NewSession(kinds.SessionConfig{Name: "s", Bytes: 1 << 20, TimeoutMS: 60_000, Sync: true})
		},
		Write: func(z zone.Shared, key string, draw int, now clock.Reading) {
			if err := z.(*kinds.Session).Bind([]byte(key), fmt.Appendf(nil, "server-%d", draw%3), now); err != nil {
				panic(err)
			}
		},
		Delete: func(z zone.Shared, key string, now clock.Reading) { z.(*kinds.Session).Delete([]byte(key), now) },
		Forget: forgetAll,
		Read: func(z zone.Shared, key string, now clock.Reading) string {
			server, _ := z.(*kinds.Session).Lookup([]byte(key), now)
			return server
		},
	})
	zonetest.Laws(t, zonetest.Subject{
		Name: "keyval",
		New: func() zone.Shared {
			return kinds.NewKeyval(kinds.KeyvalConfig{Name: "k", Bytes: 1 << 20, Sync: true})
		},
		Write: func(z zone.Shared, key string, draw int, now clock.Reading) {
			if draw == 99 {
				z.(*kinds.Keyval).Clear(now)
				return
			}
			if err := z.(*kinds.Keyval).Set([]byte(key), fmt.Append(nil, draw), int64(draw%4)*10_000, now); err != nil {
				panic(err)
			}
		},
		Delete: func(z zone.Shared, key string, now clock.Reading) { z.(*kinds.Keyval).Delete([]byte(key), now) },
		Forget: forgetAll,
		Read: func(z zone.Shared, key string, now clock.Reading) string {
			value, _ := z.(*kinds.Keyval).AppendValue(nil, []byte(key), now)
			return string(value)
		},
	})
}

func TestLawsOfServersAndBuckets(t *testing.T) {
	zonetest.Laws(t, zonetest.Subject{
		Name: "servers",
		New: func() zone.Shared {
			return kinds.NewServers(kinds.ServersConfig{
				Name: "v", Bytes: 1 << 20, Check: func(_, _ []byte) error { return nil }, Changed: func([]byte) {},
			})
		},
		Write: func(z zone.Shared, key string, draw int, now clock.Reading) {
			if err := z.(*kinds.Keyval).Set([]byte(key), fmt.Append(nil, draw), int64(draw%4)*10_000, now); err != nil {
				panic(err)
			}
		},
		Delete: func(z zone.Shared, key string, now clock.Reading) { z.(*kinds.Keyval).Delete([]byte(key), now) },
		Forget: forgetAll,
		Read: func(z zone.Shared, key string, now clock.Reading) string {
			pair, _, _ := z.(*kinds.Keyval).Look([]byte(key), now)
			return string(pair.Value)
		},
	})
	zonetest.Laws(t, zonetest.Subject{
		Name:   "bucket",
		Counts: true,
		New: func() zone.Shared {
			// A rate of zero drains nothing, so that levels are plain counts.
			b := kinds.NewBucket(kinds.BucketConfig{Name: "b", Bytes: 1 << 20, Sync: true})
			b.SetBurst(1_000_000)
			return b
		},
		Write: func(z zone.Shared, key string, draw int, now clock.Reading) {
			for range draw%3 + 1 {
				z.(*kinds.Bucket).Charge([]byte(key), now)
			}
		},
		Read: func(z zone.Shared, key string, now clock.Reading) string {
			level, _ := z.(*kinds.Bucket).Look([]byte(key), now, 1<<40)
			if level == 0 {
				return ""
			}
			return fmt.Sprint(level)
		},
	})
}

func TestLawsOfConnections(t *testing.T) {
	open := map[zone.Shared]map[string][]kinds.Ticket{}
	zonetest.Laws(t, zonetest.Subject{
		Name:   "conn",
		Counts: true,
		New: func() zone.Shared {
			z := kinds.NewConn(kinds.ConnConfig{Name: "c", Bytes: 1 << 20})
			open[z] = map[string][]kinds.Ticket{}
			return z
		},
		Write: func(z zone.Shared, key string, draw int, now clock.Reading) {
			mine := open[z]
			if draw%2 == 0 && len(mine[key]) > 0 {
				z.(*kinds.Conn).Leave(mine[key][0])
				mine[key] = mine[key][1:]
				return
			}
			for range draw%3 + 1 {
				ticket, verdict := z.(*kinds.Conn).Enter([]byte(key), 1000)
				if verdict != kinds.Passed {
					panic(verdict)
				}
				mine[key] = append(mine[key], ticket)
			}
		},
		Read: func(z zone.Shared, key string, now clock.Reading) string {
			all, _ := z.(*kinds.Conn).Count([]byte(key))
			if all == 0 {
				return ""
			}
			return fmt.Sprint(all)
		},
	})
}

func TestLawsOfHealth(t *testing.T) {
	zonetest.Laws(t, zonetest.Subject{
		Name:   "health",
		Counts: true,
		New:    func() zone.Shared { return kinds.NewHealth(kinds.HealthConfig{Name: "h", Bytes: 1 << 20}) },
		Write: func(z zone.Shared, key string, draw int, now clock.Reading) {
			if draw%4 == 0 {
				z.(*kinds.Health).Withdraw([]byte(key), now)
				return
			}
			if err := z.(*kinds.Health).Say([]byte(key), fmt.Append(nil, draw), now); err != nil {
				panic(err)
			}
		},
		// Read returns what any node says: a node does not tell itself.
		Read: func(z zone.Shared, key string, now clock.Reading) string {
			h := z.(*kinds.Health)
			var all []string
			if own := h.Own([]byte(key)); len(own) > 0 {
				all = append(all, string(own))
			}
			for _, f := range h.Told(nil, []byte(key)) {
				all = append(all, string(f.Value))
			}
			slices.Sort(all)
			return strings.Join(all, " ")
		},
	})
}

// forgetAll forgets all tombstones that do not wait to be sent.
func forgetAll(z zone.Shared, now clock.Reading) {
	z.(zone.Comparable).ForgetThrough(now.WallMS+1000, now.MonoMS)
}
