package clients

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

const exporterModule = "github.com/nginx/nginx-prometheus-exporter"

// serversOf adds a server to the empty groups of the shipped configuration: without one, a group has no metrics.
// It waits for the first health check: a server that was never checked has no "last_passed".
func serversOf(t *testing.T, n *harness.Node) {
	t.Helper()
	for _, group := range []string{"http/upstreams/test", "stream/upstreams/stream_test"} {
		url := n.IP + ":8080/api/9/" + group
		if err := post(url+"/servers", `{"server":"`+n.IP+`:8080"}`); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, harness.Patience, func() error {
			text, err := get(url)
			if err == nil && !strings.Contains(text, `"last_passed"`) {
				err = errors.New("no health check has ended: " + text)
			}
			return err
		})
	}
}

// runExporter runs the exporter against a node and returns its address.
func runExporter(t *testing.T, n *harness.Node) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "exporter")
	if out, err := inModule(t, "build", "-o", binary, exporterModule).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address := net.JoinHostPort(n.IP, "9113")
	out := &harness.LockedBuffer{}
	command := exec.CommandContext(t.Context(), binary, "--nginx.plus", "--nginx.scrape-uri=http://"+n.IP+":8080/api", "--web.listen-address="+address)
	command.Stdout, command.Stderr = out, out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		command.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("the exporter says\n%s", out)
		}
	})
	return address
}

// meaningless are metrics that the exporter documents and a node has nothing for: there is no licence.
var meaningless = regexp.MustCompile(`^nginxplus_license_`)

// misspelt are the beginnings of names that the README spells otherwise than the exporter does.
var misspelt = map[string]string{
	"nginxplus_server_ssl_":                        "nginxplus_server_zone_ssl_",
	"nginxplus_stream_server_ssl_":                 "nginxplus_stream_server_zone_ssl_",
	"nginxplus_stream_zone_sync_zone_bytes_":       "nginxplus_stream_zone_sync_status_bytes_",
	"nginxplus_stream_zone_sync_zone_msgs_":        "nginxplus_stream_zone_sync_status_msgs_",
	"nginxplus_stream_zone_sync_zone_nodes_online": "nginxplus_stream_zone_sync_status_nodes_online",
}

// TestPrometheusExporter: the exporter has all metrics of its README that have a meaning.
func TestPrometheusExporter(t *testing.T) {
	documented := regexp.MustCompile("`(nginxplus_[a-z0-9_]+)`").FindAllStringSubmatch(shipped(t, exporterModule, "README.md"), -1)
	if len(documented) < 100 {
		t.Fatalf("the README documents %d metrics", len(documented))
	}
	one, _ := start(t)
	serversOf(t, one)
	address := runExporter(t, one)
	var text string
	testkit.Eventually(t, harness.Patience, func() (err error) {
		if text, err = get(address + "/metrics"); err == nil && !strings.Contains(text, "\nnginxplus_up 1\n") {
			err = errors.New("the exporter cannot read the node: " + text)
		}
		return err
	})
	if missing := withoutSample(text, documented); len(missing) > 0 {
		t.Errorf("%d of %d metrics are missing:\n%s", len(missing), len(documented), strings.Join(missing, "\n"))
	}
	// What is wrong is not missing.
	if !strings.Contains(text, "\nnginxplus_stream_zone_sync_status_nodes_online 1\n") {
		t.Error("it does not see the other node")
	}
}

// withoutSample lists the metrics that a scrape has not.
func withoutSample(text string, documented [][]string) (missing []string) {
	for _, found := range documented {
		name := found[1]
		for wrong, right := range misspelt {
			if rest, is := strings.CutPrefix(name, wrong); is {
				name = right + rest
			}
		}
		has := regexp.MustCompile(fmt.Sprintf(`(?m)^%s(\{| )`, name)).MatchString(text)
		if !has && !meaningless.MatchString(name) {
			missing = append(missing, name)
		}
	}
	return missing
}
