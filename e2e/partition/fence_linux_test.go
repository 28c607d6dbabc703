package partition

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// fencedRequests are strictRequests that go on at their servers without their clients.
var fencedRequests = strings.NewReplacer(
	"http {\n", "http {\n	proxy_cache_path cache keys_zone=c:1m;\n",
	"proxy_pass http://{{.IP}}:8080/api; }", `proxy_ignore_client_abort on; proxy_pass http://{{.IP}}:9100; }
		location = /fill { limit_conn requests 6; proxy_cache c; proxy_cache_key $connection; proxy_pass http://{{.IP}}:9100; }`,
).Replace(strictRequests)

// holdingServer holds its requests until the proxy gives them up, and counts them.
type holdingServer struct {
	mu        sync.Mutex
	now, most int // requests
}

func (s *holdingServer) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	<-r.Context().Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
}

// has returns nil if so many requests are held.
func (s *holdingServer) has(count int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != count {
		return fmt.Errorf("the servers have %d requests, want %d", s.now, count)
	}
	return nil
}

// begin starts a request that the server holds, if the limit lets it pass.
func begin(n *harness.Node, path string) {
	n.T.Helper()
	conn, err := n.Dial("8080")
	if err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: all\r\n\r\n"); err != nil {
		n.T.Fatal(err)
	}
}

// TestAPartitionEndsWhatServersHave: the servers of all nodes together never have more requests than the limit, also of
// those that go on without their clients.
func TestAPartitionEndsWhatServersHave(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	var servers holdingServer
	for _, n := range h.Nodes {
		h.ServeAt(n, &servers)
	}
	h.Start(fencedRequests)
	decideOnRequests(h.Nodes, 3)
	alone, others := h.Nodes[0], h.Nodes[1:]
	for i, n := range h.Nodes {
		for k, path := range []string{"/hang", "/fill"} {
			begin(n, path)
			testkit.Eventually(t, harness.Patience, func() error { return servers.has(2*i + k + 1) })
		}
	}
	h.Network.Partition(h.HostsOf(h.Nodes[:1]), h.HostsOf(others))
	beginUntil(others[0], 4, func() { begin(others[0], "/hang") })
	testkit.Eventually(t, harness.Patience, func() error { return servers.has(6) })
	alone.WaitLog("ended 2 connections")
	servers.mu.Lock()
	defer servers.mu.Unlock()
	if servers.most != 6 {
		t.Errorf("the servers had %d requests at once, want 6", servers.most)
	}
}
