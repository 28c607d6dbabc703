package plan

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/conf"
	"starling/lib/certs"
	"starling/logs"
	"starling/ssl"
)

// told is a log in memory.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) Enabled(logs.Level) bool { return true }

func (l *told) Logf(level logs.Level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, "["+level.String()+"] "+fmt.Sprintf(format, args...))
}

func (l *told) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.lines = nil }()
	return strings.Join(l.lines, "\n")
}

// until is a certificate that ends at a time.
func until(t *testing.T, end time.Time) *x509.Certificate {
	t.Helper()
	ca, err := certs.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := ca.Sign(certs.Request{
		Subject: certs.Subject{CommonName: "node1"}, DNSNames: []string{"node1"}, KeyType: "p256",
		From: end.Add(-90 * 24 * time.Hour), Until: end,
	})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// using is a configuration that runs with certificates, the first in node1.crt, the next in node2.crt.
func using(t *testing.T, log logs.Logger, old *Plan, list ...*x509.Certificate) *Plan {
	t.Helper()
	p := New()
	p.Old, p.Log = old, log
	for i, c := range list {
		p.UseCertificates("ssl_certificate", &conf.Node{File: "x.conf", Line: 7}, []ssl.Used{{File: fmt.Sprintf("/node%d.crt", i+1), Certificate: c}})
	}
	p.WatchCertificates()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTheLogWarnsOfExpiry begins 14 days before the end and warns once a day, also over reloads.
func TestTheLogWarnsOfExpiry(t *testing.T) {
	const day = 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		log := &told{}
		soon := until(t, time.Now().Add(16*day))
		p := using(t, log, nil, soon, until(t, time.Now().Add(90*day)))
		synctest.Wait()
		if got := log.take(); got != "" {
			t.Errorf("16 days before the end: %s", got)
		}
		time.Sleep(2*day + time.Hour)
		synctest.Wait()
		end := soon.NotAfter.UTC().Format("2006-01-02 15:04 UTC")
		want := `[warn] certificate "/node1.crt" of "ssl_certificate" expires in 13 days, on ` + end + `: renew it and reload in x.conf:7`
		if got := log.take(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		p = using(t, log, p, soon) // a reload an hour later says nothing new
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := log.take(); got != "" {
			t.Errorf("after a reload: %s", got)
		}
		time.Sleep(5 * day)
		synctest.Wait()
		if got := strings.Count(log.take(), "\n") + 1; got != 5 {
			t.Errorf("%d lines in five days", got)
		}
		time.Sleep(10 * day)
		synctest.Wait()
		if got := log.take(); !strings.Contains(got, "expires in 1 day,") || !strings.Contains(got, "hours, on ") ||
			!strings.Contains(got, `[error] certificate "/node1.crt" of "ssl_certificate" expired on `+end) {
			t.Errorf("around the end:\n%s", got)
		}
		using(t, log, p, until(t, time.Now().Add(90*day)))
		log.take()
		p.Retire()
	})
}

// TestATestedConfigurationWarnsAtOnce: -t starts nothing.
func TestATestedConfigurationWarnsAtOnce(t *testing.T) {
	log := &told{}
	p := New()
	p.Testing, p.Log = true, log
	p.UseCertificates("ssl_certificate", &conf.Node{File: "x.conf", Line: 7}, []ssl.Used{{File: "/a", Certificate: until(t, time.Now().Add(50*time.Hour))}})
	p.WatchCertificates()
	if got := log.take(); !strings.Contains(got, "expires in 2 days") {
		t.Errorf("got %q", got)
	}
}

func TestCertificatesAreShown(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	one, gone := until(t, now.Add(36*time.Hour)), until(t, now.Add(-time.Hour))
	p := New()
	at := &conf.Node{File: "x.conf", Line: 7}
	p.UseCertificates("ssl_certificate", at, []ssl.Used{{File: "/one", Certificate: one}})
	p.UseCertificates("zone_sync_ssl_certificate", at, []ssl.Used{{File: "/one", Certificate: one}, {File: "/gone", Certificate: gone}})
	bundle := make([]ssl.Used, maxTrusted+1)
	for i := range bundle {
		bundle[i] = ssl.Used{File: "/bundle", Certificate: one}
	}
	p.TrustCertificates("zone_sync_ssl_trusted_certificate", at, bundle)
	shown := p.Certificates().shown(now)
	if len(shown) != 2 {
		t.Fatalf("%d are shown", len(shown))
	}
	if s := shown[0]; s.File != "/one" || s.DaysLeft != 1 || s.Seconds != 36*3600 || s.Uses != 2 || s.Directive != "ssl_certificate" ||
		s.Location != "x.conf:7" || s.Subject != "CN=node1" || s.NotAfter != "2026-11-30T00:00:00Z" {
		t.Errorf("%+v", s)
	}
	if s := shown[1]; s.DaysLeft != -1 || s.Seconds != -3600 {
		t.Errorf("%+v", s)
	}
}
