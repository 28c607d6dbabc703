package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// members is a sync server with all nodes of a test in its list.
const members = `stream { server { listen {{.IP}}:9000; zone_sync;
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// limited is an http side with one synced limit on a key that all clients share; ?try= begins another one.
func limited(zone, limit string) string {
	return `http { limit_req_zone $server_name$arg_try zone=req:1M ` + zone + ` sync;
	server { listen {{.IP}}:8080; server_name all;
		location / { limit_req zone=req ` + limit + `; return 200 ok; }
		location = /limited { limit_req zone=req ` + limit + `; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /api { api; } } }
	` + members
}

// pipeline sends count requests for a path on one connection without waiting, and counts the replies by status.
func (n *node) pipeline(path string, count int) (map[int]int, error) {
	conn, err := n.dial("8080")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: all\r\n\r\n", count))
		sent <- err
	}()
	got, r := map[int]int{}, bufio.NewReader(conn)
	for i := range count {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return got, fmt.Errorf("reply %d of %d: %w", i+1, count, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return got, err
		}
		got[resp.StatusCode]++
	}
	return got, <-sent
}

// TestThreeTimesAThousandIsThreeThousand: one limit over three nodes counts every hit exactly once.
func TestThreeTimesAThousandIsThreeThousand(t *testing.T) {
	cl := newCluster(t, 3)
	cl.start(limited("rate=1r/m", "burst=2999 nodelay"))
	var wg sync.WaitGroup
	for _, n := range cl.Nodes {
		wg.Go(func() {
			if got, err := n.pipeline("/limited", 1000); err != nil || got[200] != 1000 {
				t.Errorf("%s: %v %v", n.Name, got, err)
			}
		})
	}
	wg.Wait()
	cl.settled()
	for _, n := range cl.Nodes {
		n.wants(503, "*", "GET", "/limited", "", "Host", "all")
	}
}

// flood sends requests for a path on two connections to each node for d and returns how many passed in all and the time it took.
func (c *cluster) flood(path string, d time.Duration) (passed int64, took time.Duration) {
	c.t.Helper()
	var total atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for _, n := range c.Nodes {
		for range 2 {
			wg.Go(func() {
				for time.Since(begin) < d {
					got, err := n.pipeline(path, 50)
					total.Add(int64(got[200]))
					if err != nil {
						c.t.Errorf("%s: %v", n.Name, err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	return total.Load(), time.Since(begin)
}

// measures floods until what passed is right. A machine that stands still for a tenth of a second spoils a measurement, so
// there are several; a limit that counts wrong fails them all.
func (c *cluster) measures(d time.Duration, check func(passed, seconds float64) error) {
	c.t.Helper()
	const tries = 6
	for try := range tries {
		passed, took := c.flood(fmt.Sprintf("/limited?try=%d", try), d)
		err := check(float64(passed), took.Seconds())
		c.t.Logf("%d passed in %v; %v", passed, took, err)
		if err == nil {
			return
		}
	}
	c.t.Errorf("%d times not what one limit passes", tries)
}

// TestAFloodOnThreeNodesPassesWhatOneLimitPasses: rate x time + burst + 1 in all, within 3 %.
func TestAFloodOnThreeNodesPassesWhatOneLimitPasses(t *testing.T) {
	cl := newCluster(t, 3)
	cl.start(limited("rate=20r/s", "burst=20 nodelay"))
	cl.measures(6*time.Second, func(passed, seconds float64) error {
		if want := 20*seconds + 21; passed < 0.97*want || passed > 1.03*want {
			return fmt.Errorf("want %.0f within 3 %%", want)
		}
		return nil
	})
}

// TestTheSeedsLimitWithoutBurst: 100r/s over three nodes stays within what one node would let through.
func TestTheSeedsLimitWithoutBurst(t *testing.T) {
	cl := newCluster(t, 3)
	cl.start(limited("rate=100r/s", ""))
	cl.measures(3*time.Second, func(passed, seconds float64) error {
		if most := 100*seconds + 1; passed > 1.03*most || passed < most/4 {
			return fmt.Errorf("one node passes at most %.0f", most)
		}
		return nil
	})
}
