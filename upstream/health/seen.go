package health

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"starling/logs"
	"starling/upstream"
	"starling/upstream/health/turns"
	"starling/zone"
)

// This file tells the other nodes and operators what was found.

// errNotYet is the reason for which a server that has just passed is unhealthy.
var errNotYet = errors.New("it has not passed often enough yet")

// say tells the other nodes what this one makes of a server.
func (c *Checks) say(o *one, pauseMS, nowMS int64) {
	s, t := o.check.Sharing, o.turn
	now := c.clock.Now()
	t.mu.Lock()
	word := t.turn.Word(pauseMS, now.WallMS, t.reason, nowMS)
	t.mu.Unlock()
	if err := s.Zone.Say(t.key, word.Append(nil), now); err != nil {
		// Others probe the server themselves when they hear nothing.
		if note, write := s.full.Next(now.MonoMS); write {
			o.check.Log.Logf(logs.Error, "cannot share the result of the health check of peer %s in upstream \"%s\" "+
				"with the cluster: zone \"%s\": %v; increase the size of the zone of the upstream%s",
				o.Server.Addr.Text, o.watched.group.Name, s.Zone.Info().Name, err, note)
		}
	}
}

// heardFrom finds the word of a node in a view.
func heardFrom(v *turns.View, from zone.Origin) (w turns.Word) {
	for i := range v.Heard {
		if v.Heard[i].From == from {
			w = v.Heard[i].Word
		}
	}
	return w
}

// nodeOf names a node for the log.
func (s *Sharing) nodeOf(from zone.Origin) string {
	for _, f := range s.Zone.Told(nil, s.ID[:]) {
		if p, err := turns.ParsePresence(f.Value); err == nil && f.From == from {
			return nameOf(p)
		}
	}
	return "unknown"
}

// tellTaken logs that the verdict of another node has changed the health of a server.
func (c *Checks) tellTaken(o *one, v *turns.View, from zone.Origin, verdict turns.Verdict) {
	level, is, reason := logs.Notice, "healthy", ""
	if verdict == turns.Unhealthy {
		level, is = logs.Warn, "unhealthy"
		if text := heardFrom(v, from).Reason; text != "" {
			reason = ": " + text
		}
	}
	o.check.Log.Logf(level, "peer is %s as found by node %s, health check \"%s\" of peer %s in upstream \"%s\"%s",
		is, o.check.Sharing.nodeOf(from), o.check.Match, o.Server.Addr.Text, o.watched.group.Name, reason)
}

// tellDoubt logs that this node sees a server otherwise than the node that probes it.
func (c *Checks) tellDoubt(o *one, v *turns.View, from zone.Origin) {
	s := o.check.Sharing
	note, write := s.doubts.Next(v.NowMS)
	if !write {
		return
	}
	is, clients := "healthy", "fail"
	if heardFrom(v, from).Verdict == turns.Unhealthy {
		is, clients = "unhealthy", "are served"
	}
	o.check.Log.Logf(logs.Warn, "peer %s in upstream \"%s\" is %s as found by node %s, but clients of this node %s: "+
		"this node checks it itself%s", o.Server.Addr.Text, o.watched.group.Name, is, s.nodeOf(from), clients, note)
}

// Seen is one check of one server as this node and the others see it.
type Seen struct {
	Server string `json:"server"`
	Match  string `json:"match,omitempty"`
	Port   uint16 `json:"port,omitempty"`
	// Verdict is what counts on this node; By says whose it is: "self" or the id of a node. Role is "prober",
	// "follower" or "doubter".
	Verdict string `json:"verdict"`
	Role    string `json:"role"`
	By      string `json:"by"`
	Nodes   []View `json:"nodes"`
	// At is where the configuration of this node has the check, Differs are the nodes that have another one instead.
	At      string      `json:"check"`
	Differs []Differing `json:"differs,omitempty"`
}

// View is what one node told of it.
type View struct {
	Node    string `json:"node"`
	Host    string `json:"host"`
	Self    bool   `json:"self,omitempty"`
	Verdict string `json:"verdict"`
	Doubts  bool   `json:"doubts,omitempty"`
	// At is when its last probe ended. Checks and Fails count its probes and those that failed, Unavail how often
	// failures of its clients made the server unavailable, as in /http/upstreams.
	At      string `json:"at"`
	Checks  uint64 `json:"checks"`
	Fails   uint64 `json:"fails"`
	Unavail uint64 `json:"unavail"`
	Reason  string `json:"reason,omitempty"`
}

var verdicts = map[turns.Verdict]string{
	turns.Unknown: "unknown", turns.Healthy: "healthy", turns.Unhealthy: "unhealthy",
}

// SeenBy lists the shared checks of a group; nil if it has none.
func (c *Checks) SeenBy(of *upstream.Group) []Seen {
	for _, g := range c.groups {
		if g.Group == of {
			return g.seen()
		}
	}
	return nil
}

func (g *group) seen() (list []Seen) {
	for _, check := range g.checks {
		s := check.Sharing
		if s == nil {
			continue
		}
		nodes := map[zone.Origin]turns.Presence{}
		for _, f := range s.Zone.Told(nil, s.ID[:]) {
			if p, err := turns.ParsePresence(f.Value); err == nil && !f.Away {
				nodes[f.From] = p
			}
		}
		differs := g.differing(s)
		for _, o := range s.Wakes.of(check) {
			one := o.seen(nodes)
			one.At, one.Differs = s.At, differs
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Seen) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Match, b.Match), cmp.Compare(a.Port, b.Port))
	})
	return list
}

// of lists what runs of a check.
func (w *Wakes) of(check *Check) (list []*one) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, all := range w.byKey {
		for _, o := range all {
			if o.check == check {
				list = append(list, o)
			}
		}
	}
	return list
}

func (o *one) seen(nodes map[zone.Origin]turns.Presence) Seen {
	s, t := o.check.Sharing, o.turn
	t.mu.Lock()
	verdict, role, by := t.turn.Current(), "prober", "self"
	from, follows := t.turn.Follows()
	switch {
	case t.turn.Doubts():
		role = "doubter"
	case follows:
		role, by = "follower", nodes[from].Node
	case !t.turn.Leads():
		role = "follower"
	}
	t.mu.Unlock()
	out := Seen{
		Server: o.Server.Addr.Text, Match: o.check.Match, Port: o.check.Port,
		Verdict: verdicts[verdict], Role: role, By: by, Nodes: []View{},
	}
	if word, err := turns.ParseWord(s.Zone.Own(t.key)); err == nil {
		me := viewOf(turns.Presence{Node: s.Node(), Host: s.Host}, &word)
		me.Self = true
		out.Nodes = append(out.Nodes, me)
	}
	for _, f := range s.Zone.Told(nil, t.key) {
		p, isMember := nodes[f.From]
		if word, err := turns.ParseWord(f.Value); err == nil && isMember {
			out.Nodes = append(out.Nodes, viewOf(p, &word))
		}
	}
	return out
}

func viewOf(p turns.Presence, w *turns.Word) View {
	return View{
		Node: p.Node, Host: p.Host, Verdict: verdicts[w.Verdict], Doubts: w.Doubts, Checks: w.Number, Fails: w.Failed,
		Unavail: w.Failures, Reason: w.Reason,
		At: time.UnixMilli(w.AtMS).UTC().Format("2006-01-02T15:04:05.000Z"),
	}
}

// nameOf is the node as the log has it.
func nameOf(p turns.Presence) string {
	if p.Host == "" {
		return p.Node
	}
	return fmt.Sprintf("%s (%s)", p.Node, p.Host)
}
