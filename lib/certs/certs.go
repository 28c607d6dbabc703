// Package certs makes certificates: a certificate authority and the certificates that it signs.
//
// NewAuthority and Issue are for the demo and for tests, with a short lifetime. Production certificates need every
// detail: Make and Sign.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"
)

// lifetime of what NewAuthority and Issue make is short on purpose: it outlives a demo or a test run and no more.
const lifetime = 30 * 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	// PEM is the authority's certificate, for clients to trust.
	PEM []byte
}

// Subject is the subject of a certificate.
type Subject = pkix.Name

// Request describes a certificate to make.
type Request struct {
	Subject Subject
	// RawSubject, if not empty, replaces Subject: the exact bytes of another certificate.
	RawSubject  []byte
	DNSNames    []string
	IPAddresses []net.IP
	URIs        []*url.URL
	From, Until time.Time
	// KeyType is one of KeyTypes.
	KeyType string
}

// KeyTypes are the supported kinds of keys, the default first.
var KeyTypes = []string{"p256", "p384", "rsa2048", "rsa4096"}

// NewKey makes a key of one of KeyTypes.
func NewKey(keyType string) (crypto.Signer, error) {
	switch keyType {
	case "p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, fmt.Errorf("unknown key type %q: use %s", keyType, strings.Join(KeyTypes, ", "))
}

// KeyTypeOf returns which of KeyTypes a public key is, or "".
func KeyTypeOf(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return "p256"
		case elliptic.P384():
			return "p384"
		}
	case *rsa.PublicKey:
		switch key.N.BitLen() {
		case 2048:
			return "rsa2048"
		case 4096:
			return "rsa4096"
		}
	}
	return ""
}

// NewAuthority makes an authority with a new key and a lifetime for a demo.
func NewAuthority(name string) (*Authority, error) {
	return Make(demoRequest(name))
}

// Make makes a self-signed authority. It may sign certificates, but no further authorities.
func Make(r Request) (*Authority, error) {
	key, err := NewKey(r.KeyType)
	if err != nil {
		return nil, err
	}
	tpl, err := r.template()
	if err != nil {
		return nil, err
	}
	tpl.IsCA, tpl.BasicConstraintsValid, tpl.MaxPathLenZero = true, true, true
	tpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{cert: cert, key: key, PEM: encode("CERTIFICATE", der)}, nil
}

// Existing is an authority made from a stored certificate and key.
func Existing(cert *x509.Certificate, key crypto.Signer) *Authority {
	return &Authority{cert: cert, key: key, PEM: encode("CERTIFICATE", cert.Raw)}
}

// Certificate is the authority's own certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// KeyPEM is the authority's key.
func (a *Authority) KeyPEM() ([]byte, error) { return keyPEM(a.key) }

// Issue makes a certificate for server and client use. names are IP addresses or host names; the first is the common
// name.
func (a *Authority) Issue(names ...string) (certPEM, keyPEM []byte, err error) {
	if len(names) == 0 {
		return nil, nil, fmt.Errorf("certificate has no name")
	}
	r := demoRequest(names[0])
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			r.IPAddresses = append(r.IPAddresses, ip)
		} else {
			r.DNSNames = append(r.DNSNames, n)
		}
	}
	return a.Sign(r)
}

// Sign makes a key and a certificate for server and client use, both in PEM.
func (a *Authority) Sign(r Request) (certificate, private []byte, err error) {
	return a.SignFor([]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, r)
}

// SignFor is Sign for other uses.
func (a *Authority) SignFor(uses []x509.ExtKeyUsage, r Request) (certificate, private []byte, err error) {
	key, err := NewKey(r.KeyType)
	if err != nil {
		return nil, nil, err
	}
	tpl, err := r.template()
	if err != nil {
		return nil, nil, err
	}
	tpl.KeyUsage = x509.KeyUsageDigitalSignature
	tpl.ExtKeyUsage = uses
	tpl.DNSNames, tpl.IPAddresses, tpl.URIs = r.DNSNames, r.IPAddresses, r.URIs
	der, err := x509.CreateCertificate(rand.Reader, tpl, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	private, err = keyPEM(key)
	return encode("CERTIFICATE", der), private, err
}

func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encode("PRIVATE KEY", der), nil
}

// Pair is Issue for a program that serves the certificate itself.
func (a *Authority) Pair(names ...string) (tls.Certificate, error) {
	cert, key, err := a.Issue(names...)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// Revoke makes a revocation list of the given certificates, in PEM.
func (a *Authority) Revoke(certPEMs ...[]byte) ([]byte, error) {
	now := time.Now()
	list := &x509.RevocationList{
		Number:     big.NewInt(now.UnixNano()),
		ThisUpdate: now.Add(-time.Hour),
		NextUpdate: now.Add(lifetime),
	}
	for _, p := range certPEMs {
		block, _ := pem.Decode(p)
		if block == nil {
			return nil, fmt.Errorf("certificate to revoke has no PEM block")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: now.Add(-time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		return nil, err
	}
	return encode("X509 CRL", der), nil
}

// demoRequest requests a certificate that outlives a demo. Its validity starts an hour ago, so that a machine whose
// clock lags still accepts it.
func demoRequest(name string) Request {
	now := time.Now()
	return Request{
		Subject: Subject{CommonName: name, Organization: []string{"starling"}},
		From:    now.Add(-time.Hour), Until: now.Add(lifetime), KeyType: KeyTypes[0],
	}
}

func (r *Request) template() (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: r.Subject, RawSubject: r.RawSubject, NotBefore: r.From, NotAfter: r.Until,
	}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
