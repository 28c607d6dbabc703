package remote

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"starling/process/arguments"
)

// KeyvalCommand reads and writes the pairs of key-value zones.
func KeyvalCommand() *cobra.Command {
	var a access
	c := &cobra.Command{
		Use:   "keyval",
		Short: "read and write the pairs of key-value zones",
		Long: `Read and write the pairs of the key-value zones of a node through its API. A change of a zone with "sync"
reaches the other nodes. Changes need "api write=on;".`,
	}
	a.flags(c)
	c.AddCommand(getCommand(&a), setCommand(&a), deleteCommand(&a), listCommand(&a))
	c.AddCommand(importCommand(&a), exportCommand(&a))
	return c
}

// keyvals is one zone of one API.
type keyvals struct {
	*client
	side, name string
	ack        string // the query of changes: how many nodes must have them
}

// ackFlags are --ack and --ack-timeout.
type ackFlags struct {
	nodes   string
	timeout time.Duration
}

func (f *ackFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.nodes, "ack", "", "wait until so many `nodes` have the change, this one included, or "+
		"\"all\" of the cluster; a node whose zone has \"state=\" must have it on disk (default: do not wait)")
	c.Flags().DurationVar(&f.timeout, "ack-timeout", time.Second, "longest `time` to wait for --ack")
}

// keyvals finds a zone whose changes wait as the flags say.
func (f *ackFlags) keyvals(a *access, c *cobra.Command, name string) (*keyvals, error) {
	var query string
	switch {
	case f.nodes != "":
		query = fmt.Sprintf("?ack=%s&timeout=%dms", url.QueryEscape(f.nodes), f.timeout.Milliseconds())
	case c.Flags().Changed("ack-timeout"):
		return nil, errors.New("--ack-timeout requires --ack")
	}
	z, err := a.keyvals(c.Context(), name)
	if err == nil && query != "" {
		z.ack = query
		z.waitsFor(f.timeout)
	}
	return z, err
}

// write sends a change of pairs.
func (z *keyvals) write(ctx context.Context, method string, body any) error {
	path := []string{z.side, "keyvals", z.name}
	if z.ack != "" {
		path = append(path, z.ack)
	}
	return z.change(ctx, method, body, path...)
}

// sides are the branches of the API that have zones.
var sides = []string{"http", "stream"}

// zones returns the names of the zones of a side. A side that the configuration lacks has none.
func (c *client) zones(ctx context.Context, side string) (names []string, err error) {
	err = c.get(ctx, &names, side, "keyvals", "?fields=")
	if hasCode(err, "PathNotFound") {
		return nil, nil
	}
	return names, err
}

// keyvals finds a zone; http and stream cannot both have one of a name.
func (a *access) keyvals(ctx context.Context, name string) (*keyvals, error) {
	api, err := a.client()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, side := range sides {
		names, err := api.zones(ctx, side)
		if err != nil {
			return nil, err
		}
		if slices.Contains(names, name) {
			return &keyvals{client: api, side: side, name: name}, nil
		}
		all = append(all, names...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no key-value zone: declare one with \"keyval_zone\"", api.name)
	}
	slices.Sort(all)
	return nil, fmt.Errorf("%s has no key-value zone \"%s\": there are %s", api.name, name, strings.Join(all, ", "))
}

// find returns the value of a key.
func (z *keyvals) find(ctx context.Context, key string) (string, error) {
	pair := map[string]string{}
	query := "?key=" + strings.ReplaceAll(url.QueryEscape(key), "+", "%20") // the API decodes %XX only
	if err := z.get(ctx, &pair, z.side, "keyvals", z.name, query); err != nil {
		return "", err
	}
	return pair[key], nil
}

