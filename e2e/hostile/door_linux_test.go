package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"starling/cluster/wire"
	"starling/e2e/harness"
	"starling/lib/testkit"
)

// guarded has a port of each sort that strangers reach. Strangers may take their time to say who they are: what bounds
// their number is looked at.
const guarded = `http {
	keyval_zone zone=one:1m sync;
	keyval $arg_text $text zone=one;
	server {
		listen {{.IP}}:8080;
		listen {{.IP}}:8443 ssl;
		ssl_certificate {{.Dir}}/cert.pem;
		ssl_certificate_key {{.Dir}}/key.pem;
		location / { return 200 $text; }
		location /api { api write=on; }
	}
}
stream { server { listen {{.IP}}:9000 TLS; ssl_certificate {{.Dir}}/cert.pem; ssl_certificate_key {{.Dir}}/key.pem;
	zone_sync; zone_sync_timeout 2s; zone_sync_connect_timeout 1h; HANDSHAKE TRUST
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

var (
	guardedClear = strings.NewReplacer(" TLS", "", "HANDSHAKE", "", "TRUST", "").Replace(guarded)
	guardedTLS   = strings.NewReplacer(" TLS", " ssl", "HANDSHAKE", "ssl_handshake_timeout 1h;", "TRUST", `ssl_verify_client on; ssl_trusted_certificate {{.Dir}}/ca.pem;
		zone_sync_ssl on; zone_sync_ssl_verify on; zone_sync_ssl_trusted_certificate {{.Dir}}/ca.pem;
		zone_sync_ssl_certificate {{.Dir}}/cert.pem; zone_sync_ssl_certificate_key {{.Dir}}/key.pem;`).
		Replace(guarded)
)

// hostileConnections are opened at once where the limits of this process allow it; a short run makes do with fewer.
func hostileConnections() int {
	if harness.Long() {
		return 10_000
	}
	return 2500
}

// siege has one attack at a time: both sides of 10,000 connections are descriptors of this machine.
var siege sync.Mutex

// baseKB is what a node may grow by in any case: garbage that is not collected yet.
const baseKB = 24 << 10

// TestHostileConnectionsCostLittleMemory: strangers open connections, begin something, and never end it. The node's
// memory stays bounded, clients are served, and a node of the cluster still gets in.
func TestHostileConnectionsCostLittleMemory(t *testing.T) {
	// The first two records of a TLS handshake as far as a stranger bothers: a header that promises 512 bytes, and some
	// of them.
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("r", 100)
	for _, attack := range []struct {
		name, conf, port, begins string
		mostKB                   int // for each connection; 0: their number is bounded
	}{
		{"silent on the sync port", guardedClear, "9000", "", 0},
		{"half a hello on the sync port", guardedClear, "9000", wire.Preamble + "\xff", 0},
		{"slow TLS handshakes on the sync port", guardedTLS, "9000", hello, 0},
		{"slow TLS handshakes on the http port", guardedClear, "8443", hello, 16},
		{"slow heads on the http port", guardedClear, "8080", "GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 700), 20},
		{"slow bodies on the http port", guardedClear, "8080", "POST /api/9/http/keyvals/one HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + strings.Repeat(" ", 700), 28},
	} {
		t.Run(attack.name, func(t *testing.T) {
			cl := harness.NewCluster(t, 2)
			cl.Start(attack.conf)
			n, peer := cl.Nodes[0], cl.Nodes[1]
			siege.Lock()
			t.Cleanup(siege.Unlock)
			before := n.ResidentKB()
			conns := besiege(n, attack.port, attack.begins)
			open := len(conns)
			served := time.Now()
			n.Wants(201, "*", "POST", harness.SetOne, `{"k":"v"}`)
			took := time.Since(served)
			peer.Sees("/?text=k", "v")
			peer.Kill()
			peer.Start()
			peer.Sees("/?text=k", "v")
			cl.Joined(2)
			grown := n.ResidentKB() - before
			t.Logf(
				"%d connections: %d KB more, %.1f KB each; a client was served in %.0f ms",
				open,
				grown,
				float64(grown)/float64(open),
				harness.Milliseconds(took),
			)
			if most := baseKB + attack.mostKB*open; grown > most && !harness.Raced { // else it measures the race detector
				t.Errorf("%d connections made the node grow by %d KB, want at most %d KB", open, grown, most)
			}
			if attack.mostKB == 0 {
				mostStand(t, conns, mostStrangers)
			}
		})
	}
}

// mostStrangers are those whose TLS handshake is under way and those whose hello is awaited, 256 of either.
const mostStrangers = 512

// mostStand waits until the node has closed all but some of the connections to it.
func mostStand(t *testing.T, conns []net.Conn, most int) {
	t.Helper()
	testkit.Eventually(t, harness.Patience, func() error {
		standing := 0
		for _, c := range conns {
			// A moment is enough to be told of an end that has happened; who has not heard by then counts as standing.
			if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
				return err
			}
			var ne net.Error
			if _, err := c.Read(make([]byte, 64)); err == nil || errors.As(err, &ne) && ne.Timeout() {
				standing++
			}
		}
		if standing > most {
			return fmt.Errorf("%d of %d connections of strangers stand, want at most %d", standing, len(conns), most)
		}
		return nil
	})
}

// TestStrangersAreShownTheDoor: who does not say in time who it is, or announces too much, is closed. No timeout of
// these is the one of clients.
func TestStrangersAreShownTheDoor(t *testing.T) {
	hasty := strings.NewReplacer("zone_sync_timeout 2s; zone_sync_connect_timeout 1h;", "zone_sync_timeout 1h; zone_sync_connect_timeout 200ms;")
	patient := strings.NewReplacer("zone_sync_timeout 2s;", "zone_sync_timeout 1h;")
	tls := strings.NewReplacer("ssl_handshake_timeout 1h;", "ssl_handshake_timeout 200ms;")
	for _, c := range []struct{ name, conf, port, begins, said string }{
		{"silence on the sync port", hasty.Replace(guardedClear), "9000", "", "no hello arrived within 200ms"},
		{"half a hello on the sync port", hasty.Replace(guardedClear), "9000", wire.Preamble + "\xff", "no hello arrived within 200ms"},
		{"a huge hello is announced", patient.Replace(guardedClear), "9000", wire.Preamble + "\x81\x80\x10", "frame is longer than the limit of 262144 bytes"},
		{"half a TLS hello on the sync port", tls.Replace(guardedTLS), "9000", "\x16\x03\x01\x02\x00\x01", "SSL_do_handshake() failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := harness.NewCluster(t, 1)
			cl.ConfigureAll(c.conf)
			n := cl.Nodes[0]
			n.Start()
			conn, err := n.Dial(c.port)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write([]byte(c.begins)); err != nil {
				t.Fatal(err)
			}
			var ne net.Error
			if _, err := io.Copy(io.Discard, conn); errors.As(err, &ne) && ne.Timeout() {
				t.Error("the connection still stands")
			}
			n.WaitLog(c.said)
		})
	}
}

// besiege opens connections that begin with some bytes and then do nothing, and keeps them until the test ends.
func besiege(n *harness.Node, port, begins string) []net.Conn {
	n.T.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		n.T.Fatal(err)
	}
	count := min(hostileConnections(), int(limit.Cur)/2)
	conns := make([]net.Conn, count)
	n.T.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < count; i += 8 {
				c, err := n.Dial(port)
				if err != nil {
					n.T.Errorf("connection %d to %s: %v", i, port, err)
					return
				}
				conns[i] = c
				_, _ = c.Write([]byte(begins)) // the node may have closed it already
			}
		})
	}
	wg.Wait()
	queueEmpty(n, port)
	return conns
}

// queueEmpty waits until no connection waits in the queue of a listening port.
func queueEmpty(n *harness.Node, port string) {
	n.T.Helper()
	number, err := strconv.Atoi(port)
	if err != nil {
		n.T.Fatal(err)
	}
	ip := net.ParseIP(n.IP).To4()
	local := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], number)
	testkit.Eventually(n.T, harness.Patience, func() error {
		table, err := os.ReadFile("/proc/net/tcp")
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			const listening = "0A"
			if f[1] == local && f[3] == listening && !strings.HasSuffix(f[4], ":00000000") {
				return fmt.Errorf("port %s has connections waiting: %s", port, f[4])
			}
		}
		return err
	})
}
