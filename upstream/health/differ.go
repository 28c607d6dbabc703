package health

import (
	"context"
	"fmt"
	"slices"
	"time"

	"starling/lib/clock"
	"starling/logs"
	"starling/upstream/health/turns"
	"starling/zone"
)

// This file names the checks that differ between nodes: each of these nodes then checks the servers itself.

const (
	// settleTime is how long after a change the checks are compared: several come together.
	settleTime = time.Second
	// rolloutTime is how long checks may differ before it is a warning: during the rollout of a configuration they do.
	rolloutTime = time.Minute
	// maxPlaces bounds the checks of one group that are compared.
	maxPlaces = 32
)

// Differing is a check of this node that another one lacks.
type Differing struct {
	Node string `json:"node"`
	Host string `json:"host"`
	// At is the check that it has instead, as file and line there; empty for none. Terms say how that differs.
	At     string `json:"at,omitempty"`
	Terms  string `json:"terms,omitempty"`
	Remedy string `json:"remedy"`

	from zone.Origin
}

const remedy = "the two do not take turns; configure the same check on both nodes"

// differing lists the nodes whose checks of a group are not this one.
func (g *group) differing(s *Sharing) (list []Differing) {
	ours, theirs := g.cards(s)
	for _, other := range theirs {
		for _, d := range turns.Compare(ours, other.cards) {
			if d.Ours.ID != s.ID {
				continue
			}
			of := other.cards[0].Presence
			found := Differing{Node: of.Node, Host: of.Host, Remedy: remedy, from: other.from}
			if d.Theirs != nil {
				found.At, found.Terms = d.Theirs.At, d.Terms
			}
			list = append(list, found)
		}
	}
	return list
}

// held are the checks of one other node.
type held struct {
	from  zone.Origin
	cards []turns.Card
}

// cards are the checks of a group that share a zone: those of this node, and those of the others.
func (g *group) cards(of *Sharing) (ours []turns.Card, theirs []held) {
	for _, check := range g.checks {
		if s := check.Sharing; s != nil && s.Zone == of.Zone {
			ours = append(ours, s.card())
		}
	}
	for place := range maxPlaces {
		told := of.Zone.Told(nil, placeOf(of.Roster, place))
		if len(told) == 0 {
			break
		}
		for _, f := range told {
			card, err := turns.ParseCard(f.Value)
			if err != nil || f.Away {
				continue
			}
			at := slices.IndexFunc(theirs, func(h held) bool { return h.from == f.From })
			if at < 0 {
				at = len(theirs)
				theirs = append(theirs, held{from: f.From})
			}
			theirs[at].cards = append(theirs[at].cards, card)
		}
	}
	return ours, theirs
}

// difference is what was logged of a difference.
type difference struct {
	sinceMS int64 // monotonic
	warned  bool
}

// comparison is what one configuration logs of checks that differ.
type comparison struct {
	known map[string]*difference
	// lines limit those about a check and a node, however often that changes its mind.
	lines map[string]*logs.Repeats
}

// maxLines is more than a cluster has: each start of a node is one.
const maxLines = 4096

// compare logs which checks differ, after each change, until ctx ends.
func (c *Checks) compare(ctx context.Context) {
	signal := make(chan struct{}, 1)
	var shared []*Wakes
	for _, g := range c.groups {
		for _, check := range g.checks {
			if s := check.Sharing; s != nil && !slices.Contains(shared, s.Wakes) {
				shared = append(shared, s.Wakes)
				s.Wakes.signal(c, signal)
			}
		}
	}
	if len(shared) == 0 {
		return
	}
	defer func() {
		for _, w := range shared {
			w.signal(c, nil)
		}
	}()
	all := comparison{known: map[string]*difference{}, lines: map[string]*logs.Repeats{}}
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	for settles := true; ; {
		select {
		case <-ctx.Done():
			return
		case <-signal:
			if !settles { // otherwise a node that changes all the time is never compared
				settles = true
				timer.Reset(settleTime)
			}
			continue
		case <-timer.C:
		}
		settles = false
		if all.look(c, c.clock.Now()); len(all.known) > 0 {
			timer.Reset(rolloutTime / 6)
		}
	}
}

// signal sets where changes of checks are told; nil ends that.
func (w *Wakes) signal(c *Checks, to chan<- struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if to == nil {
		delete(w.changed, c)
		return
	}
	if w.changed == nil {
		w.changed = map[*Checks]chan<- struct{}{}
	}
	w.changed[c] = to
}

// look logs each difference when it comes, and again when it lasts.
func (all *comparison) look(c *Checks, now clock.Reading) {
	there := map[string]bool{}
	for _, g := range c.groups {
		for _, check := range g.checks {
			if check.Sharing == nil {
				continue
			}
			for _, d := range g.differing(check.Sharing) {
				text := d.text(g, check.Sharing)
				there[text] = true
				all.tell(check, &d, text, now.MonoMS)
			}
		}
	}
	for text := range all.known {
		if !there[text] {
			delete(all.known, text)
		}
	}
}

// tell logs a difference, at first as a notice, because a rollout makes some.
func (all *comparison) tell(check *Check, d *Differing, text string, nowMS int64) {
	k := all.known[text]
	switch {
	case k == nil:
		all.known[text] = &difference{sinceMS: nowMS}
		if note, write := all.limit(check, d).Next(nowMS); write {
			check.Log.Logf(logs.Notice, "%s: %s%s", text, remedy, note)
		}
	case !k.warned && nowMS-k.sinceMS >= rolloutTime.Milliseconds():
		k.warned = true
		check.Log.Logf(logs.Warn, "%s, for %v: %s", text, rolloutTime, remedy)
	}
}

func (all *comparison) limit(check *Check, d *Differing) *logs.Repeats {
	key := fmt.Sprintf("%s %d", check.Sharing.At, d.from)
	if all.lines[key] == nil {
		if len(all.lines) >= maxLines {
			clear(all.lines)
		}
		all.lines[key] = new(logs.Repeats)
	}
	return all.lines[key]
}

func (d *Differing) text(g *group, s *Sharing) string {
	peer := nameOf(turns.Presence{Node: d.Node, Host: d.Host})
	if d.At == "" {
		return fmt.Sprintf("node %s has no health check of upstream \"%s\" like that in %s", peer, g.Name, s.At)
	}
	return fmt.Sprintf("health check of upstream \"%s\" in %s is not that of node %s in %s: %s",
		g.Name, s.At, peer, d.At, d.Terms)
}
