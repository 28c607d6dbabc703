package ssl

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// ClientSettings are the settings of outgoing connections: proxy_ssl_*, zone_sync_ssl_*.
type ClientSettings struct {
	Common
	// Verify checks the server's certificate and name.
	Verify bool
	// NoSessionReuse is proxy_ssl_session_reuse off.
	NoSessionReuse bool
}

// NewClientSettings returns nginx's defaults: nothing is verified.
func NewClientSettings() ClientSettings {
	return ClientSettings{
		Common: Common{Protocols: DefaultProtocols, Ciphers: DefaultClientCiphers, VerifyDepth: DefaultVerifyDepth,
			Curves: autoCurves},
	}
}

// Client is the built TLS side of outgoing connections, safe for concurrent use.
type Client struct {
	config *tls.Config
	verify *verifier
	on     bool
	used   []Used

	mu      sync.Mutex
	configs map[configKey]*tls.Config
}

type configKey struct {
	name     string
	sendName bool
	file     CertificateFile
}

const (
	// maxNamedConfigs bounds the configurations cached by name: names may come from clients (proxy_ssl_name $host).
	maxNamedConfigs = 1000
	// sessionsKept is how many servers' TLS sessions one configuration caches.
	sessionsKept = 64
)

// Build reads the files. Warnings report settings without effect; the error is nginx's.
func (s ClientSettings) Build(read ReadFile) (*Client, []string, error) {
	config, verify, warnings, err := s.base(x509.ExtKeyUsageServerAuth, read)
	if err != nil {
		return nil, nil, err
	}
	if s.Verify && len(verify.all) == 0 {
		return nil, nil, errors.New("no trusted certificate to verify servers")
	}
	if s.NoSessionReuse {
		config.SessionTicketsDisabled = true
	}
	if len(config.Certificates) > 0 {
		// As in OpenSSL: the certificate is sent for any list of authorities from the server, so that the server can
		// say why it rejects it.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &config.Certificates[0], nil
		}
	}
	// x509's own check lacks nginx's depth and its names; VerifyConnection does all of it.
	config.InsecureSkipVerify = true
	return &Client{
		config: config, verify: verify, on: s.Verify, used: s.used(config), configs: map[configKey]*tls.Config{},
	}, warnings, nil
}

// Config returns the configuration for a server of a name: the certificate is verified against it, and sendName sends
// it as SNI. A port in the name is omitted, and an IP address is never sent. The result must not be changed.
func (c *Client) Config(name string, sendName bool) *tls.Config {
	return c.ConfigWith(name, sendName, CertificateFile{})
}

// ConfigWith is Config for connections whose client certificate has a name known only now. All connections of one
// configuration must show the same certificate; Show adds it when a connection is made.
func (c *Client) ConfigWith(name string, sendName bool, file CertificateFile) *tls.Config {
	name = withoutPort(name)
	key := configKey{name, sendName, file}
	c.mu.Lock()
	defer c.mu.Unlock()
	if config := c.configs[key]; config != nil {
		return config
	}
	config := c.config.Clone()
	if sendName {
		config.ServerName = name
	}
	// The file may have changed next time, so a session under its name is not resumed.
	if !config.SessionTicketsDisabled && file == (CertificateFile{}) {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(sessionsKept)
	}
	if c.on {
		config.VerifyConnection = func(state tls.ConnectionState) error { return c.check(&state, name, time.Now()) }
	}
	if len(c.configs) >= maxNamedConfigs {
		clear(c.configs)
	}
	c.configs[key] = config
	return config
}

// Show returns a configuration of ConfigWith with its certificate.
func Show(config *tls.Config, cert *tls.Certificate) *tls.Config {
	config = config.Clone()
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	return config
}

// VerifyError is the error for a server whose certificate does not verify or does not have the expected name.
type VerifyError struct {
	Code VerifyCode
	// Name is set if the chain is valid and the name is not.
	Name string
	// Hint tells the operator what to do about it; may be empty.
	Hint string
}

// Error is nginx's line for the error log.
func (e *VerifyError) Error() string {
	text := fmt.Sprintf("upstream SSL certificate verify error: (%d:%v)", int(e.Code), e.Code)
	if e.Name != "" {
		text = fmt.Sprintf("upstream SSL certificate does not match %q", e.Name)
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

func (c *Client) check(state *tls.ConnectionState, name string, now time.Time) error {
	if len(state.PeerCertificates) == 0 {
		return &VerifyError{Code: unspecifiedVerifyError}
	}
	if code := c.verify.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth, now); code != VerifyOK {
		return &VerifyError{Code: code}
	}
	if leaf := state.PeerCertificates[0]; !matchesName(leaf, name) {
		err := &VerifyError{Name: name}
		if _, isIP := parseIP(name); isIP && len(leaf.IPAddresses) == 0 {
			err.Hint = "it has no IP addresses: add them to the certificate, or set the name to verify"
		}
		return err
	}
	return nil
}

// matchesName compares as X509_check_host does: DNS names of the certificate or, if it has none, its common name.
// Unlike in nginx an IP address is compared with the certificate's IP names.
func matchesName(leaf *x509.Certificate, name string) bool {
	if name == "" {
		return false
	}
	if ip, ok := parseIP(name); ok {
		return slices.ContainsFunc(leaf.IPAddresses, func(b net.IP) bool {
			a, ok := netip.AddrFromSlice(b)
			return ok && a.Unmap() == ip
		})
	}
	if len(leaf.DNSNames) > 0 {
		return leaf.VerifyHostname(name) == nil
	}
	return hostMatches(leaf.Subject.CommonName, name)
}

// hostMatches compares a host name with a pattern whose first label may be "*".
func hostMatches(pattern, host string) bool {
	pattern, host = strings.ToLower(strings.TrimSuffix(pattern, ".")), strings.ToLower(strings.TrimSuffix(host, "."))
	rest, wild := strings.CutPrefix(pattern, "*.")
	if !wild {
		return pattern == host && host != ""
	}
	_, domain, ok := strings.Cut(host, ".")
	return ok && domain == rest && strings.Contains(rest, ".") && host[0] != '.'
}

func parseIP(name string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return ip.Unmap(), err == nil
}

// withoutPort cuts ":443" off a name, also off "[::1]:443".
func withoutPort(name string) string {
	if strings.HasPrefix(name, "[") {
		host, _, _ := strings.Cut(name[1:], "]")
		return host
	}
	if strings.Count(name, ":") > 1 {
		return name
	}
	host, _, _ := strings.Cut(name, ":")
	return host
}
