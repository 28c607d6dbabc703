package ssl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"starling/ssl/ocsp"
)

// Stapling is ssl_stapling and what belongs to it.
type Stapling struct {
	On     bool
	Verify bool
	// File is a prepared answer; Responder replaces the URL in the certificate. Both may be empty.
	File, Responder string
}

// Times of stapling, as in nginx.
const (
	// stapleTimeout bounds one question with all addresses of the responder.
	stapleTimeout = time.Minute
	// An answer is renewed stapleMargin before its end, but at most every stapleEvery and at least every stapleAtLeast.
	stapleMargin  = 5 * time.Minute
	stapleEvery   = 5 * time.Minute
	stapleAtLeast = time.Hour
)

// statusRequest is the TLS extension by which a client asks for a staple.
const statusRequest = 5

// staple is the answer of a responder about one certificate of a server. A handshake never waits for it: it takes the
// answer that there is, and a goroutine renews it.
type staple struct {
	key         string
	name        string // of the certificate, for the log
	plain       *tls.Certificate
	issuer      *x509.Certificate
	responder   ocsp.Responder
	asker       *ocsp.Asker
	signer      ocsp.Signer
	logError    func(format string, args ...any)
	fixed       bool // the answer is from a file
	mu          sync.Mutex
	loading     bool
	until, next time.Time
	stapled     atomic.Pointer[tls.Certificate] // nil: no answer yet
}

// Staples are the answers of one configuration; a reload keeps those about certificates that it still has.
type Staples struct{ byKey map[string]*staple }

// of returns a certificate to show: with its answer, if there is a valid one.
func (s *staple) of(now time.Time) *tls.Certificate {
	if s.fixed {
		return s.stapled.Load()
	}
	s.mu.Lock()
	valid := s.until.IsZero() || !now.After(s.until)
	due := !s.loading && !now.Before(s.next)
	s.loading = s.loading || due
	s.mu.Unlock()
	if due {
		go s.renew()
	}
	if c := s.stapled.Load(); c != nil && valid {
		return c
	}
	return s.plain
}

// renew asks the responder. An answer that does not count leaves the last one in place.
func (s *staple) renew() {
	ctx, cancel := context.WithTimeout(context.Background(), stapleTimeout)
	defer cancel()
	answer, err := s.ask(ctx)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loading, s.next = false, now.Add(stapleEvery)
	if err != nil {
		s.logError("%v while requesting certificate status, responder: %s, certificate: \"%s\"",
			err, s.responder.Host, s.name)
		return
	}
	s.until = answer.Until
	s.show(answer.Raw)
	s.next = now.Add(stapleAtLeast)
	if end := answer.Until.Add(-stapleMargin); !answer.Until.IsZero() && end.Before(s.next) {
		s.next = end
	}
	if earliest := now.Add(stapleEvery); s.next.Before(earliest) {
		s.next = earliest
	}
}

func (s *staple) ask(ctx context.Context) (ocsp.Answer, error) {
	raw, err := s.asker.Ask(ctx, s.responder, s.plain.Leaf, s.issuer)
	if err != nil {
		return ocsp.Answer{}, err
	}
	answer, err := ocsp.Parse(raw, s.plain.Leaf, s.issuer, s.signer, time.Now())
	if err == nil && answer.Status != ocsp.Good {
		err = fmt.Errorf("certificate status \"%s\" in the OCSP response", answer.Status)
	}
	return answer, err
}

func (s *staple) show(answer []byte) {
	shown := *s.plain
	shown.OCSPStaple = answer
	s.stapled.Store(&shown)
}

// adopt takes the answer of the same certificate in the previous configuration.
func (s *staple) adopt(old *staple) {
	old.mu.Lock() // renew changes the answer and its times together
	defer old.mu.Unlock()
	shown := old.stapled.Load()
	if shown == nil || old.fixed {
		return
	}
	s.until, s.next = old.until, old.next
	s.show(shown.OCSPStaple)
}

// Fetch asks for all answers that are missing, so that even the first clients get one. It does not wait.
func (s *Server) Fetch() {
	now := time.Now()
	for _, staple := range s.staples {
		if staple != nil {
			staple.of(now)
		}
	}
}

