package ssl

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	library "golang.org/x/crypto/ocsp"

	"starling/lib/testkit"
	"starling/ssl/ocsp"
	"starling/ssl/ocsp/ocsptest"
)

// stapled is a server whose certificate is asked about at a responder.
type stapled struct {
	*world
	t         *testing.T
	responder *ocsptest.Responder
	leaf      *x509.Certificate
	stapling  Stapling
	staples   *Staples
	old       *Staples

	mu     sync.Mutex
	logged []string
}

func newStapled(t *testing.T) *stapled {
	w := newWorld(t)
	s := &stapled{world: w, t: t, responder: ocsptest.Serve(t, w.root.cert, w.root.key), stapling: Stapling{On: true}, staples: &Staples{}}
	s.issue(s.responder.URL)
	return s
}

// issue makes the server's certificate, with its issuer behind it.
func (s *stapled) issue(urls ...string) {
	leaf, key := s.root.leaf("server.example", func(c *x509.Certificate) { c.OCSPServer = urls })
	s.leaf = leaf
	s.files["server.crt"], s.files["server.key"] = certPEM(leaf, s.root.cert), keyPEM(s.t, key)
}

func (s *stapled) settings() ServerSettings {
	settings := NewServerSettings()
	settings.Certificates = []CertificateFile{{"server.crt", "server.key"}}
	settings.Stapling, settings.Staples, settings.OldStaples = s.stapling, s.staples, s.old
	settings.Asker = &ocsp.Asker{}
	settings.LogError = func(format string, args ...any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.logged = append(s.logged, fmt.Sprintf(format, args...))
	}
	return settings
}

func (s *stapled) build() *Server {
	s.t.Helper()
	server, warnings, err := s.settings().Build(s.read)
	if err != nil || len(warnings) > 0 {
		s.t.Fatal(err, warnings)
	}
	return server
}

// shown is the staple that a client gets.
func (s *stapled) shown(server *Server) []byte {
	s.t.Helper()
	client := s.clientOf(s.t, func(*ClientSettings) {}).Config("", false) // without SNI, too
	state, _, clientErr, serverErr := shake(s.t, client, server.Config)
	if clientErr != nil || serverErr != nil {
		s.t.Fatal(clientErr, serverErr)
	}
	return state.OCSPResponse
}

// eventually waits for what other goroutines do.
func eventually(t *testing.T, happened func() bool) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func() error {
		if !happened() {
			return errors.New("not yet")
		}
		return nil
	})
}

func (s *stapled) logs(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(strings.Join(s.logged, "\n"), text)
}

func TestStapling(t *testing.T) {
	for _, verify := range []bool{false, true} {
		s := newStapled(t)
		s.stapling.Verify = verify
		server := s.build()
		eventually(t, func() bool { return s.shown(server) != nil })
		answer, err := library.ParseResponseForCert(s.shown(server), s.leaf, s.root.cert)
		if err != nil || answer.Status != library.Good {
			t.Error(answer, err)
		}
		if n := s.responder.Asked.Load(); n != 1 {
			t.Errorf("%d questions: the answer is valid for an hour", n)
		}
	}
}

// A handshake shows what there is: it waits for no responder.
func TestHandshakesDoNotWaitForStaples(t *testing.T) {
	s := newStapled(t)
	s.responder.Hold()
	server := s.build()
	for range 3 {
		if s.shown(server) != nil {
			t.Error("a staple from nowhere")
		}
	}
	eventually(t, func() bool { return s.responder.Asked.Load() == 1 })
	s.responder.Release()
	eventually(t, func() bool { return s.shown(server) != nil })
}

func TestStaplesBeforeTheFirstClient(t *testing.T) {
	s := newStapled(t)
	server := s.build()
	server.Fetch()
	eventually(t, func() bool { return server.staples[0].stapled.Load() != nil })
	if s.shown(server) == nil {
		t.Error("the first client gets none")
	}
}

func TestAnswersThatAreNotStapled(t *testing.T) {
	stranger := newAuthority(t, "stranger")
	for _, c := range []struct {
		what    string
		prepare func(s *stapled)
		want    string
	}{
		{"revoked", func(s *stapled) { s.responder.Set(s.leaf.SerialNumber, library.Revoked) }, `certificate status "revoked" in the OCSP response`},
		{"unknown", func(s *stapled) { s.responder.Set(s.leaf.SerialNumber, library.Unknown) }, `certificate status "unknown" in the OCSP response`},
		{"an error", func(s *stapled) { s.responder.Set(s.leaf.SerialNumber, -1) }, `OCSP response not successful (3: try later)`},
		{"of a stranger", func(s *stapled) {
			s.stapling.Verify = true
			s.responder.SignAs(stranger.cert, stranger.key)
		}, `OCSP_basic_verify() failed (the signer is not trusted)`},
	} {
		s := newStapled(t)
		c.prepare(s)
		server := s.build()
		s.shown(server)
		eventually(t, func() bool {
			return s.logs(c.want + ` while requesting certificate status, responder: 127.0.0.1, certificate: "server.crt"`)
		})
		if s.shown(server) != nil || s.responder.Asked.Load() != 1 {
			t.Errorf("%s: stapled, or asked again at once", c.what)
		}
	}
	// without ssl_stapling_verify, clients decide
	s := newStapled(t)
	s.responder.SignAs(stranger.cert, stranger.key)
	server := s.build()
	eventually(t, func() bool { return s.shown(server) != nil })
}

