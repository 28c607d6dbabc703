// Package ssl turns the ssl_*, proxy_ssl_* and zone_sync_ssl_* settings into crypto/tls configurations with the
// behaviour and errors of nginx with OpenSSL.
//
// Settings are filled from directives; Build reads the files they name and is called for each cycle, so that a reload
// reads them again. Settings that Go's TLS does not support are rejected or cause a warning: none is dropped silently.
package ssl

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// ReadFile reads a whole file by absolute path.
type ReadFile func(path string) ([]byte, error)

// CertificateFile is one ssl_certificate with its ssl_certificate_key, by path.
type CertificateFile struct{ Certificate, Key string }

// Protocols is a set of protocol versions.
type Protocols uint8

// The versions that Go's TLS supports. SSLv2 and SSLv3 are words without effect, as with a current OpenSSL.
const (
	TLS10 Protocols = 1 << iota
	TLS11
	TLS12
	TLS13
)

// DefaultProtocols are those of nginx since 1.27.3.
const DefaultProtocols = TLS12 | TLS13

const allProtocols = TLS10 | TLS11 | TLS12 | TLS13

// DefaultServerCiphers and DefaultClientCiphers are nginx's defaults of ssl_ciphers and proxy_ssl_ciphers.
const (
	DefaultServerCiphers = "HIGH:!aNULL:!MD5"
	DefaultClientCiphers = "DEFAULT"
)

var protocolNames = map[string]Protocols{
	"SSLv2":   0,
	"SSLv3":   0,
	"TLSv1":   TLS10,
	"TLSv1.1": TLS11,
	"TLSv1.2": TLS12,
	"TLSv1.3": TLS13,
}

// ParseProtocols reads the arguments of ssl_protocols. The error is nginx's for a bad value of a set.
func ParseProtocols(words []string) (Protocols, error) {
	var set Protocols
	for _, w := range words {
		known := false
		for name, p := range protocolNames {
			if strings.EqualFold(name, w) {
				set, known = set|p, true
			}
		}
		if !known {
			return 0, fmt.Errorf("invalid value %q", w)
		}
	}
	return set, nil
}

var versions = []struct {
	protocol Protocols
	id       uint16
	name     string
}{
	{TLS10, tls.VersionTLS10, "TLSv1"},
	{TLS11, tls.VersionTLS11, "TLSv1.1"},
	{TLS12, tls.VersionTLS12, "TLSv1.2"},
	{TLS13, tls.VersionTLS13, "TLSv1.3"},
}

// bounds returns the lowest and highest version of a set, and whether one between them is missing.
func (p Protocols) bounds() (low, high uint16, gap string) {
	for _, v := range versions {
		if p&v.protocol != 0 {
			if low == 0 {
				low = v.id
			}
			high = v.id
		}
	}
	for _, v := range versions {
		if v.id > low && v.id < high && p&v.protocol == 0 {
			gap = v.name
		}
	}
	return low, high, gap
}

// Common are the settings that servers and clients share.
type Common struct {
	Protocols Protocols
	// Ciphers is an OpenSSL cipher list.
	Ciphers string
	// Certificates are shown to the other side; a client has at most one.
	Certificates []CertificateFile
	// PasswordFile holds passwords of encrypted keys, one a line, tried in turn; empty: none.
	PasswordFile string
	// Trusted are the files with CA certificates that verify the other side.
	Trusted []string
	// CRL is the file with revocation lists; empty: none. With it every certificate of the chain is checked.
	CRL string
	// VerifyDepth is how many intermediate certificates a chain may have.
	VerifyDepth int
	// Commands are ssl_conf_command lines: name and value.
	Commands [][2]string
	// NoTickets is ssl_session_tickets off.
	NoTickets bool
	// Curves is ssl_ecdh_curve: names joined by colons; "auto": the library chooses.
	Curves string
	// ALPN are the protocols offered or accepted, in order of preference.
	ALPN []string
}

// DefaultVerifyDepth is nginx's verify_depth.
const DefaultVerifyDepth = 1

