package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// nodes is how many nodes each compared cluster has.
const nodes = 3

// The limit of all compared clusters: a second's requests, and what a bucket holds beside the first request.
const (
	limitRate  = 1000
	limitBurst = limitRate - 1
)

// comparison is one run of clusters of several products on this machine. What is not installed is not compared.
type comparison struct {
	*bench
	haproxyPath, gubernatorPath, ratelimitPath, redisPath string
	// product is a part of the names of the rivals that are compared.
	product string
	// floodRate are the requests a second of a flood.
	floodRate int
}

// asker asks one node of a cluster for decisions, over one connection.
type asker interface {
	// ask is true if the request of this key passes.
	ask(key string) (bool, error)
	Close() error
}

// rival is a product in one configuration, whose clusters limit requests.
type rival struct {
	name string
	// rule is what one node alone would admit.
	rule  rule
	start func() (*fleet, error)
}

// fleet is a running cluster.
type fleet struct {
	nodes []*process
	// ats are the addresses at which the nodes answer.
	ats []string
	// shared are processes that all nodes need.
	shared []*process
	// dial connects to a node; plain is a path without the limit, nil if the product answers nothing else.
	dial, plain func(node int) (asker, error)
	// admin gives a node a command, nil if the product has none.
	admin func(node int, command string) (string, error)
}

// processes are all of the cluster.
func (f *fleet) processes() []*process { return slices.Concat(f.nodes, f.shared) }

// stop ends all processes.
func (f *fleet) stop() {
	for _, p := range f.processes() {
		p.stop()
	}
}

// cpu is the processor time that all processes have used.
func (f *fleet) cpu() (time.Duration, error) {
	var total time.Duration
	for _, p := range f.processes() {
		t, err := p.cpu()
		if err != nil {
			return 0, err
		}
		total += t
	}
	return total, nil
}

// compareProducts is the subcommand compare.
func compareProducts(args []string) error {
	set := flag.NewFlagSet("compare", flag.ExitOnError)
	b := &bench{}
	c := &comparison{bench: b}
	only := set.String("only", "", "run only the measurements whose name contains this")
	set.StringVar(&c.product, "product", "", "compare only limits of products whose name contains this")
	save := set.Bool("save", false, "write the figures to bench/results/DATE-compare.json")
	set.StringVar(&b.binary, "binary", "", "a build of starling to compare instead of this checkout's")
	set.StringVar(&c.haproxyPath, "haproxy", "haproxy", "the program of HAProxy")
	set.StringVar(&c.gubernatorPath, "gubernator", "gubernator", "the program of Gubernator")
	set.StringVar(&c.ratelimitPath, "ratelimit", "ratelimit", "the program of Envoy's rate limit service")
	set.StringVar(&c.redisPath, "redis", "redis-server", "the program of Redis")
	set.IntVar(&b.rounds, "rounds", 5, "rounds of the measurements of costs")
	set.IntVar(&c.floodRate, "flood", 3*limitRate, "requests a second of the floods, of all nodes together")
	logins := set.Int("logins", 10_000, "sessions of the measurement of sessions")
	if err := set.Parse(args); err != nil {
		return err
	}
	b.suffix = "-compare"
	return b.series(*only, *save, []measurement{
		{"sessions: the next request of a new session, at another node", func(*bench) error {
			return c.sessions(*logins)
		}},
		{"flood: more requests a second than the limit of 1,000", func(*bench) error { return c.floods() }},
		{"crash: a node is killed under load", func(*bench) error { return c.crashes() }},
		{"deletes: a key is deleted while a node is away", func(*bench) error { return c.deletes() }},
		{"cost: what a decision costs", func(*bench) error { return c.costs() }},
	})
}

// firstChoices are the rivals without Gubernator's leaky buckets, which are not its default: a run is long enough.
func (c *comparison) firstChoices() ([]rival, error) {
	list, err := c.rivals()
	return slices.DeleteFunc(list, func(r rival) bool { return strings.Contains(r.name, "leaky") }), err
}

