package nodes

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

const (
	// doomedPairs are deleted while a node is frozen.
	doomedPairs = 100
	// pairsToForget come and go afterwards. Tombstones of a zone of 32k have room for 13,000.
	pairsToForget = 20_000
	// pairsInARow is how many pairs a client creates and deletes before it reads the answers.
	pairsInARow = 50
	// smallBuffers have no room for the deletions of so many pairs: only tombstones can remember the first ones.
	smallBuffers = "zone_sync_buffers 8 1k; "
)

// TestAFrozenNodeBringsNothingBack: a node is frozen, and its connections stay. Another node deletes pairs that the
// frozen one has, and creates and deletes more pairs than tombstones can remember. The frozen node continues before or
// after the others lose it, and brings nothing back.
func TestAFrozenNodeBringsNothingBack(t *testing.T) {
	for _, c := range []struct {
		name, timeout  string
		isBusy, isLost bool
	}{
		{"and continues before it is lost", "15s", false, false},
		{"and continues after it is lost", "5s", false, true},
		{"under load and continues before it is lost", "15s", true, false},
		{"under load and continues after it is lost", "5s", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := harness.NewCluster(t, 3)
			cl.Start(strings.NewReplacer(
				"zone=one:64m", "zone=one:32k", "EXTRA", smallBuffers+"zone_sync_timeout "+c.timeout+";",
			).Replace(harness.ShareOne))
			freezeAndForget(cl, c.isBusy, c.isLost)
		})
	}
}

// freezeAndForget freezes the third node, with pairs already coming and going if isBusy, until the others have lost it
// if isLost, while the first one deletes pairs and then forgets their tombstones.
func freezeAndForget(cl *harness.Cluster, isBusy, isLost bool) {
	cl.T.Helper()
	first, second, third := cl.Nodes[0], cl.Nodes[1], cl.Nodes[2]
	for i := range doomedPairs {
		first.Wants(201, "*", "POST", harness.SetOne, fmt.Sprintf(`{"doomed-%d":"x"}`, i))
	}
	for _, n := range cl.Nodes {
		n.Sees(fmt.Sprintf("/?text=doomed-%d", doomedPairs-1), "x")
	}
	cl.Acknowledged()

	var early sync.WaitGroup
	if isBusy {
		underway := make(chan struct{})
		early.Go(func() { comeAndGo(first, "early", func() { close(underway) }) })
		<-underway
	}
	thaw := third.Freeze()
	for i := range doomedPairs {
		first.Wants(204, "*", "PATCH", harness.SetOne, fmt.Sprintf(`{"doomed-%d":null}`, i))
	}
	comeAndGo(first, "late", func() {})
	early.Wait()
	if isLost {
		first.WaitLog("read timed out")
		second.WaitLog("read timed out")
	}
	thaw()
	cl.Joined(3)
	first.Wants(201, "*", "POST", harness.SetOne, `{"last":"x"}`)
	for _, n := range cl.Nodes {
		holdsOnlyTheLast(n, n == third)
	}
}

// comeAndGo creates and deletes pairs at a node, as fast as it answers: none may be refused. It calls halfway when half
// are done, or when it fails.
func comeAndGo(n *harness.Node, name string, halfway func()) {
	halfway = sync.OnceFunc(halfway)
	defer halfway()
	conn, err := n.Dial("8080")
	if err != nil {
		n.T.Error(err)
		return
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for done := 0; done < pairsToForget; done += pairsInARow {
		if done >= pairsToForget/2 {
			halfway()
		}
		err := errors.Join(conn.SetDeadline(time.Now().Add(harness.Patience)), createAndDelete(conn, name, done))
		for at := 0; at < 2*pairsInARow && err == nil; at++ {
			err = answered(answers, []int{http.StatusCreated, http.StatusNoContent}[at%2])
		}
		if err != nil {
			n.T.Errorf("%s: after %d pairs %s: %v", n.Name, done, name, err)
			return
		}
	}
}

// createAndDelete sends the requests for some pairs in a row.
func createAndDelete(conn io.Writer, name string, from int) error {
	var requests []byte
	for at := range pairsInARow {
		key := fmt.Sprintf("%s-%d", name, from+at)
		for _, change := range [][2]string{{"POST", `{"` + key + `":"x"}`}, {"PATCH", `{"` + key + `":null}`}} {
			requests = fmt.Appendf(
				requests, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s",
				change[0], harness.SetOne, len(change[1]), change[1],
			)
		}
	}
	_, err := conn.Write(requests)
	return err
}

// answered reads one answer.
func answered(answers *bufio.Reader, status int) error {
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%d %s, want %d", resp.StatusCode, body, status)
	}
	return err
}

// holdsOnlyTheLast waits until a node holds the last pair only, and says that all nodes agree. A node that was not
// frozen has no deleted pair at any time.
func holdsOnlyTheLast(n *harness.Node, wasFrozen bool) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		pairs, err := n.Pairs("one")
		if err != nil {
			return err
		}
		last := pairs["last"]
		delete(pairs, "last")
		if len(pairs) > 0 && !wasFrozen {
			n.T.Fatalf("%s: %d deleted pairs are back: %v", n.Name, len(pairs), slices.Sorted(maps.Keys(pairs)))
		}
		view, err := n.Do("GET", "/api/9/stream/zone_sync/cluster", "")
		if err != nil {
			return err
		}
		if len(pairs) > 0 || last == "" || !strings.Contains(view.Body, `"nodes_agree":true`) {
			return fmt.Errorf("%s holds %d deleted pairs, and %q as the last: %s", n.Name, len(pairs), last, view.Body)
		}
		return nil
	})
}
