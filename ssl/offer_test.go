package ssl

import (
	"crypto/tls"
	"testing"
	"time"
)

// Each key signs in its own way; the algorithms of both sides come from the handshake itself.
func TestSignaturesOfAHandshake(t *testing.T) {
	for _, c := range []struct {
		key     string
		version uint16
		want    string
	}{
		{"ecdsa", tls.VersionTLS13, "ecdsa_secp256r1_sha256"},
		{"ecdsa", tls.VersionTLS12, "ecdsa_secp256r1_sha256"},
		{"rsa", tls.VersionTLS13, "rsa_pss_rsae_sha256"},
		{"rsa", tls.VersionTLS12, "rsa_pss_rsae_sha256"},
		{"ed25519", tls.VersionTLS13, "ed25519"},
		{"ed25519", tls.VersionTLS12, "ed25519"},
	} {
		w := newWorld(t)
		for _, name := range []string{"server", "client"} {
			cert, key := w.root.leafOf(name+".example", c.key, nil)
			w.files[name+".crt"], w.files[name+".key"] = certPEM(cert), keyPEM(t, key)
		}
		var offer *Offer
		server := w.server(t, func(s *ServerSettings) {
			s.Shows, s.OfferOf = Shows{Signature: true}, func(hello *tls.ClientHelloInfo) *Offer {
				offer = OfferOf(hello)
				return offer
			}
			s.VerifyClient, s.Trusted = VerifyOptional, []string{"ca.crt"}
		})
		client := w.clientOf(t, func(s *ClientSettings) { s.Certificates = []CertificateFile{{"client.crt", "client.key"}} }).Config("", false)
		client.MaxVersion = c.version
		_, state, clientErr, serverErr := shake(t, client, server.Config)
		if clientErr != nil || serverErr != nil {
			t.Fatal(c, clientErr, serverErr)
		}
		peer := server.Inspect(&state, offer, time.Now())
		if peer.Signature() != c.want || peer.ClientSignature() != c.want {
			t.Errorf("%s, %s: server %q, client %q", c.key, ProtocolName(c.version), peer.Signature(), peer.ClientSignature())
		}
	}
}

// The server's RSA key decrypts instead of signing.
func TestRSAKeyExchangeHasNoSignature(t *testing.T) {
	w := newWorld(t)
	cert, key := w.root.leafOf("server.example", "rsa", nil)
	w.files["server.crt"], w.files["server.key"] = certPEM(cert), keyPEM(t, key)
	offer := &Offer{}
	server := w.server(t, func(s *ServerSettings) {
		s.Shows, s.OfferOf = Shows{Signature: true}, func(*tls.ClientHelloInfo) *Offer { return offer }
		s.Ciphers = "AES128-GCM-SHA256"
	})
	client := w.clientOf(t, func(s *ClientSettings) { s.Ciphers = "AES128-GCM-SHA256" }).Config("", false)
	client.MaxVersion = tls.VersionTLS12
	_, state, clientErr, serverErr := shake(t, client, server.Config)
	if clientErr != nil || serverErr != nil {
		t.Fatal(clientErr, serverErr)
	}
	if got := server.Inspect(&state, offer, time.Now()).Signature(); got != "" {
		t.Error(got)
	}
}

// A configuration that shows no such variable keeps no offer.
func TestOffersAreKeptOnlyIfShown(t *testing.T) {
	w := newWorld(t)
	server := w.server(t, func(*ServerSettings) {})
	if p := server.Inspect(&tls.ConnectionState{}, &Offer{}, time.Now()); p.Offer != nil {
		t.Error("kept")
	}
	uses := func(name string) bool { return name == "ssl_curves" }
	if shows := ShowsOf(uses); shows != (Shows{Offer: true}) {
		t.Error(shows)
	}
}

func TestNamesOfOffers(t *testing.T) {
	// CAMELLIA, GREASE, one of TLS 1.3, the mark of secure renegotiation
	p := &Peer{Offer: &Offer{ciphers: []uint16{0x41, 0x0a0a, tls.TLS_AES_128_GCM_SHA256, 0xff}}}
	p.Offer.curves = []tls.CurveID{0x2a2a, tls.X25519MLKEM768, tls.CurveP521, 30}
	p.Offer.schemes = []tls.SignatureScheme{tls.PSSWithSHA384, 0xfefe}
	for _, c := range [][2]string{
		{p.CipherNames(), "CAMELLIA128-SHA:0x0a0a:TLS_AES_128_GCM_SHA256:TLS_EMPTY_RENEGOTIATION_INFO_SCSV"},
		{p.CurveNames(), "0x2a2a:X25519MLKEM768:secp521r1:X448"},
		{p.SignatureNames(), "rsa_pss_rsae_sha384:0xfefe"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %s, want %s", c[0], c[1])
		}
	}
}

func TestCurves(t *testing.T) {
	for _, c := range []struct {
		text  string
		count int
		warns int
		fails bool
	}{
		{"auto", 0, 0, false}, {"", 0, 0, true},
		{"X25519:prime256v1:secp384r1", 3, 0, false},
		{"x25519:P-256:p-256", 2, 0, false},
		{"X25519MLKEM768:X25519", 2, 0, false},
		{"X448:X25519:ffdhe2048", 1, 2, false}, // known to OpenSSL, not to Go
		{"?no-such:X25519", 1, 0, false},
		{"no-such:X25519", 0, 0, true},
		{"X448", 0, 0, true},
		{"X25519:", 0, 0, true},
	} {
		ids, warnings, err := parseCurves(c.text)
		if len(ids) != c.count || len(warnings) != c.warns && err == nil || (err != nil) != c.fails {
			t.Errorf("%q: %v %v %v", c.text, ids, warnings, err)
		}
	}
}
