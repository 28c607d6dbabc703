package ssl

import (
	"crypto/tls"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The texts are those of `openssl x509 -noout -subject -nameopt RFC2253 -serial -dates -fingerprint -sha1` 3.0.19.
func TestCertificateVariables(t *testing.T) {
	chain, err := parseChain(golden(t, "odd.crt"))
	if err != nil {
		t.Fatal(err)
	}
	p := &Peer{Certificate: chain[0], Code: selfSignedLeaf, Version: tls.VersionTLS12, Cipher: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		Curve: tls.CurveP256}
	const name = `CN=J\C3\B6rg,businessCategory=b,serialNumber=42,UID=u1,DC=example,emailAddress=a@b.example,OU=\#hash,OU=trail\ ,OU=\ lead,` +
		`O=Ac#me \"Inc\" \<x\>\;\\y+CN=multi,ST=Sk\C3\A5ne\, l\C3\A4n,C=SE`
	// -nameopt compat
	const legacy = `/C=SE/ST=Sk\xC3\xA5ne, l\xC3\xA4n/CN=multi+O=Ac#me "Inc" <x>;\y/OU= lead/OU=trail /OU=#hash/emailAddress=a@b.example` +
		`/DC=example/UID=u1/serialNumber=42/businessCategory=b/CN=J\xC3\xB6rg`
	for _, c := range [][3]string{
		{"legacy subject", p.LegacySubjectDN(), legacy},
		{"legacy issuer", p.LegacyIssuerDN(), legacy},
		{"subject", p.SubjectDN(), name},
		{"issuer", p.IssuerDN(), name},
		{"serial", p.Serial(), "0ABC"},
		{"fingerprint", p.Fingerprint(), "adacc380f77b0e990465500a7126a9c8ea750400"},
		{"start", p.Start(), "Nov 23 13:37:17 2026 GMT"},
		{"end", p.End(), "Nov 20 13:37:17 2036 GMT"},
		{"remain", p.Remain(time.Date(2036, 11, 17, 13, 0, 0, 0, time.UTC)), "3"},
		{"expired", p.Remain(time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)), "0"},
		{"verify", p.Verify(), "FAILED:self-signed certificate"},
		{"protocol", p.Protocol(), "TLSv1.2"},
		{"cipher", p.CipherName(), "ECDHE-RSA-AES128-GCM-SHA256"},
		{"curve", p.CurveName(), "prime256v1"},
		{"reused", p.SessionReused(), "."},
		{"raw", p.RawPEM(), string(golden(t, "odd.crt"))},
	} {
		if c[1] != c[2] {
			t.Errorf("%s:\n got %s\nwant %s", c[0], c[1], c[2])
		}
	}
	if got := strings.ReplaceAll(p.PEM(), "\n\t", "\n") + "\n"; got != p.RawPEM() || strings.Count(p.PEM(), "\n\t") != strings.Count(p.RawPEM(), "\n")-1 {
		t.Errorf("$ssl_client_cert %q", p.PEM())
	}
	if got, err := url.PathUnescape(p.EscapedPEM()); err != nil || got != p.RawPEM() || strings.ContainsAny(p.EscapedPEM(), "+ \n") {
		t.Errorf("$ssl_client_escaped_cert %q %v", p.EscapedPEM(), err)
	}
	none := &Peer{}
	for _, got := range []string{none.SubjectDN(), none.IssuerDN(), none.Serial(), none.Fingerprint(), none.Start(), none.End(),
		none.Remain(now), none.RawPEM(), none.PEM(), none.EscapedPEM(), none.CurveName(),
		none.LegacySubjectDN(), none.LegacyIssuerDN(), none.CipherNames(), none.CurveNames(), none.Signature(), none.SignatureNames(),
		none.ClientSignature()} {
		if got != "" {
			t.Errorf("without a certificate: %q", got)
		}
	}
}

func FuzzDistinguishedName(f *testing.F) {
	chain, err := parseChain(golden(f, "odd.crt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(chain[0].RawSubject)
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, c := range []byte(distinguishedName(der)) {
			if c < ' ' || c > '~' {
				t.Errorf("byte %#x is not escaped", c)
			}
		}
	})
}
