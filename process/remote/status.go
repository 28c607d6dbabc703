package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"starling/carrier"
	"starling/cluster"
	"starling/lib/plural"
	"starling/zone"
)

// StatusCommand shows the cluster as one node sees it.
func StatusCommand() *cobra.Command {
	var a access
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "show the cluster as a node sees it; exit with 1 unless it is healthy",
		Long: `Show the cluster as one node sees it: the nodes, the zones that they share, and whether the nodes agree.

The exit status is 0 if the cluster is healthy. It is 1, and a line for each problem follows the tables, if the node is
not ready, a member is not connected in both directions, nodes hold different records, not all members decide on a
strict zone, a zone is full or is not shared with a peer, a state file cannot be written, a clock is wrong, or the API
cannot be asked. It is 2 if the command was called in a wrong way.`,
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := a.client()
			if err != nil {
				return err
			}
			return status(c.Context(), api, asJSON, c.OutOrStdout())
		},
	}
	a.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func status(ctx context.Context, api *client, asJSON bool, w io.Writer) error {
	s, found, err := api.health(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeStatusJSON(w, api, s, found)
	} else {
		err = writeStatus(w, api, s, found)
	}
	if err == nil && len(found) > 0 {
		return errUnhealthy
	}
	return err
}

func writeStatusJSON(w io.Writer, api *client, s *carrier.Status, found []string) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(struct {
		API      string          `json:"api"`
		Healthy  bool            `json:"healthy"`
		Problems []string        `json:"problems"`
		Cluster  *carrier.Status `json:"cluster"`
	}{api.name, len(found) == 0, append([]string{}, found...), s})
}

// writeStatus writes the tables and the problems.
func writeStatus(w io.Writer, api *client, s *carrier.Status, found []string) error {
	fmt.Fprintf(w, "%s\n\n", headline(api, s, found))
	if err := writeNodes(w, s); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := writeZones(w, s); err != nil {
		return err
	}
	for i, p := range found {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "problem: %s\n", p)
	}
	return nil
}

func headline(api *client, s *carrier.Status, found []string) string {
	name := ""
	if s.Cluster != "" {
		name = " \"" + plain(s.Cluster) + "\""
	}
	state := "healthy"
	if len(found) > 0 {
		state = "NOT HEALTHY"
	}
	return fmt.Sprintf("cluster%s as node %s sees it (%s): %s", name, s.NodeID, api.name, state)
}

// writeNodes has a line for this node, each peer, and each member that is not connected. A peer that was replaced, such
// as by an upgrade, is nobody to look for.
func writeNodes(w io.Writer, s *carrier.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tADDRESS\tSTATE\tAGREEMENT\tLAG\tPENDING\tRTT\tCLOCK\tLOST")
	state := "ready"
	if !s.Ready {
		state = "not ready"
	}
	fmt.Fprintf(table, "%s\t%s\t%s\t%s\t-\t-\t-\t%s\t-\n",
		s.NodeID, self(s), state, s.Agreement, offset(-s.OffsetMS))
	known := map[string]bool{}
	for _, p := range s.Peers {
		if p.State == replaced {
			continue
		}
		known[p.Address] = p.Address != ""
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%d\n", p.NodeID, peerName(p), peerState(p), worst(p),
			milliseconds(p.LagMS), p.Pending, milliseconds(p.RTTMS), offset(p.OffsetMS-s.OffsetMS), p.Losses)
	}
	for _, m := range s.Members {
		if m.State != connecting && m.State != unresolved || known[m.Address] {
			continue
		}
		fmt.Fprintf(table, "-\t%s\t%s\t-\t-\t-\t-\t-\t-\n", memberName(m), m.State)
	}
	return table.Flush()
}

// self is the address of this node among the members.
func self(s *carrier.Status) string {
	for _, m := range s.Members {
		if m.State == "self" {
			return memberName(m)
		}
	}
	return "this node"
}

func peerState(p cluster.PeerStatus) string {
	if p.Teaching {
		return p.State + ", taught"
	}
	return p.State
}

// worst is the worst agreement of a peer's zones.
func worst(p cluster.PeerStatus) string {
	order := []string{differ, fullThere, unknown, "agree"}
	for _, state := range order {
		for _, a := range p.Digests {
			if a.State == state {
				return state
			}
		}
	}
	return "-"
}

func writeZones(w io.Writer, s *carrier.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ZONE\tRECORDS\tPENDING\tTOMBSTONES\tMEMORY\tAGREEMENT\tDIGEST\tREMARKS")
	for _, name := range slices.Sorted(maps.Keys(s.Zones)) {
		z := s.Zones[name]
		agreement, digest := z.Agreement, z.Digest
		if agreement == "" { // of limits of an older release
			agreement = "-"
		}
		if digest == "" {
			digest = "-"
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", plain(name), z.RecordsTotal, z.RecordsPending,
			z.Tombstones, size(z.RecordBytes+z.TombstoneBytes), agreement, digest, joined(remarks(z)))
	}
	return table.Flush()
}

const percent = 100

func remarks(z cluster.ZoneStatus) []string {
	var list []string
	if s := z.Strict; s != nil && s.View > 0 {
		list = append(list, fmt.Sprintf("strict: %s, %d of %s in view %d", s.State, len(s.Members),
			plural.Of(s.Configured, "member", "members"), s.View))
	} else if s != nil {
		list = append(list, "strict: "+s.State)
	}
	if !z.Ready {
		list = append(list, fmt.Sprintf("synced %d%%", z.SyncedShards*percent/zone.Shards))
	}
	if z.Full {
		list = append(list, "full")
	}
	for _, count := range []struct {
		n         int64
		one, many string
	}{
		{z.Evicted, "evicted", "evicted"}, {z.Refused, "rejected", "rejected"},
		{z.Ahead, "rejected for its stamp", "rejected for their stamps"},
		{z.GaveUp, "tombstone dropped", "tombstones dropped"}, {z.Repaired, "repaired", "repaired"},
	} {
		if count.n > 0 {
			list = append(list, plural.Of(count.n, count.one, count.many))
		}
	}
	return list
}
