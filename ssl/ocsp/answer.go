package ocsp

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // hashes of certificates' identifiers
	"crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Status is what a responder says of a certificate.
type Status uint8

// The statuses, with OpenSSL's words.
const (
	Good Status = iota
	Revoked
	Unknown
)

func (s Status) String() string { return [...]string{"good", "revoked", "unknown"}[s] }

// Answer is one that counts.
type Answer struct {
	Status Status
	// Until is when the responder will know more; zero if it does not say.
	Until time.Time
	// Raw is the answer as sent.
	Raw []byte
}

// slack is how far the clock of a responder may differ, as in nginx.
const slack = 5 * time.Minute

// Signer decides whether the signer of an answer may speak for the issuer of the certificate: the embedded certificate
// of the answer, or nil.
type Signer func(embedded *x509.Certificate, signedBy func(*x509.Certificate) bool, now time.Time) bool

// Authorized is the rule of RFC 6960, section 4.2.2.2: the issuer itself, or a certificate for signing answers that the
// issuer has signed.
func Authorized(issuer *x509.Certificate) Signer {
	return func(embedded *x509.Certificate, signedBy func(*x509.Certificate) bool, now time.Time) bool {
		switch {
		case signedBy(issuer):
			return true
		case embedded == nil:
			return false
		}
		return Delegated(embedded, now) && embedded.CheckSignatureFrom(issuer) == nil
	}
}

// Delegated reports whether a certificate is one for signing answers.
func Delegated(c *x509.Certificate, now time.Time) bool {
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) &&
		!now.Before(c.NotBefore) && !now.After(c.NotAfter)
}

// Parse returns the status of a certificate if the answer is about it, current, and signed by a signer that may.
func Parse(raw []byte, certificate, issuer *x509.Certificate, may Signer, now time.Time) (Answer, error) {
	response, err := ocsp.ParseResponseForCert(raw, certificate, nil)
	var refused ocsp.ResponseError
	switch {
	case errors.As(err, &refused):
		return Answer{}, fmt.Errorf("OCSP response not successful (%d: %s)", int(refused.Status), refused.Status)
	case err != nil:
		return Answer{}, fmt.Errorf("d2i_OCSP_RESPONSE() failed (%w)", err)
	case !isAbout(raw, response.IssuerHash, certificate, issuer):
		return Answer{}, errors.New("certificate status not found in the OCSP response")
	}
	signedBy := func(c *x509.Certificate) bool { return response.CheckSignatureFrom(c) == nil }
	if !may(response.Certificate, signedBy, now) {
		return Answer{}, errors.New("OCSP_basic_verify() failed (the signer is not trusted)")
	}
	switch {
	case response.ThisUpdate.After(now.Add(slack)):
		return Answer{}, errors.New("OCSP_check_validity() failed (status not yet valid)")
	case !response.NextUpdate.IsZero() && response.NextUpdate.Before(now.Add(-slack)):
		return Answer{}, errors.New("OCSP_check_validity() failed (status expired)")
	case response.Status < ocsp.Good || response.Status > ocsp.Unknown:
		return Answer{}, errors.New("certificate status not found in the OCSP response")
	}
	return Answer{Status: Status(response.Status), Until: response.NextUpdate, Raw: raw}, nil
}

// Valid checks only that bytes are an answer, of whatever content.
func Valid(raw []byte) error {
	var outer outerResponse
	rest, err := asn1.Unmarshal(raw, &outer)
	if err == nil && len(rest) > 0 {
		err = errors.New("trailing data")
	}
	return err
}

// The parts of an answer that the library does not show: the identifiers of the certificates that it is about.
type outerResponse struct {
	Status asn1.Enumerated
	Inner  struct {
		Type asn1.ObjectIdentifier
		Data []byte
	} `asn1:"explicit,tag:0,optional"`
}

type innerResponse struct {
	Data struct {
		Version     int `asn1:"optional,default:0,explicit,tag:0"`
		ResponderID asn1.RawValue
		ProducedAt  asn1.RawValue
		Responses   []struct{ ID certificateID }
	}
}

type certificateID struct {
	Hash      pkix.AlgorithmIdentifier
	NameHash  []byte
	IssuerKey []byte
	Serial    *big.Int
}

// isAbout reports whether the first status with the serial number of a certificate, which the library takes, names its
// issuer too: a responder may speak for several.
func isAbout(raw []byte, hash crypto.Hash, certificate, issuer *x509.Certificate) bool {
	var outer outerResponse
	var inner innerResponse
	if _, err := asn1.Unmarshal(raw, &outer); err != nil {
		return false
	}
	if _, err := asn1.Unmarshal(outer.Inner.Data, &inner); err != nil {
		return false
	}
	for _, r := range inner.Data.Responses {
		if r.ID.Serial.Cmp(certificate.SerialNumber) == 0 {
			name, key := issuerHashes(hash, certificate, issuer)
			return name != nil && bytes.Equal(r.ID.NameHash, name) && bytes.Equal(r.ID.IssuerKey, key)
		}
	}
	return false
}

// issuerHashes identify an issuer in questions and answers; nil if that is impossible.
func issuerHashes(hash crypto.Hash, certificate, issuer *x509.Certificate) (name, key []byte) {
	der, err := ocsp.CreateRequest(certificate, issuer, &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		return nil, nil
	}
	request, err := ocsp.ParseRequest(der)
	if err != nil {
		return nil, nil
	}
	return request.IssuerNameHash, request.IssuerKeyHash
}

// Key identifies a certificate, as in nginx's cache: the hashes of its issuer, and the serial number. It is a digest,
// because an authority can issue serial numbers of many kilobytes, and caches count keys, not their bytes.
func Key(certificate, issuer *x509.Certificate) string {
	name, key := issuerHashes(crypto.SHA1, certificate, issuer)
	sum := sha256.Sum256(slices.Concat(name, key, certificate.SerialNumber.Bytes()))
	return string(sum[:])
}
