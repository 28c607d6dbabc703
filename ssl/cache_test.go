package ssl

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/conf"
)

// shelf are files that count how often they are read.
type shelf struct {
	files
	reads map[string]int
}

func (s *shelf) read(path string) ([]byte, error) {
	s.reads[path]++
	return s.files.read(path)
}

// issue puts a pair into the files <name>.crt and <name>.key.
func (s *shelf) issue(t *testing.T, name, subject string) {
	t.Helper()
	cert, key := newAuthority(t, "root").leaf(subject, nil)
	s.files[name+".crt"], s.files[name+".key"] = certPEM(cert), keyPEM(t, key)
}

func (s *shelf) loader(t *testing.T, words ...string) *Loader {
	t.Helper()
	cache, err := parseCertificateCache(&conf.Args{Node: &conf.Node{Name: "ssl_certificate_cache"}, Words: words})
	if err != nil {
		t.Fatal(err)
	}
	return &Loader{Read: s.read, Absolute: func(path string) string { return path }, Cache: cache}
}

// loaded is the name in the certificate that a loader gives, or its error.
func loaded(l *Loader, name string) string {
	cert, err := l.Load(CertificateFile{name + ".crt", name + ".key"})
	if err != nil {
		return err.Error()
	}
	return cert.Leaf.Subject.CommonName
}

func TestCertificateCache(t *testing.T) {
	type step struct {
		do    string // "load NAME", "wait DURATION", "replace NAME", "remove NAME"
		want  string // of load
		reads int    // of the certificate's file from the beginning
	}
	missing := `cannot load certificate "one.crt": BIO_new_file() failed (No such file or directory)`
	for what, c := range map[string]struct {
		words []string
		steps []step
	}{
		"without a cache each is read": {[]string{"off"}, []step{{"load one", "one", 1}, {"load one", "one", 2}, {"remove one", "", 0}, {"load one", missing, 3}}},
		"a kept one is not looked at": {[]string{"max=4"}, []step{{"load one", "one", 1}, {"replace one", "", 0}, {"load one", "one", 1},
			{"remove one", "", 0}, {"load one", "one", 1}}},
		"past valid it is": {[]string{"max=4", "valid=5s"}, []step{{"load one", "one", 1}, {"wait 5s", "", 0}, {"load one", "one", 1},
			{"wait 1s", "", 0}, {"load one", "one", 2}, {"load one", "one", 2}, {"wait 6s", "", 0}, {"replace one", "", 0}, {"load one", "other", 3},
			{"wait 6s", "", 0}, {"remove one", "", 0}, {"load one", missing, 4}}},
		"what was not used goes": {[]string{"max=4", "inactive=2s"}, []step{{"load one", "one", 1}, {"wait 2s", "", 0}, {"load one", "one", 1},
			{"wait 3s", "", 0}, {"load one", "one", 2}}},
		"certificate and key count": {[]string{"max=4"}, []step{{"load one", "one", 1}, {"load two", "two", 1}, {"load one", "one", 1},
			{"load three", "three", 1}, {"load one", "one", 1}, {"load two", "two", 2}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &shelf{files{}, map[string]int{}}
			for _, name := range []string{"one", "two", "three", "other"} {
				s.issue(t, name, name)
			}
			l := s.loader(t, c.words...)
			for i, step := range c.steps {
				do, name, _ := strings.Cut(step.do, " ")
				switch do {
				case "wait":
					d, _ := time.ParseDuration(name)
					<-time.After(d)
				case "replace":
					s.files[name+".crt"], s.files[name+".key"] = s.files["other.crt"], s.files["other.key"]
				case "remove":
					delete(s.files, name+".crt")
				case "load":
					if got, reads := loaded(l, name), s.reads[name+".crt"]; got != step.want || reads != step.reads {
						t.Errorf("%s, step %d: %s after %d reads, want %s after %d", what, i+1, got, reads, step.want, step.reads)
					}
				}
			}
			if l.Cache != nil && len(l.Cache.items) > l.Cache.max {
				t.Errorf("%s: %d items", what, len(l.Cache.items))
			}
		})
	}
}

// A pair of which only one file is new is read again before it is given up.
func TestAPairThatDoesNotFitIsReadAgain(t *testing.T) {
	s := &shelf{files{}, map[string]int{}}
	s.issue(t, "one", "one")
	s.issue(t, "other", "other")
	l := s.loader(t, "max=3")
	if got := loaded(l, "one"); got != "one" {
		t.Fatal(got)
	}
	l.Cache.forget(slot{name: "one.key", isKey: true})
	s.files["one.crt"], s.files["one.key"] = s.files["other.crt"], s.files["other.key"]
	if got := loaded(l, "one"); got != "other" {
		t.Error(got)
	}
	s.files["one.key"] = keyPEM(t, newKey(t))
	l.Cache.forget(slot{name: "one.key", isKey: true})
	if got := loaded(l, "one"); got != `SSL_CTX_use_PrivateKey("one.key") failed (key values mismatch with certificate "one.crt")` {
		t.Error(got)
	}
}