// An answer is renewed before its end, not shown after it, and kept if a later question fails.
func TestStaplesEnd(t *testing.T) {
	s := newStapled(t)
	one := s.build().staples[0]
	one.renew()
	now := time.Now()
	if next := one.next.Sub(now).Round(time.Minute); next != 55*time.Minute {
		t.Errorf("renewed after %s, want 5 minutes before the hour ends", next)
	}
	s.responder.Set(s.leaf.SerialNumber, -1)
	one.renew()
	if one.of(now) == one.plain {
		t.Error("the valid answer is lost")
	}
	one.next = now.Add(3 * time.Hour)
	if one.of(now.Add(2*time.Hour)) != one.plain {
		t.Error("shown after its end")
	}
}

func TestAReloadKeepsStaples(t *testing.T) {
	s := newStapled(t)
	before := s.build()
	before.staples[0].renew()
	s.old, s.staples = s.staples, &Staples{}
	s.responder.Hold()
	if after := s.build(); s.shown(after) == nil || s.responder.Asked.Load() != 1 {
		t.Error("lost, or asked again")
	}
	s.old, s.staples = s.staples, &Staples{}
	s.issue(s.responder.URL) // renewed
	if s.shown(s.build()) != nil {
		t.Error("the answer about another certificate")
	}
}

func TestStaplesFromFiles(t *testing.T) {
	s := newStapled(t)
	answer, err := library.CreateResponse(s.root.cert, s.root.cert, library.Response{
		SerialNumber: s.leaf.SerialNumber, Status: library.Revoked, RevokedAt: time.Now(), ThisUpdate: time.Now(),
	}, s.root.key)
	if err != nil {
		t.Fatal(err)
	}
	s.files["answer.der"], s.files["text"] = answer, []byte("nonsense")
	s.stapling.File = "answer.der"
	if got := s.shown(s.build()); string(got) != string(answer) || s.responder.Asked.Load() != 0 {
		t.Errorf("%x", got)
	}
	for file, want := range map[string]string{
		"none": `BIO_new_file("none") failed (No such file or directory)`, "text": `d2i_OCSP_RESPONSE_bio("text") failed (`,
	} {
		s.stapling.File = file
		if _, _, err := s.settings().Build(s.read); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Error(err)
		}
	}
}

func TestStaplingIsIgnored(t *testing.T) {
	for _, c := range []struct {
		prepare func(s *stapled)
		change  func(*ServerSettings)
		want    string
	}{
		{func(s *stapled) { s.issue() }, nil, `no OCSP responder URL in the certificate "server.crt"`},
		{func(s *stapled) { s.issue("https://a/") }, nil, `invalid URL prefix in OCSP responder "https://a/" in the certificate "server.crt"`},
		{func(s *stapled) { s.files["server.crt"] = certPEM(s.leaf) }, nil, `issuer certificate not found for certificate "server.crt"`},
		{func(*stapled) {}, func(s *ServerSettings) {
			s.Certificates, s.Find = nil, func(*tls.ClientHelloInfo) ([]*tls.Certificate, error) { return nil, nil }
		}, `certificates with variables are not stapled`},
	} {
		s := newStapled(t)
		c.prepare(s)
		settings := s.settings()
		if c.change != nil {
			c.change(&settings)
		}
		_, warnings, err := settings.Build(s.read)
		if err != nil || len(warnings) != 1 || warnings[0] != `"ssl_stapling" ignored, `+c.want {
			t.Errorf("%v %v, want %s", warnings, err, c.want)
		}
	}
	// the issuer may be a trusted one, and the responder configured
	s := newStapled(t)
	s.issue()
	s.files["server.crt"] = certPEM(s.leaf)
	settings := s.settings()
	settings.Trusted, settings.Stapling.Responder = []string{"ca.crt"}, s.responder.URL
	server, warnings, err := settings.Build(s.read)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	eventually(t, func() bool { return s.shown(server) != nil })
}
