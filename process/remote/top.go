package remote

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"starling/lib/plural"
)

const (
	defaultEvery = 2 * time.Second
	minEvery     = 100 * time.Millisecond
)

// TopCommand shows the cluster until the user has seen enough.
func TopCommand() *cobra.Command {
	var a access
	var every time.Duration
	var count int
	c := &cobra.Command{
		Use:   "top",
		Short: "show the cluster and the traffic of a node, live",
		Long: `Show what "status" shows, and the traffic of the node, again and again; q ends it. Where the output is no
terminal, or a dumb one, the tables are printed one after the other.`,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case every < minEvery:
				return fmt.Errorf("--every must be at least %v", minEvery)
			case count < 0:
				return fmt.Errorf("--count must not be negative")
			}
			api, err := a.client()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return newTop(api, c.OutOrStdout()).run(ctx, every, count)
		},
	}
	a.flags(c)
	c.Flags().DurationVar(&every, "every", defaultEvery, "`time` between two looks")
	c.Flags().IntVar(&count, "count", 0, "`number` of looks; 0: until q")
	return c
}

// top looks again and again at one node.
type top struct {
	api  *client
	out  io.Writer
	now  func() time.Time
	last *traffic
}

func newTop(api *client, out io.Writer) *top { return &top{api: api, out: out, now: time.Now} }

func (t *top) run(ctx context.Context, every time.Duration, count int) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	s, err := openScreen(t.out, quit)
	if err != nil {
		return err
	}
	defer s.close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for looks := 1; ; looks++ {
		text, err := t.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && (s == nil || t.last == nil) {
			return err // an address that never answered is wrong; for a program that reads this, any silence is
		}
		if err := s.show(t.out, text); err != nil {
			return err
		}
		if looks == count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look returns one page. A node that no longer answers is shown as such, because it may come back.
func (t *top) look(ctx context.Context) (string, error) {
	var b bytes.Buffer
	now := t.now()
	status, found, err := t.api.health(ctx)
	var traffic *traffic
	if err == nil {
		traffic, err = t.api.traffic(ctx, now)
	}
	fmt.Fprintf(&b, "%s  ", now.Format(time.TimeOnly))
	if err != nil {
		fmt.Fprintf(&b, "%v\n", err)
		return b.String(), err
	}
	if err := writeStatus(&b, t.api, status, found); err != nil {
		return "", err
	}
	b.WriteString("\n")
	if err := traffic.write(&b, t.last); err != nil {
		return "", err
	}
	t.last = traffic
	return b.String(), nil
}

// crop keeps the part of a text that a terminal of that size can show, and counts the rest.
func crop(text string, columns, rows int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if rows > 1 && len(lines) > rows {
		more := "... " + plural.Of(len(lines)-rows+1, "more line", "more lines")
		lines = append(lines[:rows-1:rows-1], more)
	}
	for i, line := range lines {
		if r := []rune(line); columns > 0 && len(r) > columns {
			lines[i] = string(r[:columns])
		}
	}
	return strings.Join(lines, "\n")
}