// base makes the shared part of a configuration, and the verifier of the other side, whose certificates have a use.
func (c *Common) base(peerUse x509.ExtKeyUsage, read ReadFile) (*tls.Config, *verifier, []string, error) {
	settings := *c
	said, err := settings.applyCommands()
	if err != nil {
		return nil, nil, nil, err
	}
	warnings := said.warnings
	noTickets := settings.NoTickets
	if said.tickets != nil {
		noTickets = !*said.tickets
	}
	config := &tls.Config{SessionTicketsDisabled: noTickets, NextProtos: settings.ALPN}
	var gap string
	config.MinVersion, config.MaxVersion, gap = settings.Protocols.bounds()
	if config.MinVersion == 0 {
		return nil, nil, nil, fmt.Errorf(
			"no protocol enabled: SSLv2 and SSLv3 are not supported, use TLSv1.2 or TLSv1.3",
		)
	}
	if gap != "" {
		warnings = append(
			warnings,
			fmt.Sprintf("%s is enabled too: versions between the lowest and the highest cannot be disabled", gap),
		)
	}
	suites, unknown, err := parseCiphers(settings.Ciphers)
	if err != nil {
		return nil, nil, nil, err
	}
	config.CipherSuites = suites
	warnings = append(warnings, unknown...)
	if config.CurvePreferences, unknown, err = parseCurves(settings.Curves); err != nil {
		return nil, nil, nil, err
	}
	warnings = append(warnings, unknown...)
	for _, path := range said.dhParameters {
		if err := checkDHParameters(path, settings.Ciphers, read); err != nil {
			return nil, nil, nil, fmt.Errorf("SSL_CONF_cmd(\"DHParameters\", \"%s\") failed (%w)", path, err)
		}
	}
	passwords, err := readPasswords(settings.PasswordFile, read)
	if err != nil {
		return nil, nil, nil, err
	}
	files := settings.Certificates
	if said.certificate.Certificate != "" {
		files = append(slices.Clone(files), said.certificate)
	}
	c.Certificates = nil
	for _, f := range files {
		if err := c.addCertificate(config, f, passwords, read); err != nil {
			return nil, nil, nil, err
		}
	}
	v, err := newVerifier(settings.Trusted, peerUse, settings.CRL, settings.VerifyDepth, read)
	if err != nil {
		return nil, nil, nil, err
	}
	return config, v, warnings, nil
}

// addCertificate adds a certificate, in place of one with the same kind of key: OpenSSL has one place for each.
func (c *Common) addCertificate(config *tls.Config, f CertificateFile, passwords [][]byte, read ReadFile) error {
	cert, err := loadCertificate(f, passwords, read)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(config.Certificates, func(other tls.Certificate) bool { return sameKind(&other, &cert) })
	if at < 0 {
		config.Certificates, c.Certificates = append(config.Certificates, cert), append(c.Certificates, f)
		return nil
	}
	config.Certificates[at], c.Certificates[at] = cert, f
	return nil
}

func sameKind(a, b *tls.Certificate) bool {
	return a.Leaf.PublicKeyAlgorithm == b.Leaf.PublicKeyAlgorithm
}

// curvesOfGo are the names that OpenSSL accepts for the curves that Go has.
var curvesOfGo = map[string]tls.CurveID{
	"x25519": tls.X25519, "ecdh_x25519": tls.X25519,
	"prime256v1": tls.CurveP256, "p-256": tls.CurveP256, "secp256r1": tls.CurveP256,
	"secp384r1": tls.CurveP384, "p-384": tls.CurveP384, "secp521r1": tls.CurveP521, "p-521": tls.CurveP521,
	"x25519mlkem768": tls.X25519MLKEM768, "secp256r1mlkem768": tls.SecP256r1MLKEM768,
	"secp384r1mlkem1024": tls.SecP384r1MLKEM1024,
}

// autoCurves is the default of ssl_ecdh_curve.
const autoCurves = "auto"

// parseCurves reads ssl_ecdh_curve. The order is not kept: Go chooses the fastest of the set. Curves of OpenSSL that Go
// does not have are omitted with a warning.
func parseCurves(text string) (ids []tls.CurveID, warnings []string, err error) {
	failed := func(why string) error { return fmt.Errorf("SSL_CTX_set1_curves_list(\"%s\") failed (%s)", text, why) }
	switch text {
	case autoCurves:
		return nil, nil, nil
	case "":
		return nil, nil, failed("no curve")
	}
	for name := range strings.SplitSeq(text, ":") {
		name, optional := strings.CutPrefix(name, "?") // OpenSSL 3.3: the curve may be unknown
		id, ok := curvesOfGo[strings.ToLower(name)]
		switch {
		case ok && !slices.Contains(ids, id):
			ids = append(ids, id)
		case ok || optional:
		case knownCurve(name):
			warnings = append(warnings, fmt.Sprintf("curve \"%s\" is not available, ignored", name))
		default:
			return nil, nil, failed("group \"" + name + "\" is not known")
		}
	}
	if len(ids) == 0 {
		return nil, nil, failed("no curve of it is available, use X25519 or prime256v1")
	}
	return ids, warnings, nil
}

// knownCurve reports whether OpenSSL knows a curve or group.
func knownCurve(name string) bool {
	for _, known := range curves {
		if strings.EqualFold(known, name) {
			return true
		}
	}
	return false
}
