package ssl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	library "golang.org/x/crypto/ocsp"

	"starling/ssl/ocsp"
	"starling/ssl/ocsp/ocsptest"
)

// chained is a client below an intermediate authority, with a responder for each of the two.
type chained struct {
	t            *testing.T
	files        files
	root, middle *authority
	leaf         *x509.Certificate
	atRoot       *ocsptest.Responder // about the intermediate
	atMiddle     *ocsptest.Responder // about the client
}

func newChained(t *testing.T) *chained {
	w := newWorld(t)
	c := &chained{t: t, files: w.files, root: w.root}
	c.atRoot = ocsptest.Serve(t, w.root.cert, w.root.key)
	c.middle = w.root.subordinate(t, "middle")
	// the intermediate names its responder only now
	template := *c.middle.cert
	template.OCSPServer, template.SerialNumber = []string{c.atRoot.URL}, nil
	c.middle.cert = w.root.sign(t, &template, c.middle.key)
	c.atMiddle = ocsptest.Serve(t, c.middle.cert, c.middle.key)
	c.leaf, _ = c.middle.leaf("client.example", func(l *x509.Certificate) { l.OCSPServer = []string{c.atMiddle.URL} })
	return c
}

func (c *chained) build(change func(*ServerSettings)) *Server {
	c.t.Helper()
	s := NewServerSettings()
	s.Certificates, s.Trusted = []CertificateFile{{"server.crt", "server.key"}}, []string{"ca.crt"}
	s.VerifyClient, s.StatusChecks, s.Asker = VerifyOn, StatusAll, &ocsp.Asker{Lookup: ocsp.SystemLookup}
	change(&s)
	server, _, err := s.Build(c.files.read)
	if err != nil {
		c.t.Fatal(err)
	}
	return server
}

// visit is what a server finds about the client.
func (c *chained) visit(ctx context.Context, server *Server) (verify string, refusal, cause error) {
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.leaf, c.middle.cert}}
	peer := server.Inspect(state, nil, time.Now())
	cause = server.CheckStatus(ctx, peer)
	return peer.Verify(), server.Check(peer), cause
}

func TestStatusesOfClients(t *testing.T) {
	for _, c := range []struct {
		what           string
		checks         StatusChecks
		prepare        func(c *chained)
		verify, logged string
	}{
		{"all good", StatusAll, func(*chained) {}, "SUCCESS", ""},
		{"the client is revoked", StatusAll, func(c *chained) { c.atMiddle.Set(c.leaf.SerialNumber, library.Revoked) }, "FAILED:certificate revoked", ""},
		{"the client is unknown", StatusLeaf, func(c *chained) { c.atMiddle.Set(c.leaf.SerialNumber, library.Unknown) },
			"FAILED:certificate status unknown", ""},
		{"the intermediate is revoked", StatusAll, func(c *chained) { c.atRoot.Set(c.middle.cert.SerialNumber, library.Revoked) },
			"FAILED:certificate revoked", ""},
		{"nobody asks about it", StatusLeaf, func(c *chained) { c.atRoot.Set(c.middle.cert.SerialNumber, library.Revoked) }, "SUCCESS", ""},
		{"no question at all", StatusOff, func(c *chained) { c.atMiddle.Set(c.leaf.SerialNumber, library.Revoked) }, "SUCCESS", ""},
		{"the responder fails", StatusLeaf, func(c *chained) { c.atMiddle.Set(c.leaf.SerialNumber, -1) },
			"FAILED:certificate status request failed",
			"OCSP response not successful (3: try later) while requesting certificate status, responder: 127.0.0.1"},
		{"another signs", StatusLeaf, func(c *chained) { c.atMiddle.SignAs(c.root.cert, c.root.key) },
			"FAILED:certificate status request failed", "OCSP_basic_verify() failed (the signer is not trusted) while requesting"},
		{"the certificate names none", StatusLeaf, func(c *chained) { c.leaf, _ = c.middle.leaf("client.example", nil) },
			"FAILED:certificate status request failed", "no OCSP responder URL in certificate"},
		{"it names one by name", StatusLeaf, func(c *chained) {
			c.leaf, _ = c.middle.leaf("client.example", func(l *x509.Certificate) { l.OCSPServer = []string{"http://responder.example/"} })
		}, "FAILED:certificate status request failed", "no resolver defined to resolve responder.example while requesting"},
		{"it names one of another scheme", StatusLeaf, func(c *chained) {
			c.leaf, _ = c.middle.leaf("client.example", func(l *x509.Certificate) { l.OCSPServer = []string{"ldap://x/"} })
		}, "FAILED:certificate status request failed", `invalid URL prefix in OCSP responder "ldap://x/" in certificate`},
	} {
		chain := newChained(t)
		c.prepare(chain)
		server := chain.build(func(s *ServerSettings) { s.StatusChecks = c.checks })
		verify, refusal, cause := chain.visit(t.Context(), server)
		if verify != c.verify || (refusal == nil) != (c.verify == "SUCCESS") {
			t.Errorf("%s: %s, %v", c.what, verify, refusal)
		}
		if failure, failed := strings.CutPrefix(c.verify, "FAILED:"); failed && refusal.Error() != "client SSL certificate verify error: "+failure {
			t.Errorf("%s: %v", c.what, refusal)
		}
		if (cause != nil) != (c.logged != "") || cause != nil && !strings.HasPrefix(cause.Error(), c.logged) {
			t.Errorf("%s: %v", c.what, cause)
		}
	}
}

