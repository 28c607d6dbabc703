// Package demo runs a cluster of three starling processes on this machine, with configurations that can be read and
// changed, and can check it automatically.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// nodeCount is three: the smallest number with more than one other node.
const nodeCount = 3

// The ports of every node on its own loopback address.
const (
	httpPort = 8080
	syncPort = 9000
)

// Command runs the demo until ctrl-c or, with --check, until its tour is over.
func Command() *cobra.Command {
	var check bool
	var dir string
	c := &cobra.Command{
		Use:   "demo",
		Short: "run a cluster of three nodes on this machine and say what to try",
		Long: "Run a cluster of three nodes on 127.0.0.1, 127.0.0.2 and 127.0.0.3, connected by mutual TLS, until " +
			"ctrl-c.\nIt prints where the configurations are and what to try.",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
			defer stop()
			return run(ctx, check, dir, c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&check, "check", false,
		"run the tour of the cluster, report each check, and exit 0 only if all pass")
	c.Flags().StringVar(&dir, "dir", "",
		"`directory` for configurations, logs and state (default: a new temporary directory)")
	return c
}

func run(ctx context.Context, check bool, dir string, stdout io.Writer) (err error) {
	if err := addressesUsable(); err != nil {
		return err
	}
	temporary := dir == ""
	if temporary {
		if dir, err = os.MkdirTemp("", "starling-demo-"); err != nil {
			return err
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	backends, err := startBackends()
	if err != nil {
		return err
	}
	defer backends.stop()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	site := &cluster{dir: dir, exe: exe, out: stdout}
	if err := site.write(); err != nil {
		return err
	}
	// Failures while stopping count too: the demo promises a clean end.
	defer func() { err = errors.Join(err, site.stop()) }()
	for _, n := range site.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	if err := site.joined(ctx, nodeCount-1); err != nil {
		return err
	}
	if check {
		if err := tour(ctx, site, backends); err != nil {
			return fmt.Errorf("%w\nsee the configurations and logs in %s", err, dir)
		}
		if temporary {
			return errors.Join(site.stop(), os.RemoveAll(dir))
		}
		return nil
	}
	site.explain()
	watch(ctx, site)
	fmt.Fprintf(stdout, "\nstopping the nodes; their files remain in %s\n", dir)
	return nil
}

// addressesUsable checks that each node's address exists on this machine and that its ports are free.
func addressesUsable() error {
	var missing []string
	for i := 1; i <= nodeCount; i++ {
		ip := address(i)
		for _, port := range []int{httpPort, syncPort} {
			l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, port))
			switch {
			case errors.Is(err, syscall.EADDRNOTAVAIL):
				missing = append(missing, ip)
			case err != nil:
				return fmt.Errorf(
					"node %d cannot use port %d of %s: %w; stop the program that uses it and try again",
					i,
					port,
					ip,
					err,
				)
			default:
				if err := l.Close(); err != nil {
					return err
				}
			}
			if err != nil {
				break
			}
		}
	}
	if missing == nil {
		return nil
	}
	lines := []string{"each demo node needs its own loopback address, and these are missing. Add them with:"}
	for _, ip := range missing {
		lines = append(
			lines,
			"  sudo ifconfig lo0 alias "+ip+" up     (macOS and BSD)",
			"  sudo ip addr add "+ip+"/8 dev lo          (Linux, where it was removed)",
		)
	}
	return errors.New(strings.Join(lines, "\n"))
}

func address(node int) string { return fmt.Sprintf("127.0.0.%d", node) }

// explain prints the locations of everything and commands to try.
func (c *cluster) explain() {
	w := c.out
	fmt.Fprintf(w, "Three starling nodes are running, one process each, connected by mutual TLS:\n\n")
	for _, n := range c.nodes {
		fmt.Fprintf(w, "  %s  http://%s:%d  pid %d  %s\n", n.name, n.ip, httpPort, n.cmd.Process.Pid, n.conf())
	}
	fmt.Fprintf(w, `
Look at the cluster: http://127.0.0.1:%[1]d/dashboard.html

Try, in another terminal:

  The cluster and its traffic, live (q ends it):
    '%[2]s' top

  A key set on one node is read on the others, and a delete reaches them too:
    curl -d '{"greeting":"hello"}' http://127.0.0.1:%[1]d/api/9/http/keyvals/one
    curl 'http://127.0.0.2:%[1]d/text?text=greeting'
    curl -X PATCH -d '{"greeting":null}' http://127.0.0.3:%[1]d/api/9/http/keyvals/one

  One limit for all nodes: 3,000 of these 3,003 requests pass, then all nodes answer 503:
    for i in 1 2 3; do curl -s -o /dev/null -w '%%{http_code}\n' "http://127.0.0.$i:%[1]d/limited?[1-1001]"; done | sort | uniq -c

  A session learned by one node is followed by the others:
    curl 'http://127.0.0.1:%[1]d/?session=me'        # which backend?
    curl -b session=me http://127.0.0.3:%[1]d/        # the same

  What the nodes know of each other:
    curl -s http://127.0.0.1:%[1]d/api/9/stream/zone_sync

Stop one with kill -QUIT and start it again with the command in its folder's "start" file.
Ctrl-C ends the demo.

`, httpPort, c.exe)
}

// watch prints a line for each node whenever something changes, until the demo ends.
func watch(ctx context.Context, c *cluster) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := ""
	for {
		view := c.view(ctx)
		if view != last {
			fmt.Fprintf(c.out, "%s\n%s", time.Now().Format("15:04:05"), view)
			last = view
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
