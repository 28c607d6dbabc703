package guide

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// snippet is a block of the README: where it is pasted, and what it prints if the README says so.
type snippet struct {
	line     int
	machines []string
	text     string
	prints   string
}

// firstCluster is the section whose snippets are pasted in their order.
const firstCluster = "## A first cluster on three machines\n"

// TestTheFirstClusterOfTheREADME pastes the snippets of the README in their order into the shells of a workstation and
// three machines, all of them folders of this test, and wants each to succeed and to print what the README says. See
// "here" for what differs from real machines. There is no resolver.
func TestTheFirstClusterOfTheREADME(t *testing.T) {
	for _, need := range []string{"bash", "curl", "setpriv"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("the README's snippets need %s, which is not installed", need)
		}
	}
	cl := harness.NewCluster(t, 3)
	machines := firstMachines(t, cl)
	list := snippets(t)
	pasted := map[string]int{}
	for _, s := range list {
		for _, name := range s.machines {
			m, known := machines[name]
			if !known {
				t.Fatalf("README.md:%d: there is no machine %q", s.line, name)
			}
			if s.prints != "" {
				settled(cl) // a person is slower than the cluster
			}
			out := m.run(s)
			if s.prints != "" && !matches(out, here(s.prints, m.Node, m.root())) {
				t.Errorf("README.md:%d: printed\n%s\nthe README says\n%s", s.line, out, s.prints)
			}
			pasted[name]++
		}
	}
	for name := range machines {
		if pasted[name] < 3 {
			t.Errorf("only %d snippets for %s in %q: has the section changed its form?", pasted[name], name, firstCluster)
		}
	}
}

// firstMachines makes the machines of the README, in a folder that the user of the service can reach.
func firstMachines(t *testing.T, cl *harness.Cluster) map[string]machine {
	t.Helper()
	base := t.TempDir()
	binary, err := os.ReadFile(harness.Binary)
	if err == nil {
		err = os.WriteFile(filepath.Join(base, "starling"), binary, 0o755)
	}
	if err = errors.Join(err, os.Chmod(filepath.Dir(base), 0o755), os.Chmod(base, 0o755)); err != nil {
		t.Fatal(err)
	}
	machines := map[string]machine{"workstation": newMachine(cl.Nodes[0], base, "workstation", ofWorkstations)}
	for _, n := range cl.Nodes {
		m := newMachine(n, base, n.IP, ofNodes)
		m.pack()
		machines[n.Name] = m
		t.Cleanup(m.end)
	}
	return machines
}

// snippets reads the section. A block in sh names its machines behind the language; a block of text behind it is what
// it prints.
func snippets(t *testing.T) (list []snippet) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, section, found := strings.Cut(string(readme), firstCluster)
	if !found {
		t.Fatalf("README.md has no section %q", firstCluster)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	line := strings.Count(before, "\n") + 1
	for _, at := range regexp.MustCompile("(?ms)^```(\\w*) ?([^\n]*)\n(.*?)^```$").FindAllStringSubmatchIndex(section, -1) {
		language, machines, text := section[at[2]:at[3]], section[at[4]:at[5]], section[at[6]:at[7]]
		where := line + strings.Count(section[:at[0]], "\n") + 1
		switch {
		case language == "sh" && machines != "":
			list = append(list, snippet{line: where, machines: strings.Fields(machines), text: text})
		case language == "text" && len(list) > 0 && list[len(list)-1].prints == "":
			list[len(list)-1].prints = text
		default:
			t.Fatalf("README.md:%d: a block must be \"sh MACHINE...\", or \"text\" with what the one before prints", where)
		}
	}
	return list
}

// matches compares an output with that of the README, where "..." stands for anything.
func matches(out, want string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want)), regexp.QuoteMeta("..."), ".*")
	return regexp.MustCompile("(?s)^" + pattern + "$").MatchString(strings.TrimSpace(out))
}

// settled waits until all nodes are connected and have what the others know.
func settled(cl *harness.Cluster) {
	cl.T.Helper()
	for _, n := range cl.Nodes {
		testkit.Eventually(cl.T, harness.Patience, func() error {
			s, err := n.Status()
			if err == nil && s.Status.NodesOnline != int64(len(cl.Nodes)-1) {
				err = fmt.Errorf("%s: nodes_online is %d", n.Name, s.Status.NodesOnline)
			}
			for name, z := range s.Zones {
				if z.Pending != 0 {
					err = fmt.Errorf("%s: zone %s has %d records pending", n.Name, name, z.Pending)
				}
			}
			return err
		})
	}
}
