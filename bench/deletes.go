package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

// The keys of the measurement of deletes, and how long a deleted one has to go, or to come back.
const (
	deleteKeys = 100
	deleteWait = 2 * time.Second
)

// restart starts a node again that was killed.
func (f *fleet) restart(node int) error {
	old := f.nodes[node].cmd
	p := newProcess(old.Path, old.Args[1:]...)
	p.cmd.Env, p.cmd.Dir = old.Env, old.Dir
	f.nodes[node] = p
	return p.cmd.Start()
}

// store is a cluster that keeps keys; its last node is away while they are deleted at the first one.
type store struct {
	name  string
	fleet *fleet
	set   func(key string) error
	del   func(key string) error
	// has says whether a node has a key.
	has   func(node int, key string) (bool, error)
	ready func(node int) error
}

// deletes deletes keys at one node while another one is away, and counts those that the nodes still have.
func (c *comparison) deletes() error {
	if err := c.build(); err != nil {
		return err
	}
	for _, open := range []func() (*store, error){c.starlingStore, c.haproxyStore} {
		s, err := open()
		if err != nil {
			return err
		}
		if s == nil {
			continue
		}
		err = c.deleted(s)
		s.fleet.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if !c.has(c.gubernatorPath) {
		return nil
	}
	for _, behavior := range []uint64{gubernatorBatching, gubernatorGlobal} {
		if err := c.resets(behavior); err != nil {
			return fmt.Errorf("gubernator: %w", err)
		}
	}
	return nil
}

func deleteKey(i int) string { return fmt.Sprint("delete", i) }

// count is how many of the keys a node has.
func (s *store) count(node int) (count int, err error) {
	for i := range deleteKeys {
		there, err := s.has(node, deleteKey(i))
		if err != nil {
			return 0, err
		}
		if there {
			count++
		}
	}
	return count, nil
}

func (c *comparison) deleted(s *store) error {
	for i := range deleteKeys {
		if err := s.set(deleteKey(i)); err != nil {
			return err
		}
	}
	everywhere := func() error {
		for node := range nodes {
			if n, err := s.count(node); err != nil || n != deleteKeys {
				return fmt.Errorf("node %d has %d keys: %w", node, n, err)
			}
		}
		return nil
	}
	if err := await("keys on all nodes", everywhere); err != nil {
		return err
	}
	away := nodes - 1
	s.fleet.nodes[away].kill()
	for i := range deleteKeys {
		if err := s.del(deleteKey(i)); err != nil {
			return err
		}
	}
	if err := c.remain(s, "while a node is away", away); err != nil {
		return err
	}
	if err := s.fleet.restart(away); err != nil {
		return err
	}
	if err := await("the node that was away", func() error { return s.ready(away) }); err != nil {
		return err
	}
	return c.remain(s, "after it has returned", nodes)
}

// remain counts the deleted keys that the first nodes still have a while later.
func (c *comparison) remain(s *store, when string, count int) error {
	time.Sleep(deleteWait) // what comes back must have had its time
	for node := range count {
		n, err := s.count(node)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("deletes, %s, of %d still at node %d %s", s.name, deleteKeys, node+1, when)
		c.report.add(what, float64(n))
	}
	return nil
}

// starlingStore keeps pairs, in memory and on each node's disk.
func (c *comparison) starlingStore() (*store, error) {
	ats, cmds, err := c.starlingNodes(`keyval_zone zone=one:1m state=DIR/one.keyval sync;
	keyval $arg_k $text zone=one;
	server {
		listen AT;
		location = /text { return 200 $text; }
		location /api { api write=on; }
	}`)
	if err != nil {
		return nil, err
	}
	ready := func(node int) error { return starlingReady(ats[node], false) }
	fl, err := gather(&fleet{}, ready, nil, cmds)
	if err != nil {
		return nil, err
	}
	one := "http://" + ats[0] + "/api/9/http/keyvals/one"
	return &store{
		name: "starling keyval_zone sync", fleet: fl, ready: ready,
		set: func(key string) error {
			_, err := call("POST", one, `{"`+key+`":"1"}`, http.StatusCreated)
			return err
		},
		del: func(key string) error {
			_, err := call("PATCH", one, `{"`+key+`":null}`, http.StatusNoContent)
			return err
		},
		has: func(node int, key string) (bool, error) {
			text, err := call("GET", "http://"+ats[node]+"/text?k="+key, "", http.StatusOK)
			return text == "1", err
		},
	}, nil
}

// haproxyStore keeps entries of a stick table.
func (c *comparison) haproxyStore() (*store, error) {
	if _, err := exec.LookPath(c.haproxyPath); err != nil {
		return nil, nil // said elsewhere
	}
	fl, err := c.haproxies(haproxyAllRequests)
	if err != nil {
		return nil, err
	}
	tell := func(node int, command string) error {
		answer, err := fl.admin(node, command)
		if err == nil && strings.TrimSpace(answer) != "" {
			err = fmt.Errorf("%s: %s", command, answer)
		}
		return err
	}
	return &store{
		name: "haproxy stick-table", fleet: fl,
		ready: func(node int) error { return haproxyReady(fl, node) },
		set:   func(key string) error { return tell(0, "set table limits key "+key+" data.gpc0 1") },
		del:   func(key string) error { return tell(0, "clear table limits key "+key) },
		has: func(node int, key string) (bool, error) {
			text, err := fl.admin(node, "show table limits key "+key)
			return strings.Contains(text, "key="+key+" "), err
		},
	}, nil
}

// resets uses limits of Gubernator up and resets each at one node. Gubernator has no keys to delete: this is the
// nearest.
func (c *comparison) resets(behavior uint64) error {
	fl, err := c.gubernators(behavior, false)
	if err != nil {
		return err
	}
	defer fl.stop()
	used := fl.calls(gubernatorLimit{behavior: behavior, hits: limitRate, durationMS: 60_000})
	reset := fl.calls(gubernatorLimit{behavior: behavior | gubernatorReset, durationMS: 60_000})
	probe := fl.calls(gubernatorLimit{behavior: behavior, hits: 1, durationMS: 60_000})
	left := [nodes]int{}
	for i := range deleteKeys {
		if _, err := used(0, deleteKey(i)); err != nil {
			return err
		}
	}
	time.Sleep(deleteWait) // the nodes hear of it in this time
	for i := range deleteKeys {
		if _, err := reset(0, deleteKey(i)); err != nil {
			return err
		}
	}
	time.Sleep(deleteWait)
	for node := range nodes {
		for i := range deleteKeys {
			passes, err := probe(node, deleteKey(i))
			if err != nil {
				return err
			}
			if !passes {
				left[node]++
			}
		}
		name := map[uint64]string{gubernatorBatching: "gubernator", gubernatorGlobal: "gubernator GLOBAL"}[behavior]
		c.report.add(fmt.Sprintf("deletes, %s, of %d limits still used up at node %d after their reset",
			name, deleteKeys, node+1), float64(left[node]))
	}
	return nil
}