// set adds a pair or changes it. Another client can add or delete the key between the two requests, so it is tried a
// few times.
func (z *keyvals) set(ctx context.Context, key string, value json.RawMessage) (err error) {
	const tries = 5
	body := map[string]json.RawMessage{key: value}
	for range tries {
		err = z.write(ctx, http.MethodPatch, body)
		if !hasCode(err, "KeyvalKeyNotFound") {
			return err
		}
		err = z.write(ctx, http.MethodPost, body)
		if !hasCode(err, "KeyvalKeyExists") {
			return err
		}
	}
	return err
}

func getCommand(a *access) *cobra.Command {
	return &cobra.Command{
		Use:   "get ZONE KEY",
		Short: "print the value of a key",
		Args:  arguments.Exactly("ZONE", "KEY"),
		RunE: func(c *cobra.Command, args []string) error {
			z, err := a.keyvals(c.Context(), args[0])
			if err != nil {
				return err
			}
			value, err := z.find(c.Context(), args[1])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), forTerminal(c.OutOrStdout(), value))
			return err
		},
	}
}

func setCommand(a *access) *cobra.Command {
	var expire time.Duration
	var ack ackFlags
	c := &cobra.Command{
		Use:   "set ZONE KEY VALUE",
		Short: "add a pair, or change its value",
		Args:  arguments.Exactly("ZONE", "KEY", "VALUE"),
		RunE: func(c *cobra.Command, args []string) error {
			value, err := json.Marshal(args[2])
			if err != nil {
				return err
			}
			if c.Flags().Changed("expire") {
				if expire < time.Millisecond {
					return errors.New("--expire must be at least 1ms")
				}
				value = fmt.Appendf(nil, `{"value":%s,"expire":%d}`, value, expire.Milliseconds())
			}
			z, err := ack.keyvals(a, c, args[0])
			if err != nil {
				return err
			}
			return z.set(c.Context(), args[1], value)
		},
	}
	c.Flags().DurationVar(&expire, "expire", 0, "`time` until the pair expires, such as 90s or 12h; the zone needs "+
		"\"timeout=\" (default: that timeout)")
	ack.add(c)
	return c
}

func deleteCommand(a *access) *cobra.Command {
	var ack ackFlags
	c := &cobra.Command{
		Use:   "del ZONE KEY...",
		Short: "delete pairs",
		Args:  arguments.AtLeast("ZONE", "KEY"),
		RunE: func(c *cobra.Command, args []string) error {
			z, err := ack.keyvals(a, c, args[0])
			if err != nil {
				return err
			}
			for _, key := range args[1:] {
				gone := map[string]any{key: nil}
				if err := z.write(c.Context(), http.MethodPatch, gone); err != nil {
					return err
				}
			}
			return nil
		},
	}
	ack.add(c)
	return c
}

func listCommand(a *access) *cobra.Command {
	return &cobra.Command{
		Use:   "list [ZONE]",
		Short: "list the pairs of a zone, or the zones",
		Args:  arguments.AtMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			out := bufio.NewWriter(c.OutOrStdout())
			var err error
			if len(args) == 0 {
				err = listZones(c.Context(), a, out)
			} else {
				err = listPairs(c.Context(), a, args[0], out)
			}
			return errors.Join(err, out.Flush())
		},
	}
}

func listZones(ctx context.Context, a *access, w io.Writer) error {
	api, err := a.client()
	if err != nil {
		return err
	}
	for _, side := range sides {
		names, err := api.zones(ctx, side)
		if err != nil {
			return err
		}
		for _, name := range names {
			fmt.Fprintln(w, plain(name))
		}
	}
	return nil
}

// listPairs is for people; export is for programs.
func listPairs(ctx context.Context, a *access, zone string, w io.Writer) error {
	z, err := a.keyvals(ctx, zone)
	if err != nil {
		return err
	}
	pairs := map[string]string{}
	if err := z.get(ctx, &pairs, z.side, "keyvals", z.name); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tVALUE")
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		fmt.Fprintf(table, "%s\t%s\n", plain(key), plain(pairs[key]))
	}
	return table.Flush()
}
