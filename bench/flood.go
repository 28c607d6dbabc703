package main

import (
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// A flood: for so long that every product forgets its first windows.
const (
	floodTime = 10 * time.Second
	// floodLanes is how many connections share 1,000 requests a second: none may need more than 8 ms for one.
	floodLanes = 8
)

// shot is one request of a flood; times count from its begin.
type shot struct {
	sent, done       time.Duration
	admitted, failed bool
}

// rule says what one node alone would admit of requests sent at these times; begin is when they began.
type rule func(begin time.Time, sent []time.Duration) (admitted []bool)

// bucket is a leaky bucket: so many requests drain from it in a second, and it has room for so many.
func bucket(perSecond, capacity float64) rule {
	return func(_ time.Time, sent []time.Duration) []bool {
		out := make([]bool, len(sent))
		level, last := 0.0, time.Duration(0)
		for i, at := range sent {
			level = max(0, level-perSecond*(at-last).Seconds())
			last = at
			if out[i] = level+1 <= capacity; out[i] {
				level++
			}
		}
		return out
	}
}

// windows counts in windows of a second: those of the calendar, or each from the first request after the last window.
func windows(limit int, calendar bool) rule {
	return func(begin time.Time, sent []time.Duration) []bool {
		out := make([]bool, len(sent))
		end, count := time.Duration(-1), 0
		for i, at := range sent {
			if at >= end {
				end, count = at+time.Second, 0
				if calendar {
					end = begin.Add(at).Truncate(time.Second).Add(time.Second).Sub(begin)
				}
			}
			if out[i] = count < limit; out[i] {
				count++
			}
		}
		return out
	}
}

// sliding is HAProxy's rate: the requests of this second and the part of those of the last one that a sliding window
// still covers. It counts rejected requests, too, or admitted ones only.
func sliding(limit float64, rejected bool) rule {
	return func(_ time.Time, sent []time.Duration) []bool {
		out := make([]bool, len(sent))
		var second time.Duration
		var current, last float64
		for i, at := range sent {
			if passed := at/time.Second - second; passed > 0 {
				if last = current; passed > 1 {
					last = 0
				}
				current, second = 0, at/time.Second
			}
			covered := 1 - (at - second*time.Second).Seconds()
			out[i] = current+last*covered+1 <= limit
			if out[i] || rejected {
				current++
			}
		}
		return out
	}
}

// ideal is a flood as a rule alone would answer it, at once.
func ideal(r rule, begin time.Time, shots []shot) []shot {
	sent := make([]time.Duration, 0, len(shots))
	for _, s := range shots {
		if !s.failed {
			sent = append(sent, s.sent)
		}
	}
	sort.Slice(sent, func(i, j int) bool { return sent[i] < sent[j] })
	out := make([]shot, len(sent))
	for i, admitted := range r(begin, sent) {
		out[i] = shot{sent: sent[i], done: sent[i], admitted: admitted}
	}
	return out
}

// passed counts the admitted and the failed ones of the requests sent in a time.
func passed(shots []shot, from, to time.Duration) (admitted, failed int) {
	for _, s := range shots {
		if s.sent < from || s.sent >= to {
			continue
		}
		if s.failed {
			failed++
		} else if s.admitted {
			admitted++
		}
	}
	return admitted, failed
}

// worstSecond is the most that was admitted in any second. Only requests that were sent and answered in it count: these
// are certainly admitted in it, however slow the machine is.
func worstSecond(shots []shot) int {
	var in []shot
	for _, s := range shots {
		if s.admitted && !s.failed {
			in = append(in, s)
		}
	}
	sort.Slice(in, func(i, j int) bool { return in[i].sent < in[j].sent })
	most := 0
	for i, first := range in {
		count := 0
		for _, s := range in[i:] {
			if s.sent > first.sent+time.Second {
				break
			}
			if s.done <= first.sent+time.Second {
				count++
			}
		}
		most = max(most, count)
	}
	return most
}

// flood sends requests of one key to a cluster at a steady rate.
type flood struct {
	fleet *fleet
	key   string
	// shares are the requests a second of each node.
	shares [nodes]int
	lasts  time.Duration
	// failure is the first error.
	failure atomic.Pointer[error]
}

// run sends them. A connection that fails goes on at the next node, as a client's balancer would let it.
func (f *flood) run(begin time.Time) []shot {
	var (
		group sync.WaitGroup
		lock  sync.Mutex
		all   []shot
	)
	for node, share := range f.shares {
		lanes := share * floodLanes / limitRate
		for lane := range lanes {
			every := time.Second * time.Duration(lanes) / time.Duration(share)
			group.Go(func() {
				shots := f.lane(begin, node, every, every*time.Duration(lane)/time.Duration(lanes))
				lock.Lock()
				defer lock.Unlock()
				all = append(all, shots...)
			})
		}
	}
	group.Wait()
	if err := f.failure.Load(); err != nil {
		fmt.Println("  the first error:", *err)
	}
	return all
}

// lane is one connection, which sends a request every so often.
func (f *flood) lane(begin time.Time, node int, every, offset time.Duration) (shots []shot) {
	var conn asker
	defer func() {
		if conn != nil {
			_ = conn.Close() // only asked
		}
	}()
	for next := offset; next < f.lasts; next += every {
		time.Sleep(time.Until(begin.Add(next)))
		s := shot{sent: time.Since(begin)}
		if s.sent >= f.lasts { // answers took so long that this request had no turn
			break
		}
		var err error
		if conn == nil {
			conn, err = f.fleet.dial(node)
		}
		if err == nil {
			s.admitted, err = conn.ask(f.key)
		}
		s.done, s.failed = time.Since(begin), err != nil
		shots = append(shots, s)
		if err != nil {
			f.failure.CompareAndSwap(nil, &err)
			if conn != nil {
				_ = conn.Close() // it has failed
			}
			conn, node = nil, (node+1)%nodes
		}
	}
	return shots
}

// floods measures each product under a flood that comes evenly, and one that comes to one node.
func (c *comparison) floods() error {
	list, err := c.rivals()
	if err != nil {
		return err
	}
	for _, r := range list {
		for _, spread := range []struct {
			name   string
			shares [nodes]int
		}{
			{"evenly", [nodes]int{c.floodRate / nodes, c.floodRate / nodes, c.floodRate / nodes}},
			{"at one node", [nodes]int{c.floodRate}},
		} {
			fl, err := r.begin()
			if err != nil {
				return err
			}
			c.flooded(r, fl, spread.name, spread.shares)
			fl.stop()
		}
	}
	return nil
}

// flooded floods a cluster once.
func (c *comparison) flooded(r rival, fl *fleet, spread string, shares [nodes]int) {
	begin := time.Now()
	shots := (&flood{fleet: fl, key: "flooded", shares: shares, lasts: floodTime}).run(begin)
	what := "flood " + spread + ", " + r.name + ", "
	alone := ideal(r.rule, begin, shots)
	admitted, failed := passed(shots, 0, floodTime)
	may, _ := passed(alone, 0, floodTime)
	c.report.add(what+"sent", float64(len(shots)))
	c.report.add(what+"failed", float64(failed))
	c.report.add(what+"admitted in 10 s", float64(admitted))
	c.report.add(what+"admitted in 10 s, one ideal node", float64(may))
	c.report.add(what+"admitted in the worst second", float64(worstSecond(shots)))
	c.report.add(what+"admitted in the worst second, one ideal node", float64(worstSecond(alone)))
}

// The crash comes when every bucket has been full for a while; the flood goes on for two seconds more.
const (
	crashAfter = 3 * time.Second
	crashFlood = 6 * time.Second
)

// crashes kills each node of each product in turn, in a flood that comes evenly, and what the nodes share.
func (c *comparison) crashes() error {
	list, err := c.firstChoices()
	if err != nil {
		return err
	}
	for _, r := range list {
		for victim := range nodes + 1 {
			fl, err := r.begin()
			if err != nil {
				return err
			}
			if victim < nodes {
				c.crashed(r, fl, fmt.Sprint("node ", victim+1), fl.nodes[victim])
			} else if len(fl.shared) > 0 {
				c.crashed(r, fl, "store", fl.shared[0])
			}
			fl.stop()
		}
	}
	return nil
}

// crashed kills one process of a flooded cluster.
func (c *comparison) crashed(r rival, fl *fleet, name string, victim *process) {
	share := c.floodRate / nodes
	begin := time.Now()
	var at atomic.Int64
	time.AfterFunc(crashAfter, func() {
		at.Store(int64(time.Since(begin)))
		victim.kill()
	})
	shots := (&flood{fleet: fl, key: "crash", shares: [nodes]int{share, share, share}, lasts: crashFlood}).run(begin)
	killed := time.Duration(at.Load())
	what := fmt.Sprintf("crash of %s, %s, ", name, r.name)
	may, _ := passed(ideal(r.rule, begin, shots), killed, killed+time.Second)
	sent := 0
	for _, s := range shots {
		if s.sent >= killed && s.sent < killed+time.Second {
			sent++
		}
	}
	admitted, failed := passed(shots, killed, killed+time.Second)
	_, later := passed(shots, killed+time.Second, crashFlood)
	c.report.add(what+"sent in the next second", float64(sent))
	c.report.add(what+"admitted in the next second", float64(admitted))
	c.report.add(what+"admitted in the next second, one ideal node", float64(may))
	c.report.add(what+"failed in the next second", float64(failed))
	c.report.add(what+"failed later", float64(later))
}
