package ssl

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

// withTrust adds trust settings to a certificate, as `openssl x509 -addtrust … -addreject … -trustout` does.
func withTrust(t *testing.T, certificate []byte, trust, reject x509.ExtKeyUsage) []byte {
	t.Helper()
	settings := trustSettings{Alias: "one of ours"}
	if trust >= 0 {
		settings.Trust = []asn1.ObjectIdentifier{uses[trust]}
	}
	if reject >= 0 {
		settings.Reject = []asn1.ObjectIdentifier{uses[reject]}
	}
	aux, err := asn1.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(certificate)
	return pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: append(block.Bytes, aux...)})
}

// The settings of an authority count; for the server's own certificate they mean nothing.
func TestTrustSettings(t *testing.T) {
	const none, client, server, anything = -1, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageAny
	for _, c := range []struct {
		what          string
		signer        string
		trust, reject x509.ExtKeyUsage
		want          string
	}{
		{"a root without settings", "root", none, none, "SUCCESS"},
		{"a root for clients", "root", client, none, "SUCCESS"},
		{"a root for all", "root", anything, none, "SUCCESS"},
		{"a root for servers", "root", server, none, "FAILED"},
		{"a root not for servers", "root", none, server, "SUCCESS"},
		{"a root not for clients", "root", none, client, "FAILED"},
		{"a root for none", "root", client, anything, "FAILED"},
		{"an intermediate", "intermediate", none, none, "FAILED"},
		{"an intermediate for clients", "intermediate", client, none, "SUCCESS"},
	} {
		w := newWorld(t)
		signer := w.root
		if c.signer == "intermediate" {
			signer = w.root.subordinate(t, "intermediate")
		}
		cert, key := signer.leaf("client.example", nil)
		w.files["client.crt"], w.files["client.key"] = certPEM(cert), keyPEM(t, key)
		w.files["ca.crt"] = withTrust(t, certPEM(signer.cert), c.trust, c.reject)
		w.files["server.crt"] = withTrust(t, w.files["server.crt"], none, anything)
		server := w.server(t, func(s *ServerSettings) { s.VerifyClient, s.ClientCA = VerifyOptional, "ca.crt" })
		config := w.clientOf(t, func(s *ClientSettings) { s.Certificates = []CertificateFile{{"client.crt", "client.key"}} }).Config("", false)
		_, state, clientErr, serverErr := shake(t, config, server.Config)
		if clientErr != nil || serverErr != nil {
			t.Fatal(clientErr, serverErr)
		}
		if got := server.Inspect(&state, nil, time.Now()).Verify(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", c.what, got)
		}
	}
	w := newWorld(t)
	block, _ := pem.Decode(w.files["ca.crt"])
	w.files["ca.crt"] = pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: append(block.Bytes, 0x30, 0x20)})
	s := NewServerSettings()
	s.Certificates, s.Trusted = []CertificateFile{{"server.crt", "server.key"}}, []string{"ca.crt"}
	if _, _, err := s.Build(w.read); err == nil || !strings.HasPrefix(err.Error(), `cannot load certificate "ca.crt": PEM_read_bio_X509_AUX() failed (`) {
		t.Error("settings cut off:", err)
	}
}

func TestKeysFromStores(t *testing.T) {
	w := newWorld(t)
	block, _ := pem.Decode(w.files["server.key"])
	w.files["/server.der"] = block.Bytes
	w.files["/server.key"] = w.files["server.key"]
	w.files["/text"] = []byte("nothing here")
	locked := golden(t, "pbes2-default.key")
	block, _ = pem.Decode(locked)
	w.files["/locked.der"] = block.Bytes
	for name, want := range map[string]string{
		"store:file:/server.key":            "",
		"store:file:///server.key":          "",
		"store:file://localhost/server.key": "",
		"store:/server.key":                 "",
		"store:file:/server.der":            "",
		"store:file:server.key":             "", // relative
		"store:file:/none.key":              `cannot load certificate key "store:/none.key": BIO_new_file() failed (No such file or directory)`,
		"store:file:/text":                  `cannot load certificate key "store:/text": PEM_read_bio_PrivateKey() failed (`,
		"store:file:/locked.der": `cannot load certificate key "store:/locked.der": PEM_read_bio_PrivateKey() failed ` +
			`(key is encrypted and no password file is set)`,
		"store:pkcs11:object=x":          `stores other than files are not supported by starling ("store:pkcs11:object=x"): use a file`,
		"store:file://elsewhere/key":     `stores other than files are not supported by starling ("store:file://elsewhere/key"): use a file`,
		"engine:pkcs11:slot_0-label_key": `keys in engines are not supported by starling ("engine:pkcs11:slot_0-label_key"): use a file, or `,
	} {
		l := Loader{Read: w.read, Absolute: func(path string) string { return "/" + strings.TrimPrefix(path, "/") }}
		w.files["/server.crt"] = w.files["server.crt"]
		_, err := l.Load(CertificateFile{"server.crt", name})
		if err != nil {
			if want == "" || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
		} else if want != "" {
			t.Errorf("%s: loaded", name)
		}
	}
	if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		t.Error("the key is not encrypted")
	}
	key, encrypted, err := parseStoredKey(block.Bytes, [][]byte{[]byte("wrong"), []byte("secret")})
	if err != nil || !encrypted || key == nil {
		t.Error(key, encrypted, err)
	}
}

// A value of a variable that is part of a store's path cannot climb either.
func TestStoresDoNotClimb(t *testing.T) {
	for name, want := range map[string]bool{
		"store:file:/keys/../secret": true, "/keys/../secret": true, "store:/a/b": false, "data:..": false, "/a..b": false,
	} {
		if climbs(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
