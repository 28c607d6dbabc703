// Package healthcheck is the part of health_check that http and stream share: the parameters, the match blocks by name,
// and the groups that can be checked.
package healthcheck

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/nginx/units"
	"starling/plan"
	"starling/side"
	"starling/upstream"
	"starling/upstream/groups"
	"starling/upstream/health"
	"starling/upstream/health/turns"
)

// Syntax are the parameters that both sides have.
const Syntax = "[interval=<time>] [jitter=<time>] [fails=<number>] [passes=<number>] [mandatory [persistent]] " +
	"[match=<name>] [port=<number>] [sync]"

// Params explains them.
var Params = map[string]string{
	"interval": "Time between two checks of a server, 5s by default.",
	"jitter":   "Time within which each check is randomly delayed; 0 (default) disables the delay.",
	"fails":    "Number of consecutive failed checks that make a server unhealthy, 1 by default.",
	"passes":   "Number of consecutive passed checks that make a server healthy again, 1 by default.",
	"mandatory": "New servers get no clients before they pass. Without it, they are considered healthy until a check " +
		"fails.",
	"persistent": "With `mandatory`: servers that were healthy before a reload stay healthy.",
	"match":      "Name of the `match` block with the tests of a response.",
	"port":       "Port to connect to, by default that of the server.",
	"sync": "The nodes of the cluster take turns: one of them checks each server and tells the others. Each node " +
		"checks servers at 127.0.0.1, [::1] and on unix sockets itself.",
}

// defaultInterval is that of nginx.
const defaultInterval = 5 * time.Second

// Line is one health_check directive.
type Line struct {
	// Check lacks the log and the prober.
	Check health.Check
	Node  *conf.Node
	// Sync means that the nodes of the cluster take turns, but only with checks whose Terms are the same: what decides
	// how, and how often, a server is checked. Read adds those of both sides, a side its own.
	Sync  bool
	Terms []turns.Term
}

// Must adds a term, unless the value is empty.
func (l *Line) Must(name, value string) {
	if value != "" {
		l.Terms = append(slices.Clip(l.Terms), turns.Term{Name: name, Value: value}) // copies of the line share them
	}
}

// Read reads the parameters of both sides.
func Read(a *conf.Args) (Line, error) {
	l := Line{Node: a.Node, Sync: a.Has("sync"), Check: health.Check{
		Interval: defaultInterval, Fails: 1, Passes: 1,
		Mandatory: a.Has("mandatory"), Persistent: a.Has("persistent"), Match: a.Value("match"),
	}}
	c := &l.Check
	if c.Persistent && !c.Mandatory {
		return l, fmt.Errorf("\"persistent\" requires \"mandatory\"")
	}
	if a.Has("match") && c.Match == "" {
		return l, invalid(a, "match")
	}
	var port int
	for _, err := range []error{
		Time(a, "interval", time.Millisecond, &c.Interval), Time(a, "jitter", 0, &c.Jitter),
		number(a, "fails", 1<<31-1, &c.Fails), number(a, "passes", 1<<31-1, &c.Passes),
		number(a, "port", 1<<16-1, &port),
	} {
		if err != nil {
			return l, err
		}
	}
	c.Port = uint16(port)
	l.Must("interval", upstream.FormatTime(c.Interval))
	l.Must("fails", strconv.Itoa(c.Fails))
	l.Must("passes", strconv.Itoa(c.Passes))
	if port != 0 {
		l.Must("port", strconv.Itoa(port))
	}
	return l, nil
}

func invalid(a *conf.Args, name string) error {
	return fmt.Errorf("invalid parameter \"%s=%s\"", name, a.Value(name))
}

// Time reads a parameter of at least so much, if it is given.
func Time(a *conf.Args, name string, least time.Duration, to *time.Duration) error {
	if !a.Has(name) {
		return nil
	}
	d, err := units.Time(a.Value(name))
	if err != nil || d < least {
		return invalid(a, name)
	}
	*to = d
	return nil
}

func number(a *conf.Args, name string, most int, to *int) error {
	if !a.Has(name) {
		return nil
	}
	n, err := conf.Int(1, most)(a.Value(name))
	if err != nil {
		return invalid(a, name)
	}
	*to = n
	return nil
}

// Start adds a check of the servers of a group to the configuration. g is nil if the group depends on the request.
func Start[C side.Subject](
	p *plan.Plan,
	s *side.Side[C],
	l Line,
	g *groups.Group[C],
	log logs.Logger,
	prober health.Prober,
) error {
	switch {
	case g == nil:
		return conf.At(l.Node, "\"health_check\" cannot be used with variables in the address of the servers")
	case !g.Declared:
		return conf.At(l.Node, "\"health_check\" requires an \"upstream\" block: \"%s\" is an address", g.Name)
	case g.ZoneName == "":
		return conf.At(l.Node, "\"health_check\" requires upstream \"%s\" in %s:%d to be in shared memory: "+
			"add a \"zone\" directive to it", g.Name, g.Node.File, g.Node.Line)
	}
	check := l.Check
	check.Log, check.Prober = log, prober
	if l.Sync {
		var err error
		if check.Sharing, err = share(p, &l, s.Name, g.Group); err != nil {
			return conf.At(l.Node, "%s", err)
		}
	}
	var before *upstream.Group
	if old := plan.Before[groups.List[C]](p).Named(g.Name); old != nil {
		before = old.Group
	}
	health.Of(p).Add(g.Group, before, &check)
	return nil
}

// Matches are the match blocks of one side of a configuration; M has the tests of a side.
type Matches[M any] struct{ byName map[string]declared[M] }

type declared[M any] struct {
	tests *M
	node  *conf.Node
}

// Declare adds a block.
func (m *Matches[M]) Declare(name string, tests *M, node *conf.Node) error {
	if m.byName[name].tests != nil {
		return fmt.Errorf("duplicate match \"%s\"", name)
	}
	if m.byName == nil {
		m.byName = map[string]declared[M]{}
	}
	m.byName[name] = declared[M]{tests, node}
	return nil
}

// Find returns the tests that a line names; nil without a name. They are among its terms: not the name, but the block.
func (m *Matches[M]) Find(l *Line) (*M, error) {
	name := l.Check.Match
	found := m.byName[name]
	switch {
	case name == "":
		return nil, nil
	case found.tests == nil:
		return nil, conf.At(l.Node, "match \"%s\" is not defined", name)
	}
	l.Must("match", textOf(found.node.Block))
	return found.tests, nil
}
