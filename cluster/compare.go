package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/lib/plural"
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

// unshared is why a zone is not shared with a peer, or has other settings there, and what an operator does about it.
type unshared struct{ text, remedy string }

// sameZones is the remedy for zones that the configurations declare themselves.
const sameZones = "configure the same zones on both nodes"

// remedyOf is what to do where only one of two nodes has a zone of a kind.
func (n *Node) remedyOf(number uint8) string {
	for _, kind := range n.kinds {
		if kind.Number == number && kind.Remedy != "" {
			return kind.Remedy
		}
	}
	return sameZones
}

// pair finds the zones that this node and a session's peer share, and reports those that cannot be shared. The result
// is indexed like the peer's list; nil marks zones that are not shared.
func (n *Node) pair(s *Session, theirs []wire.Zone, now clock.Reading) []*zoneState {
	table := n.table.Load()
	shared := make([]*zoneState, len(theirs))
	var mismatched, different []unshared
	named := make(map[string]bool, len(theirs))
	for i := range theirs {
		their := &theirs[i]
		if their.Name == "" {
			continue // withdrawn since the hello
		}
		named[their.Name] = true
		mine := table.byName[their.Name]
		if mine == nil {
			text := fmt.Sprintf("zone %q is shared on the peer but not on this node", their.Name)
			mismatched = append(mismatched, unshared{text, n.remedyOf(their.Kind)})
			continue
		}
		if why := n.mismatch(mine.info, their); why != "" {
			text := fmt.Sprintf("zone %q is not shared: %s", their.Name, why)
			mismatched = append(mismatched, unshared{text, sameZones})
			continue
		}
		if why := differences(mine.info, their); why != "" {
			text := fmt.Sprintf("zone %q has different settings: %s", their.Name, why)
			different = append(different, unshared{text, "configure the same on both nodes"})
		}
		shared[i] = mine
	}
	for _, z := range table.list {
		if !named[z.info.Name] {
			text := fmt.Sprintf("zone %q is shared on this node but not on the peer", z.info.Name)
			mismatched = append(mismatched, unshared{text, n.remedyOf(z.info.Kind.Number)})
		}
	}
	if more := len(mismatched) - maxMismatches; more > 0 {
		rest := unshared{plural.Of(more, "more zone is not shared", "more zones are not shared"), sameZones}
		mismatched = append(mismatched[:maxMismatches:maxMismatches], rest)
	}
	different = different[:min(len(different), maxMismatches)]
	shown := make([]string, 0, len(mismatched))
	for _, u := range mismatched {
		shown = append(shown, u.text+": "+u.remedy)
	}
	for _, u := range slices.Concat(mismatched, different) {
		n.once(s, Notice, u.text)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.peer.mismatches, s.peer.mismatchedMS = shown, sinceWhen(mismatched, s.peer.mismatchedMS, now)
	s.peer.differentMS = sinceWhen(different, s.peer.differentMS, now)
	return shared
}

// sinceWhen returns since when each has been there: now, unless it was there before.
func sinceWhen(all []unshared, before map[unshared]int64, now clock.Reading) map[unshared]int64 {
	since := make(map[unshared]int64, len(all))
	for _, u := range all {
		since[u] = now.MonoMS
		if ms, known := before[u]; known {
			since[u] = ms
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
	for _, u := range mismatched {
		n.once(s, Problem, fmt.Sprintf("%s, for %v: %s", u.text, ms(rolloutMS), u.remedy))
	}
	for _, u := range different {
		n.once(s, Warning, fmt.Sprintf("%s, for %v: %s", u.text, ms(rolloutMS), u.remedy))
	}
}

// lasting returns those that have been there for longer than a rollout takes.
func lasting(sinceMS map[unshared]int64, now clock.Reading) (all []unshared) {
	for u, ms := range sinceMS {
		if after(now, ms, rolloutMS) {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b unshared) int { return cmp.Compare(a.text, b.text) })
	return all
}
