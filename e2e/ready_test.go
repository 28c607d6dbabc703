package e2e

import (
	"fmt"
	"strings"
	"testing"

	"starling/lib/testkit"
)

const readyPath = "/api/9/stream/zone_sync/ready"

// TestARolloutWithABrokenCertificateStops: the node that got it is not ready and says why, the others stay in service.
func TestARolloutWithABrokenCertificateStops(t *testing.T) {
	cl := newCluster(t, 3)
	cl.start(keyvalHTTP + secureSync)
	for _, n := range cl.Nodes {
		n.sees(readyPath, `{"ready":true}`)
	}
	last := cl.Nodes[2]
	last.quit()
	newStranger(last)
	last.start()
	notReady := func() error {
		r, err := last.do("GET", readyPath, "")
		if err == nil && (r.status != 503 || !strings.Contains(r.body, `"code":"NotReady"`) || !strings.Contains(r.body, "is there, but cannot be synced with: ")) {
			err = fmt.Errorf("%d %s", r.status, r.body)
		}
		return err
	}
	testkit.Eventually(t, patience, notReady)
	last.waitLog("nobody is there to teach it") // it has given up to learn
	if err := notReady(); err != nil {
		t.Error(err)
	}
	for _, n := range cl.Nodes[:2] {
		n.wants(200, `{"ready":true}`, "GET", readyPath, "")
	}

	cert, key, err := cl.ca.Issue(last.Name+".example.com", last.IP)
	if err != nil {
		t.Fatal(err)
	}
	last.write("cert.pem", string(cert))
	last.write("key.pem", string(key))
	last.quit()
	last.start()
	last.sees(readyPath, `{"ready":true}`)
}

// TestANodeWhoseMembersAreAbsentIsReadyAlone and says so, until one is there.
func TestANodeWhoseMembersAreAbsentIsReadyAlone(t *testing.T) {
	cl := newCluster(t, 2)
	cl.configureAll(keyvalHTTP + secureSync)
	cl.Nodes[0].start()
	cl.Nodes[0].sees(readyPath, `{"ready":true,"alone":true}`)
	cl.Nodes[1].start()
	for _, n := range cl.Nodes {
		n.sees(readyPath, `{"ready":true}`)
	}
}
