package ssl

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

// The texts agree with $ssl_client_verify of nginx 1.22.1 with OpenSSL 3.0.19 for the same chains.
func TestVerifyCodes(t *testing.T) {
	root := newAuthority(t, "root")
	middle := root.subordinate(t, "middle")
	low := middle.subordinate(t, "low")
	other := newAuthority(t, "other")
	good, _ := root.leaf("good", nil)
	underMiddle, _ := middle.leaf("under middle", nil)
	underLow, _ := low.leaf("under low", nil)
	foreign, _ := other.leaf("foreign", nil)
	old, _ := root.leaf("old", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })
	young, _ := root.leaf("young", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) })
	serverOnly, _ := root.leaf("server", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	selfMade := newAuthority(t, "self made").cert
	own := newAuthority(t, "own")
	own.cert = own.sign(t, &x509.Certificate{Subject: own.cert.Subject}, own.key)
	foreignOld, _ := other.leaf("foreign old", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })
	until := now.Add(time.Hour)
	all := func(lists ...[]byte) []byte { return bytes.Join(lists, nil) }
	for _, c := range []struct {
		name    string
		chain   []*x509.Certificate
		trusted []byte
		crl     []byte
		depth   int
		want    string
	}{
		{"direct", []*x509.Certificate{good}, certPEM(root.cert), nil, 1, "ok"},
		{"depth 0 allows none between", []*x509.Certificate{good}, certPEM(root.cert), nil, 0, "ok"},
		{"intermediate sent", []*x509.Certificate{underMiddle, middle.cert}, certPEM(root.cert), nil, 1, "ok"},
		{"intermediate in the file", []*x509.Certificate{underMiddle}, certPEM(middle.cert, root.cert), nil, 1, "ok"},
		{"intermediate and depth 0", []*x509.Certificate{underMiddle, middle.cert}, certPEM(root.cert), nil, 0, "unable to get local issuer certificate"},
		{"two intermediates, depth 1", []*x509.Certificate{underLow, low.cert, middle.cert}, certPEM(root.cert), nil, 1, "unable to get local issuer certificate"},
		{"the same, one in the file", []*x509.Certificate{underLow, low.cert, middle.cert}, certPEM(middle.cert, root.cert), nil, 1, "unable to get issuer certificate"},
		{"two intermediates, depth 2", []*x509.Certificate{underLow, low.cert, middle.cert}, certPEM(root.cert), nil, 2, "ok"},
		{"intermediate missing", []*x509.Certificate{underMiddle}, certPEM(root.cert), nil, 1, "unable to verify the first certificate"},
		{"upper one missing", []*x509.Certificate{underLow, low.cert}, certPEM(root.cert), nil, 2, "unable to get local issuer certificate"},
		{"file without the root", []*x509.Certificate{underMiddle}, certPEM(middle.cert), nil, 1, "unable to get issuer certificate"},
		{"other authority", []*x509.Certificate{foreign}, certPEM(root.cert), nil, 1, "unable to verify the first certificate"},
		{"other authority sent", []*x509.Certificate{foreign, other.cert}, certPEM(root.cert), nil, 1, "self-signed certificate in certificate chain"},
		{"self-signed", []*x509.Certificate{own.cert}, certPEM(root.cert), nil, 1, "self-signed certificate"},
		{"an authority's own certificate", []*x509.Certificate{selfMade}, certPEM(root.cert), nil, 1, "unsuitable certificate purpose"},
		{"purpose and no issuer", []*x509.Certificate{serverOnly}, certPEM(other.cert), nil, 1, "unable to verify the first certificate"},
		{"expired and no issuer", []*x509.Certificate{foreignOld}, certPEM(root.cert), nil, 1, "certificate has expired"},
		{"more sent than needed", []*x509.Certificate{underMiddle, middle.cert, root.cert}, certPEM(root.cert), nil, 1, "ok"},
		{"expired", []*x509.Certificate{old}, certPEM(root.cert), nil, 1, "certificate has expired"},
		{"not yet", []*x509.Certificate{young}, certPEM(root.cert), nil, 1, "certificate is not yet valid"},
		{"purpose", []*x509.Certificate{serverOnly}, certPEM(root.cert), nil, 1, "unsuitable certificate purpose"},
		{"not revoked", []*x509.Certificate{good}, certPEM(root.cert), root.revoke(until, big.NewInt(999)), 1, "ok"},
		{"revoked", []*x509.Certificate{good}, certPEM(root.cert), root.revoke(until, good.SerialNumber), 1, "certificate revoked"},
		{"list is old", []*x509.Certificate{good}, certPEM(root.cert), root.revoke(now.Add(-time.Minute)), 1, "CRL has expired"},
		{"no list of the issuer", []*x509.Certificate{good}, certPEM(root.cert), other.revoke(until), 1, "unable to get certificate CRL"},
		{"list of the root only", []*x509.Certificate{underMiddle, middle.cert}, certPEM(root.cert), root.revoke(until), 1, "unable to get certificate CRL"},
		{"lists of all", []*x509.Certificate{underMiddle, middle.cert}, certPEM(root.cert), all(root.revoke(until), middle.revoke(until)), 1, "ok"},
		{"intermediate revoked", []*x509.Certificate{underMiddle, middle.cert}, certPEM(root.cert),
			all(root.revoke(until, middle.cert.SerialNumber), middle.revoke(until)), 1, "certificate revoked"},
	} {
		f := files{"ca": c.trusted, "crl": c.crl}
		crl := ""
		if c.crl != nil {
			crl = "crl"
		}
		v, err := newVerifier([]string{"ca"}, x509.ExtKeyUsageClientAuth, crl, c.depth, f.read)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.verify(c.chain, x509.ExtKeyUsageClientAuth, now).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestForgedCRL(t *testing.T) {
	root, forger := newAuthority(t, "root"), newAuthority(t, "root")
	good, _ := root.leaf("good", nil)
	f := files{"ca": certPEM(root.cert), "crl": forger.revoke(now.Add(time.Hour))}
	v, err := newVerifier([]string{"ca"}, x509.ExtKeyUsageClientAuth, "crl", 1, f.read)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.verify([]*x509.Certificate{good}, x509.ExtKeyUsageClientAuth, now); got != badCRLSignature {
		t.Error(got)
	}
}

func TestMatchesName(t *testing.T) {
	a := newAuthority(t, "root")
	named := func(names ...string) *x509.Certificate {
		c, _ := a.leaf("cn.example", func(c *x509.Certificate) { c.DNSNames = names })
		return c
	}
	ip, _ := a.leaf("10.0.0.1", nil)
	for _, c := range []struct {
		cert *x509.Certificate
		name string
		want bool
	}{
		{named("a.example", "b.example"), "b.example", true},
		{named("a.example"), "A.Example", true},
		{named("*.example.org"), "x.example.org", true},
		{named("*.example.org"), "x.y.example.org", false},
		{named("*.example.org"), "example.org", false},
		{named("a.example"), "cn.example", false}, // with DNS names the common name does not count
		{named(), "cn.example", true},
		{named(), "other.example", false},
		{named(), "", false},
		{ip, "10.0.0.1", true},
		{ip, "10.0.0.2", false},
		{named("a.example"), "10.0.0.1", false},
	} {
		if got := matchesName(c.cert, c.name); got != c.want {
			t.Errorf("%v and %q: %v", c.cert.DNSNames, c.name, got)
		}
	}
	for _, c := range [][2]string{{"h:443", "h"}, {"h", "h"}, {"[::1]:443", "::1"}, {"::1", "::1"}, {"", ""}} {
		if got := withoutPort(c[0]); got != c[1] {
			t.Errorf("%s: %s", c[0], got)
		}
	}
}
