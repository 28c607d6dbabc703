package guide

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"starling/e2e/harness"
)

// guides say for each page of docs/guides what its reader has before the first snippet.
var guides = map[string]struct {
	begin func(*testing.T, *harness.Cluster, map[string]machine)
	needs []string
}{
	"from-nginx-plus.md":        {threeInstalled, nil},
	"from-nginx-with-redis.md":  {threeInstalled, []string{"jq"}},
	"from-haproxy.md":           {threeInstalled, nil},
	"from-one-node-to-three.md": {oneInstalled, nil},
}

// TestTheGuides pastes the snippets of each guide in their order, as the test of the README does. A block "nginx PATH"
// is a file that the reader has, and one of haproxy is looked at by haproxy itself.
func TestTheGuides(t *testing.T) {
	needs(t, "bash", "curl", "setpriv")
	pages, err := filepath.Glob("../../docs/guides/*.md")
	if err != nil || len(pages) != len(guides) {
		t.Errorf("%d guides are tested, there are %d (%v)", len(guides), len(pages), err)
	}
	for _, path := range pages {
		name := filepath.Base(path)
		guide, known := guides[name]
		if !known {
			t.Errorf("docs/guides/%s is not tested", name)
			continue
		}
		t.Run(strings.TrimSuffix(name, ".md"), func(t *testing.T) {
			needs(t, guide.needs...)
			page := filepath.Join("docs/guides", name)
			text := section{text: readText(t, path)}
			cl := harness.NewCluster(t, 3)
			for host, server := range map[int]string{101: "server1", 102: "server2", 103: "old"} {
				cl.Backend(host, server)
			}
			machines := firstMachines(t, cl, "8080")
			guide.begin(t, cl, machines)
			given(t, text, machines)
			if pasted := paste(cl, machines, snippets(t, page, text, "nginx", "haproxy", "json"), true); pasted["node1"] < 3 {
				t.Errorf("only %d snippets for node1: has the page changed its form?", pasted["node1"])
			}
		})
	}
}

// threeInstalled are three machines with the package and certificates, as the README's first two steps leave them.
func threeInstalled(t *testing.T, cl *harness.Cluster, machines map[string]machine) {
	paste(cl, machines, snippets(t, readme, sectionOf(t, readme, firstCluster, "\n### 3.")), false)
	for _, name := range []string{"node1", "node2", "node3"} {
		fakeRedis(t, machines[name])
	}
}

// oneInstalled is a workstation with the package, and one machine that has it installed. The page copies the package to
// the others.
func oneInstalled(t *testing.T, cl *harness.Cluster, machines map[string]machine) {
	m := machines["workstation"]
	m.run(snippet{place: "the beginning", text: "make dist\ngo build\n" +
		"scp dist/starling_0.2.0_amd64.deb 10.0.0.1:\n"})
	machines["node1"].run(snippet{place: "the beginning", text: "sudo apt install -y curl ./starling_0.2.0_amd64.deb\n"})
}

// fakeRedis answers as redis-cli does on a machine with two keys.
func fakeRedis(t *testing.T, m machine) {
	t.Helper()
	const script = `#!/bin/bash
case "${*: -2}" in
"--pattern deny:*") printf 'deny:192.0.2.7\ndeny:192.0.2.8\n' ;;
"get deny:"*) echo "spam" ;;
"pttl deny:192.0.2.7") echo -1 ;;
"pttl deny:192.0.2.8") echo 3600000 ;;
*) echo "redis-cli: $*" >&2; exit 1 ;;
esac`
	if err := os.WriteFile(filepath.Join(m.dir, "bin", "redis-cli"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// given writes the files that the reader has, and has haproxy look at its configurations.
func given(t *testing.T, in section, machines map[string]machine) {
	t.Helper()
	for _, block := range fenced.FindAllStringSubmatch(in.text, -1) {
		language, path, text := block[1], block[2], block[3]
		switch language {
		case "nginx", "json":
			if path == "" {
				t.Fatalf("a block of %s names no file:\n%s", language, text)
			}
			for name, m := range machines {
				if name == "workstation" {
					continue
				}
				to := filepath.Join(m.home(), path)
				if filepath.IsAbs(path) {
					to = filepath.Join(m.root(), path)
				}
				if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(to, []byte(m.here(text)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		case "haproxy":
			haproxyAccepts(t, text)
		}
	}
}

// haproxyAccepts tests a configuration with the real program.
func haproxyAccepts(t *testing.T, text string) {
	t.Helper()
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Log("haproxy is not installed, so its configuration is not tested")
		return
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// -L is the name of this machine in the section "peers".
	if out, err := exec.Command(haproxy, "-c", "-L", "node1", "-f", file).CombinedOutput(); err != nil {
		t.Errorf("haproxy -c: %v\n%s", err, out)
	}
}
