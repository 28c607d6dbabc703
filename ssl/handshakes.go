package ssl

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"

	"starling/lib/stripes"
)

// Handshakes counts TLS handshakes: those of the process, of a status zone, or with a server. A nil one counts nothing.
// It is safe for concurrent use, and cores that count at the same time do not share cache lines.
type Handshakes struct {
	counters stripes.Stripes[handshakeCounters]
}

type handshakeCounters struct {
	done, failed, reused atomic.Uint64
	reasons              [reasons]atomic.Uint64
}

// NewHandshakes returns counts of zero.
func NewHandshakes() *Handshakes { return &Handshakes{stripes.New[handshakeCounters]()} }

// failure is a reason for a failure that is counted by itself.
type failure uint8

const (
	noReason failure = iota // counted only as a failure
	noCommonProtocol
	noCommonCipher
	timeout
	peerRejectedCert
	noCert
	expiredCert
	revokedCert
	hostnameMismatch
	otherCertError
	reasons
)

// Done counts a handshake that succeeded.
func (h *Handshakes) Done(resumed bool) {
	if h == nil {
		return
	}
	var pick stripes.Pick
	c := h.counters.At(&pick)
	c.done.Add(1)
	if resumed {
		c.reused.Add(1)
	}
}

// Failed counts a handshake that failed.
func (h *Handshakes) Failed(err error) {
	if h == nil {
		return
	}
	var pick stripes.Pick
	c := h.counters.At(&pick)
	c.failed.Add(1)
	c.reasons[reasonOf(err)].Add(1)
}

// Unverified counts a client whose certificate was refused after a handshake that succeeded, with the error of Check;
// nil counts nothing.
func (h *Handshakes) Unverified(err error) {
	if h == nil || err == nil {
		return
	}
	var pick stripes.Pick
	h.counters.At(&pick).reasons[reasonOf(err)].Add(1)
}

// Reset sets all counts to zero.
func (h *Handshakes) Reset() {
	for c := range h.counters.All() {
		c.done.Store(0)
		c.failed.Store(0)
		c.reused.Store(0)
		for i := range c.reasons {
			c.reasons[i].Store(0)
		}
	}
}

// HandshakeFigures are the counts as the API shows them.
type HandshakeFigures struct {
	Handshakes       uint64         `json:"handshakes"`
	Failed           uint64         `json:"handshakes_failed"`
	Reuses           uint64         `json:"session_reuses"`
	NoCommonProtocol uint64         `json:"no_common_protocol"`
	NoCommonCipher   *uint64        `json:"no_common_cipher,omitempty"` // unless only with servers
	Timeout          uint64         `json:"handshake_timeout"`
	PeerRejectedCert uint64         `json:"peer_rejected_cert"`
	VerifyFailures   VerifyFailures `json:"verify_failures"`
}

// VerifyFailures are certificates that did not verify, by reason.
type VerifyFailures struct {
	NoCert           *uint64 `json:"no_cert,omitempty"` // unless only with servers
	Expired          uint64  `json:"expired_cert"`      // or not valid yet
	Revoked          uint64  `json:"revoked_cert"`
	HostnameMismatch *uint64 `json:"hostname_mismatch,omitempty"` // unless only with clients
	Other            uint64  `json:"other"`
}

// Figures sums up the counters, with the fields for clients and for servers.
func (h *Handshakes) Figures() HandshakeFigures {
	var f HandshakeFigures
	var by [reasons]uint64
	if h == nil {
		h = &Handshakes{}
	}
	for c := range h.counters.All() {
		f.Handshakes += c.done.Load()
		f.Failed += c.failed.Load()
		f.Reuses += c.reused.Load()
		for i := range by {
			by[i] += c.reasons[i].Load()
		}
	}
	f.NoCommonProtocol, f.Timeout, f.PeerRejectedCert = by[noCommonProtocol], by[timeout], by[peerRejectedCert]
	f.NoCommonCipher = &by[noCommonCipher]
	f.VerifyFailures = VerifyFailures{
		NoCert: &by[noCert], Expired: by[expiredCert], Revoked: by[revokedCert],
		HostnameMismatch: &by[hostnameMismatch], Other: by[otherCertError],
	}
	return f
}

// WithClients returns the figures without those of servers, as NGINX Plus shows them for a status zone.
func (f HandshakeFigures) WithClients() HandshakeFigures {
	f.VerifyFailures.HostnameMismatch = nil
	return f
}

// WithServers returns the figures without those of clients, as NGINX Plus shows them for a server of a group.
func (f HandshakeFigures) WithServers() HandshakeFigures {
	f.NoCommonCipher, f.VerifyFailures.NoCert = nil, nil
	return f
}

// reasonOf finds the reason in the error of a handshake or of a verification.
func reasonOf(err error) failure {
	var client *ClientError
	var server *VerifyError
	var remote *net.OpError
	switch {
	case errors.As(err, &client) && client.Missing:
		return noCert
	case client != nil && client.Status == statusRevoked:
		return revokedCert
	case client != nil && client.Status != "":
		return otherCertError
	case client != nil:
		return client.Code.failure()
	case errors.As(err, &server) && server.Name != "":
		return hostnameMismatch
	case server != nil:
		return server.Code.failure()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return timeout
	case errors.As(err, &remote) && remote.Op == "remote error":
		return alertReasons[remote.Err.Error()]
	}
	for text, r := range localReasons {
		if strings.Contains(err.Error(), text) {
			return r
		}
	}
	return noReason
}

func (c VerifyCode) failure() failure {
	switch c {
	case expired, notYetValid:
		return expiredCert
	case revoked:
		return revokedCert
	}
	return otherCertError
}

// localReasons are texts in the errors of crypto/tls, which have no types.
var localReasons = map[string]failure{
	"client offered only unsupported versions":            noCommonProtocol,
	"server selected unsupported protocol version":        noCommonProtocol,
	"no cipher suite supported by both client and server": noCommonCipher,
	"server chose an unconfigured cipher suite":           noCommonCipher,
}

// alertReasons are the reasons by the text of the peer's alert (RFC 8446, 6.2), which has no exported type either.
var alertReasons = alerts(map[tls.AlertError]failure{
	42: peerRejectedCert, // bad_certificate
	43: peerRejectedCert, // unsupported_certificate
	44: peerRejectedCert, // certificate_revoked
	45: peerRejectedCert, // certificate_expired
	46: peerRejectedCert, // certificate_unknown
	48: peerRejectedCert, // unknown_ca
	70: noCommonProtocol, // protocol_version
})

func alerts(byNumber map[tls.AlertError]failure) map[string]failure {
	byText := map[string]failure{}
	for alert, r := range byNumber {
		byText[alert.Error()] = r
	}
	return byText
}
