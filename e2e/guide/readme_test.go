package guide

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// snippet is a block of a page: where it is pasted, and what it prints if the page says so.
type snippet struct {
	place    string // file:line
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
	needs(t, "bash", "curl", "setpriv")
	cl := harness.NewCluster(t, 3)
	machines := firstMachines(t, cl, "8180") // the API has 8080
	list := snippets(t, readme, sectionOf(t, readme, firstCluster, "\n## "))
	pasted := paste(cl, machines, list, false)
	for name := range machines {
		if pasted[name] < 3 {
			t.Errorf("only %d snippets for %s in %q: has the section changed its form?", pasted[name], name, firstCluster)
		}
	}
}

// needs skips a test whose snippets use commands that are not installed. CI installs them.
func needs(t *testing.T, commands ...string) {
	t.Helper()
	for _, need := range commands {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("the snippets need %s, which is not installed", need)
		}
	}
}

// paste pastes snippets in their order, and counts those of each machine. With patience, one that prints something only
// looks at what is there, and is repeated until it prints what the page says.
func paste(cl *harness.Cluster, machines map[string]machine, list []snippet, patient bool) (pasted map[string]int) {
	cl.T.Helper()
	pasted = map[string]int{}
	for _, s := range list {
		for _, name := range s.machines {
			m, known := machines[name]
			if !known {
				cl.T.Fatalf("%s: there is no machine %q", s.place, name)
			}
			pasted[name]++
			once := func() error {
				out, err := m.paste(s)
				if want := m.here(s.prints); err == nil && s.prints != "" && !matches(out, want) {
					err = fmt.Errorf("%s on %s: printed\n%s\nthe page says\n%s", s.place, name, out, want)
				}
				return err
			}
			if patient && s.prints != "" {
				testkit.Eventually(cl.T, harness.Patience, once)
				continue
			}
			if s.prints != "" {
				settled(cl) // a person is slower than the cluster
			}
			if err := once(); err != nil {
				cl.T.Fatal(err)
			}
		}
	}
	return pasted
}

// firstMachines makes the machines of the README, in a folder that the user of the service can reach. Their port 80 is
// port80.
func firstMachines(t *testing.T, cl *harness.Cluster, port80 string) map[string]machine {
	t.Helper()
	base := t.TempDir()
	binary, err := os.ReadFile(harness.Binary)
	if err == nil {
		err = os.WriteFile(filepath.Join(base, "starling"), binary, 0o755)
	}
	if err = errors.Join(err, os.Chmod(filepath.Dir(base), 0o755), os.Chmod(base, 0o755)); err != nil {
		t.Fatal(err)
	}
	machines := map[string]machine{"workstation": newMachine(cl.Nodes[0], base, "workstation", port80, ofWorkstations)}
	for _, n := range cl.Nodes {
		m := newMachine(n, base, n.IP, port80, ofNodes)
		m.pack()
		machines[n.Name] = m
		t.Cleanup(m.end)
	}
	return machines
}

const readme = "README.md"

// section is a part of a page with the line where it begins.
type section struct {
	text string
	line int
}

// sectionOf finds the part of a page from a heading to another text behind it.
func sectionOf(t *testing.T, page, heading, end string) section {
	t.Helper()
	before, text, found := strings.Cut(readText(t, filepath.Join("../..", page)), heading)
	if !found {
		t.Fatalf("%s has no section %q", page, heading)
	}
	text, _, _ = strings.Cut(text, end)
	return section{text, strings.Count(before+heading, "\n")}
}

var fenced = regexp.MustCompile("(?ms)^```(\\w*) ?([^\n]*)\n(.*?)^```$")

// snippets reads a section. A block in sh names its machines behind the language; a block of text behind it is what
// it prints. The caller takes others.
func snippets(t *testing.T, page string, in section, others ...string) (list []snippet) {
	t.Helper()
	for _, at := range fenced.FindAllStringSubmatchIndex(in.text, -1) {
		language, machines, text := in.text[at[2]:at[3]], in.text[at[4]:at[5]], in.text[at[6]:at[7]]
		place := fmt.Sprintf("%s:%d", page, in.line+strings.Count(in.text[:at[0]], "\n")+1)
		switch {
		case slices.Contains(others, language):
		case language == "sh" && machines != "":
			list = append(list, snippet{place: place, machines: strings.Fields(machines), text: text})
		case language == "text" && len(list) > 0 && list[len(list)-1].prints == "":
			list[len(list)-1].prints = text
		default:
			t.Fatalf("%s: a block must be \"sh MACHINE...\", or \"text\" with what the one before prints", place)
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
