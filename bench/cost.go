package main

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A turn of the measurement of costs: decisions one after the other, then as many as possible for a while. The keys are
// so many that no limit is reached.
const (
	costAsks  = 500
	costTime  = time.Second
	costLanes = 4
	costKeys  = 1000
)

// costed is a path of a cluster whose requests are measured.
type costed struct {
	name   string
	fleet  *fleet
	dial   func(node int) (asker, error)
	ms     []float64
	micros []float64
}

// costs measures time and processor time of decisions, in turns. Products that serve HTTP are measured with and without
// their limit; the services do nothing but decide.
func (c *comparison) costs() error {
	list, err := c.firstChoices()
	if err != nil {
		return err
	}
	var all []*costed
	defer func() {
		for _, m := range all {
			m.fleet.stop()
		}
	}()
	for _, r := range list {
		fl, err := r.begin()
		if err != nil {
			return err
		}
		all = append(all, &costed{name: r.name, fleet: fl, dial: fl.dial})
		if fl.plain != nil {
			all = append(all, &costed{name: r.name + " without limit", fleet: fl, dial: fl.plain})
		}
	}
	for round := range c.rounds + 1 { // the first one warms up
		for _, m := range all {
			if err := m.turn(round > 0); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		c.report.add(fmt.Sprintf("cost, load of the machine in round %d", round), machineLoad())
	}
	for _, m := range all {
		sort.Float64s(m.ms)
		c.report.add("cost, "+m.name+", ms p50", percentile(m.ms, 0.5))
		c.report.add("cost, "+m.name+", ms p99", percentile(m.ms, 0.99))
		c.report.add("cost, "+m.name+", CPU us of all processes", median(m.micros))
	}
	return nil
}

// turn measures a path once.
func (m *costed) turn(counts bool) error {
	var ms []float64
	err := m.lane(func(i int) bool { return i < costAsks }, 0, func(t time.Duration) {
		ms = append(ms, float64(t.Microseconds())/1000)
	})
	if err != nil {
		return err
	}
	before, err := m.fleet.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	var done atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, costLanes)
	for lane := range costLanes {
		group.Go(func() {
			more := func(int) bool { return time.Since(begin) < costTime }
			errs[lane] = m.lane(more, lane, func(time.Duration) { done.Add(1) })
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	after, err := m.fleet.cpu()
	if err == nil && counts {
		m.ms = append(m.ms, ms...)
		m.micros = append(m.micros, float64((after-before).Microseconds())/float64(done.Load()))
	}
	return err
}

// lane asks a node over one connection, one request after the other.
func (m *costed) lane(more func(i int) bool, lane int, took func(time.Duration)) error {
	a, err := m.dial(lane % nodes)
	if err != nil {
		return err
	}
	defer a.Close()
	for i := 0; more(i); i++ {
		begin := time.Now()
		if _, err := a.ask("key" + strconv.Itoa((i*costLanes+lane)%costKeys)); err != nil {
			return err
		}
		took(time.Since(begin))
	}
	return nil
}

// machineLoad is the load average of the last minute, or -1.
func machineLoad() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return -1
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return -1
	}
	return load
}
