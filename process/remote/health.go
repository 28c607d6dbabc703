package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"starling/carrier"
	"starling/cluster"
)

// clusterStatus reads what the node knows of its cluster.
func (c *client) clusterStatus(ctx context.Context) (*carrier.Status, error) {
	s := new(carrier.Status)
	err := c.get(ctx, s, "stream", "zone_sync", "cluster")
	if hasCode(err, "PathNotFound") {
		return nil, fmt.Errorf("the node at %s has no cluster: no server of it has \"zone_sync;\"", c.name)
	}
	return s, err
}

// unsaved are the files that a node could not write. Without the resource, it is one of an earlier release.
type unsaved struct {
	Files []struct {
		File  string `json:"file"`
		Error string `json:"error"`
	} `json:"files"`
}

func (c *client) unsavedFiles(ctx context.Context) (*unsaved, error) {
	u := new(unsaved)
	err := c.get(ctx, u, "starling", "unsaved_files")
	if hasCode(err, "PathNotFound") {
		return u, nil
	}
	return u, err
}

// problems are the reasons why a node is not healthy: what it has in memory would not survive a restart.
func (u *unsaved) problems() []string {
	var found []string
	for _, f := range u.Files {
		found = append(found, fmt.Sprintf("%s cannot be written; a restart would lose the latest changes: %s",
			plain(f.File), plain(f.Error)))
	}
	return found
}

// health reads what the node knows of its cluster, and what is wrong.
func (c *client) health(ctx context.Context) (s *carrier.Status, found []string, err error) {
	if s, err = c.clusterStatus(ctx); err != nil {
		return nil, nil, err
	}
	u, err := c.unsavedFiles(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s, append(problems(s), u.problems()...), nil
}

// States of members and peers, as the API names them.
const (
	connected  = "connected"
	pushing    = "pushing"
	accepted   = "accepted"
	replaced   = "replaced"
	connecting = "connecting"
	unresolved = "unresolved"
	differ     = "differ"
	unknown    = "unknown"
	fullThere  = "full, not comparable"
)

// problems are the reasons why a cluster is not healthy as one node sees it. There are none if it is.
func problems(s *carrier.Status) []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if !s.Ready {
		add("the node is not ready: %s", plain(s.NotReady))
	}
	if s.Warning != "" {
		add("%s", plain(s.Warning))
	}
	for _, m := range s.Members {
		if m.State == connecting || m.State == unresolved {
			add("%s is not connected: %s", memberName(m), plain(orUnknown(m.LastError)))
		}
	}
	for _, p := range s.Peers {
		switch p.State {
		case pushing:
			add("%s does not connect to this node: look for the reason in its status", peerName(p))
		case accepted:
			add("%s connects to this node, which does not connect to it: list it with \"zone_sync_server\"",
				peerName(p))
		}
		if p.ClockRefused {
			add("the clock of %s is %d ms off: run NTP there", peerName(p), p.OffsetMS)
		}
		for _, mismatch := range p.Mismatches {
			add("a zone is not shared with %s: %s", peerName(p), plain(mismatch))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Zones)) {
		z := s.Zones[name]
		if z.Agreement == differ {
			add("zone %s differs from that of %s%s", plain(name), differing(s, name), rejected(s, name))
		}
		if z.Agreement == fullThere && !z.Full {
			add("zone %s of a peer is full and cannot be compared: increase its size there", plain(name))
		}
		if z.Strict != nil {
			if why := undecided(s, z.Strict); why != "" {
				add("strict zone %s %s", plain(name), why)
			}
		}
		if z.Full {
			add("zone %s rejects or has evicted records: increase its size", plain(name))
		}
	}
	if len(found) == 0 && !s.Agree && s.Agreement != unknown { // which is usual while records are written
		add("the nodes do not agree")
	}
	return found
}

// undecided is why not all members of the list decide on a strict zone. Counts of a zone that is additive, for an older
// release, are the matter of its agreement: a rolling upgrade is healthy.
func undecided(s *carrier.Status, z *cluster.StrictZone) string {
	switch {
	case z.State == "closed":
		return "does not decide: " + plain(z.Reason)
	case z.State == "waiting":
		return "waits for the other members"
	case z.State != "member" || len(z.Members) >= z.Configured:
		return ""
	}
	var without []string
	for _, m := range s.Members {
		if !slices.Contains(z.Members, m.Address) {
			without = append(without, memberName(m))
		}
	}
	if len(without) == 0 {
		return fmt.Sprintf("is decided by %d of %d members: look for the reason in the status of the others",
			len(z.Members), z.Configured)
	}
	return fmt.Sprintf("is decided without %s: look for the reason in the status there", strings.Join(without, ", "))
}

// differing names the peers whose records of a zone differ.
func differing(s *carrier.Status, zone string) string {
	names := ""
	for _, p := range s.Peers {
		if p.Digests[zone].State != differ {
			continue
		}
		if names != "" {
			names += ", "
		}
		names += peerName(p)
	}
	return orUnknown(names)
}

// rejected is why a zone goes on to differ, if records of it were rejected.
func rejected(s *carrier.Status, zone string) string {
	for _, p := range s.Peers {
		if why := p.Digests[zone].Rejected; why != "" {
			return ": " + plain(why)
		}
	}
	return ""
}

func orUnknown(text string) string {
	if text == "" {
		return "reason unknown"
	}
	return text
}

// errUnhealthy lets a command exit with 1 after it has printed why.
var errUnhealthy = errors.New("the cluster is not healthy")
