package cluster

import (
	"fmt"
	"slices"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// mismatch returns why two nodes cannot share a zone that both name, or "" if they can.
func (n *Node) mismatch(mine zone.Info, theirs *wire.Zone) string {
	switch {
	case mine.Kind.Number != theirs.Kind:
		return fmt.Sprintf("it stores %s on this node and %s on the peer", mine.Kind.Holds, n.holds(theirs.Kind))
	case mine.Expression != theirs.Expression:
		return fmt.Sprintf(
			"its key is %.*q on this node and %.*q on the peer",
			maxShown,
			mine.Expression,
			maxShown,
			theirs.Expression,
		)
	}
	return ""
}

// differences lists differing settings that do not prevent sharing, or returns "".
func differences(mine zone.Info, theirs *wire.Zone) string {
	text := ""
	note := func(what string, here int64, there uint64) {
		if here != int64(there) {
			text += fmt.Sprintf(", its %s is %d on this node and %d on the peer", what, here, int64(there))
		}
	}
	note("size in bytes", mine.Bytes, theirs.Bytes)
	note("timeout in ms", mine.TimeoutMS, theirs.TimeoutMS)
	note("rate in requests per 1000 s", mine.RateMilli, theirs.RateMilli)
	if text == "" {
		return ""
	}
	return text[2:]
}

// holds names, for logs, the records of a zone of the peer's kind.
func (n *Node) holds(number uint8) string {
	for _, kind := range n.kinds {
		if kind.Number == number {
			return kind.Holds
		}
	}
	return fmt.Sprintf("an unknown kind (%d)", number)
}

// maxShown is how many characters of a key are shown.
const maxShown = 500

// maxMismatches bounds how many mismatches of one peer are logged and kept: a hello may name a thousand zones that no
// other node has.
const maxMismatches = 16

// pair finds the zones that this node and a session's peer share, and reports those that cannot be shared. The result
// is indexed like the peer's list; nil marks zones that are not shared.
func (n *Node) pair(s *Session, theirs []wire.Zone, now clock.Reading) []*zoneState {
	table := n.table.Load()
	shared := make([]*zoneState, len(theirs))
	var mismatched, different []string
	named := make(map[string]bool, len(theirs))
	for i := range theirs {
		their := &theirs[i]
		if their.Name == "" {
			continue // withdrawn since the hello
		}
		named[their.Name] = true
		mine := table.byName[their.Name]
		if mine == nil {
			mismatched = append(
				mismatched,
				fmt.Sprintf("zone %q is shared on the peer but not on this node", their.Name),
			)
			continue
		}
		if why := n.mismatch(mine.info, their); why != "" {
			mismatched = append(mismatched, fmt.Sprintf("zone %q is not shared: %s", their.Name, why))
			continue
		}
		if why := differences(mine.info, their); why != "" {
			different = append(different, fmt.Sprintf("zone %q has different settings: %s", their.Name, why))
		}
		shared[i] = mine
	}
	for _, z := range table.list {
		if !named[z.info.Name] {
			mismatched = append(
				mismatched,
				fmt.Sprintf("zone %q is shared on this node but not on the peer", z.info.Name),
			)
		}
	}
	if more := len(mismatched) - maxMismatches; more > 0 {
		mismatched = append(mismatched[:maxMismatches:maxMismatches], fmt.Sprintf("%d more zones are not shared", more))
	}
	different = different[:min(len(different), maxMismatches)]
	for _, text := range slices.Concat(mismatched, different) {
		n.once(s, Notice, text)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.peer.mismatches, s.peer.mismatchedMS = mismatched, sinceWhen(mismatched, s.peer.mismatchedMS, now)
	s.peer.differentMS = sinceWhen(different, s.peer.differentMS, now)
	return shared
}

// sinceWhen returns since when each text has been there: now, unless it was there before.
func sinceWhen(texts []string, before map[string]int64, now clock.Reading) map[string]int64 {
	since := make(map[string]int64, len(texts))
	for _, text := range texts {
		since[text] = now.MonoMS
		if ms, known := before[text]; known {
			since[text] = ms
		}
	}
	return since
}

// rolloutMS is how long the zones of nodes may differ before it is an error: during the rollout of a new configuration
// they do.
const rolloutMS = 60_000

// tellLasting reports mismatches that outlast a rollout as errors, and different settings as warnings. Called with mu
// held.
func (s *Session) tellLasting(now clock.Reading) {
	n := s.node
	n.mu.Lock()
	mismatched, different := lasting(s.peer.mismatchedMS, now), lasting(s.peer.differentMS, now)
	n.mu.Unlock()
	for _, text := range mismatched {
		n.once(s, Problem, fmt.Sprintf("%s, for %v: configure the same zones on both nodes", text, ms(rolloutMS)))
	}
	for _, text := range different {
		n.once(s, Warning, fmt.Sprintf("%s, for %v: configure the same on both nodes", text, ms(rolloutMS)))
	}
}

// lasting returns the texts that have been there for longer than a rollout takes.
func lasting(sinceMS map[string]int64, now clock.Reading) (texts []string) {
	for text, ms := range sinceMS {
		if after(now, ms, rolloutMS) {
			texts = append(texts, text)
		}
	}
	slices.Sort(texts)
	return texts
}
