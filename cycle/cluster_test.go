package cycle_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/lib/resolver/resolvertest"
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
	dir := testkit.SocketDir(t)
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
	refused(t, one)
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
	b.waitForLog("peer said goodbye")
}

// newHostNode is newNode without the stop at the end, for nodes that end themselves.
func newHostNode(t *testing.T, sync string) *node {
	t.Helper()
	n := &node{host: newHost(t), api: address(t), value: address(t)}
	n.configure(sync)
	return n
}

// copyFiles gives one node the certificates of another, so that they are of one authority.
func copyFiles(t *testing.T, from, to *host) {
	t.Helper()
	for _, name := range []string{"ca.crt", "example.com.crt", "example.com.key"} {
		text, err := os.ReadFile(filepath.Join(from.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to.dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificatesOfMembersFoundByName(t *testing.T) {
	dns := resolvertest.Start(t)
	dns.Host("nodes.example", 1, testkit.Loopback())
	one, two := address(t), address(t)
	_, port, err := net.SplitHostPort(two)
	if err != nil {
		t.Fatal(err)
	}
	server := ` ssl; ssl_certificate example.com.crt; ssl_certificate_key example.com.key; ssl_verify_client on; ssl_trusted_certificate ca.crt;
		zone_sync; zone_sync_connect_retry_interval 20ms; `
	tls := ` zone_sync_ssl on; zone_sync_ssl_verify on; zone_sync_ssl_trusted_certificate ca.crt;
		zone_sync_ssl_certificate example.com.crt; zone_sync_ssl_certificate_key example.com.key; `
	b := newNode(t, "server { listen "+two+server+" }")
	a := &node{host: newHost(t), api: address(t), value: address(t)}
	t.Cleanup(a.Stop)
	start := func(more string) {
		a.configure("resolver " + dns.Addr + "; server { listen " + one + server + "zone_sync_server nodes.example:" + port + " resolve;" + tls + more + " }")
	}

	// A stranger's certificate is refused, and named, on both sides.
	start("zone_sync_ssl_name example.com;")
	a.waitForLog("upstream SSL certificate verify error")
	if text := a.log(); strings.Contains(text, "connected to peer") {
		t.Errorf("it connected to a stranger:\n%s", text)
	}

	// Of one authority, but the name to verify is the address: the error says what to do.
	copyFiles(t, b.host, a.host)
	start("")
	a.waitForLog("add that address to the certificate, or set \"zone_sync_ssl_name\"")

	start("zone_sync_ssl_name example.com;")
	if err := a.set("POST", `{"key":"sealed"}`); err != nil {
		t.Fatal(err)
	}
	b.waitFor("sealed")

	// A client without a certificate of the authority does not get in, whatever it trusts.
	a.configure("resolver " + dns.Addr + "; server { listen " + one + server + "zone_sync_server nodes.example:" + port + " resolve; zone_sync_ssl on; }")
	b.waitForLog("client sent no required SSL certificate")
}

// While a node loads what it keeps on disk, peers find it there, and clients go to another node.
func TestTheClusterFindsANodeThatLoads(t *testing.T) {
	h := newHost(t)
	sync, clients := address(t), address(t)
	h.write("stream { server { listen " + clients + "; return x; } server { listen " + sync + "; zone_sync; } }")
	for _, broken := range []error{errors.New("the disk is broken"), nil} {
		c, err := h.Load()
		if err != nil {
			t.Fatal(err)
		}
		loaded := false
		c.Plan().OnLoad(func() error {
			loaded = true
			dial(t, sync)
			refused(t, clients)
			return broken
		})
		if err := h.Listen(t.Context(), c); !errors.Is(err, broken) || !loaded {
			t.Fatalf("loaded %v: %v, want %v", loaded, err, broken)
		}
		if broken != nil {
			refused(t, sync)
			continue
		}
		if err := h.Run(c); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(t, clients); got != "x" {
		t.Errorf("the client got %q", got)
	}
	h.Stop()
}

// What cannot be loaded stops a test of the configuration as it stops a start, and leaves a running one alone.
func TestWhatCannotBeLoadedIsRefused(t *testing.T) {
	h := newHost(t)
	clients := address(t)
	good := "stream { server { listen " + clients + "; return x; } KEYVAL }"
	h.run(strings.Replace(good, "KEYVAL", "", 1))
	defer h.Stop()
	h.write(strings.Replace(good, "KEYVAL", "keyval_zone zone=one:32k state="+h.dir+";", 1))
	for what, try := range map[string]func() error{
		"test":   func() error { _, err := h.another().Test(); return err },
		"reload": func() error { return h.Reload(t.Context()) },
	} {
		if err := try(); err == nil || !strings.HasSuffix(err.Error(), "in "+h.dir+"/nginx.conf:2") || !strings.Contains(err.Error(), "Is a directory") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := ask(t, clients); got != "x" {
		t.Errorf("the client got %q", got)
	}
}

// A member that is there and says nothing, because it loads its state, holds clients back no longer than the others.
func TestAMemberThatLoadsForLongIsNamed(t *testing.T) {
	member, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	silent := member.Addr().String()
	n := newNode(t, "server { listen "+address(t)+"; zone_sync; zone_sync_server "+silent+"; }")
	n.waitFor("")
	n.waitForLog("accepting clients before the initial sync completed; no answer yet from " + silent + ", which may still be loading its state file")
}
