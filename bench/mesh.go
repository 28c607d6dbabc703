package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// meshLimit bounds the wait until all nodes of a mesh agree, far above any plausible time.
const meshLimit = 2 * time.Minute

// meshNode is one process of a mesh.
type meshNode struct {
	*process
	api, sync string
}

// meshStatus is the part of a node's status that the bench reads.
type meshStatus struct {
	Agree bool `json:"nodes_agree"`
	Ready bool `json:"ready"`
	Node  struct {
		Online   int   `json:"nodes_online"`
		BytesOut int64 `json:"bytes_out"`
		MsgsOut  int64 `json:"msgs_out"`
	} `json:"status"`
	Updates struct {
		BytesOut int64 `json:"bytes_out"`
	} `json:"updates"`
}

// meshConf is the configuration of one node: a zone of each kind, and the API.
func meshConf(n meshNode, name, certs, members string) string {
	tls, listens := "", n.sync
	if certs != "" {
		listens += " ssl"
		file := func(name string) string { return filepath.Join(certs, name) }
		tls = fmt.Sprintf(`ssl_certificate %[2]s; ssl_certificate_key %[3]s;
		ssl_verify_client on; ssl_client_certificate %[1]s;
		zone_sync_ssl on; zone_sync_ssl_verify on; zone_sync_ssl_name starling-cluster;
		zone_sync_ssl_trusted_certificate %[1]s;
		zone_sync_ssl_certificate %[2]s; zone_sync_ssl_certificate_key %[3]s;`,
			file("ca.crt"), file(name+".crt"), file(name+".key"))
	}
	return fmt.Sprintf(`daemon off;
pid starling.pid;
error_log error.log notice;
worker_processes 1;
events {}
http {
	access_log off;
	limit_req_zone $arg_k zone=req:1m rate=1000r/s sync;
	keyval_zone zone=one:1m sync;
	keyval $arg_text $text zone=one;
	upstream b {
		zone b 64k;
		server 127.0.0.1:1;
		sticky learn create=$upstream_cookie_session lookup=$cookie_session zone=sessions:1m sync;
	}
	server {
		listen %s;
		location / { proxy_pass http://b; }
		location = /text { return 200 $text; }
		location = /hit { limit_req zone=req burst=1000 nodelay; error_page 403 404 =200 @ok; }
		location @ok { return 200 ok; }
		location /api { api write=on; }
	}
}
stream {
	server {
		listen %s;
		zone_sync;
		%s
		%s
	}
}
`, n.api, listens, tls, members)
}

// freePorts finds ports that nobody listens on.
func freePorts(count int) ([]string, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	out := make([]string, 0, count)
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, l)
		out = append(out, l.Addr().String())
	}
	return out, nil
}

// meshCerts makes certificates for so many nodes.
func meshCerts(dir, binary string, count int) (certs string, err error) {
	certs = filepath.Join(dir, "certs")
	issue := []string{"certs", "issue", "--dir", certs}
	for i := range count {
		issue = append(issue, nodeName(i)+",127.0.0.1")
	}
	for _, args := range [][]string{{"certs", "init", "--dir", certs}, issue} {
		if said, err := exec.Command(binary, args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("certificates: %w\n%s", err, said)
		}
	}
	return certs, nil
}

func nodeName(i int) string { return fmt.Sprintf("node%d", i) }

