package ssl

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// VerifyCode is the result of verifying a certificate, with OpenSSL's numbers and texts, which configurations
// ($ssl_client_verify) and logs show.
type VerifyCode int

// The codes that this package can produce.
const (
	VerifyOK               VerifyCode = 0
	noIssuer               VerifyCode = 2
	noCRL                  VerifyCode = 3
	badSignature           VerifyCode = 7
	badCRLSignature        VerifyCode = 8
	notYetValid            VerifyCode = 9
	expired                VerifyCode = 10
	crlNotYetValid         VerifyCode = 11
	crlExpired             VerifyCode = 12
	selfSignedLeaf         VerifyCode = 18
	selfSignedInChain      VerifyCode = 19
	noLocalIssuer          VerifyCode = 20
	unverifiedLeaf         VerifyCode = 21
	revoked                VerifyCode = 23
	pathTooLong            VerifyCode = 25
	wrongPurpose           VerifyCode = 26
	unhandledExtension     VerifyCode = 34
	nameNotPermitted       VerifyCode = 47
	invalidCA              VerifyCode = 79
	unspecifiedVerifyError VerifyCode = 1
)

var verifyTexts = map[VerifyCode]string{
	VerifyOK:               "ok",
	unspecifiedVerifyError: "unspecified certificate verification error",
	noIssuer:               "unable to get issuer certificate",
	noCRL:                  "unable to get certificate CRL",
	badSignature:           "certificate signature failure",
	badCRLSignature:        "CRL signature failure",
	notYetValid:            "certificate is not yet valid",
	expired:                "certificate has expired",
	crlNotYetValid:         "CRL is not yet valid",
	crlExpired:             "CRL has expired",
	selfSignedLeaf:         "self-signed certificate",
	selfSignedInChain:      "self-signed certificate in certificate chain",
	noLocalIssuer:          "unable to get local issuer certificate",
	unverifiedLeaf:         "unable to verify the first certificate",
	revoked:                "certificate revoked",
	pathTooLong:            "path length constraint exceeded",
	wrongPurpose:           "unsuitable certificate purpose",
	unhandledExtension:     "unhandled critical extension",
	nameNotPermitted:       "permitted subtree violation",
	invalidCA:              "invalid CA certificate",
}

func (c VerifyCode) String() string { return verifyTexts[c] }

// untrustedOnly reports that only trust is missing: optional_no_ca accepts that.
func (c VerifyCode) untrustedOnly() bool {
	return c == selfSignedLeaf || c == selfSignedInChain || c == noLocalIssuer || c == unverifiedLeaf
}

// verifier checks chains as OpenSSL does with the trusted certificates of nginx: only self-signed ones end a chain,
// others of the file are intermediates, unless OpenSSL's trust settings say otherwise; with revocation lists every
// certificate of the chain is looked up.
type verifier struct {
	roots   *x509.CertPool
	others  []*x509.Certificate
	all     []*x509.Certificate
	used    []Used // with their files; also those that may not be used
	depth   int
	lists   map[string][]*revocations // by the issuer's DER name
	checked bool                      // a CRL file was given
}

func newVerifier(
	trusted []string,
	usage x509.ExtKeyUsage,
	crl string,
	depth int,
	read ReadFile,
) (*verifier, error) {
	v := &verifier{roots: x509.NewCertPool(), depth: depth}
	for _, path := range trusted {
		if path == "" {
			continue
		}
		certs, err := loadTrusted(path, read)
		if err != nil {
			return nil, err
		}
		for _, t := range certs {
			c := t.Certificate
			v.used = append(v.used, Used{path, c})
			switch ends, allowed := t.endsChain(usage); {
			case ends:
				v.roots.AddCert(c)
				v.all = append(v.all, c)
			case allowed:
				v.others = append(v.others, c)
				v.all = append(v.all, c)
			}
		}
	}
	if crl == "" {
		return v, nil
	}
	v.checked = true
	data, err := opened(crl, read)
	if err != nil {
		return nil, fmt.Errorf("cannot load CRL %q: %w", crl, err)
	}
	if v.lists, err = parseLists(data); err != nil {
		return nil, fmt.Errorf("cannot load CRL %q: %w", crl, err)
	}
	return v, nil
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// verify checks a chain as sent, the leaf certificate first. Of several errors it returns the one that OpenSSL finds
// last, because nginx lets it continue: trust, then purpose, then revocation, then time.
func (v *verifier) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) VerifyCode {
	code, _ := v.path(chain, usage, now)
	return code
}

// path is verify with the path from the leaf to the root; nil if there is none that is valid.
func (v *verifier) path(
	chain []*x509.Certificate,
	usage x509.ExtKeyUsage,
	now time.Time,
) (VerifyCode, []*x509.Certificate) {
	leaf := chain[0]
	code, path := v.verifyPaths(chain, usage, now)
	switch {
	case now.Before(leaf.NotBefore):
		return notYetValid, nil
	case now.After(leaf.NotAfter):
		return expired, nil
	case (code == VerifyOK || code.brokenChain()) && !fitsUsage(leaf, usage):
		return wrongPurpose, nil
	}
	return code, path
}

