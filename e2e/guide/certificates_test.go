package guide

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// certsOf runs starling certs in a folder and returns what it printed.
func certsOf(t *testing.T, dir string, args ...string) string {
	t.Helper()
	args = append([]string{"certs", args[0], "--dir", dir}, args[1:]...)
	out, err := exec.Command(harness.Binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("starling %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestPrintedDirectivesRunAndCertificatesRotate: three nodes run with the directives as "starling certs" prints them.
// Then every certificate is renewed, and the CA in its three steps, each node reloaded after the other, while a client
// writes: no acknowledged write is lost, and in the end everybody shows and trusts only what is new.
func TestPrintedDirectivesRunAndCertificatesRotate(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	dir := filepath.Join(t.TempDir(), "certs")
	certsOf(t, dir, "init")
	var nodes []string
	for _, n := range cl.Nodes {
		nodes = append(nodes, n.Name+".example.com,"+n.IP)
	}
	certsOf(t, dir, append([]string{"issue"}, nodes...)...)
	for _, n := range cl.Nodes {
		n.Configure(harness.KeyvalHTTP + "stream {\n" + certsOf(t, dir, "show", "--directives", n.Name+".example.com") + "}\n")
		n.Start()
	}
	cl.Joined(3)

	stop := writeUntil(t, cl)
	for _, step := range [][]string{{"--all"}, {"--ca"}, {"--all"}, {"--finish"}} {
		before := serials(t, cl, dir)
		certsOf(t, dir, append([]string{"rotate"}, step...)...)
		for i, n := range cl.Nodes {
			reloads := strings.Count(n.Log(), "worker process")
			n.Signal(syscall.SIGHUP)
			testkit.Eventually(t, harness.Patience, func() error {
				if strings.Count(n.Log(), "worker process") == reloads {
					return fmt.Errorf("node%d has not reloaded", i+1)
				}
				return nil
			})
			cl.Joined(3)
		}
		for i, now := range serials(t, cl, dir) {
			if renewed := step[0] == "--all"; renewed != (now != before[i]) {
				t.Errorf("rotate %s: node%d showed the certificate %s and shows %s", step[0], i+1, before[i], now)
			}
		}
	}
	written := stop()
	cl.Acknowledged()
	for _, n := range cl.Nodes {
		pairs, err := n.Pairs("one")
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range written {
			if pairs[key] != value {
				t.Errorf("%s lost the acknowledged write %s=%s: it has %q", n.Name, key, value, pairs[key])
			}
		}
		if want := "access rules changed on reload"; !strings.Contains(n.Log(), want) {
			t.Errorf("the log of %s does not say %q", n.Name, want)
		}
	}
	keepsGoodCertificates(t, cl, dir)
	if out := certsOf(t, dir, "show"); strings.Count(out, "CA ") != 1 {
		t.Errorf("more than one CA in the end:\n%s", out)
	}
}

// keepsGoodCertificates gives a running node the certificate of another CA, and one whose key does not fit: the reload
// says what is wrong, and the node goes on with what it has.
func keepsGoodCertificates(t *testing.T, cl *harness.Cluster, dir string) {
	t.Helper()
	n := cl.Nodes[0]
	n.Excused = n.Dir + "/nginx.conf:" // where both problems are
	name := n.Name + ".example.com"
	before := serials(t, cl, dir)[0]
	other := filepath.Join(t.TempDir(), "other")
	certsOf(t, other, "init", "--cluster", "other")
	certsOf(t, other, "issue", name+","+n.IP)
	kept := t.TempDir()
	for _, kind := range []string{".crt", ".key"} {
		move(t, filepath.Join(dir, name+kind), filepath.Join(kept, name+kind))
	}
	copyFile(t, filepath.Join(other, name+".crt"), filepath.Join(dir, name+".crt"))
	copyFile(t, filepath.Join(other, name+".key"), filepath.Join(dir, name+".key"))
	n.Signal(syscall.SIGHUP)
	n.WaitLog(`[emerg]`)
	n.WaitLog(`issued by "CN=other CA `)
	copyFile(t, filepath.Join(kept, name+".key"), filepath.Join(dir, name+".key"))
	n.Signal(syscall.SIGHUP)
	n.WaitLog("key values mismatch with certificate")
	copyFile(t, filepath.Join(kept, name+".crt"), filepath.Join(dir, name+".crt"))
	cl.Joined(3)
	if now := serials(t, cl, dir)[0]; now != before {
		t.Errorf("the node shows certificate %s, not %s", now, before)
	}
	view := n.Must("GET", "/api/9/ssl/certificates", "").Body
	for _, want := range []string{`"directive":"ssl_certificate"`, `"directive":"zone_sync_ssl_trusted_certificate"`, `"days_left":364`, `"days_left":3649`} {
		if !strings.Contains(view, want) {
			t.Errorf("no %s in %s", want, view)
		}
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	copyFile(t, from, to)
	if err := os.Remove(from); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// keysWritten fits into the zone and is a multiple of three: each key is written at one node only.
const keysWritten = 99

// writeUntil writes keys over and over, at all nodes in turn, until stop is called. It returns for each key the value
// that was acknowledged last.
func writeUntil(t *testing.T, cl *harness.Cluster) (stop func() map[string]string) {
	ctx, cancel := context.WithCancel(t.Context())
	written := map[string]string{}
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			n := cl.Nodes[i%len(cl.Nodes)]
			key, value := fmt.Sprintf("k%d", i%keysWritten), fmt.Sprint(i)
			method, status := "POST", 201
			if i >= keysWritten {
				method, status = "PATCH", 204
			}
			r, err := n.Do(method, harness.SetOne, fmt.Sprintf("{%q:%q}", key, value))
			if err != nil || r.Status != status {
				t.Errorf("write %d to %s: %d, %v", i, n.Name, r.Status, err)
				return
			}
			written[key] = value
			<-tick.C
		}
	})
	return func() map[string]string {
		cancel()
		wait.Wait()
		return written
	}
}

// serials are those of the certificates that the nodes show.
func serials(t *testing.T, cl *harness.Cluster, dir string) (out []string) {
	t.Helper()
	for _, n := range cl.Nodes {
		name := filepath.Join(dir, n.Name+".example.com")
		own, err := tls.LoadX509KeyPair(name+".crt", name+".key")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", n.IP+":9000", &tls.Config{
			InsecureSkipVerify: true, Certificates: []tls.Certificate{own},
		})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, conn.ConnectionState().PeerCertificates[0].SerialNumber.String())
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	return out
}