// startMesh starts so many nodes at once.
func startMesh(dir, binary string, count int, secure bool) (nodes []meshNode, begin time.Time, err error) {
	ports, err := freePorts(2 * count)
	if err != nil {
		return nil, begin, err
	}
	certs := ""
	if secure {
		if certs, err = meshCerts(dir, binary, count); err != nil {
			return nil, begin, err
		}
	}
	nodes = make([]meshNode, count)
	var members strings.Builder
	for i := range nodes {
		nodes[i].api, nodes[i].sync = ports[2*i], ports[2*i+1]
		fmt.Fprintf(&members, "zone_sync_server %s; ", nodes[i].sync)
	}
	for i := range nodes {
		home := filepath.Join(dir, nodeName(i))
		if err := os.MkdirAll(filepath.Join(home, "logs"), 0o755); err != nil {
			return nil, begin, err
		}
		conf := meshConf(nodes[i], nodeName(i), certs, members.String())
		if err := os.WriteFile(filepath.Join(home, "nginx.conf"), []byte(conf), 0o644); err != nil {
			return nil, begin, err
		}
		nodes[i].process = newProcess(binary, "-p", home+"/", "-c", "nginx.conf", "-e", "error.log")
	}
	begin = time.Now()
	for i := range nodes {
		if err := nodes[i].cmd.Start(); err != nil {
			stopMesh(nodes[:i])
			return nil, begin, err
		}
	}
	return nodes, begin, nil
}

func stopMesh(nodes []meshNode) {
	for _, n := range nodes {
		_ = n.cmd.Process.Kill() // nobody needs what they hold
	}
	for _, n := range nodes {
		_ = n.cmd.Wait() // it was killed
	}
}

func (n *meshNode) status() (s meshStatus, err error) {
	text, err := call("GET", "http://"+n.api+"/api/9/stream/zone_sync/cluster", "", http.StatusOK)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(text), &s)
}

