package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
)

func TestIssuedCertificatesVerifyAgainstTheirAuthority(t *testing.T) {
	ca, err := NewAuthority("test authority")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue("node1.example", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	for _, name := range []string{"node1.example", "127.0.0.1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "other.example"}); err == nil {
		t.Error("a name that was not asked for verifies")
	}
}

func TestRevokedCertificatesAreListed(t *testing.T) {
	ca, err := NewAuthority("test authority")
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := ca.Issue("gone.example")
	if err != nil {
		t.Fatal(err)
	}
	crl, err := ca.Revoke(cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(crl)
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil || len(list.RevokedCertificateEntries) != 1 || list.CheckSignatureFrom(ca.cert) != nil {
		t.Errorf("list %v, error %v", list, err)
	}
}