// rivals are the installed products, each in the configurations that are compared.
func (c *comparison) rivals() ([]rival, error) {
	if err := c.build(); err != nil {
		return nil, err
	}
	list := []rival{
		{"starling sync", bucket(limitRate, limitBurst+1), func() (*fleet, error) { return c.starlings("sync") }},
		{"starling sync strict", bucket(limitRate, limitBurst+1), func() (*fleet, error) {
			return c.starlings("sync strict")
		}},
	}
	if c.has(c.haproxyPath) {
		list = append(list,
			rival{"haproxy http_req_rate", sliding(limitRate, true), func() (*fleet, error) {
				return c.haproxies(haproxyAllRequests)
			}},
			rival{"haproxy gpc0_rate", sliding(limitRate, false), func() (*fleet, error) {
				return c.haproxies(haproxyAdmitted)
			}})
	}
	if c.has(c.gubernatorPath) {
		for _, g := range []struct {
			name     string
			behavior uint64
			leaky    bool
			rule     rule
		}{
			{"gubernator", gubernatorBatching, false, windows(limitRate, false)},
			{"gubernator GLOBAL", gubernatorGlobal, false, windows(limitRate, false)},
			{"gubernator leaky bucket", gubernatorBatching, true, bucket(limitRate, limitRate)},
			{"gubernator leaky bucket GLOBAL", gubernatorGlobal, true, bucket(limitRate, limitRate)},
		} {
			list = append(list, rival{g.name, g.rule, func() (*fleet, error) {
				return c.gubernators(g.behavior, g.leaky)
			}})
		}
	}
	if c.has(c.ratelimitPath) && c.has(c.redisPath) {
		list = append(list, rival{"envoy ratelimit + redis", windows(limitRate, true), c.ratelimits})
	}
	return slices.DeleteFunc(list, func(r rival) bool { return !strings.Contains(r.name, c.product) }), nil
}

// has says whether a product is installed.
func (c *comparison) has(path string) bool {
	if _, err := exec.LookPath(path); err != nil {
		fmt.Println("  not compared:", err)
		return false
	}
	return true
}

// begin starts a cluster of a product. Members do not always find each other at once, so it is tried again.
func (r rival) begin() (fl *fleet, err error) {
	for range startTries {
		if fl, err = r.start(); err == nil {
			return fl, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", r.name, err)
}

// A cluster gets three tries to come together, each of this time: far more than any product needs.
const (
	startTries = 3
	startTime  = 30 * time.Second
)

// await waits until a condition holds.
func await(what string, holds func() error) error {
	deadline := time.Now().Add(startTime)
	for {
		err := holds()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %w", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// gather starts the nodes of a fleet, and what they share before them, and waits until they are a cluster.
func gather(f *fleet, ready func(node int) error, shared, members []*exec.Cmd) (*fleet, error) {
	run := func(cmds []*exec.Cmd, to *[]*process) error {
		for _, cmd := range cmds {
			p := newProcess(cmd.Path, cmd.Args[1:]...)
			p.cmd.Env, p.cmd.Dir = append(os.Environ(), cmd.Env...), cmd.Dir
			if err := p.cmd.Start(); err != nil {
				return err
			}
			*to = append(*to, p)
		}
		return nil
	}
	err := errors.Join(run(shared, &f.shared), run(members, &f.nodes))
	for node := range f.nodes {
		if err == nil {
			err = await(fmt.Sprintf("node %d", node), func() error { return ready(node) })
		}
	}
	if err != nil {
		var said strings.Builder
		f.stop()
		for _, p := range f.processes() {
			fmt.Fprintf(&said, "\n%s", p.said.String())
		}
		return nil, fmt.Errorf("%w%s", err, said.String())
	}
	return f, nil
}
