package authority

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/lib/certs"
	"starling/ssl"
)

var today = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// newStore has a CA and certificates of two nodes.
func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{dir: filepath.Join(t.TempDir(), "certs"), now: today}
	if err := s.init("blue", validity{3650, "p256"}, false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.issue([]string{"node1.example.com,10.0.0.1", "node2,n2.example.com,::2"}, validity{365, "p256"}, false); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *store) certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	chain, err := readCertificates(s.path(name, certificateOf))
	if err != nil {
		t.Fatal(err)
	}
	return chain[0]
}

// problemsOf is what show says about one certificate.
func (s *store) problemsOf(t *testing.T, name string) string {
	t.Helper()
	list, err := s.reports()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if r.Name == name {
			return strings.Join(r.Problems, "; ")
		}
	}
	t.Fatalf("%s is not shown", name)
	return ""
}

func TestIssuedCertificates(t *testing.T) {
	s := newStore(t)
	c := s.certificate(t, "node1.example.com")
	if got := ssl.Identity(c); got != "CN=node1.example.com,O=blue" {
		t.Errorf("subject %q", got)
	}
	if got := strings.Join(c.DNSNames, " "); got != "node1.example.com blue" || c.IPAddresses[0].String() != "10.0.0.1" {
		t.Errorf("names %s, addresses %v", got, c.IPAddresses)
	}
	if !c.NotAfter.Equal(today.AddDate(1, 0, 0)) || !c.NotBefore.Before(today) {
		t.Errorf("valid from %v until %v", c.NotBefore, c.NotAfter)
	}
	if certs.KeyTypeOf(c.PublicKey) != "p256" {
		t.Errorf("key %T", c.PublicKey)
	}
	for _, name := range []string{"ca", "node1.example.com", "node2"} {
		if got := s.problemsOf(t, name); got != "" {
			t.Errorf("%s: %s", name, got)
		}
		info, err := os.Stat(s.path(name, keyOf))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key of %s has mode %v, %v", name, info.Mode(), err)
		}
	}
}