// brokenChain means that no root was reached, which OpenSSL finds first of all.
func (c VerifyCode) brokenChain() bool {
	return c == noIssuer || c == selfSignedLeaf || c == selfSignedInChain || c == noLocalIssuer
}

// fitsUsage checks the permitted uses in a certificate's extensions, if it has them.
func fitsUsage(leaf *x509.Certificate, usage x509.ExtKeyUsage) bool {
	allowed := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement
	if usage == x509.ExtKeyUsageServerAuth {
		allowed |= x509.KeyUsageKeyEncipherment
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&allowed == 0 {
		return false
	}
	restricted := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0
	return !restricted || slices.Contains(leaf.ExtKeyUsage, usage) ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func (v *verifier) verifyPaths(
	chain []*x509.Certificate,
	usage x509.ExtKeyUsage,
	now time.Time,
) (VerifyCode, []*x509.Certificate) {
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	for _, c := range v.others {
		intermediates.AddCert(c)
	}
	built, err := chain[0].Verify(x509.VerifyOptions{Roots: v.roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return v.explain(err, chain, now), nil
	}
	worst := VerifyOK
	for _, path := range built {
		code := v.checkPath(path, now)
		if code == VerifyOK {
			return VerifyOK, path
		}
		worst = code
	}
	return worst, nil
}

// checkPath checks what x509 does not: the depth, and the revocation of every certificate.
func (v *verifier) checkPath(path []*x509.Certificate, now time.Time) VerifyCode {
	if len(path) > v.depth+2 { // neither the leaf certificate nor the root counts
		// OpenSSL stops searching for issuers there, and reports it.
		for _, c := range path[:len(path)-1] {
			if slices.ContainsFunc(v.others, c.Equal) {
				return noIssuer
			}
		}
		return noLocalIssuer
	}
	if !v.checked {
		return VerifyOK
	}
	code := VerifyOK
	for i, c := range path {
		issuer := path[min(i+1, len(path)-1)]
		if fault := v.checkRevoked(c, issuer, now); fault != VerifyOK {
			code = fault // the last one stays, as in OpenSSL
		}
	}
	return code
}

// checkRevoked looks a certificate up in all lists of its issuer: it needs at least one valid list, and is revoked if
// any list has it.
func (v *verifier) checkRevoked(c, issuer *x509.Certificate, now time.Time) VerifyCode {
	code := noCRL
	for _, r := range v.lists[string(c.RawIssuer)] {
		this := VerifyOK
		switch {
		case r.signedBy(issuer) != nil:
			this = badCRLSignature
		case r.serials[serialKey(c.SerialNumber)]:
			return revoked
		case now.Before(r.from):
			this = crlNotYetValid
		case !r.until.IsZero() && now.After(r.until):
			this = crlExpired
		}
		if code != VerifyOK {
			code = this
		}
	}
	return code
}

// explain finds the OpenSSL code for an error of x509.
func (v *verifier) explain(err error, chain []*x509.Certificate, now time.Time) VerifyCode {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var extension x509.UnhandledCriticalExtension
	switch {
	case errors.As(err, &invalid):
		return explainInvalid(invalid, now)
	case errors.As(err, &extension):
		return unhandledExtension
	case errors.As(err, &unknown):
		return v.explainUnknown(chain)
	}
	return unspecifiedVerifyError
}

func explainInvalid(err x509.CertificateInvalidError, now time.Time) VerifyCode {
	switch err.Reason {
	case x509.Expired:
		if err.Cert != nil && now.Before(err.Cert.NotBefore) {
			return notYetValid
		}
		return expired
	case x509.NotAuthorizedToSign:
		return invalidCA
	case x509.TooManyIntermediates:
		return pathTooLong
	case x509.IncompatibleUsage:
		return wrongPurpose
	case x509.CANotAuthorizedForThisName, x509.CANotAuthorizedForExtKeyUsage:
		return nameNotPermitted
	}
	return unspecifiedVerifyError
}

// explainUnknown walks up from the leaf certificate as OpenSSL builds its chain, to report where it breaks off.
func (v *verifier) explainUnknown(chain []*x509.Certificate) VerifyCode {
	at, length, fromFile := chain[0], 1, false
	for length <= len(chain)+len(v.all) {
		if selfSigned(at) {
			switch {
			case fromFile:
				return badSignature // it leads to a root, yet does not verify
			case length == 1:
				return selfSignedLeaf
			}
			return selfSignedInChain
		}
		next := issuerOf(at, v.all)
		if next != nil {
			fromFile = true
		} else if next = issuerOf(at, chain[1:]); next == nil {
			break
		}
		at = next
		length++
	}
	switch {
	case fromFile:
		return noIssuer
	case length == 1:
		return unverifiedLeaf
	}
	return noLocalIssuer
}

func issuerOf(c *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	for _, other := range among {
		if bytes.Equal(c.RawIssuer, other.RawSubject) && !other.Equal(c) {
			return other
		}
	}
	return nil
}
