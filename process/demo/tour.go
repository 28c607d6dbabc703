package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"starling/lib/plural"
)

// tour shows the promises one by one and fails at the first broken one.
func tour(ctx context.Context, c *cluster, _ *backends) error {
	for _, stop := range []struct {
		promise string
		keep    func(context.Context, *cluster) error
	}{
		{"a key set on one node is read on the others", keyTravels},
		{"a delete reaches every node", deleteTravels},
		{"3 x 1,000 hits on one limit are 3,000", limitAddsUp},
		{"all nodes follow the same session", sessionStays},
		{"no data is lost when a node stops", nodeStops},
		{"a new node gets all data from the others", nodeReturns},
	} {
		began := time.Now()
		if err := stop.keep(ctx, c); err != nil {
			fmt.Fprintf(c.out, "  failed  %s\n", stop.promise)
			return fmt.Errorf("%s: %w", stop.promise, err)
		}
		fmt.Fprintf(c.out, "  passed  %-50s %4d ms\n", stop.promise, time.Since(began).Milliseconds())
	}
	return nil
}

// wants sends a request and compares the status.
func (n *node) wants(ctx context.Context, status int, method, path, body string, headers ...string) (string, error) {
	got, text, err := n.request(ctx, method, path, body, headers...)
	if err == nil && got != status {
		err = fmt.Errorf("%s %s at %s: %d %s, want %d", method, path, n.name, got, strings.TrimSpace(text), status)
	}
	return text, err
}

// reads waits until every running node returns a body for a path.
func (c *cluster) reads(ctx context.Context, path, body string) error {
	for _, n := range c.nodes {
		if !n.running() {
			continue
		}
		if err := eventually(ctx, func() error {
			text, err := n.wants(ctx, http.StatusOK, "GET", path, "")
			if err == nil && text != body {
				err = fmt.Errorf("GET %s at %s gives %q, want %q", path, n.name, text, body)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// keyvals is the resource of the zone that the tour writes.
const keyvals = "/api/9/http/keyvals/one"

func keyTravels(ctx context.Context, c *cluster) error {
	for _, n := range c.nodes {
		pair := fmt.Sprintf(`{%q:"set there"}`, n.name)
		if _, err := n.wants(ctx, http.StatusCreated, "POST", keyvals, pair); err != nil {
			return err
		}
		if err := c.reads(ctx, "/text?text="+n.name, "set there"); err != nil {
			return err
		}
	}
	return nil
}

func deleteTravels(ctx context.Context, c *cluster) error {
	if _, err := c.nodes[2].wants(ctx, http.StatusNoContent, "PATCH", keyvals, `{"node1":null}`); err != nil {
		return err
	}
	return errors.Join(c.reads(ctx, "/text?text=node1", ""), c.reads(ctx, "/text?text=node2", "set there"))
}

func limitAddsUp(ctx context.Context, c *cluster) error {
	results := make(chan error, len(c.nodes))
	for _, n := range c.nodes {
		go func() { results <- n.thousandAtOnce() }()
	}
	for range c.nodes {
		if err := <-results; err != nil {
			return err
		}
	}
	// The next one is rejected on each node once the counts have been exchanged.
	for _, n := range c.nodes {
		if err := c.acknowledged(ctx); err != nil {
			return err
		}
		if _, err := n.wants(ctx, http.StatusServiceUnavailable, "GET", "/limited", ""); err != nil {
			return err
		}
	}
	return nil
}

// thousandAtOnce pipelines 1,000 requests and expects all of them to pass.
func (n *node) thousandAtOnce() error {
	const count = 1000
	conn, err := net.Dial("tcp", net.JoinHostPort(n.ip, strconv.Itoa(httpPort)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, strings.Repeat("GET /limited HTTP/1.1\r\nHost: demo\r\n\r\n", count))
		sent <- err
	}()
	r := bufio.NewReader(conn)
	for i := range count {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("reply %d of %d at %s: %w", i+1, count, n.name, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("request %d of %d at %s was answered %d", i+1, count, n.name, resp.StatusCode)
		}
	}
	return <-sent
}

// acknowledged waits until no running node has a change that the others have not acknowledged.
func (c *cluster) acknowledged(ctx context.Context) error {
	for _, n := range c.nodes {
		if !n.running() {
			continue
		}
		if err := eventually(ctx, func() error {
			s, err := n.status(ctx)
			for name, z := range s.Zones {
				if z.Pending != 0 {
					err = fmt.Errorf("%s: zone %s has %s pending", n.name, name,
						plural.Of(z.Pending, "record", "records"))
				}
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func sessionStays(ctx context.Context, c *cluster) error {
	for i := range 6 {
		id := fmt.Sprintf("tour%d", i)
		first, err := c.nodes[i%len(c.nodes)].wants(ctx, http.StatusOK, "GET", "/?session="+id, "")
		if err != nil {
			return err
		}
		if err := c.acknowledged(ctx); err != nil {
			return err
		}
		for _, n := range c.nodes {
			text, err := n.wants(ctx, http.StatusOK, "GET", "/", "", "Cookie", "session="+id)
			if err == nil && text != first {
				err = fmt.Errorf(
					"session %s is with %q, %s sent it to %q",
					id,
					strings.TrimSpace(first),
					n.name,
					strings.TrimSpace(text),
				)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func nodeStops(ctx context.Context, c *cluster) error {
	last := c.nodes[len(c.nodes)-1]
	if _, err := last.wants(ctx, http.StatusCreated, "POST", keyvals, `{"farewell":"kept"}`); err != nil {
		return err
	}
	if err := last.quit(); err != nil {
		return err
	}
	if err := c.joined(ctx, nodeCount-2); err != nil {
		return err
	}
	return c.reads(ctx, "/text?text=farewell", "kept")
}

func nodeReturns(ctx context.Context, c *cluster) error {
	if _, err := c.nodes[0].wants(ctx, http.StatusCreated, "POST", keyvals, `{"news":"of the day"}`); err != nil {
		return err
	}
	if err := c.nodes[len(c.nodes)-1].start(); err != nil {
		return err
	}
	if err := c.joined(ctx, nodeCount-1); err != nil {
		return err
	}
	return errors.Join(c.reads(ctx, "/text?text=news", "of the day"), c.reads(ctx, "/text?text=node2", "set there"))
}
