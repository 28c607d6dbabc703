package pods

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"

	"starling/deploy/test/chart"
	"starling/lib/certs"
	"starling/lib/testkit"
)

// issue plays cert-manager: it makes what the Certificate of the chart asks for.
func (c *cluster) issue(ca *certs.Authority, until time.Time) {
	c.t.Helper()
	list := chart.Of[*certmanager.Certificate](c.objects)
	if len(list) != 1 {
		c.t.Fatalf("%d Certificates", len(list))
	}
	spec := list[0].Spec
	for _, usage := range []certmanager.KeyUsage{certmanager.UsageServerAuth, certmanager.UsageClientAuth} {
		if !slices.Contains(spec.Usages, usage) {
			c.t.Fatalf("the Certificate lacks the usage %q", usage)
		}
	}
	certificate, key, err := ca.Sign(certs.Request{
		Subject: certs.Subject{CommonName: spec.CommonName}, DNSNames: spec.DNSNames, From: time.Now().Add(-time.Hour), Until: until, KeyType: "p256",
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.updateSecret(spec.SecretName, map[string][]byte{"tls.crt": certificate, "tls.key": key, "ca.crt": ca.PEM})
}

// usesUntil wants a pod to use certificates that end at a time, and no others.
func (p *pod) usesUntil(until time.Time) error {
	r, err := forwarded(p, http.MethodGet, "/api/9/ssl/certificates", "")
	if err != nil {
		return err
	}
	var list []struct {
		Until     string `json:"not_after"`
		Directive string `json:"directive"`
	}
	if err := json.Unmarshal([]byte(r.body), &list); err != nil {
		return fmt.Errorf("%w: %s", err, r.body)
	}
	found := 0
	for _, used := range list {
		if used.Directive != "ssl_certificate" && used.Directive != "zone_sync_ssl_certificate" {
			continue // the CA
		}
		at, err := time.Parse(time.RFC3339, used.Until)
		if err != nil || !at.Equal(until) {
			return fmt.Errorf("%s uses %s, %v", p.name, r.body, err)
		}
		found++
	}
	if found == 0 {
		return fmt.Errorf("%s uses %s", p.name, r.body)
	}
	return nil
}

// TestRenewedCertificatesAreUsed: all pods have one certificate of cert-manager and no volumes. When it is renewed, the
// pods take it over by themselves, and lose nothing; then a rolling restart loses nothing either.
func TestRenewedCertificatesAreUsed(t *testing.T) {
	c := newCluster(t, chart.Release{
		Values: []string{values("memory")}, Set: []string{"tls.source=certManager", "tls.certManager.issuerRef.name=ca"},
	})
	ca, err := certs.NewAuthority("cluster CA")
	if err != nil {
		t.Fatal(err)
	}
	day := time.Now().UTC().Truncate(24 * time.Hour)
	c.issue(ca, day.AddDate(0, 0, 90))
	c.create(0, 1, 2)
	c.waitReady(0, 1, 2)
	c.waitWhole()
	l := c.begin()
	l.more(20)

	c.issue(ca, day.AddDate(0, 0, 180))
	for _, p := range c.all() {
		testkit.Eventually(t, 2*patience, func() error { return p.usesUntil(day.AddDate(0, 0, 180)) })
	}
	c.waitReady(0, 1, 2)
	l.more(20)
	c.waitWhole()

	for _, ordinal := range []int{2, 1, 0} {
		c.terminate(ordinal)
		c.create(ordinal)
		c.waitReady(ordinal)
		l.more(5)
	}
	c.waitWhole()
	l.end()
}
