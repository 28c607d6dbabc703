package plan

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"starling/admin"
	"starling/conf"
	"starling/lib/plural"
	"starling/logs"
	"starling/ssl"
)

const (
	// expiryWarning is how long before the expiry of a certificate the log starts to warn.
	expiryWarning = 14 * 24 * time.Hour
	// warnEvery is the interval of the warnings.
	warnEvery = 24 * time.Hour
	// lookEvery is the interval of the expiry checks: a warning is late by at most that.
	lookEvery = time.Hour
)

// maxTrusted is how many certificates of one file of authorities are reported: bundles of all web authorities have a
// hundred and more, which are not renewed one by one.
const maxTrusted = 16

// Certificates are those that a configuration uses and whose files are known before a handshake.
type Certificates struct {
	log    logs.Logger
	list   []*certificate
	known  map[string]*certificate
	warned *warnings
}

// warnings are the times of the last warnings; a reload keeps them.
type warnings struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// certificate is one that is used, once or often.
type certificate struct {
	ssl.Used
	directive string     // the first directive that uses it
	node      *conf.Node // of the block there
	uses      int
}

// Certificates are those of this configuration.
func (p *Plan) Certificates() *Certificates {
	if p.certificates == nil {
		p.certificates = &Certificates{
			known: map[string]*certificate{}, warned: &warnings{last: map[string]time.Time{}},
		}
		if p.Old != nil {
			p.certificates.warned = p.Old.Certificates().warned
		}
	}
	return p.certificates
}

// UseCertificates records that the block at a node uses certificates by a directive.
func (p *Plan) UseCertificates(directive string, node *conf.Node, used []ssl.Used) {
	all := p.Certificates()
	for _, u := range used {
		key := u.File + "\x00" + string(u.Certificate.Raw)
		if known := all.known[key]; known != nil {
			known.uses++
			continue
		}
		all.known[key] = &certificate{u, directive, node, 1}
		all.list = append(all.list, all.known[key])
	}
}

// TrustCertificates records the same for the authorities that verify others.
func (p *Plan) TrustCertificates(directive string, node *conf.Node, trusted []ssl.Used) {
	if len(trusted) <= maxTrusted {
		p.UseCertificates(directive, node, trusted)
	}
}

// WatchCertificates lets the log warn of certificates that are about to expire: immediately if the configuration is
// only tested, otherwise from its start on.
func (p *Plan) WatchCertificates() {
	c := p.Certificates()
	c.log = p.Log
	if p.Testing {
		c.warn(time.Now())
		return
	}
	p.OnStart(func(ctx context.Context) error {
		go c.watch(ctx)
		return nil
	})
}

func (c *Certificates) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		c.warn(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// warn logs each certificate that has expired or soon will, once a day. A renewed one counts as another.
func (c *Certificates) warn(now time.Time) {
	c.warned.mu.Lock()
	defer c.warned.mu.Unlock()
	for _, one := range c.list {
		left := one.Certificate.NotAfter.Sub(now)
		key := one.File + " " + one.Certificate.SerialNumber.String()
		last, warned := c.warned.last[key]
		if left >= expiryWarning {
			continue
		}
		if warned && now.Sub(last) < warnEvery {
			continue
		}
		c.warned.last[key] = now
		end := one.Certificate.NotAfter.UTC().Format("2006-01-02 15:04 UTC")
		if left <= 0 {
			c.log.Logf(logs.Error, "%v", conf.At(one.node,
				"certificate \"%s\" of \"%s\" expired on %s: renew it and reload", one.File, one.directive, end))
			continue
		}
		c.log.Logf(logs.Warn, "%v", conf.At(one.node,
			"certificate \"%s\" of \"%s\" expires in %s, on %s: renew it and reload",
			one.File, one.directive, remaining(left), end))
	}
	// Certificates that are no longer used, or were renewed, are forgotten.
	for key, last := range c.warned.last {
		if now.Sub(last) > 2*warnEvery {
			delete(c.warned.last, key)
		}
	}
}

// remaining is a time in whole days or, on the last one, hours.
func remaining(left time.Duration) string {
	if days := int(left / (24 * time.Hour)); days != 0 {
		return plural.Of(days, "day", "days")
	}
	return plural.Of(int(left/time.Hour), "hour", "hours")
}

// shownCertificate is a certificate as the API shows it.
type shownCertificate struct {
	File      string   `json:"file"`
	Subject   string   `json:"subject"`
	Issuer    string   `json:"issuer"`
	Names     []string `json:"names,omitempty"`
	Serial    string   `json:"serial"`
	NotBefore string   `json:"not_before"`
	NotAfter  string   `json:"not_after"`
	// DaysLeft are whole days; they are negative once it has expired.
	DaysLeft  int64  `json:"days_left"`
	Seconds   int64  `json:"expires_in_seconds"`
	Directive string `json:"directive"`
	Location  string `json:"location"` // file:line of the block that uses it first
	Uses      int    `json:"uses"`     // blocks that use it
}

// Resource is /ssl/certificates of the API. NGINX Plus has none.
func (c *Certificates) Resource() admin.Resource {
	return admin.Single{
		Path: "ssl/certificates", Since: 9, Get: func(*admin.Call) any { return c.shown(time.Now()) },
		Metrics: []admin.Metric{
			admin.Gauge("starling_certificate_expiry_seconds",
				"[certificate=file,subject=subject,serial=serial,directive=directive].expires_in_seconds",
				"Seconds until a certificate in use expires; negative once it has expired."),
		},
	}.Resource()
}

func (c *Certificates) shown(now time.Time) []shownCertificate {
	list := []shownCertificate{}
	for _, one := range c.list {
		cert := one.Certificate
		left := cert.NotAfter.Sub(now)
		list = append(list, shownCertificate{
			File: one.File, Subject: cert.Subject.String(), Issuer: cert.Issuer.String(),
			Names:     names(cert.DNSNames, cert.IPAddresses),
			Serial:    strings.ToUpper(cert.SerialNumber.Text(16)),
			NotBefore: cert.NotBefore.UTC().Format(time.RFC3339), NotAfter: cert.NotAfter.UTC().Format(time.RFC3339),
			DaysLeft: floorDays(left), Seconds: int64(left / time.Second),
			Directive: one.directive, Location: fmt.Sprintf("%s:%d", one.node.File, one.node.Line), Uses: one.uses,
		})
	}
	return list
}

func floorDays(left time.Duration) int64 {
	const day = 24 * time.Hour
	days := int64(left / day)
	if left < 0 && left%day != 0 {
		days--
	}
	return days
}

func names(dns []string, addresses []net.IP) []string {
	all := slices.Clone(dns)
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return all
}
