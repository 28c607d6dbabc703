package remote

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// traffic are the counters of a node at a moment.
type traffic struct {
	at          time.Time
	connections struct{ Accepted, Active, Idle int64 }
	requests    struct{ Total, Current int64 }
	servers     map[string]serverZone
	upstreams   map[string]group
	sync        struct {
		Status struct {
			BytesIn  int64 `json:"bytes_in"`
			BytesOut int64 `json:"bytes_out"`
		}
	}
}

type serverZone struct {
	Processing, Requests, Sent int64
}

type group struct{ Peers []server }

type server struct {
	Server, State           string
	Active, Requests, Fails int64
	ResponseMS              int64 `json:"response_time"`
}

// rank sorts servers that do not serve before the others.
func (s server) rank() int {
	if s.State == "up" {
		return 1
	}
	return 0
}

func (c *client) traffic(ctx context.Context, now time.Time) (*traffic, error) {
	t := &traffic{at: now}
	for _, part := range []struct {
		to   any
		path []string
	}{
		{&t.connections, []string{"connections"}},
		{&t.requests, []string{"http", "requests"}},
		{&t.servers, []string{"http", "server_zones"}},
		{&t.upstreams, []string{"http", "upstreams"}},
		{&t.sync, []string{"stream", "zone_sync"}},
	} {
		// A configuration without http lacks some of them.
		if err := c.get(ctx, part.to, part.path...); err != nil && !hasCode(err, "PathNotFound") {
			return nil, err
		}
	}
	return t, nil
}

// rate is a counter's growth in a second, "-" if it is not known yet. A counter that shrank has been reset.
func (t *traffic) rate(last *traffic, of func(*traffic) int64) string {
	if last == nil || !t.at.After(last.at) {
		return "-"
	}
	grown := of(t) - of(last)
	if grown < 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f/s", float64(grown)/t.at.Sub(last.at).Seconds())
}

func (t *traffic) write(w io.Writer, last *traffic) error {
	fmt.Fprintf(w, "requests %s, %d in progress; connections %s, %d active, %d idle; sync in %s, out %s bytes\n",
		t.rate(last, func(t *traffic) int64 { return t.requests.Total }), t.requests.Current,
		t.rate(last, func(t *traffic) int64 { return t.connections.Accepted }),
		t.connections.Active, t.connections.Idle,
		t.rate(last, func(t *traffic) int64 { return t.sync.Status.BytesIn }),
		t.rate(last, func(t *traffic) int64 { return t.sync.Status.BytesOut }))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(t.servers) > 0 {
		fmt.Fprintln(table, "\nSERVER ZONE\tREQUESTS\tRATE\tIN PROGRESS\tSENT")
	}
	for _, name := range slices.Sorted(maps.Keys(t.servers)) {
		z := t.servers[name]
		rate := t.rate(last, func(t *traffic) int64 { return t.servers[name].Requests })
		fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%s\n", plain(name), z.Requests, rate, z.Processing, size(z.Sent))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return t.writeUpstreams(w)
}

// writeUpstreams lists first the servers that need attention, then those with the most requests.
func (t *traffic) writeUpstreams(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, name := range slices.Sorted(maps.Keys(t.upstreams)) {
		if i == 0 {
			fmt.Fprintln(table, "\nUPSTREAM\tSERVER\tSTATE\tACTIVE\tREQUESTS\tFAILS\tTIME")
		}
		peers := t.upstreams[name].Peers
		slices.SortStableFunc(peers, func(a, b server) int {
			return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(b.Requests, a.Requests))
		})
		for _, p := range peers {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n",
				plain(name), plain(p.Server), p.State, p.Active, p.Requests, p.Fails, milliseconds(p.ResponseMS))
		}
	}
	return table.Flush()
}
