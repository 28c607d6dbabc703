package keyval

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"starling/admin"
	"starling/lib/clock"
	"starling/zone"
)

// cluster stands for one: its deliveries have this many nodes at once.
type cluster struct {
	have, needed int
	needs        []zone.Need
	ended        []bool // late
}

func (c *cluster) deliver(need zone.Need) zone.Delivery {
	c.needs = append(c.needs, need)
	if c.needed = need.Nodes; need.Nodes == zone.AllNodes {
		c.needed = 3
	}
	return c
}

func (c *cluster) Done() <-chan struct{} {
	done := make(chan struct{})
	if c.have >= c.needed {
		close(done)
	}
	return done
}

func (c *cluster) End(late bool, _ clock.Reading) { c.ended = append(c.ended, late) }
func (c *cluster) Nodes() (have, needed int)      { return c.have, c.needed }

// A call with ack= is answered when so many nodes have the change, or with 202 and their number.
func TestAcknowledgedBySoManyNodes(t *testing.T) {
	p := start(t, "keyval_zone zone=one:32k sync; keyval_zone zone=local:32k;", nil)
	one := partOf(p, "http").order[0].Value.(*Zone)
	c := &cluster{have: 2}
	one.OnDeliver(c.deliver)
	const bad = "400 KeyvalAckError "
	for _, step := range []struct{ call, want string }{
		{`POST one?ack=2 {"a":"1"}`, "201"},
		{`PATCH one?ack=1 {"a":"2"}`, "204"},
		{`PATCH one?ack=all&timeout=1ms {"a":"3"}`, `{"nodes":2,"needed":3}`},
		{`GET one`, `{"a":"3"}`}, // it is made all the same
		{`PATCH one?ack=4&timeout=5ms {"a":null}`, `{"nodes":2,"needed":4}`},
		{`DELETE one?ack=2`, "204"},
		{`PATCH one?ack=2 {"none":"1"}`, `404 KeyvalKeyNotFound key "none" not found`},
		{`POST one?ack=0 {"b":"1"}`, bad + `invalid ack "0": it must be "all" or a number of nodes from 1 to 1024`},
		{`POST one?ack=1025 {"b":"1"}`, bad + `invalid ack "1025": it must be "all" or a number of nodes from 1 to 1024`},
		{`POST one?ack= {"b":"1"}`, bad + `invalid ack "": it must be "all" or a number of nodes from 1 to 1024`},
		{`POST one?ack=ALL {"b":"1"}`, bad + `invalid ack "ALL": it must be "all" or a number of nodes from 1 to 1024`},
		{`POST one?ack=1&timeout=0 {"b":"1"}`, bad + `invalid timeout "0": it must be a time from 1ms to 30s`},
		{`POST one?ack=1&timeout=31s {"b":"1"}`, bad + `invalid timeout "31s": it must be a time from 1ms to 30s`},
		{`POST one?ack=1&timeout=soon {"b":"1"}`, bad + `invalid timeout "soon": it must be a time from 1ms to 30s`},
		{`POST one?timeout=1s {"b":"1"}`, bad + `"timeout" requires "ack"`},
		{`POST local?ack=1 {"b":"1"}`, bad + `zone "local" is not shared, so no other node can acknowledge: add "sync" to its "keyval_zone", or omit "ack"`},
		{`GET one`, `{}`}, // none of these changed anything
		{`GET local`, `{}`},
	} {
		if got := call(p, step.call); got != step.want {
			t.Errorf("%s\n got %s\nwant %s", step.call, got, step.want)
		}
	}
	if want := "[false false true true false]"; fmt.Sprint(c.ended) != want {
		t.Errorf("waits ended late: %v, want %s", c.ended, want)
	}
	for i, need := range c.needs {
		if need.From == 0 || need.OnDisk {
			t.Errorf("delivery %d needs %+v", i, need)
		}
	}
}

// In a zone with state, the change must be on the disks; without a cluster, this node is all.
func TestAcknowledgedOnDisk(t *testing.T) {
	p := start(t, "keyval_zone zone=one:32k sync state="+t.TempDir()+"/one;", nil)
	for _, step := range []struct{ call, want string }{
		{`POST one?ack=all {"a":"1"}`, "201"},
		{`PATCH one?ack=2 {"a":"1"}`, `{"nodes":1,"needed":2}`},
	} {
		if got := call(p, step.call); got != step.want {
			t.Errorf("%s: got %s, want %s", step.call, got, step.want)
		}
	}
	one := partOf(p, "http").order[0].Value.(*Zone)
	c := &cluster{have: 2}
	one.OnDeliver(c.deliver)
	if got := call(p, `DELETE one?ack=2&timeout=250ms`); got != "204" {
		t.Error(got)
	}
	if len(c.needs) != 1 || !c.needs[0].OnDisk || c.needs[0].LimitMS != 250 {
		t.Errorf("%+v", c.needs)
	}
}

// The status of an answer that did not wait for enough nodes.
func TestAcknowledgedByTooFewIsAccepted(t *testing.T) {
	p := start(t, "keyval_zone zone=one:32k sync;", nil)
	a := Resources(p, "http")[0].Handle(&admin.Call{
		Method: "POST", Version: 9, Tail: []string{"one"}, Query: map[string][]string{"ack": {"2"}}, Body: []byte(`{"a":"1"}`),
	})
	if a.Status != 202 || a.Err != nil {
		t.Errorf("%+v", a)
	}
}

// What a peer waits for is on disk when Keep returns.
func TestKeepWaitsForTheDisk(t *testing.T) {
	file := t.TempDir() + "/one"
	p := start(t, "keyval_zone zone=one:32k sync state="+file+"; keyval_zone zone=memory:32k sync;", nil)
	order := partOf(p, "http").order
	one, memory := order[0].Value.(*Zone), order[1].Value.(*Zone)
	if err := memory.Keep(); err != nil {
		t.Errorf("a zone without state: %v", err)
	}
	from := start(t, "keyval_zone zone=one:32k sync;", nil)
	if got := call(from, `POST one {"of-a-peer":"1"}`); got != "201" {
		t.Fatal(got)
	}
	source := partOf(from, "http").order[0].Value.(*Zone)
	source.Flush(p.Clock.Now())
	payload, _, _, _ := source.Journal().Frame(1)
	if _, err := one.Apply(7, 1, payload, 0, p.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	if err := one.Keep(); err != nil {
		t.Fatal(err)
	}
	if log, err := os.ReadFile(file + logSuffix); err != nil || !strings.Contains(string(log), "of-a-peer") {
		t.Error("what a peer wrote is not on disk")
	}
}
