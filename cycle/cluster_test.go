package cycle_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"starling/lib/testkit"
)

// node is a host with a keyval zone that it shares, an API, and a server that tells one value.
type node struct {
	*host
	api, value string
}

// newNode starts a node. sync are the directives of its zone_sync server.
func newNode(t *testing.T, sync string) *node {
	t.Helper()
	n := &node{host: newHost(t), api: address(t), value: address(t)}
	n.configure(sync)
	t.Cleanup(n.Stop)
	return n
}

// configure starts the node or reloads it.
func (n *node) configure(sync string) {
	n.t.Helper()
	n.run(fmt.Sprintf(`http { access_log off; server { listen %s; location /api { api write=on; } } }
		stream { keyval_zone zone=one:1m sync; keyval "key" $value zone=one;
		server { listen %s; return "<$value>"; }
		%s }`, n.api, n.value, sync))
}

func (n *node) set(method, body string) error {
	request, err := http.NewRequest(method, "http://"+n.api+"/api/9/stream/keyvals/one", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Close = true // a reload closes idle connections, and PATCH is not tried twice
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		text, err := io.ReadAll(answer.Body)
		return errors.Join(fmt.Errorf("%s %s: %s %s", method, body, answer.Status, text), err)
	}
	return nil
}

// waits until the node has a value.
func (n *node) waitFor(want string) {
	n.t.Helper()
	testkit.Eventually(n.t, patience, func() error {
		if got := ask(n.t, n.value); got != "<"+want+">" {
			return fmt.Errorf("the value is %s, not <%s>", got, want)
		}
		return nil
	})
}

func (n *node) waitForLog(parts ...string) {
	n.t.Helper()
	testkit.Eventually(n.t, patience, func() error {
		text := n.log()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				return fmt.Errorf("no %q in the log:\n%s", part, text)
			}
		}
		return nil
	})
}

func TestNodesShareOverUnixSockets(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.sock"), filepath.Join(dir, "two.sock")
	both := "zone_sync_server unix:" + one + "; zone_sync_server unix:" + two + "; zone_sync_connect_retry_interval 20ms;"
	a := newNode(t, "server { listen unix:"+one+"; zone_sync; "+both+" }")
	b := newNode(t, "server { listen unix:"+two+"; zone_sync; "+both+" }")
	if err := a.set("POST", `{"key":"first"}`); err != nil {
		t.Fatal(err)
	}
	b.waitFor("first")
	if err := b.set("PATCH", `{"key":"second"}`); err != nil {
		t.Fatal(err)
	}
	a.waitFor("second")
	if err := a.set("PATCH", `{"key":null}`); err != nil {
		t.Fatal(err)
	}
	b.waitFor("")
}

// A reload changes the members; what is in the zones stays, and so do connections to members that stay.
func TestMembersComeAndGoByReload(t *testing.T) {
	one, two := address(t), address(t)
	alone := "server { listen " + one + "; zone_sync; zone_sync_server " + one + "; }"
	together := "server { listen " + one + "; zone_sync; zone_sync_server " + one + "; zone_sync_server " + two + "; zone_sync_connect_retry_interval 20ms; }"
	a := newNode(t, alone)
	if err := a.set("POST", `{"key":"kept"}`); err != nil {
		t.Fatal(err)
	}
	b := newNode(t, "server { listen "+two+"; zone_sync; }")
	a.configure(together)
	b.waitFor("kept")
	a.waitFor("kept")
	a.waitForLog("zone_sync: connected to peer " + two)

	a.configure(together)
	if err := a.set("PATCH", `{"key":"again"}`); err != nil {
		t.Fatal(err)
	}
	b.waitFor("again")
	if n := strings.Count(a.log(), "zone_sync: connected to peer"); n != 1 {
		t.Errorf("a reload without a change made %d connections of one", n)
	}

	a.configure(alone)
	a.waitForLog("is no longer a member")
	if err := a.set("PATCH", `{"key":"mine"}`); err != nil {
		t.Fatal(err)
	}
	a.waitFor("mine")
	b.waitFor("again")

	a.configure("") // and out of the cluster altogether
	a.waitFor("mine")
	if _, err := net.Dial("tcp", one); err == nil {
		t.Error("it still listens for the cluster")
	}
}

// What was acknowledged to the client reaches the other nodes before a graceful end.
func TestQuitSendsWhatIsPending(t *testing.T) {
	one, two := address(t), address(t)
	members := "zone_sync_server " + one + "; zone_sync_server " + two + "; zone_sync_connect_retry_interval 20ms;"
	b := newNode(t, "server { listen "+two+"; zone_sync; "+members+" }")
	a := newHostNode(t, "server { listen "+one+"; zone_sync; "+members+" }")
	a.waitForLog("zone_sync: connected to peer " + two)
	if err := a.set("POST", `{"key":"0"}`); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := a.set("PATCH", fmt.Sprintf(`{"key":"%d"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	a.Quit(nil)
	b.waitFor("99")
	b.waitForLog("it said goodbye")
}

// newHostNode is newNode without the stop at the end, for nodes that end themselves.
func newHostNode(t *testing.T, sync string) *node {
	t.Helper()
	n := &node{host: newHost(t), api: address(t), value: address(t)}
	n.configure(sync)
	return n
}