// staple prepares the answers about the certificates of a server: one for each, nil for one without.
func (s *ServerSettings) staple(all []*tls.Certificate, v *verifier, read ReadFile) ([]*staple, []string, error) {
	var list []*staple
	var warnings []string
	for i, cert := range all {
		one := &staple{name: shown(s.Certificates[i].Certificate), plain: cert, asker: s.Asker, logError: s.LogError}
		list = append(list, one)
		if s.Stapling.File != "" {
			if err := one.load(s.Stapling.File, read); err != nil {
				return nil, nil, err
			}
			continue
		}
		if ignored := one.prepare(s.Stapling, v); ignored != "" {
			warnings = append(warnings, "\"ssl_stapling\" ignored, "+ignored)
			list[i] = nil
			continue
		}
		one.remember(s.Staples, s.OldStaples)
	}
	return list, warnings, nil
}

// load reads the answer of ssl_stapling_file.
func (s *staple) load(path string, read ReadFile) error {
	answer, err := read(path)
	if err != nil {
		return fmt.Errorf("BIO_new_file(\"%s\") failed (%s)", path, reason(err))
	}
	if err := ocsp.Valid(answer); err != nil {
		return fmt.Errorf("d2i_OCSP_RESPONSE_bio(\"%s\") failed (%w)", path, err)
	}
	s.fixed = true
	s.show(answer)
	return nil
}

// prepare finds the issuer and the responder; the result says why there is no stapling.
func (s *staple) prepare(settings Stapling, v *verifier) (ignored string) {
	chain := parsed(s.plain)
	leaf := chain[0]
	issued := func(c *x509.Certificate) bool { return c != leaf && leaf.CheckSignatureFrom(c) == nil }
	at := slices.IndexFunc(chain[1:], issued)
	switch known := slices.IndexFunc(v.all, issued); {
	case at >= 0:
		s.issuer = chain[1:][at]
	case known >= 0:
		s.issuer = v.all[known]
	default:
		return fmt.Sprintf("issuer certificate not found for certificate \"%s\"", s.name)
	}
	url := settings.Responder
	if url == "" && len(leaf.OCSPServer) > 0 {
		url = leaf.OCSPServer[0]
	}
	if url == "" {
		return fmt.Sprintf("no OCSP responder URL in the certificate \"%s\"", s.name)
	}
	var err error
	if s.responder, err = ocsp.ParseResponder(url); err != nil {
		return fmt.Sprintf("%v in the certificate \"%s\"", err, s.name)
	}
	s.signer = anySigner(chain[1:], s.issuer)
	if settings.Verify {
		s.signer = v.signer(chain[1:], s.issuer)
	}
	s.key = fmt.Sprintf("%s\n%v\n%v", leaf.Raw, s.responder, settings.Verify)
	return ""
}

// remember keeps the answer for the next configuration, and takes that of the last one.
func (s *staple) remember(all, old *Staples) {
	if all == nil {
		return
	}
	if old != nil && old.byKey[s.key] != nil {
		s.adopt(old.byKey[s.key])
	}
	if all.byKey == nil {
		all.byKey = map[string]*staple{}
	}
	all.byKey[s.key] = s
}

// anySigner is the rule without ssl_stapling_verify: the signature must be that of the embedded certificate, or of one
// of the chain. The client checks the rest.
func anySigner(chain []*x509.Certificate, issuer *x509.Certificate) ocsp.Signer {
	return func(embedded *x509.Certificate, signedBy func(*x509.Certificate) bool, _ time.Time) bool {
		return embedded != nil || signedBy(issuer) || slices.ContainsFunc(chain, signedBy)
	}
}

// signer is the rule with ssl_stapling_verify: an authorized signer, whose own certificate is one of the chain's file
// or verifies with the trusted ones.
func (v *verifier) signer(chain []*x509.Certificate, issuer *x509.Certificate) ocsp.Signer {
	authorized := ocsp.Authorized(issuer)
	return func(embedded *x509.Certificate, signedBy func(*x509.Certificate) bool, now time.Time) bool {
		if !authorized(embedded, signedBy, now) {
			return false
		}
		signer := embedded
		if signer == nil || signedBy(issuer) {
			signer = issuer
		}
		if slices.ContainsFunc(chain, signer.Equal) {
			return true
		}
		intermediates := x509.NewCertPool()
		for _, c := range slices.Concat(chain, v.others) {
			intermediates.AddCert(c)
		}
		_, err := signer.Verify(x509.VerifyOptions{Roots: v.roots, Intermediates: intermediates, CurrentTime: now,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return err == nil
	}
}
