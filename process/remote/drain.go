package remote

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"starling/process/arguments"
	"starling/upstream"
)

// DrainCommand drains a server of an upstream.
func DrainCommand() *cobra.Command {
	var a access
	var undo bool
	c := &cobra.Command{
		Use:   "drain UPSTREAM SERVER",
		Short: "give a server of an upstream no new sessions",
		Long: `Drain a server of an upstream: it gets only requests of the sticky sessions that it has. SERVER is its
address or name as in the configuration, or its ID. If the upstream has a zone with "sync", the server drains on all nodes
of the cluster until it is let serve again, whatever is restarted. Otherwise this changes one node, and only until it is
restarted; drain the server on each node with --api.`,
		Args: arguments.Exactly("UPSTREAM", "SERVER"),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := a.client()
			if err != nil {
				return err
			}
			return drain(c.Context(), api, args[0], args[1], undo, c.OutOrStdout())
		},
	}
	a.flags(c)
	c.Flags().BoolVar(&undo, "undo", false, "let a server that is drained, or down, serve again")
	return c
}

func drain(ctx context.Context, api *client, group, name string, undo bool, w io.Writer) error {
	servers, err := api.servers(ctx, group)
	if err != nil {
		return err
	}
	chosen := choose(servers, name)
	if len(chosen) == 0 {
		return fmt.Errorf("upstream \"%s\" has no server \"%s\": there are %s", group, name, serverNames(servers))
	}
	change, done := map[string]bool{"drain": true}, "drains"
	if undo {
		change, done = map[string]bool{"down": false}, "serves again"
	}
	for _, s := range chosen {
		err := api.change(ctx, http.MethodPatch, change, "http", "upstreams", group, "servers", strconv.Itoa(s.ID))
		if err != nil {
			return err
		}
		var now upstream.Config
		err = api.get(ctx, &now, "http", "upstreams", group, "servers", strconv.Itoa(s.ID))
		if err != nil && !hasCode(err, upstream.ServerNotFound) { // another client has removed it meanwhile
			return err
		}
		where := "on the node at " + api.name
		if now.Changed != nil {
			where = "on all nodes of the cluster of " + api.name
		}
		fmt.Fprintf(w, "server %s of upstream %s %s %s\n", plain(s.Server), plain(group), done, where)
	}
	return nil
}

// servers lists the servers of an upstream of http. Those of stream have no sessions to drain.
func (c *client) servers(ctx context.Context, group string) (servers []upstream.Config, err error) {
	err = c.get(ctx, &servers, "http", "upstreams", group, "servers")
	if !hasCode(err, "UpstreamNotFound") {
		return servers, err
	}
	var names []string
	if err := c.get(ctx, &names, "http", "upstreams", "?fields="); err != nil {
		return nil, err
	}
	if c.get(ctx, new([]upstream.Config), "stream", "upstreams", group, "servers") == nil {
		return nil, fmt.Errorf("upstream \"%s\" is one of stream, which has no sessions to drain: set its server to "+
			"\"down\" through the API", group)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no upstream with a \"zone\"", c.name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("%s has no upstream \"%s\": there are %s", c.name, group, strings.Join(names, ", "))
}

// choose finds the servers that a name means: all with that address or name, or the one with that ID. A server that was
// resolved from a name is chosen with the name, by which all of its addresses change.
func choose(servers []upstream.Config, name string) (chosen []upstream.Config) {
	for _, s := range servers {
		if s.Server == name {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) > 0 {
		return chosen
	}
	for _, s := range servers {
		if strconv.Itoa(s.ID) == name {
			return []upstream.Config{s}
		}
	}
	return nil
}

func serverNames(servers []upstream.Config) string {
	var names []string
	for _, s := range servers {
		names = append(names, plain(s.Server))
	}
	return joined(slices.Compact(names))
}