func TestEncryptedKeysAreNotKept(t *testing.T) {
	s := &shelf{files{"k": golden(t, "pbes2-default.key"), "p": []byte("secret")}, map[string]int{}}
	l := s.loader(t, "max=4")
	if err := l.ReadPasswords("p"); err != nil {
		t.Fatal(err)
	}
	key, _, err := parseKey(s.files["k"], l.passwords)
	if err != nil {
		t.Fatal(err)
	}
	s.files["c"] = certPEM(newAuthority(t, "root").sign(t, &x509.Certificate{DNSNames: []string{"x"}}, key))
	for range 2 {
		if _, err := l.Load(CertificateFile{"c", "k"}); err != nil {
			t.Fatal(err)
		}
	}
	if s.reads["k"] != 2 || s.reads["c"] != 1 || l.Cache.items[slot{name: "k", isKey: true}] != nil {
		t.Errorf("reads: %v", s.reads)
	}
}

func TestTheTextItselfAsAName(t *testing.T) {
	s := &shelf{files{}, map[string]int{}}
	s.issue(t, "one", "one")
	file := CertificateFile{"data:" + string(s.files["one.crt"]), "data:" + string(s.files["one.key"])}
	for _, words := range []string{"off", "max=4"} {
		for range 2 {
			cert, err := s.loader(t, words).Load(file)
			if err != nil || cert.Leaf.Subject.CommonName != "one" || len(s.reads) > 0 {
				t.Error(err, s.reads)
			}
		}
	}
	for _, c := range []struct {
		file CertificateFile
		want string
	}{
		{CertificateFile{file.Certificate, "data:SECRET"}, `cannot load certificate key "data:...": PEM_read_bio_PrivateKey() failed (no start line: Expecting: ANY PRIVATE KEY)`},
		{CertificateFile{file.Certificate, "engine:e:1"}, `cannot load certificate key "engine:e:1": keys in engines are not supported by starling ` +
			`("engine:e:1"): use a file, or a server that has the engine behind a stream proxy`},
		{CertificateFile{"data:SECRET", "k"}, `cannot load certificate "data:...": PEM_read_bio_X509_AUX() failed (no start line: Expecting: TRUSTED CERTIFICATE)`},
	} {
		if _, err := s.loader(t, "off").Load(c.file); err == nil || err.Error() != c.want {
			t.Errorf("got %v", err)
		}
	}
}

func TestCertificateCacheWords(t *testing.T) {
	for text, want := range map[string]string{
		"max=4 valid=1s inactive=1M": "",
		"off":                        "",
		"max=4 off":                  "",
		"valid=1s":                   `"ssl_certificate_cache" must have the "max" parameter`,
		"max=0":                      `invalid parameter "max=0"`,
		"max=x":                      `invalid parameter "max=x"`,
		"max=1 valid=x":              `invalid parameter "valid=x"`,
		"max=1 inactive=":            `invalid parameter "inactive="`,
		"on":                         `invalid parameter "on"`,
		"off=1":                      `invalid parameter "off=1"`,
	} {
		_, err := parseCertificateCache(&conf.Args{Node: &conf.Node{Name: "ssl_certificate_cache"}, Words: strings.Fields(text)})
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestSafeName(t *testing.T) {
	for name, want := range map[string]bool{"": true, "a": true, "a.example": true, "x_1-2.A": true, "..": false, ".": false, "a..b": false, ".a": false,
		"a.": false, "a/b": false, "../a": false, "a\x00": false, "data:x": false, "ä": false, "*.a": false, "a\\b": false, "%2e": false,
		strings.Repeat("a", 253): true, strings.Repeat("a", 254): false} {
		if got := SafeName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// Of several certificates the client gets one that it can use, also by a name that none has.
func TestOneOfSeveralCertificates(t *testing.T) {
	w := newWorld(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := w.root.sign(t, &x509.Certificate{DNSNames: []string{"server.example"}}, key)
	w.files["rsa.crt"], w.files["rsa.key"] = certPEM(cert), keyPEM(t, key)
	server := w.server(t, func(s *ServerSettings) {
		s.Certificates = append(s.Certificates, CertificateFile{"rsa.crt", "rsa.key"})
	})
	rsaFirst := w.server(t, func(s *ServerSettings) {
		s.Certificates = append([]CertificateFile{{"rsa.crt", "rsa.key"}}, s.Certificates...)
	})
	for _, name := range []string{"server.example", ""} { // who knows both gets the one that is cheaper, as with OpenSSL
		atClient, _, err, serverErr := shake(t, &tls.Config{InsecureSkipVerify: true, ServerName: name}, rsaFirst.Config)
		if err := errors.Join(err, serverErr); err != nil {
			t.Fatal(err)
		}
		if got := atClient.PeerCertificates[0].PublicKeyAlgorithm; got != x509.ECDSA {
			t.Errorf("name %q, a client that knows both: %v", name, got)
		}
	}
	for suite, want := range map[uint16]string{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "RSA", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDSA"} {
		for _, name := range []string{"server.example", "other.example", ""} {
			atClient, _, err, serverErr := shake(t, &tls.Config{InsecureSkipVerify: true, ServerName: name, MaxVersion: tls.VersionTLS12,
				CipherSuites: []uint16{suite}}, server.Config)
			if err := errors.Join(err, serverErr); err != nil {
				t.Errorf("%s, name %q: %v", want, name, err)
				continue
			}
			if got := atClient.PeerCertificates[0].PublicKeyAlgorithm.String(); got != want {
				t.Errorf("name %q: %s, want %s", name, got, want)
			}
		}
	}
}