// TestNothingIsReplacedUnasked, and of several certificates all are made or none.
func TestNothingIsReplacedUnasked(t *testing.T) {
	s := newStore(t)
	before := s.certificate(t, "node2")
	if err := s.init("blue", validity{10, "p256"}, false); err == nil || !strings.Contains(err.Error(), "ca.key exists") {
		t.Errorf("a second init: %v", err)
	}
	_, _, err := s.issue([]string{"node3", "node2"}, validity{10, "p256"}, false)
	if err == nil || !strings.Contains(err.Error(), "node2.key exists: nothing was written") {
		t.Errorf("a second certificate: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil || len(left) != 6 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
	if !s.certificate(t, "node2").Equal(before) {
		t.Error("node2's certificate was replaced")
	}
	if _, _, err := s.issue([]string{"node2"}, validity{10, "p256"}, true); err != nil || s.certificate(t, "node2").Equal(before) {
		t.Errorf("with --force: %v", err)
	}
}

// TestFailedReplacementIsTakenBack: the second file cannot be replaced, so the first is as it was.
func TestFailedReplacementIsTakenBack(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	if err := os.WriteFile(first, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(second, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	files := []file{{first, []byte("new"), 0o600}, {filepath.Join(dir, "third"), []byte("new"), 0o600}, {second, []byte("new"), 0o600}}
	if err := writeAll(files, true); err == nil {
		t.Fatal("a folder was replaced by a file")
	}
	if got, err := os.ReadFile(first); err != nil || string(got) != "old" {
		t.Errorf("the first file has %q, %v", got, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

// TestRotatedCertificateIsTheSameNode: another key, and nothing else that others know a node by.
func TestRotatedCertificateIsTheSameNode(t *testing.T) {
	s := newStore(t)
	before := s.certificate(t, "node2")
	s.now = today.AddDate(0, 11, 20)
	if _, names, err := s.rotate(renewal{all: true, within: 5}); err != nil || names != nil {
		t.Errorf("renewed %v early, %v", names, err)
	}
	if _, names, err := s.rotate(renewal{names: []string{"node2"}}); err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	now := s.certificate(t, "node2")
	if string(now.RawSubject) != string(before.RawSubject) || strings.Join(now.DNSNames, " ") != strings.Join(before.DNSNames, " ") ||
		!now.IPAddresses[0].Equal(before.IPAddresses[0]) {
		t.Errorf("was %s %v, is %s %v", before.Subject, before.DNSNames, now.Subject, now.DNSNames)
	}
	if bytes.Equal(now.RawSubjectPublicKeyInfo, before.RawSubjectPublicKeyInfo) {
		t.Error("the key is the old one")
	}
	if got, want := now.NotAfter, s.now.AddDate(0, 0, 365); !got.Equal(want) {
		t.Errorf("valid until %v, want %v", got, want)
	}
	if got := s.problemsOf(t, "node2"); got != "" {
		t.Error(got)
	}
	if _, _, err := s.rotate(renewal{names: []string{"node7"}}); err == nil || !strings.Contains(err.Error(), `no certificate of node "node7"`) {
		t.Errorf("an unknown node: %v", err)
	}
}

// TestAuthorityRotates in three steps, in each of which all certificates are trusted.
func TestAuthorityRotates(t *testing.T) {
	s := newStore(t)
	good := func(authorities int) {
		t.Helper()
		trusted, err := s.trusted()
		if err != nil || len(trusted) != authorities {
			t.Errorf("%d CAs, %v", len(trusted), err)
		}
		for _, name := range []string{"ca", "node1.example.com", "node2"} {
			if got := s.problemsOf(t, name); got != "" {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
	if err := s.finish(); err == nil || !strings.Contains(err.Error(), "only one CA") {
		t.Errorf("finished before it began: %v", err)
	}
	if err := s.rotateAuthority(0); err != nil {
		t.Fatal(err)
	}
	good(2)
	if err := s.rotateAuthority(0); err == nil || !strings.Contains(err.Error(), "has 2 CAs") {
		t.Errorf("a third CA: %v", err)
	}
	if err := s.finish(); err == nil || !strings.Contains(err.Error(), "node1.example.com, node2") {
		t.Errorf("finished too early: %v", err)
	}
	if _, _, err := s.rotate(renewal{all: true}); err != nil {
		t.Fatal(err)
	}
	good(2)
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	good(1)
}

// TestWhatIsWrongIsNamed: each damage to the folder is told by show, and keeps issue from making what nobody could use.
func TestWhatIsWrongIsNamed(t *testing.T) {
	other := newStore(t)
	for _, c := range []struct {
		name   string
		damage func(s *store)
		of     string
		shown  string
		issued string
	}{
		{"another key", func(s *store) { copyFile(t, s.path("node1.example.com", keyOf), s.path("node2", keyOf)) }, "node2",
			"node2.key is not its key", ""},
		{"no key", func(s *store) { remove(t, s.path("node2", keyOf)) }, "node2", "no such file", ""},
		{"an open key", func(s *store) { chmod(t, s.path("node2", keyOf), 0o644) }, "node2", "has mode 0644", ""},
		{"no certificate", func(s *store) { write(t, s.path("node2", certificateOf), "x") }, "node2", "has no certificate in PEM", ""},
		{"another CA", func(s *store) { copyFile(t, other.path("node2", certificateOf), s.path("node2", certificateOf)) }, "node2",
			`does not belong to the CA: it was issued by "CN=blue CA`, ""},
		{"expired", func(s *store) { s.now = today.AddDate(2, 0, 0) }, "node2", "expired on 2027-11-28", ""},
		{"not yet valid", func(s *store) { s.now = today.AddDate(-1, 0, 0) }, "node2", "is not valid before", ""},
		{"wrong usage", func(s *store) { s.clientOnly(t, "node2") }, "node2", `lacks the usage "server"`, ""},
		{"expired CA", func(s *store) { s.now = today.AddDate(11, 0, 0) }, "ca", "expired on 2036-11-25",
			"expired on 2036-11-25: make a new one"},
		{"another CA key", func(s *store) { copyFile(t, other.path("ca", keyOf), s.path("ca", keyOf)) }, "ca",
			"ca.key is not the key of a CA in ca.crt", "ca.key is not the key of "},
		{"no CA key", func(s *store) { remove(t, s.path("ca", keyOf)) }, "ca", "",
			"ca.key is missing: only the folder in which"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			c.damage(s)
			if got := s.problemsOf(t, c.of); !strings.Contains(got, c.shown) {
				t.Errorf("show says %q, want %q", got, c.shown)
			}
			_, _, err := s.issue([]string{"node3"}, validity{1, "p256"}, false)
			if (err == nil) != (c.issued == "") || err != nil && !strings.Contains(err.Error(), c.issued) {
				t.Errorf("issue says %v, want %q", err, c.issued)
			}
		})
	}
	s := newStore(t)
	copyFile(t, s.path("node1.example.com", certificateOf), s.path("ca", certificateOf))
	if _, err := s.reports(); err == nil || !strings.Contains(err.Error(), "is not the certificate of a CA") {
		t.Errorf("a node's certificate as CA: %v", err)
	}
}

// clientOnly gives a node a certificate that only one side of a connection can use.
func (s *store) clientOnly(t *testing.T, name string) {
	t.Helper()
	own, err := s.authority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := own.SignFor([]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, certs.Request{
		Subject: certs.Subject{CommonName: name}, From: today, Until: today.AddDate(0, 1, 0), KeyType: "p256",
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.path(name, certificateOf), string(certificate))
	write(t, s.path(name, keyOf), string(key))
}

func TestBadNodes(t *testing.T) {
	s := newStore(t)
	for text, want := range map[string]string{
		"": "has no name", "ca": "cannot be called", "../x": "neither a host name", "a b": "neither a host name",
		"*.example.com": "cannot be a wildcard", "n,": "neither a host name", "n,fe80::1%eth0": "has a zone",
		"n,-x": "neither a host name", strings.Repeat("n", 65): "longer than 64 bytes",
	} {
		if _, _, err := s.issue([]string{text}, validity{1, "p256"}, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, _, err := s.issue([]string{"n,*.example.com"}, validity{1, "rsa2048"}, false); err != nil {
		t.Error(err)
	}
	for _, v := range []validity{{0, "p256"}, {maxDays + 1, "p256"}, {1, "dsa"}} {
		if _, _, err := s.issue([]string{"m"}, v, false); err == nil {
			t.Errorf("%v is valid", v)
		}
	}
	if _, _, err := s.issue([]string{"twice", "twice"}, validity{1, "p256"}, false); err == nil {
		t.Error("a node twice")
	}
}

func TestDirectivesQuotePaths(t *testing.T) {
	s := newStore(t)
	p, err := placement{at: `/srv/my "certs"`, port: 9000}.in(s)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.members()
	if err != nil {
		t.Fatal(err)
	}
	text := p.directives(all[1], all, "blue")
	for _, want := range []string{`ssl_certificate        "/srv/my \"certs\"/node2.crt";`, "listen [::2]:9000 ssl;", "zone_sync_server 10.0.0.1:9000;"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, bad := range []placement{{at: "/a$b", port: 1}, {at: "/a", port: 0}, {at: "/a", port: 65536}} {
		if _, err := bad.in(s); err == nil {
			t.Errorf("%v can be placed", bad)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(data))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestALifeCutByTheCAIsNotInherited: a certificate that ended with its CA gets the default life from the next one, and a
// CA that cuts certificates short is said.
func TestALifeCutByTheCAIsNotInherited(t *testing.T) {
	s := newStore(t)
	s.now = today.AddDate(9, 11, 0)
	own, _, err := s.rotate(renewal{all: true})
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	own.sayCut(&said)
	want := `the CA expires on 2036-11-25, and so do the certificates just made. Renew it with "starling certs rotate --ca"`
	if !strings.Contains(said.String(), want) {
		t.Errorf("said %q", said.String())
	}
	if got := s.certificate(t, "node2").NotAfter; !got.Equal(today.AddDate(0, 0, 3650)) {
		t.Errorf("cut at %v", got)
	}
	if err := s.rotateAuthority(0); err != nil {
		t.Fatal(err)
	}
	if own, _, err = s.rotate(renewal{all: true}); err != nil || own.cut {
		t.Fatal(err, "cut by the new CA")
	}
	if got, want := s.certificate(t, "node2").NotAfter, s.now.AddDate(0, 0, nodeDays); !got.Equal(want) {
		t.Errorf("valid until %v, want %v", got, want)
	}
}

// TestTwoRenewalsAtOnce leave the key and the certificate of one of them.
func TestTwoRenewalsAtOnce(t *testing.T) {
	s := newStore(t)
	for range 3 {
		var both sync.WaitGroup
		for range 4 {
			both.Go(func() {
				if _, _, err := s.rotate(renewal{all: true}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		for _, name := range []string{"node1.example.com", "node2"} {
			if got := s.problemsOf(t, name); got != "" {
				t.Fatal(got)
			}
		}
	}
}
