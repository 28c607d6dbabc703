package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/lib/testkit"
	"starling/logs"
)

// board is a cluster whose nodes all see every edit at once, but follow it only when a test says so.
type board struct {
	mu    sync.Mutex       // the resolver reads too
	edits map[string]*Edit // nil: deleted
	clock stamp.Clock
	full  bool
}

// node is one node's view of the board.
type node struct {
	*board
	name string
}

func (n node) Write(e *Edit, now clock.Reading) error {
	if n.full {
		return errors.New("no room")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e.Stamp, e.Node = n.clock.Next(now.WallMS, 0), n.name
	n.edits[e.Key] = e
	return nil
}

func (n node) Read(key string, _ clock.Reading) (*Edit, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, known := n.edits[key]
	return e, known
}

// shared makes the groups of nodes, each with the addresses of its configuration.
func shared(t *testing.T, configurations ...string) (b *board, nodes []*Group) {
	b = &board{edits: map[string]*Edit{}}
	for i, text := range configurations {
		g := groupOf(t, strings.Fields(text)...)
		g.Share(node{b, fmt.Sprint("node", i)})
		nodes = append(nodes, g)
	}
	return b, nodes
}

// follow lets a group follow everything, the oldest edit first.
func (b *board) follow(t *testing.T, g *Group) {
	t.Helper()
	keys := make([]string, 0, len(b.edits))
	for key := range b.edits {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(x, y string) int {
		if b.edits[x] == nil || b.edits[y] == nil {
			return strings.Compare(x, y)
		}
		return int(b.edits[x].Stamp) - int(b.edits[y].Stamp)
	})
	for _, key := range keys {
		if _, err := g.Follow(key, true, start); err != nil {
			t.Fatal(err)
		}
	}
}

// shows is what the API shows of a group in short.
func shows(g *Group) string {
	var list []string
	for _, c := range g.Servers() {
		text := fmt.Sprintf("%d=%s", c.ID, c.Server)
		if c.Weight != 1 {
			text += fmt.Sprintf(" weight=%d", c.Weight)
		}
		for _, one := range []struct {
			word string
			is   bool
		}{{" backup", c.Backup}, {" down", c.Down}, {" drain", c.Drain}} {
			if one.is {
				text += one.word
			}
		}
		if c.Changed != nil {
			text += " by " + c.Changed.Node
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func want(t *testing.T, g *Group, text string) {
	t.Helper()
	if got := shows(g); got != text {
		t.Errorf("the servers are\n%s, want\n%s", got, text)
	}
}

// TestAChangeHoldsOnAllNodes: what the API of one node does to a server happens on the others to the server of the same
// address, whatever its ID; the servers of a configuration stay those of its node.
func TestAChangeHoldsOnAllNodes(t *testing.T) {
	b, nodes := shared(t, "10.0.0.1:80 10.0.0.2:80", "10.0.0.3:80 10.0.0.2:80")
	one, two := nodes[0], nodes[1]
	for _, step := range []struct {
		name             string
		do               func() error
		onFirst, onOther string
	}{
		{
			"drained", func() error { _, err := one.Change(1, Change{Drain: set(true)}, start); return err },
			"0=10.0.0.1:80, 1=10.0.0.2:80 drain by node0", "0=10.0.0.3:80, 1=10.0.0.2:80 drain by node0",
		}, {
			"of a server that only one has", func() error { _, err := one.Change(0, Change{Weight: set(7)}, start); return err },
			"0=10.0.0.1:80 weight=7 by node0, 1=10.0.0.2:80 drain by node0", "0=10.0.0.3:80, 1=10.0.0.2:80 drain by node0",
		}, {
			"what was set before stays", func() error { _, err := two.Change(1, Change{Weight: set(3)}, start); return err },
			"0=10.0.0.1:80 weight=7 by node0, 1=10.0.0.2:80 weight=3 drain by node1",
			"0=10.0.0.3:80, 1=10.0.0.2:80 weight=3 drain by node1",
		}, {
			"let serve again", func() error { _, err := one.Change(1, Change{Down: set(false)}, start); return err },
			"0=10.0.0.1:80 weight=7 by node0, 1=10.0.0.2:80 weight=3 by node0",
			"0=10.0.0.3:80, 1=10.0.0.2:80 weight=3 by node0",
		}, {
			"added", func() error {
				added := NewSettings("10.0.0.4:80", tcp("10.0.0.4:80"))
				added.Backup = true
				_, err := two.AddNew(added, start)
				return err
			},
			"0=10.0.0.1:80 weight=7 by node0, 1=10.0.0.2:80 weight=3 by node0, 2=10.0.0.4:80 backup by node1",
			"0=10.0.0.3:80, 1=10.0.0.2:80 weight=3 by node0, 2=10.0.0.4:80 backup by node1",
		}, {
			"removed, though both configurations have it", func() error { return two.Remove(1, start) },
			"0=10.0.0.1:80 weight=7 by node0, 2=10.0.0.4:80 backup by node1", "0=10.0.0.3:80, 2=10.0.0.4:80 backup by node1",
		}, {
			"removed, though only the other node's configuration has it", func() error { return one.Remove(0, start) },
			"2=10.0.0.4:80 backup by node1", "0=10.0.0.3:80, 2=10.0.0.4:80 backup by node1",
		}, {
			"added again", func() error {
				_, err := one.AddNew(NewSettings("10.0.0.2:80", tcp("10.0.0.2:80")), start)
				return err
			},
			"3=10.0.0.2:80 by node0, 2=10.0.0.4:80 backup by node1", "0=10.0.0.3:80, 3=10.0.0.2:80 by node0, 2=10.0.0.4:80 backup by node1",
		},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		b.follow(t, one)
		b.follow(t, two)
		want(t, one, step.onFirst)
		want(t, two, step.onOther)
		// A node that starts with its configuration comes to the same, but for its IDs.
		later := groupOf(t, "10.0.0.1:80", "10.0.0.2:80")
		later.Share(node{b, "later"})
		b.follow(t, later)
		if got, want := withoutIDs(later), withoutIDs(one); got != want {
			t.Errorf("%s: a node that starts later has\n%s, want\n%s", step.name, got, want)
		}
	}
}

func withoutIDs(g *Group) string {
	list := strings.Split(shows(g), ", ")
	for i, text := range list {
		_, list[i], _ = strings.Cut(text, "=")
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// TestADeletedEditGoesBackToTheConfiguration: to each node's own.
func TestADeletedEditGoesBackToTheConfiguration(t *testing.T) {
	b, nodes := shared(t, "10.0.0.1:80 10.0.0.2:80")
	g := nodes[0]
	if _, err := g.Change(0, Change{Weight: set(5), Down: set(true)}, start); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(1, start); err != nil {
		t.Fatal(err)
	}
	if _, err := g.AddNew(NewSettings("10.0.0.3:80", tcp("10.0.0.3:80")), start); err != nil {
		t.Fatal(err)
	}
	want(t, g, "0=10.0.0.1:80 weight=5 down by node0, 2=10.0.0.3:80 by node0")
	for key := range b.edits {
		b.edits[key] = nil
	}
	b.follow(t, g)
	want(t, g, "0=10.0.0.1:80, 3=10.0.0.2:80")
	clear(b.edits) // edits that have ended change nothing
	if _, err := g.Change(0, Change{Drain: set(true)}, start); err != nil {
		t.Fatal(err)
	}
	clear(b.edits)
	if _, err := g.Follow("10.0.0.1:80", true, start); err != nil {
		t.Fatal(err)
	}
	want(t, g, "0=10.0.0.1:80 drain by node0, 3=10.0.0.2:80")
}

// TestARejectedChangeChangesNothing: neither here nor elsewhere.
func TestARejectedChangeChangesNothing(t *testing.T) {
	b, nodes := shared(t, "10.0.0.1:80")
	g := nodes[0]
	b.full = true
	_, added := g.AddNew(NewSettings("10.0.0.2:80", tcp("10.0.0.2:80")), start)
	_, changed := g.Change(0, Change{Down: set(true)}, start)
	if removed := g.Remove(0, start); added == nil || changed == nil || removed == nil {
		t.Errorf("the cluster has no room, but: %v, %v, %v", added, changed, removed)
	}
	b.full = false
	_, exists := g.AddNew(NewSettings("server.example", tcp("10.0.0.1:80")), start)
	_, invalid := g.Change(0, Change{Weight: set(0)}, start)
	_, unknown := g.Change(7, Change{Weight: set(2)}, start)
	if exists == nil || invalid == nil || unknown == nil || g.Remove(7, start) == nil {
		t.Errorf("accepted: %v, %v, %v", exists, invalid, unknown)
	}
	if len(b.edits) > 0 {
		t.Errorf("the cluster was told of %v", b.edits)
	}
	want(t, g, "0=10.0.0.1:80")
}

// TestABusyGroupFollowsLater: the cluster does not wait for a change of the API that waits for a disk.
func TestABusyGroupFollowsLater(t *testing.T) {
	_, nodes := shared(t, "10.0.0.1:80", "10.0.0.1:80")
	if _, err := nodes[0].Change(0, Change{Down: set(true)}, start); err != nil {
		t.Fatal(err)
	}
	g := nodes[1]
	g.SetKeep(func([]Settings) error {
		if followed, err := g.Follow("10.0.0.1:80", false, start); followed || err != nil {
			t.Errorf("followed meanwhile: %v, %v", followed, err)
		}
		return nil
	})
	if _, err := g.AddNew(NewSettings("10.0.0.2:80", tcp("10.0.0.2:80")), start); err != nil {
		t.Fatal(err)
	}
	want(t, g, "0=10.0.0.1:80, 1=10.0.0.2:80 by node1")
	if followed, err := g.Follow("10.0.0.1:80", false, start); !followed || err != nil {
		t.Errorf("not followed afterwards: %v, %v", followed, err)
	}
	want(t, g, "0=10.0.0.1:80 down by node0, 1=10.0.0.2:80 by node1")
}

// TestServersOfANameFollowToo: a change of the name holds for all its servers, one of an address for that address, also
// when DNS brings it back or a node learns of it later. The later of the two counts where both set a parameter.
func TestServersOfANameFollowToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, nodes := shared(t, "", "")
		dns := &fakeDNS{hosts: map[string][]string{"app": {"10.0.0.1", "10.0.0.2"}}, valid: time.Second}
		ctx, stop := context.WithCancel(context.Background())
		for _, g := range nodes {
			go g.Resolve(ctx, dns, clock.Real(), logs.Discard)
		}
		resolved := func() { testkit.Pass(3 * dns.valid) } // DNS has answered again
		one, two := nodes[0], nodes[1]
		if _, err := one.AddNew(template("", named("app")), start); err != nil {
			t.Fatal(err)
		}
		b.follow(t, two)
		resolved()
		want(t, two, "0=app by node0, 1=10.0.0.1:80, 2=10.0.0.2:80")
		if _, err := one.Change(2, Change{Drain: set(true), Weight: set(4)}, start); err != nil {
			t.Fatal(err)
		}
		b.follow(t, two)
		want(t, two, "0=app by node0, 1=10.0.0.1:80, 2=10.0.0.2:80 weight=4 drain by node0")
		resolved() // DNS does not reset it
		want(t, two, "0=app by node0, 1=10.0.0.1:80, 2=10.0.0.2:80 weight=4 drain by node0")
		if _, err := two.Change(0, Change{Weight: set(9)}, start); err != nil {
			t.Fatal(err)
		}
		b.follow(t, one)
		b.follow(t, two)
		want(t, two, "0=app weight=9 by node1, 1=10.0.0.1:80 weight=9, 2=10.0.0.2:80 weight=9 drain by node1")
		want(t, one, "0=app weight=9 by node1, 1=10.0.0.1:80 weight=9, 2=10.0.0.2:80 weight=9 drain by node1")
		dns.set("app", "10.0.0.1")
		resolved()
		want(t, one, "0=app weight=9 by node1, 1=10.0.0.1:80 weight=9")
		dns.set("app", "10.0.0.1", "10.0.0.2")
		resolved()
		want(t, one, "0=app weight=9 by node1, 1=10.0.0.1:80 weight=9, 3=10.0.0.2:80 weight=9 drain by node1")
		if e := b.edits[FoundKey("app:80", tcp("10.0.0.2:80"))]; e == nil || !e.Brief {
			t.Errorf("the edit of an address that another server may get is %+v", e)
		}
		if _, err := one.Change(0, Change{Down: set(false)}, start); err != nil { // let the name serve again
			t.Fatal(err)
		}
		b.follow(t, two)
		want(t, two, "0=app weight=9 by node0, 1=10.0.0.1:80 weight=9, 3=10.0.0.2:80 weight=9 by node0")
		if err := one.Remove(0, start); err != nil {
			t.Fatal(err)
		}
		b.follow(t, two)
		want(t, two, "")
		stop()
		synctest.Wait()
	})
}

// TestKeysOfServers: one server has one key, however it is written.
func TestKeysOfServers(t *testing.T) {
	srv := template("", named("App.example"))
	srv.Service = "http"
	for _, c := range []struct {
		settings Settings
		key      string
	}{
		{NewSettings("10.0.0.1", tcp("10.0.0.1:80")), "10.0.0.1:80"},
		{NewSettings("server.example", tcp("10.0.0.1:80")), "10.0.0.1:80"},
		{NewSettings("[::ffff:10.0.0.1]:80", tcp("[::ffff:10.0.0.1]:80")), "10.0.0.1:80"},
		{NewSettings("unix:/run/app", Unix("/run/app")), "unix:/run/app"},
		{template("", named("App.example")), "app.example:80"},
		{srv, "app.example/http"},
	} {
		if got := c.settings.Key(); got != c.key {
			t.Errorf("%s has the key %q, want %q", c.settings.Name, got, c.key)
		}
	}
}

// named makes a template one of a name, with port 80.
func named(name string) func(*Settings) {
	return func(s *Settings) { s.Name, s.Host, s.Port = name, name, 80 }
}

// TestAServerComesBackAsABackup: also where the configuration has it as none.
func TestAServerComesBackAsABackup(t *testing.T) {
	b, nodes := shared(t, "10.0.0.1:80 10.0.0.2:80", "10.0.0.1:80 10.0.0.2:80")
	if err := nodes[0].Remove(0, start); err != nil {
		t.Fatal(err)
	}
	added := NewSettings("10.0.0.1:80", tcp("10.0.0.1:80"))
	added.Backup = true
	if _, err := nodes[0].AddNew(added, start); err != nil {
		t.Fatal(err)
	}
	for _, g := range nodes { // the second one has not seen the removal
		b.follow(t, g)
		want(t, g, "1=10.0.0.2:80, 2=10.0.0.1:80 backup by node0")
	}
}

// TestLostEditsAreForgotten: a cluster that has lost edits leaves the servers of the configuration, and those whose edits
// it still has, also if they were deleted.
func TestLostEditsAreForgotten(t *testing.T) {
	b, nodes := shared(t, "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 10.0.0.4:80")
	g := nodes[0]
	done := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for id := range 4 {
		if id%2 == 0 {
			done(g.Remove(id, start))
			continue
		}
		_, err := g.Change(id, Change{Weight: set(7)}, start)
		done(err)
	}
	for _, text := range []string{"10.0.0.5:80", "10.0.0.6:80"} {
		_, err := g.AddNew(NewSettings(text, tcp(text)), start)
		done(err)
	}
	done(g.Forget(start))
	want(t, g, "1=10.0.0.2:80 weight=7 by node0, 3=10.0.0.4:80 weight=7 by node0, 4=10.0.0.5:80 by node0, 5=10.0.0.6:80 by node0")
	for _, lost := range []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.5:80"} {
		delete(b.edits, lost)
	}
	done(g.Forget(start))
	want(t, g, "1=10.0.0.2:80, 3=10.0.0.4:80 weight=7 by node0, 5=10.0.0.6:80 by node0, 6=10.0.0.1:80")
}
