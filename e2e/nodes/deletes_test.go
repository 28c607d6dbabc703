package nodes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// cyclesEach is how many pairs of each client come and go: many times what 32k hold. CYCLES=25000 go test ./e2e/nodes
// -run Deletes makes the 100,000.
func cyclesEach(t *testing.T) int {
	text, set := os.LookupEnv("CYCLES")
	if !set {
		return 500
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// cycle lets pairs come and go at all nodes at once, as fast as they answer: none may be refused.
func cycle(t *testing.T, round string, nodes ...*harness.Node) {
	t.Helper()
	const clients = 4
	var wg sync.WaitGroup
	for client := range clients {
		n := nodes[client%len(nodes)]
		wg.Go(func() {
			http := &http.Client{Timeout: harness.Patience, Transport: &http.Transport{DialContext: n.DialURL}}
			defer http.CloseIdleConnections()
			for i := range cyclesEach(t) {
				key := fmt.Sprintf("%s-%d-%d", round, client, i)
				for _, step := range []struct {
					method, body string
					status       int
				}{{"POST", `{"` + key + `":"value"}`, 201}, {"PATCH", `{"` + key + `":null}`, 204}} {
					status, text, err := send(http, step.method, "http://"+n.IP+":8080"+harness.SetOne, step.body)
					if err != nil || status != step.status {
						t.Errorf("%s: %s of pair %d of client %d: %d %s %v", n.Name, step.method, i, client, status, text, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// send sends a request on a kept connection.
func send(client *http.Client, method, url, body string) (status int, text []byte, err error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// TestDeletesUseUpNothing: pairs come and go in a zone of 32k on three connected nodes, then with one of them killed.
// All are taken; a full zone from which pairs are deleted takes as many new ones at once; and the node that was away
// brings nothing back.
func TestDeletesUseUpNothing(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.KeyvalHTTP + harness.Members)
	first, second, third := cl.Nodes[0], cl.Nodes[1], cl.Nodes[2]
	first.Wants(201, "*", "POST", harness.SetOne, `{"stays":"1","goes":"2"}`)
	cycle(t, "connected", cl.Nodes...)
	third.Kill()
	cycle(t, "alone", first, second)
	first.Wants(204, "*", "PATCH", harness.SetOne, `{"goes":null}`)

	filled := 0
	for ; ; filled++ {
		got := first.Must("POST", harness.SetOne, fmt.Sprintf(`{"fill%03d":"value"}`, filled))
		if got.Status == 400 {
			for _, part := range []string{"KeyvalOutOfMemory", `zone \"one\" is full`, "delete pairs, increase the zone size"} {
				if !strings.Contains(got.Body, part) {
					t.Errorf("the refusal does not say %q: %s", part, got.Body)
				}
			}
			break
		}
		if got.Status != 201 || filled > 1000 {
			t.Fatalf("after %d pairs: %d %s", filled, got.Status, got.Body)
		}
	}
	if filled < 200 {
		t.Errorf("only %d pairs fit into 32k", filled)
	}
	full(first, true)
	for i := range 100 {
		first.Wants(204, "*", "PATCH", harness.SetOne, fmt.Sprintf(`{"fill%03d":null}`, i))
	}
	full(first, false)
	for i := range 100 {
		first.Wants(201, "*", "POST", harness.SetOne, fmt.Sprintf(`{"more%03d":"value"}`, i))
	}
	full(first, true) // there is no room for another one
	second.Sees(harness.SetOne+"?key=more099", `{"more099":"value"}`)
	third.Start()
	cl.Joined(3)
	for _, n := range cl.Nodes {
		n.Sees("/?text=stays", "1")
		n.Sees("/?text=goes", "")
		n.Sees("/?text=fill007", "")
	}
}

// full waits until the cluster's status says of zone one that it refuses writes, or that it does not.
func full(n *harness.Node, want bool) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		r, err := n.Do("GET", "/api/9/stream/zone_sync/cluster", "")
		if err != nil {
			return err
		}
		var view struct {
			Zones map[string]struct {
				Full        bool
				RecordBytes int64 `json:"record_bytes"`
				Tombstones  int64
			}
		}
		if err := json.Unmarshal([]byte(r.Body), &view); err != nil {
			return err
		}
		if one := view.Zones["one"]; one.Full != want || one.RecordBytes == 0 {
			return fmt.Errorf("%s: %+v, want full %v", n.Name, one, want)
		}
		return nil
	})
}
