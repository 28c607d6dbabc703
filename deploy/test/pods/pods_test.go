package pods

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/deploy/test/chart"
	"starling/lib/testkit"
)

// values are a file of testdata.
func values(name string) string {
	path, err := filepath.Abs(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		panic(err)
	}
	return path
}

// newAuthority makes the Secret of a CA as docs/kubernetes.md tells, with the image.
func (c *cluster) newAuthority() map[string][]byte {
	c.t.Helper()
	dir, err := os.MkdirTemp(c.dir, "ca")
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // for the user of the image
		c.t.Fatal(err)
	}
	if _, err := engine.run("run", "--rm", "--pull", "never", "--network", "none", "--entrypoint", "/usr/sbin/starling", "--volume", dir+":/work",
		"--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096", engine.image, "certs", "init", "--dir", "/work/certs"); err != nil {
		c.t.Fatal(err)
	}
	secret := map[string][]byte{}
	for _, name := range []string{"ca.crt", "ca.key"} {
		if secret[name], err = os.ReadFile(filepath.Join(dir, "certs", name)); err != nil {
			c.t.Fatal(err)
		}
	}
	return secret
}

// TestLifeOfACluster: pods with certificates of starling certs and volumes, under writes: from three to five and to two,
// a rolling restart, a lost node, and a restart of all at once. No acknowledged write is lost, and what should be ready
// is.
func TestLifeOfACluster(t *testing.T) {
	c := newCluster(t, chart.Release{Values: []string{values("cluster")}})
	c.secrets["starling-ca"] = c.newAuthority()
	c.create(0, 1, 2)
	c.waitReady(0, 1, 2)
	c.waitWhole()
	c.limitsAreShared()
	l := c.begin()
	l.more(20)

	t.Log("from three to five")
	c.create(3, 4)
	c.waitReady(3, 4)
	l.more(20)
	c.waitWhole()

	t.Log("from five to two")
	c.terminate(2, 3, 4)
	l.more(20)
	c.waitWhole()

	t.Log("a rolling restart of three")
	c.create(2)
	c.waitReady(2)
	for _, ordinal := range []int{2, 1, 0} {
		c.terminate(ordinal)
		c.create(ordinal)
		c.waitReady(ordinal)
		l.more(5)
	}
	c.waitWhole()

	t.Log("a lost node")
	c.lose(1)
	for _, ordinal := range []int{0, 2} { // which the lost one does not make unready
		c.waitReady(ordinal)
		c.staysReady(ordinal, l)
	}
	c.forget(1)
	c.waitWhole()
	c.create(1) // elsewhere, with its volume
	c.waitReady(1)
	c.waitWhole()

	t.Log("all at once")
	c.terminate(0, 1, 2)
	c.create(0, 1, 2)
	c.waitReady(0, 1, 2)
	l.more(20)
	c.waitWhole()
	l.end()
	c.metricsAreServed()
}

// staysReady: the pod is ready while writes go on and its peers notice that one is gone.
func (c *cluster) staysReady(ordinal int, l *load) {
	c.t.Helper()
	p := c.named(ordinal)
	testkit.Eventually(c.t, patience, func() error {
		if err := c.ready(p); err != nil {
			c.t.Fatal(err)
		}
		v, err := p.view()
		if err != nil {
			return err
		}
		for _, m := range v.Members {
			if m.State == "connecting" {
				return nil
			}
		}
		return fmt.Errorf("%s has not noticed: %+v", p.name, v)
	})
	l.more(5)
}

// limitsAreShared: of two requests of one client, the second is rejected at another pod.
func (c *cluster) limitsAreShared() {
	c.t.Helper()
	client := func(p *pod, name string) int {
		r, err := from(c.kubelet, http.MethodGet, "http://"+p.ip+":8080/limited?client="+name, "")
		if err != nil {
			c.t.Fatal(err)
		}
		return r.status
	}
	if got := client(c.named(0), "one"); got != http.StatusOK {
		c.t.Errorf("the first request got %d", got)
	}
	tries := 0
	testkit.Eventually(c.t, patience, func() error { // the count needs a moment to the others; a client that is let in is another one
		tries++
		name := fmt.Sprintf("client%d", tries)
		if first, second := client(c.named(0), name), client(c.named(1), name); first != http.StatusOK || second != http.StatusTooManyRequests {
			return fmt.Errorf("got %d and %d", first, second)
		}
		return nil
	})
}

// TestRolloutStopsAtTheFirstBrokenPod: certificates of another CA make a new pod unready, and no other.
func TestRolloutStopsAtTheFirstBrokenPod(t *testing.T) {
	c := newCluster(t, chart.Release{Values: []string{values("cluster")}})
	good := c.newAuthority()
	c.secrets["starling-ca"] = good
	c.create(0, 1, 2)
	c.waitReady(0, 1, 2)
	c.waitWhole()
	c.secrets["starling-ca"] = c.newAuthority()
	c.terminate(2)
	c.create(2)
	broken := c.named(2)
	testkit.Eventually(t, patience, func() error {
		err := c.ready(broken)
		if err == nil || !strings.Contains(err.Error(), "cannot sync with reachable member") {
			return fmt.Errorf("the pod with the certificate of another CA says %v", err)
		}
		return nil
	})
	if err := c.alive(broken); err != nil { // a restart would not help
		t.Error(err)
	}
	for _, ordinal := range []int{0, 1} {
		if err := c.ready(c.named(ordinal)); err != nil {
			t.Error(err)
		}
	}
	c.secrets["starling-ca"] = good
	c.terminate(2)
	c.create(2)
	c.waitReady(2)
	c.waitWhole()
}
