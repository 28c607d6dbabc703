package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"starling/lib/testkit"
)

// The strict limit of a node with StrictLimit, in requests per second and requests.
const (
	strictRate  = 200
	strictBurst = 99
)

// StrictLimit is a node with a strict limit on /limited for a key that all clients share; ?try= begins another one.
// extra are further lines of the sync server.
func StrictLimit(extra string) string {
	return strings.Replace(fmt.Sprintf(`http { limit_req_zone $server_name$arg_try zone=req:1M rate=%dr/s sync strict;
	server { listen {{.IP}}:8080; server_name all; limit_req_status 429; keepalive_requests 1000000;
		location = /limited { limit_req zone=req burst=%d nodelay; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /api { api; } } }
	stream { server { listen {{.IP}}:9000; zone_sync; zone_sync_strict_state strict.state; EXTRA
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`, strictRate, strictBurst), "EXTRA", extra, 1)
}

// StrictZone is the part of /starling/http/limit_reqs that tests of strict limits read.
type StrictZone struct {
	State   string   `json:"state"`
	Reason  string   `json:"reason"`
	Members []string `json:"members"`
	NoLease uint64   `json:"no_lease"`
	// InFallback says that the node admits its share alone.
	InFallback       bool   `json:"in_fallback"`
	FallbackAdmitted uint64 `json:"fallback_admitted"`
	Keys             []struct {
		Holders map[string]int64 `json:"holders"`
	} `json:"keys"`
}

// Strict reads what a node with StrictLimit shows of its zone.
func (n *Node) Strict() (StrictZone, error) {
	var shown struct{ Strict StrictZone }
	r, err := n.Do("GET", "/api/9/starling/http/limit_reqs/req", "")
	if err == nil {
		err = json.Unmarshal([]byte(r.Body), &shown)
	}
	return shown.Strict, err
}

// Decides waits until a node with StrictLimit decides on requests, in a view of so many members.
func (n *Node) Decides(members int) {
	n.T.Helper()
	testkit.Eventually(n.T, Patience, func() error {
		z, err := n.Strict()
		if err == nil && (z.State != "member" || len(z.Members) != members) {
			err = fmt.Errorf("%s: %+v", n.Name, z)
		}
		return err
	})
}

// StrictShare is a node with StrictLimit that admits its share of the limit without a majority.
func StrictShare(extra string) string {
	return strings.Replace(StrictLimit(extra), " strict;", " strict strict_fallback=share;", 1)
}

// FallsBack waits until a node with StrictShare admits its share alone, or does so no more.
func (n *Node) FallsBack(alone bool) {
	n.T.Helper()
	testkit.Eventually(n.T, Patience, func() error {
		z, err := n.Strict()
		if err == nil && z.InFallback != alone {
			err = fmt.Errorf("%s: %+v", n.Name, z)
		}
		return err
	})
}

// AdmittedAlone is how many requests nodes with StrictShare admitted by their shares so far. A node without enough time
// of the processor loses contact with the others, too.
func AdmittedAlone(t *testing.T, nodes []*Node) (sum int64) {
	t.Helper()
	for _, n := range nodes {
		z, err := n.Strict()
		if err != nil {
			t.Fatalf("%s: %v", n.Name, err)
		}
		sum += int64(z.FallbackAdmitted)
	}
	return sum
}

// WithinShare checks that no more requests passed in a time than the share of one of so many nodes with StrictShare.
func WithinShare(t *testing.T, passed int64, took time.Duration, nodes int) {
	t.Helper()
	allowed := (strictBurst + 1 + took.Seconds()*strictRate) / float64(nodes)
	t.Logf("%d passed in %v by a share of 1/%d, %.0f are allowed", passed, took, nodes, allowed)
	if float64(passed) > allowed {
		t.Errorf("%d requests passed in %v by a share of 1/%d, %.0f are allowed", passed, took, nodes, allowed)
	}
}

// Passes waits until a limit lets a request for a path pass.
func (n *Node) Passes(path string) {
	n.T.Helper()
	testkit.Eventually(n.T, Patience, func() error {
		got, err := n.Pipeline(path, 1)
		if err == nil && got[200] == 0 {
			err = fmt.Errorf("%s: statuses %v", n.Name, got)
		}
		return err
	})
}

// WithinStrict checks that no more requests passed in a time than one node with StrictLimit would have let pass.
func WithinStrict(t *testing.T, passed int64, took time.Duration) {
	t.Helper()
	allowed := strictBurst + 1 + took.Seconds()*strictRate
	t.Logf("%d passed in %v, %.0f are allowed", passed, took, allowed)
	if float64(passed) > allowed {
		t.Errorf("%d requests passed in %v, %.0f are allowed", passed, took, allowed)
	}
}

// Flood sends requests for a path on so many connections to each node for d. It returns how many passed at each, and
// how long it took.
func Flood(t *testing.T, nodes []*Node, path string, conns int, d time.Duration) (each []int64, took time.Duration) {
	t.Helper()
	passed := make([]atomic.Int64, len(nodes))
	var all sync.WaitGroup
	begin := time.Now()
	for i, n := range nodes {
		for range conns {
			all.Go(func() {
				for time.Since(begin) < d {
					got, err := n.Pipeline(path, 50)
					passed[i].Add(int64(got[200]))
					if err != nil {
						t.Errorf("%s: %v", n.Name, err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	took = time.Since(begin)
	for i := range passed {
		each = append(each, passed[i].Load())
	}
	return each, took
}

// Sum adds numbers up.
func Sum(numbers []int64) (sum int64) {
	for _, n := range numbers {
		sum += n
	}
	return sum
}

// HoldRequest starts a request for /hang whose body does not come, so that it stays in progress.
func (n *Node) HoldRequest() net.Conn {
	n.T.Helper()
	conn, err := n.Dial("8080")
	if err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "POST /hang HTTP/1.1\r\nHost: all\r\nContent-Length: 2\r\n\r\n."); err != nil {
		n.T.Fatal(err)
	}
	return conn
}

// CountsConnections waits until a limit_conn_zone of a side ("http" or "stream") counts so many connections of its only
// key at all nodes, and at this one.
func (n *Node) CountsConnections(side, zone string, all, here int) {
	n.T.Helper()
	testkit.Eventually(n.T, Patience, func() error {
		r, err := n.Do("GET", "/api/9/starling/"+side+"/limit_conns/"+zone, "")
		if err != nil {
			return err
		}
		if r.Status != 200 { // a reload has not brought the zone yet
			return fmt.Errorf("%s of %s: %d %s", side, n.Name, r.Status, r.Body)
		}
		var got struct {
			Keys []struct{ Connections, Here int }
		}
		if err := json.Unmarshal([]byte(r.Body), &got); err != nil {
			return fmt.Errorf("%w: %s", err, r.Body)
		}
		if len(got.Keys) == 0 && all == 0 {
			return nil
		}
		if len(got.Keys) != 1 || got.Keys[0].Connections != all || got.Keys[0].Here != here {
			return fmt.Errorf("%s of %s counts %s, want %d, %d of them here", side, n.Name, r.Body, all, here)
		}
		return nil
	})
}
