// Package pods runs the pods that the chart describes: the image in containers with the addresses, volumes, probes and
// DNS that Kubernetes gives them.
package pods

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"starling/deploy/test/chart"
	"starling/e2e/lan"
	"starling/lib/resolver/resolvertest"
	"starling/lib/testkit"
)

// patience bounds waits that a healthy run never reaches.
const patience = time.Minute

// Addresses of the network of pods. The kubelet is a host of it, as on a real node.
const (
	network        = "10.244.0.0/16"
	kubeletAddress = "10.244.0.1"
	dnsAddress     = "10.244.0.10"
)

// ttl is that of CoreDNS's records for Services, in seconds.
const ttl = 5

// cluster plays Kubernetes for one release of the chart.
type cluster struct {
	t       *testing.T
	dir     string
	objects chart.Objects
	set     *apps.StatefulSet
	secrets map[string]map[string][]byte

	network *lan.Network
	kubelet *lan.Host
	dns     *resolvertest.Server
	started int // pods, for the next address
	load    *load

	// frozen keeps DNS as it is.
	frozen bool

	mu   sync.Mutex
	pods map[string]*pod
}

// pod is one pod.
type pod struct {
	name, ip, dir string
	container     string // its name in podman
	spec          core.PodSpec
	host          *lan.Host
	// terminating pods get no clients, lost ones no packets.
	terminating bool
}

// newCluster renders a release and makes its network, or skips the test with the reason.
func newCluster(t *testing.T, r chart.Release) *cluster {
	t.Helper()
	if engine == nil {
		t.Skip(missing)
	}
	dir, err := os.MkdirTemp(engine.dir, "cluster")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, dir: dir, secrets: map[string]map[string][]byte{}, pods: map[string]*pod{}}
	repository, tag, _ := strings.Cut(engine.image, ":")
	r.Set = append(r.Set, "image.repository="+repository, "image.tag="+tag)
	c.objects = r.Objects(t)
	for _, s := range chart.Of[*apps.StatefulSet](c.objects) {
		c.set = s
	}
	c.network = lan.New(netip.MustParsePrefix(network))
	t.Cleanup(c.network.Close)
	c.kubelet = c.host(kubeletAddress)
	if err := c.host(dnsAddress).Inside(func() (err error) {
		c.dns, err = resolvertest.Listen(dnsAddress + ":53")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.dns.Close)
	t.Cleanup(func() {
		if c.load != nil {
			c.load.halt()
		}
		for _, p := range c.all() {
			if t.Failed() {
				t.Logf("%s (%s) says:\n%s", p.name, p.ip, engine.logs(p.container))
			}
			c.remove(p)
		}
	})
	return c
}

func (c *cluster) host(address string) *lan.Host {
	c.t.Helper()
	h, err := c.network.Add(netip.MustParseAddr(address))
	if err != nil {
		c.t.Skipf("hosts cannot be made here: %v", err)
	}
	return h
}

// all returns the pods by their names.
func (c *cluster) all() []*pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*pod
	for _, p := range c.pods {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *pod) int { return strings.Compare(a.name, b.name) })
	return list
}

// named is the pod of an ordinal.
func (c *cluster) named(ordinal int) *pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pods[c.set.Name+"-"+strconv.Itoa(ordinal)]
}

// create makes pods with addresses that no pod had before, all at once.
func (c *cluster) create(ordinals ...int) {
	c.t.Helper()
	var created []*pod
	for _, ordinal := range ordinals {
		name := c.set.Name + "-" + strconv.Itoa(ordinal)
		c.started++
		p := &pod{
			name: name, ip: fmt.Sprintf("10.244.1.%d", c.started), spec: c.set.Spec.Template.Spec,
			dir: filepath.Join(c.dir, fmt.Sprintf("%s-%d", name, c.started)), container: fmt.Sprintf("%s-%d", filepath.Base(c.dir), c.started),
		}
		p.host = c.host(p.ip)
		created = append(created, p)
		c.mu.Lock()
		c.pods[name] = p
		c.mu.Unlock()
	}
	c.publish()
	var starting sync.WaitGroup
	for _, p := range created {
		starting.Go(func() {
			if err := c.run(p); err != nil {
				c.t.Error(err)
			}
		})
	}
	starting.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// publish sets the records of headless Services, as the controllers of endpoints and the cluster's DNS do.
func (c *cluster) publish() {
	c.t.Helper()
	if c.frozen {
		return
	}
	for _, s := range chart.Of[*core.Service](c.objects) {
		if s.Spec.ClusterIP != core.ClusterIPNone {
			continue
		}
		var addresses []string
		for _, p := range c.all() {
			if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(c.set.Spec.Template.Labels)) {
				continue
			}
			if s.Spec.PublishNotReadyAddresses || !p.terminating && c.ready(p) == nil {
				addresses = append(addresses, p.ip)
			}
		}
		c.dns.Host(s.Name+"."+c.namespace()+".svc.cluster.local", ttl, addresses...)
	}
}

func (c *cluster) namespace() string { return "web" }

// waitReady waits until pods are ready by their own probe.
func (c *cluster) waitReady(ordinals ...int) {
	c.t.Helper()
	for _, ordinal := range ordinals {
		p := c.named(ordinal)
		testkit.Eventually(c.t, patience, func() error { return c.ready(p) })
	}
}

// terminate ends pods as a scale-down or a rolling update does, and wants them to end well and in time.
func (c *cluster) terminate(ordinals ...int) {
	c.t.Helper()
	var ending sync.WaitGroup
	for _, ordinal := range ordinals {
		p := c.named(ordinal)
		// From here on no Service sends clients. The sleep before the signal is for those that do not know yet; here all
		// know at once.
		c.mu.Lock()
		p.terminating = true
		c.mu.Unlock()
		ending.Go(func() {
			grace := strconv.FormatInt(*p.spec.TerminationGracePeriodSeconds, 10)
			if _, err := engine.run("stop", "--time", grace, p.container); err != nil {
				c.t.Error(err)
				return
			}
			status, err := engine.run("inspect", p.container, "--format", "{{.State.ExitCode}}")
			if logs := engine.logs(p.container); err != nil || strings.TrimSpace(status) != "0" || !strings.Contains(logs, "gracefully shutting down") {
				c.t.Errorf("%s ended with status %s, %v:\n%s", p.name, status, err, logs)
			}
		})
	}
	ending.Wait()
	c.forget(ordinals...)
}

// lose cuts the node of a pod off and kills it.
func (c *cluster) lose(ordinal int) {
	c.t.Helper()
	p := c.named(ordinal)
	for _, other := range c.all() {
		if other != p {
			c.network.Set(p.host, other.host, lan.Trouble{Cut: true})
		}
	}
	c.network.Set(p.host, c.kubelet, lan.Trouble{Cut: true})
	if _, err := engine.run("kill", "--signal", "KILL", p.container); err != nil {
		c.t.Fatal(err)
	}
}

// forget deletes the objects of pods that have ended.
func (c *cluster) forget(ordinals ...int) {
	c.t.Helper()
	for _, ordinal := range ordinals {
		p := c.named(ordinal)
		c.mu.Lock()
		delete(c.pods, p.name)
		c.mu.Unlock()
		if c.t.Failed() {
			c.t.Logf("%s says:\n%s", p.name, engine.logs(p.container))
		}
		c.remove(p)
	}
	c.publish()
}

func (c *cluster) remove(p *pod) {
	if _, err := engine.run("rm", "--force", "--time", "0", p.container); err != nil {
		c.t.Error(err)
	}
}
