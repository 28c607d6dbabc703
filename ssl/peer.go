package ssl

import (
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Peer is the data of the variables $ssl_* of a connection whose handshake is done.
type Peer struct {
	Version    uint16
	Cipher     uint16
	Curve      tls.CurveID
	ServerName string // $ssl_server_name
	ALPN       string // $ssl_alpn_protocol
	Resumed    bool
	// Certificate is the client's, nil if it sent none; Code is its verification.
	Certificate *x509.Certificate
	Code        VerifyCode
	// Status is what CheckStatus has against the certificate; empty: nothing.
	Status string
	// Offer is what the client offered; nil if no variable shows it.
	Offer *Offer

	clientSigned tls.SignatureScheme
	path         []*x509.Certificate // to the root, for CheckStatus; nil if the certificate does not verify
}

// Protocol is $ssl_protocol: "TLSv1.3".
func (p *Peer) Protocol() string { return ProtocolName(p.Version) }

// CipherName is $ssl_cipher, in OpenSSL's names.
func (p *Peer) CipherName() string { return CipherName(p.Cipher) }

// CurveName is $ssl_curve, in OpenSSL's names; empty if none was negotiated.
func (p *Peer) CurveName() string {
	if p.Curve == 0 {
		return ""
	}
	return known(p.Curve, curves[p.Curve])
}

// SessionReused is $ssl_session_reused: "r" or ".".
func (p *Peer) SessionReused() string {
	if p.Resumed {
		return "r"
	}
	return "."
}

// Verify is $ssl_client_verify: SUCCESS, FAILED:reason or NONE.
func (p *Peer) Verify() string {
	switch {
	case p.Certificate == nil:
		return "NONE"
	case p.Status != "":
		return "FAILED:" + p.Status
	case p.Code == VerifyOK:
		return "SUCCESS"
	}
	return "FAILED:" + p.Code.String()
}

// The following are of the client's certificate and empty without one.

// SubjectDN is $ssl_client_s_dn in the form of RFC 2253.
func (p *Peer) SubjectDN() string {
	if p.Certificate == nil {
		return ""
	}
	return distinguishedName(p.Certificate.RawSubject)
}

// IssuerDN is $ssl_client_i_dn in the form of RFC 2253.
func (p *Peer) IssuerDN() string {
	if p.Certificate == nil {
		return ""
	}
	return distinguishedName(p.Certificate.RawIssuer)
}

// LegacySubjectDN is $ssl_client_s_dn_legacy.
func (p *Peer) LegacySubjectDN() string {
	if p.Certificate == nil {
		return ""
	}
	return legacyName(p.Certificate.RawSubject)
}

// LegacyIssuerDN is $ssl_client_i_dn_legacy.
func (p *Peer) LegacyIssuerDN() string {
	if p.Certificate == nil {
		return ""
	}
	return legacyName(p.Certificate.RawIssuer)
}

// Serial is $ssl_client_serial: upper-case hex with an even number of digits.
func (p *Peer) Serial() string {
	if p.Certificate == nil {
		return ""
	}
	n := p.Certificate.SerialNumber
	digits := strings.ToUpper(strings.TrimPrefix(n.Text(16), "-"))
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	if n.Sign() < 0 {
		return "-" + digits
	}
	return digits
}

// Fingerprint is $ssl_client_fingerprint: SHA-1 in lower-case hex.
func (p *Peer) Fingerprint() string {
	if p.Certificate == nil {
		return ""
	}
	sum := sha1.Sum(p.Certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// RawPEM is $ssl_client_raw_cert.
func (p *Peer) RawPEM() string {
	if p.Certificate == nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate.Raw}))
}

// PEM is $ssl_client_cert: every line but the first begins with a tab, so that it can be sent in a header. The last
// line end is cut off.
func (p *Peer) PEM() string {
	return strings.ReplaceAll(strings.TrimSuffix(p.RawPEM(), "\n"), "\n", "\n\t")
}

// EscapedPEM is $ssl_client_escaped_cert.
func (p *Peer) EscapedPEM() string {
	return strings.ReplaceAll(url.QueryEscape(p.RawPEM()), "+", "%20")
}

// opensslTime is how OpenSSL prints times: "Sep  4 10:00:00 2026 GMT".
const opensslTime = "Jan _2 15:04:05 2006 GMT"

// Start is $ssl_client_v_start.
func (p *Peer) Start() string {
	if p.Certificate == nil {
		return ""
	}
	return p.Certificate.NotBefore.UTC().Format(opensslTime)
}

// End is $ssl_client_v_end.
func (p *Peer) End() string {
	if p.Certificate == nil {
		return ""
	}
	return p.Certificate.NotAfter.UTC().Format(opensslTime)
}

// Remain is $ssl_client_v_remain: whole days until the certificate expires, at least 0.
func (p *Peer) Remain(now time.Time) string {
	if p.Certificate == nil {
		return ""
	}
	return strconv.FormatInt(max(int64(p.Certificate.NotAfter.Sub(now)/(24*time.Hour)), 0), 10)
}
