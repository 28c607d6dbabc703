package guide

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// examples are what each folder of examples does, tried at three nodes.
var examples = map[string]func(*harness.Cluster){
	"rate-limit":      limitOfAllNodes,
	"sticky-sessions": sessionOnAllNodes,
	"denylist":        denialOnAllNodes,
	"mutual-tls":      flagOverTLS,
	"tcp-udp":         connectionsAndDatagrams,
	"blue-green":      colorOfAllNodes,
	"canary":          versionByUser,
	"cache":           pagesPurgedAtAllNodes,
	"tls-passthrough": serverByName,
	"monitoring":      figuresOfEachNode,
	"health-checks":   clientsOfHealthyServers,
	"grpc":            callsOfHealthyServers,
}

// TestEachExampleDoesItsTask starts each folder of examples on three nodes, as it is, and tries what it is for. See
// "here" for what differs from real machines.
func TestEachExampleDoesItsTask(t *testing.T) {
	folders, err := filepath.Glob("../../examples/*/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	lists := readText(t, "../../README.md") + readText(t, "../../examples/README.md")
	for _, file := range folders {
		name := filepath.Base(filepath.Dir(file))
		try := examples[name]
		if try == nil {
			t.Errorf("examples/%s is not tested", name)
			continue
		}
		readText(t, filepath.Join(filepath.Dir(file), "README.md"))
		if strings.Count(lists, "["+name+"]") != 2 {
			t.Errorf("examples/%s is not listed once in README.md and once in examples/README.md", name)
		}
		t.Run(name, func(t *testing.T) {
			cl := harness.NewCluster(t, 3)
			for host := 101; host <= 103; host++ {
				cl.Backend(host, fmt.Sprint("backend", host))
			}
			// The harness has this line, too.
			text := strings.Replace(readText(t, file), "events { }\n", "", 1)
			for _, n := range cl.Nodes {
				makeFolders(t, n)
				n.Configure(here(text, n, n.Dir, "8080"))
			}
			try(cl)
		})
	}
	if len(folders) != len(examples) {
		t.Errorf("there are %d examples, %d are tested", len(folders), len(examples))
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// makeFolders makes those of the package.
func makeFolders(t *testing.T, n *harness.Node) {
	t.Helper()
	for _, folder := range []string{"etc/starling/certs", "var/lib/starling", "var/log/starling", "var/cache/starling"} {
		if err := os.MkdirAll(filepath.Join(n.Dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func startAll(cl *harness.Cluster) {
	cl.T.Helper()
	for _, n := range cl.Nodes {
		n.Start()
	}
}

// allHave waits until each node has one record in a zone.
func allHave(cl *harness.Cluster, zone string) {
	cl.T.Helper()
	for _, n := range cl.Nodes {
		testkit.Eventually(cl.T, harness.Patience, func() error {
			s, err := n.Status()
			if err == nil && s.Zones[zone].Total != 1 {
				err = fmt.Errorf("%s has %d records in zone %s", n.Name, s.Zones[zone].Total, zone)
			}
			return err
		})
	}
}

func limitOfAllNodes(cl *harness.Cluster) {
	startAll(cl)
	cl.Joined(3)
	got, err := cl.Nodes[0].Pipeline("/", 500)
	if err != nil || got[200] == 0 || got[429] == 0 || got[200]+got[429] != 500 {
		cl.T.Errorf("500 requests at once: %v, %v", got, err)
	}
	allHave(cl, "clients")
}

func sessionOnAllNodes(cl *harness.Cluster) {
	startAll(cl)
	cl.Joined(3)
	first := cl.Nodes[0].Must("GET", "/?session=s", "")
	allHave(cl, "sessions")
	for _, n := range cl.Nodes {
		for range 3 { // as many as there are servers
			n.Wants(200, first.Body, "GET", "/", "", "Cookie", "session=s")
		}
	}
}

func denialOnAllNodes(cl *harness.Cluster) {
	for _, n := range cl.Nodes {
		n.Write("etc/starling/api.passwd", "admin:{PLAIN}secret\n")
		if err := os.Chmod(filepath.Join(n.Dir, "etc/starling/api.passwd"), 0o644); err != nil {
			cl.T.Fatal(err)
		}
	}
	startAll(cl)
	n := cl.Nodes[0]
	api := "http://" + n.IP + ":8081/api/9/http/keyvals/denylist"
	local := []string{"Host", "localhost", "Authorization", "Basic YWRtaW46c2VjcmV0"} // admin:secret
	n.Wants(200, "backend101", "GET", "/", "")
	n.Wants(401, "*", "POST", api, `{"127.0.0.1":"spam"}`, local[:2]...)
	n.Wants(201, "*", "POST", api, `{"127.0.0.1":"spam"}`, local...)
	allAnswer(cl, 403)
	n.Wants(204, "", "PATCH", api, `{"127.0.0.1":null}`, local...)
	allAnswer(cl, 200)
	if r, err := n.Do("GET", api, "", "Host", "rebound.example"); err == nil {
		cl.T.Errorf("the API answered under another name: %d %q", r.Status, r.Body)
	}
}

func allAnswer(cl *harness.Cluster, status int) {
	cl.T.Helper()
	for _, n := range cl.Nodes {
		testkit.Eventually(cl.T, harness.Patience, func() error {
			r, err := n.Do("GET", "/", "")
			if err == nil && r.Status != status {
				err = fmt.Errorf("GET / at %s: %d, want %d", n.Name, r.Status, status)
			}
			return err
		})
	}
}

func flagOverTLS(cl *harness.Cluster) {
	dir := filepath.Join(cl.T.TempDir(), "certs")
	certsOf(cl.T, dir, "init")
	for _, n := range cl.Nodes {
		certsOf(cl.T, dir, "issue", n.Name+","+n.IP)
		for from, to := range map[string]string{"ca.crt": "ca.crt", n.Name + ".crt": "node.crt", n.Name + ".key": "node.key"} {
			copyFile(cl.T, filepath.Join(dir, from), filepath.Join(n.Dir, "etc/starling/certs", to))
		}
	}
	startAll(cl)
	own := func(n *harness.Node) string { return "http://" + n.IP + ":8081" }
	n := cl.Nodes[0]
	n.Wants(201, "*", "POST", own(n)+"/api/9/http/keyvals/flags", `{"color":"blue"}`)
	for _, n := range cl.Nodes {
		n.Sees("/?flag=color", "blue")
		n.Sees(own(n)+"/ready", `{"ready":true}`)
		if r := n.Must("GET", own(n)+"/metrics", ""); r.Status != 200 || !strings.Contains(r.Body, `starling_certificate_expiry_seconds`) {
			cl.T.Errorf("metrics of %s: %d %s", n.Name, r.Status, r.Body)
		}
	}
}