func TestStatusesAreCached(t *testing.T) {
	chain := newChained(t)
	server := chain.build(func(s *ServerSettings) { s.StatusChecks, s.Statuses = StatusLeaf, NewStatusCache(1<<20) })
	for range 3 {
		if verify, _, _ := chain.visit(t.Context(), server); verify != "SUCCESS" {
			t.Error(verify)
		}
		chain.atMiddle.Set(chain.leaf.SerialNumber, library.Revoked)
	}
	if n := chain.atMiddle.Asked.Load(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

func TestStatusCache(t *testing.T) {
	c := NewStatusCache(2 * keptStatusBytes)
	now := time.Now()
	end := now.Add(time.Minute)
	for _, key := range []string{"a", "b", "c", "c"} {
		c.put(key, ocsp.Answer{Status: ocsp.Revoked, Until: end}, now)
	}
	c.put("forever", ocsp.Answer{}, now)
	for _, w := range []struct {
		key   string
		after time.Duration
		want  bool
	}{
		{"a", 0, false}, {"b", 0, false}, {"c", 0, true}, {"c", time.Minute, false}, {"c", 0, false},
		{"forever", 59 * time.Minute, true}, {"forever", time.Hour, false},
	} {
		if _, found := c.get(w.key, now.Add(w.after)); found != w.want {
			t.Errorf("%s after %s: %v", w.key, w.after, found)
		}
	}
	if c.byAge.Len() != 0 || len(c.byKey) != 0 {
		t.Error("something is left over")
	}
}

// A client waits no longer than its own time.
func TestAClientDoesNotWaitForever(t *testing.T) {
	chain := newChained(t)
	chain.atMiddle.Hold()
	server := chain.build(func(s *ServerSettings) { s.StatusChecks = StatusLeaf })
	impatient, giveUp := context.WithCancelCause(t.Context())
	giveUp(errors.New("enough"))
	verify, _, cause := chain.visit(impatient, server)
	if verify != "FAILED:certificate status request failed" || cause == nil || !strings.HasPrefix(cause.Error(), "OCSP responder timed out (enough)") {
		t.Error(verify, cause)
	}
}

// Clients that come at the same time share one question.
func TestStatusesAreAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pending := &pendingStatuses{}
		asked := 0
		answered := make(chan struct{})
		var clients sync.WaitGroup
		for range 5 {
			clients.Go(func() {
				answer, err := pending.share(t.Context(), "key", func(context.Context) (ocsp.Answer, error) {
					asked++
					<-answered
					return ocsp.Answer{Status: ocsp.Revoked}, nil
				})
				if err != nil || answer.Status != ocsp.Revoked {
					t.Error(answer, err)
				}
			})
		}
		synctest.Wait() // all wait for the answer
		close(answered)
		clients.Wait()
		if asked != 1 || len(pending.byKey) != 0 {
			t.Errorf("asked %d times, %d left over", asked, len(pending.byKey))
		}
	})
}

// A question ends when the last client stops waiting, and not before.
func TestAQuestionEndsWithItsLastClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pending := &pendingStatuses{}
		var ended atomic.Bool
		ask := func(ctx context.Context) (ocsp.Answer, error) {
			<-ctx.Done()
			ended.Store(true)
			return ocsp.Answer{}, ctx.Err()
		}
		began := time.Now()
		var clients sync.WaitGroup
		client := func(patience time.Duration) {
			clients.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if _, err := pending.share(ctx, "key", ask); err == nil || time.Since(began) != patience {
					t.Errorf("a client waited %v of %v: %v", time.Since(began), patience, err)
				}
			})
		}
		client(time.Second)
		client(2 * time.Second)
		time.Sleep(1500 * time.Millisecond)
		if synctest.Wait(); ended.Load() {
			t.Error("the question ended while a client waited")
		}
		clients.Wait()
		if synctest.Wait(); !ended.Load() || len(pending.byKey) != 0 {
			t.Errorf("after the last client: ended %v, %d left over", ended.Load(), len(pending.byKey))
		}
		// the next client asks again
		answer, err := pending.share(t.Context(), "key", func(context.Context) (ocsp.Answer, error) {
			return ocsp.Answer{Status: ocsp.Revoked}, nil
		})
		if err != nil || answer.Status != ocsp.Revoked {
			t.Error(answer, err)
		}
	})
}

func TestStatusSettings(t *testing.T) {
	chain := newChained(t)
	for want, change := range map[string]func(*ServerSettings){
		`"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"`:       func(s *ServerSettings) { s.VerifyClient = VerifyOptionalNoCA },
		`invalid URL prefix in OCSP responder "https://a" in "ssl_ocsp_responder"`: func(s *ServerSettings) { s.StatusResponder = "https://a" },
	} {
		s := NewServerSettings()
		s.Certificates, s.Trusted = []CertificateFile{{"server.crt", "server.key"}}, []string{"ca.crt"}
		s.VerifyClient, s.StatusChecks, s.Asker = VerifyOn, StatusAll, &ocsp.Asker{}
		change(&s)
		if _, _, err := s.Build(chain.files.read); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	// a configured responder is asked about all
	chain.atMiddle.Set(chain.leaf.SerialNumber, library.Revoked)
	url := chain.atMiddle.URL
	chain.leaf, _ = chain.middle.leaf("client.example", nil)
	server := chain.build(func(s *ServerSettings) { s.StatusChecks, s.StatusResponder = StatusLeaf, url })
	if verify, _, cause := chain.visit(t.Context(), server); verify != "SUCCESS" || chain.atMiddle.Asked.Load() != 1 {
		t.Error(verify, cause)
	}
}