// agree waits until each node reports agreement with all others. A node that agrees is not asked again.
func agree(nodes []meshNode) error {
	deadline := time.Now().Add(meshLimit)
	for i := 0; i < len(nodes); {
		s, err := nodes[i].status()
		if err == nil && s.Agree && s.Ready && s.Node.Online == len(nodes)-1 {
			i++
			continue
		}
		if time.Now().After(deadline) {
			said := nodes[i].said.String()
			return fmt.Errorf("node %d does not agree after %v: %+v %v\n%s", i, meshLimit, s, err, said)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// meshCPU is the processor time of all nodes together.
func meshCPU(nodes []meshNode) (total time.Duration, err error) {
	for i := range nodes {
		cpu, err := nodes[i].cpu()
		if err != nil {
			return 0, err
		}
		total += cpu
	}
	return total, nil
}

// meshFigures are those of one mesh.
type meshFigures struct {
	agreeS, agreeCPU float64 // from the start until all agree; CPU seconds of each node
	idleShare        float64 // of a core, each node
	idleBytes        float64 // a second, each node
	idleMessages     float64
	memoryMB         float64
	updateCPU        float64 // microseconds of a node that gets an update
	updateBytes      float64 // sent for an update to one peer
}

// idleFor is how long an idle mesh is watched.
var idleFor = 20 * time.Second

func measureMesh(dir, binary string, count int, secure bool) (f meshFigures, err error) {
	nodes, begin, err := startMesh(dir, binary, count, secure)
	if err != nil {
		return f, err
	}
	defer stopMesh(nodes)
	if err := agree(nodes); err != nil {
		return f, err
	}
	f.agreeS = time.Since(begin).Seconds()
	cpu, err := meshCPU(nodes)
	if err != nil {
		return f, err
	}
	f.agreeCPU = cpu.Seconds() / float64(count)
	time.Sleep(3 * time.Second) // what the start leaves to do
	before, err := nodes[0].status()
	if err != nil {
		return f, err
	}
	if cpu, err = meshCPU(nodes); err != nil {
		return f, err
	}
	begin = time.Now()
	time.Sleep(idleFor)
	after, err := meshCPU(nodes)
	if err != nil {
		return f, err
	}
	took := time.Since(begin).Seconds()
	last, err := nodes[0].status()
	if err != nil {
		return f, err
	}
	f.idleShare = (after - cpu).Seconds() / took / float64(count)
	f.idleBytes = float64(last.Node.BytesOut-before.Node.BytesOut) / took
	f.idleMessages = float64(last.Node.MsgsOut-before.Node.MsgsOut) / took
	if err := f.measureUpdates(nodes); err != nil {
		return f, err
	}
	for i := range nodes {
		f.memoryMB += float64(nodes[i].memory()) / 1e6 / float64(count)
	}
	return f, nil
}

const (
	// meshUpdates are made one after the other, meshUpdatePause apart: each is sent in a frame of its own.
	meshUpdates     = 2000
	meshUpdatePause = time.Millisecond
)

// measureUpdates changes limits on the first node, which sends each to all others.
func (f *meshFigures) measureUpdates(nodes []meshNode) error {
	others := nodes[1:]
	sent, err := nodes[0].status()
	if err != nil {
		return err
	}
	cpu, err := meshCPU(others)
	if err != nil {
		return err
	}
	begin := time.Now()
	for i := range meshUpdates {
		url := fmt.Sprintf("http://%s/hit?k=key%05d", nodes[0].api, i)
		if _, err := call("GET", url, "", http.StatusOK); err != nil {
			return err
		}
		time.Sleep(meshUpdatePause)
	}
	took := time.Since(begin).Seconds()
	after, err := meshCPU(others)
	if err != nil {
		return err
	}
	now, err := nodes[0].status()
	if err != nil {
		return err
	}
	peers := float64(len(others))
	f.updateCPU = 1e6 * ((after - cpu).Seconds() - f.idleShare*took*peers) / peers / meshUpdates
	f.updateBytes = float64(now.Updates.BytesOut-sent.Updates.BytesOut) / peers / meshUpdates
	return nil
}

// meshBuild is a build of starling; its name follows the number of nodes in the figures' names.
type meshBuild struct{ name, binary string }

// mesh measures how clusters of so many nodes start, and what they cost when idle.
func (b *bench) mesh() error {
	if err := b.build(); err != nil {
		return err
	}
	builds := []meshBuild{{"", b.binary}}
	if b.before != "" {
		builds = append(builds, meshBuild{", before", b.before})
	}
	for _, secure := range []bool{false, true} {
		for _, count := range meshSizes {
			if err := b.meshOf(count, secure, builds); err != nil {
				return err
			}
		}
	}
	return nil
}

// meshOf measures the builds in turn, and reports the medians.
func (b *bench) meshOf(count int, secure bool, builds []meshBuild) error {
	over := map[bool]string{true: " over TLS"}[secure]
	figures := make(map[string][]float64)
	var order []string
	for round := range b.rounds {
		for _, of := range builds {
			dir, err := os.MkdirTemp(b.dir, "mesh")
			if err != nil {
				return err
			}
			f, err := measureMesh(dir, of.binary, count, secure)
			if err != nil {
				return err
			}
			for _, figure := range f.list() {
				name := fmt.Sprintf("%d nodes%s%s: %s", count, over, of.name, figure.name)
				if round == 0 {
					order = append(order, name)
				}
				figures[name] = append(figures[name], figure.value)
			}
		}
	}
	for _, name := range order {
		b.report.add(name, median(figures[name]))
	}
	return nil
}

// sizes are numbers of nodes, as a flag.
type sizes []int

func (s *sizes) String() string { return fmt.Sprint(*s) }

// Set reads a list such as 3,7,15.
func (s *sizes) Set(text string) error {
	*s = nil
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 2 {
			return fmt.Errorf("%q is not a number of nodes", word)
		}
		*s = append(*s, n)
	}
	return nil
}

// meshSizes are the numbers of nodes that are measured.
var meshSizes = sizes{3, 7, 15, 31}

type meshFigure struct {
	name  string
	value float64
}

func (f meshFigures) list() []meshFigure {
	return []meshFigure{
		{"start to agreement, s", f.agreeS},
		{"start to agreement, CPU s of a node", f.agreeCPU},
		{"idle, % of a core each", 100 * f.idleShare},
		{"idle, bytes a second from each", f.idleBytes},
		{"idle, messages a second from each", f.idleMessages},
		{"an update, CPU us of a node that gets it", f.updateCPU},
		{"an update, bytes to each peer", f.updateBytes},
		{"memory, MB each", f.memoryMB},
	}
}
