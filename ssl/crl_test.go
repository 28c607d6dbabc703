package ssl

import (
	"crypto/x509"
	"testing"
	"time"
)

// The list was written by `openssl ca -gencrl` 3.0.19 without extensions, and revokes the certificate.
func TestListsOfTheFirstVersion(t *testing.T) {
	read := files{"root": golden(t, "crl-v1-root.crt"), "list": golden(t, "crl-v1.crl"), "other": certPEM(newAuthority(t, "golden root").cert)}.read
	leaf, err := parseChain(golden(t, "crl-v1-leaf.crt"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		crl  string
		want VerifyCode
	}{{"", VerifyOK}, {"list", revoked}} {
		v, err := newVerifier([]string{"root"}, x509.ExtKeyUsageClientAuth, c.crl, 1, read)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.verify(leaf, x509.ExtKeyUsageClientAuth, at); got != c.want {
			t.Errorf("with list %q: %v", c.crl, got)
		}
	}
	stranger, err := newVerifier([]string{"other"}, x509.ExtKeyUsageClientAuth, "list", 1, read)
	if err != nil {
		t.Fatal(err)
	}
	if got := stranger.checkRevoked(leaf[0], stranger.all[0], at); got != badCRLSignature {
		t.Errorf("a list that another signed: %v", got)
	}
}

func FuzzParseLists(f *testing.F) {
	f.Add(golden(f, "crl-v1.crl"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if lists, err := parseLists(data); err == nil && len(lists) == 0 {
			t.Error("neither lists nor an error")
		}
	})
}
