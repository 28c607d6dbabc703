package nodes

import (
	"fmt"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

const readyPath = "/api/9/stream/zone_sync/ready"

// TestARolloutWithABrokenCertificateStops: the node that got it is not ready and says why, the others stay in service.
func TestARolloutWithABrokenCertificateStops(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.KeyvalHTTP + secureSync)
	for _, n := range cl.Nodes {
		n.Sees(readyPath, `{"ready":true}`)
	}
	last := cl.Nodes[2]
	last.Quit()
	newStranger(last)
	last.Start()
	notReady := func() error {
		r, err := last.Do("GET", readyPath, "")
		if err == nil &&
			(r.Status != 503 || !strings.Contains(r.Body, `"code":"NotReady"`) || !strings.Contains(r.Body, "cannot sync with reachable member ")) {
			err = fmt.Errorf("%d %s", r.Status, r.Body)
		}
		return err
	}
	testkit.Eventually(t, harness.Patience, notReady)
	last.WaitLog("no peer to sync from") // the initial sync timed out
	if err := notReady(); err != nil {
		t.Error(err)
	}
	for _, n := range cl.Nodes[:2] {
		want := `{"ready":true,"warning":"cannot sync with reachable member ` + last.IP + `:9000: TLS handshake: `
		testkit.Eventually(t, harness.Patience, func() error { // each dials the new member in its own time
			r, err := n.Do("GET", readyPath, "")
			if err == nil && (r.Status != 200 || !strings.HasPrefix(r.Body, want)) {
				err = fmt.Errorf("%s: %d %s, want %s", n.Name, r.Status, r.Body, want)
			}
			return err
		})
	}

	cert, key, err := cl.CA.Issue(last.Name+".example.com", last.IP)
	if err != nil {
		t.Fatal(err)
	}
	last.Write("cert.pem", string(cert))
	last.Write("key.pem", string(key))
	last.Quit()
	last.Start()
	last.Sees(readyPath, `{"ready":true}`)
}

// TestANodeWhoseMembersAreAbsentIsReadyAlone and says so, until one is there.
func TestANodeWhoseMembersAreAbsentIsReadyAlone(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	cl.ConfigureAll(harness.KeyvalHTTP + secureSync)
	cl.Nodes[0].Start()
	cl.Nodes[0].Sees(readyPath, `{"ready":true,"alone":true}`)
	cl.Nodes[1].Start()
	for _, n := range cl.Nodes {
		n.Sees(readyPath, `{"ready":true}`)
	}
}
