package side_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"starling/lib/testkit"
	"starling/side"
)

// state says what a gate tells those who wait for its end.
func state(g *side.Gate[int]) string {
	is := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	switch drained, emptied := is(g.Drained()), is(g.Emptied()); {
	case emptied && !drained:
		return "emptied before it drained"
	case emptied:
		return "empty"
	case drained:
		return "drained"
	}
	return "in use"
}

func none(int, bool) {}

// TestLifeOfAGate: steps of which each has a name, and what the gate tells after it.
func TestLifeOfAGate(t *testing.T) {
	for name, steps := range map[string][]string{
		"nobody":                  {"retire: empty"},
		"inside":                  {"expect: in use", "enter: in use", "retire: in use", "leave: empty"},
		"on the way":              {"expect: in use", "retire: in use", "enter: in use", "leave: empty"},
		"taken back":              {"expect: in use", "expect: in use", "retire: in use", "unexpect: in use", "unexpect: empty"},
		"left before":             {"expect: in use", "enter: in use", "leave: in use", "retire: empty"},
		"detached":                {"expect: in use", "enter: in use", "detach: in use", "retire: drained", "leave: empty"},
		"detached twice":          {"expect: in use", "enter: in use", "retire: in use", "detach: drained", "detach: drained", "leave: empty"},
		"detached while expected": {"expect: in use", "enter: in use", "expect: in use", "detach: in use", "retire: in use", "unexpect: drained", "leave: empty"},
		"retired twice":           {"retire: empty", "retire: empty"},
		"closed":                  {"expect: in use", "enter: in use", "close: in use", "leave: empty"},
		"closed first":            {"expect: in use", "close: in use", "enter late: in use", "leave: empty"},
	} {
		g := side.NewGate[int](nil)
		for _, step := range steps {
			does, want, _ := strings.Cut(step, ": ")
			switch does {
			case "expect":
				g.Expect()
			case "unexpect":
				g.Unexpect()
			case "enter", "enter late":
				if late := g.Enter(1); late != (does == "enter late") {
					t.Errorf("%s: closed is %v", name, late)
				}
			case "leave":
				g.Leave(1)
			case "detach":
				g.Detach(1)
			case "retire":
				g.Retire(none)
			case "close":
				g.Close(none)
			default:
				t.Fatalf("what is %q?", does)
			}
			if got := state(g); got != want {
				t.Errorf("%s: after %s it is %s, not %s", name, does, got, want)
			}
		}
	}
}

// TestThoseInsideAreTold, with whether another owns them.
func TestThoseInsideAreTold(t *testing.T) {
	g := side.NewGate[int](nil)
	for i := range 3 {
		g.Expect()
		g.Enter(i)
	}
	g.Detach(1)
	g.Leave(2)
	for name, end := range map[string]func(func(int, bool)){"Retire": g.Retire, "Close": g.Close} {
		var told []string
		end(func(i int, detached bool) { told = append(told, fmt.Sprint(i, detached)) })
		if slices.Sort(told); !slices.Equal(told, []string{"0 false", "1 true"}) {
			t.Errorf("%s: %q", name, told)
		}
	}
	if !g.Retired() || !g.Closed() {
		t.Error("it is not closed")
	}
}

// TestWhatComesBeforeDrained is done once, when nobody is inside any more and before anybody knows.
func TestWhatComesBeforeDrained(t *testing.T) {
	var g *side.Gate[int]
	times := 0
	g = side.NewGate[int](func() {
		if times++; state(g) != "in use" {
			t.Error("others know already")
		}
	})
	g.Expect()
	g.Retire(none)
	if times != 0 {
		t.Error("done while a connection is expected")
	}
	g.Unexpect()
	g.Retire(none)
	if times != 1 {
		t.Errorf("done %d times", times)
	}
}

// TestConnectionsComeWhileAGateRetires, as the accept loops of cycle bring them: whoever was announced before the site
// retired is served, and the gate drains after the last.
func TestConnectionsComeWhileAGateRetires(t *testing.T) {
	g := side.NewGate[int](nil)
	var connections sync.WaitGroup
	var mu sync.Mutex
	served := 0
	for i := range 200 {
		g.Expect()
		connections.Go(func() {
			if rand.IntN(4) == 0 {
				g.Unexpect()
				return
			}
			closed := g.Enter(i)
			if i%5 == 0 {
				g.Detach(i)
			}
			mu.Lock()
			served++
			mu.Unlock()
			if state(g) != "in use" && !closed && i%5 != 0 {
				t.Error("the gate drained while a connection is inside")
			}
			g.Leave(i)
		})
	}
	g.Retire(none)
	connections.Wait()
	<-g.Drained()
	<-g.Emptied()
	if served == 0 {
		t.Error("nobody was served")
	}
}

func TestAGateDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	g := side.NewGate[*int](nil)
	connection := new(int)
	n := testing.AllocsPerRun(100, func() {
		g.Expect()
		g.Enter(connection)
		g.Locked(func() { *connection++ })
		g.Leave(connection)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A gate that is reopened drains again, and what its drain ended begins anew.
func TestAGateReopens(t *testing.T) {
	ends, begins := 0, 0
	g := side.NewGate[int](func() { ends++ })
	wants := func(step, want string, ended int) {
		t.Helper()
		if got := state(g); got != want || ends != ended {
			t.Errorf("%s: %s, drained %d times; want %s, %d", step, got, ends, want, ended)
		}
	}
	renew := func() { begins++ }
	g.Expect()
	g.Enter(1)
	g.Retire(none)
	g.Reopen(renew)
	g.Leave(1)
	wants("reopened in time", "in use", 0)
	g.Retire(none)
	wants("retired", "empty", 1)
	g.Reopen(renew)
	wants("reopened", "in use", 1)
	g.Retire(none)
	wants("retired again", "empty", 2)
	if begins != 1 {
		t.Errorf("it began anew %d times", begins)
	}
}
