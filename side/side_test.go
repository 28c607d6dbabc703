package side_test

import (
	"fmt"
	"strings"
	"testing"

	"starling/conf"
	"starling/lib/testkit"
	"starling/plan"
	"starling/side"
	"starling/side/sidetest"
)

func bound(t *testing.T) *plan.Plan {
	t.Helper()
	p := plan.New()
	if err := sidetest.Declare(p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCapturesAndNamedVariables(t *testing.T) {
	p := bound(t)
	x, err := sidetest.Side.Regex(p, `^/(?<first>\w+)/(\w+)?`, false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := sidetest.Side.Variables(p).Compile("$1|$2|$first", nil)
	if err != nil {
		t.Fatal(err)
	}
	if problems := sidetest.Side.Unknown(p); problems != nil {
		t.Fatal(problems)
	}
	s := sidetest.New(p, nil)
	path := []byte("/one/two")
	for _, step := range []struct {
		subject string
		matched bool
		want    string
	}{
		{"/a/b", true, "a|b|a"},
		{"none", false, "a|b|a"}, // what matched before stays
		{"/c/", true, "c||c"},
	} {
		path = append(path[:0], step.subject...)
		matched := x.Match(s, path)
		clear(path) // the captures do not depend on the bytes that were matched
		if got := string(text.Append(nil, s)); matched != step.matched || got != step.want {
			t.Errorf("%s: %v %q, want %v %q", step.subject, matched, got, step.matched, step.want)
		}
	}
	s.State = s.Empty()
	if got := string(text.Append(nil, s)); got != "||" {
		t.Errorf("the next subject sees %q", got)
	}
}

func TestUnknownVariablesHaveTheirPlace(t *testing.T) {
	p := bound(t)
	if _, err := sidetest.Side.Variables(p).Compile("$v_x$nowhere", &conf.Node{File: "x.conf", Line: 7}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(sidetest.Side.Unknown(p)); got != `unknown "nowhere" variable in x.conf:7` {
		t.Error(got)
	}
}

func TestSlotVariablesShareAName(t *testing.T) {
	p := bound(t)
	one, err := sidetest.Side.SlotVariable(p, "Name")
	if err != nil {
		t.Fatal(err)
	}
	other, err := sidetest.Side.SlotVariable(p, "name")
	if err != nil || one != other {
		t.Errorf("slots %d and %d, %v", one, other, err)
	}
	decl, _ := sidetest.Side.Variables(p).Find("name")
	if _, set := decl.Append(sidetest.New(p, nil), "", nil); set {
		t.Error("it is absent before it has a value, unless OnUnset says otherwise")
	}
	sidetest.Side.OnUnset(p, one, func(s *sidetest.Subject) { s.Lines = append(s.Lines, "asked") })
	s := sidetest.New(p, nil)
	if value, set := decl.Append(s, "", nil); !set || len(value) > 0 || len(s.Lines) != 1 {
		t.Errorf("%q %v, %q", value, set, s.Lines)
	}
	decl.Assign(s, []byte("x"))
	if value, set := decl.Append(s, "", nil); !set || string(value) != "x" || len(s.Lines) != 1 {
		t.Errorf("%q %v %q", value, set, s.Lines)
	}
}

// TestSharedCodeDoesNotAllocate: calls through a type parameter must not make memory escape.
func TestSharedCodeDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	p := bound(t)
	x, err := sidetest.Side.Regex(p, `^x`, true)
	if err != nil {
		t.Fatal(err)
	}
	slot, err := sidetest.Side.SlotVariable(p, "kept")
	if err != nil {
		t.Fatal(err)
	}
	text, err := sidetest.Side.Variables(p).Compile("$kept:$1", nil)
	if err != nil || sidetest.Side.Unknown(p) != nil {
		t.Fatal(err)
	}
	s, dst, subject := sidetest.New(p, nil), make([]byte, 0, 64), []byte("Xy")
	n := testing.AllocsPerRun(100, func() {
		s.SetSlot(slot, subject)
		x.Match(s, subject)
		dst = text.Append(dst[:0], s)
		s.State = s.Empty()
		s.Reserve(sidetest.Side.Slots(p))
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var _ side.Subject = (*sidetest.Subject)(nil)

// TestVariablesThatStarlingLacks are told from those that nobody knows.
func TestVariablesThatStarlingLacks(t *testing.T) {
	p := plan.New()
	node := &conf.Node{File: "x.conf", Line: 7}
	a := &conf.Args{Node: node, Env: p}
	if _, err := sidetest.Side.Compile(a, "$geoip_city $http_x $nowhere"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, problem := range sidetest.Side.Unknown(p) {
		got = append(got, fmt.Sprintf("%d %s: %v", problem.Kind, problem.Name, problem))
	}
	want := fmt.Sprintf("%d $geoip_city: variable \"$geoip_city\" is not supported by starling in x.conf:7\n"+
		"%d $http_x: variable \"$http_x\" is not supported by starling in x.conf:7\n"+
		"%d $nowhere: unknown \"nowhere\" variable in x.conf:7", conf.NotSupported, conf.NotSupported, conf.UnknownWord)
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}
