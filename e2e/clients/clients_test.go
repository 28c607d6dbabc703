// Package clients runs programs that other people wrote for NGINX Plus against nodes, unmodified and from the module
// proxy. It is a module of its own, so that their dependencies are not ours.
package clients

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"

	_ "github.com/nginx/nginx-plus-go-client/v3/client" // the dependencies of its tests are in go.sum
)

// TestMain builds starling in its own module, with its own dependencies.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	harness.Main(m)
}

// inModule runs go in this module.
func inModule(t *testing.T, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(t.Context(), "go", arguments...)
	command.Dir = "e2e/clients"
	return command
}

const goClient = "github.com/nginx/nginx-plus-go-client/v3"

// shipped reads a file of a module.
func shipped(t *testing.T, module, name string) string {
	t.Helper()
	dir, err := inModule(t, "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goClientsServer is the address that the client's tests add to groups. They expect it to be healthy.
const goClientsServer = "127.0.0.1:8080"

// start runs two nodes with the configuration that the client's repository ships for its own tests, where a container
// and a helper share it. Only addresses and paths differ. The first node also listens on the other addresses.
func start(t *testing.T, also ...string) (one, two *harness.Node) {
	t.Helper()
	c := harness.NewCluster(t, 2)
	for _, address := range also {
		awaitFree(t, address)
	}
	c.ServeDNS("nginx-plus-test", 2)
	_, blocks, found := strings.Cut(shipped(t, goClient, "docker/nginx.conf"), "\nhttp {")
	if !found {
		t.Fatal("the shipped configuration has no http block")
	}
	for i, n := range c.Nodes {
		listen := "listen " + n.IP + ":8080;"
		if i == 0 {
			for _, address := range also {
				listen += " listen " + address + ";"
			}
		}
		adapt := strings.NewReplacer(
			"listen 8080;", listen, "listen 8081;", "listen "+n.IP+":8081;", "listen 7777;", "listen "+n.IP+":7777;",
			"resolver 127.0.0.11 ", "resolver "+c.Net+".53:5353 ", "/etc/nginx/mime.types", n.Dir+"/mime.types",
			"/etc/nginx/conf.d/*.conf", n.Dir+"/test.conf", "/dev/stdout", n.Dir+"/access.log", "/var/cache/nginx", n.Dir+"/cache",
			// In containers, each node and the client have an address of their own, here one counts them all: the limit of
			// one connection would keep a node from finding itself behind the name.
			"$binary_remote_addr zone=addr_stream", "$binary_remote_addr$remote_port zone=addr_stream",
		)
		n.Write("mime.types", "types { text/html html; }")
		n.Write("test.conf", adapt.Replace(shipped(t, goClient, "docker/test.conf")))
		n.Configure(adapt.Replace("http {" + blocks))
		n.Start()
	}
	for _, n := range c.Nodes { // the address of the node itself is in the DNS too
		testkit.Eventually(t, harness.Patience, func() error {
			text, err := get(n.IP + ":8080/api/9/stream/zone_sync")
			if err == nil && !strings.Contains(text, `"nodes_online":1`) {
				err = errors.New(text)
			}
			return err
		})
	}
	return c.Nodes[0], c.Nodes[1]
}

// awaitFree waits until nobody listens on an address that is not the test's own.
func awaitFree(t *testing.T, address string) {
	t.Helper()
	testkit.Eventually(t, harness.Patience, func() error {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("another program has the address that the client's tests use: %w", err)
		}
		return listener.Close()
	})
}

func get(url string) (string, error) {
	r, err := http.Get("http://" + url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", url, r.Status, text)
	}
	return string(text), err
}

func post(url, body string) error {
	r, err := http.Post("http://"+url, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(r.Body) // only for the message
		return fmt.Errorf("%s: %s %s", url, r.Status, text)
	}
	return nil
}

var (
	resultLine  = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (\w+)`)
	problemLine = regexp.MustCompile(`^\s+\w+_test\.go:\d+: (.*)`)
)

// tooLate is what a test says if it looks at a record that expires after 5 s more than 5.1 s after it was written: it sleeps
// for 5 s, and a busy machine takes the rest.
const tooLate = "Total records cannot be 0 after adding keyvals"

// attempts bounds how often the tests run again because they looked too late.
const attempts = 5

// TestGoClient runs the client's own integration tests: all twelve pass.
func TestGoClient(t *testing.T) {
	for attempt := range attempts {
		late := false
		t.Run(fmt.Sprint("attempt ", attempt+1), func(t *testing.T) { // it waits for the nodes, whose test is parallel
			t.Run("nodes", func(t *testing.T) { late = tryClient(t, attempt+1 == attempts) })
		})
		if !late {
			return
		}
	}
}

// tryClient judges the tests; unless it is the last attempt, not if they looked too late.
func tryClient(t *testing.T, last bool) (late bool) {
	one, two := start(t, goClientsServer)
	results, problems, out := runClient(t, one, two)
	if late = slices.Contains(problems["TestStreamZoneSync"], tooLate); late && !last {
		return late
	}
	for _, name := range slices.Sorted(maps.Keys(results)) {
		if results[name] != "PASS" {
			t.Errorf("%s: %s %q", name, results[name], problems[name])
		}
	}
	if len(results) != 12 || t.Failed() {
		t.Errorf("%d tests\n%s", len(results), out)
	}
	return late
}

// runClient runs the tests against two fresh nodes and returns their results and what they complain of.
func runClient(t *testing.T, one, two *harness.Node) (results map[string]string, problems map[string][]string, out string) {
	tests := inModule(t, "test", "-count=1", "-v", "-run", "Test[^S]|TestStream|TestStats$", goClient+"/tests")
	tests.Env = append(os.Environ(), "TEST_API_ENDPOINT=http://"+one.IP+":8080/api", "TEST_API_ENDPOINT_OF_HELPER=http://"+two.IP+":8080/api",
		"TEST_UNAVAILABLE_STREAM_ADDRESS="+one.IP+":8081")
	text, _ := tests.CombinedOutput() // its verdict is in the lines
	results, problems = map[string]string{}, map[string][]string{}
	var waiting []string // problems stand before the result of their test
	for line := range strings.Lines(string(text)) {
		if found := resultLine.FindStringSubmatch(line); found != nil {
			results[found[2]], problems[found[2]], waiting = found[1], waiting, nil
		} else if found := problemLine.FindStringSubmatch(line); found != nil {
			waiting = append(waiting, found[1])
		}
	}
	return results, problems, string(text)
}
