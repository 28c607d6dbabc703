package ssl

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// revocations is one revocation list.
type revocations struct {
	issuer      string // DER name
	from, until time.Time
	serials     map[string]bool
	// signedBy checks the signature.
	signedBy func(issuer *x509.Certificate) error
}

// parseLists returns the revocation lists of a PEM file by their issuers' DER names.
func parseLists(data []byte) (map[string][]*revocations, error) {
	lists := map[string][]*revocations{}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		r, err := parseList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("PEM_read_bio_X509_CRL() failed (%w)", err)
		}
		lists[r.issuer] = append(lists[r.issuer], r)
	}
	if len(lists) == 0 {
		return nil, errors.New("PEM_read_bio_X509_CRL() failed (no start line: Expecting: X509 CRL)")
	}
	return lists, nil
}

func parseList(der []byte) (*revocations, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		if old, oldErr := parseFirstVersion(der); oldErr == nil {
			return old, nil
		}
		return nil, err
	}
	r := &revocations{
		issuer:   string(list.RawIssuer),
		from:     list.ThisUpdate,
		until:    list.NextUpdate,
		serials:  map[string]bool{},
		signedBy: list.CheckSignatureFrom,
	}
	for _, e := range list.RevokedCertificateEntries {
		const removeFromCRL = 8 // RFC 5280 5.3.1: no longer revoked
		if e.ReasonCode != removeFromCRL {
			r.serials[serialKey(e.SerialNumber)] = true
		}
	}
	return r, nil
}

// parseFirstVersion reads lists of version 1, the default of `openssl ca -gencrl`, which the newer functions of the
// library reject.
func parseFirstVersion(der []byte) (*revocations, error) {
	//lint:ignore SA1019 the newer function rejects version 1
	list, err := x509.ParseDERCRL(der)
	if err != nil {
		return nil, err
	}
	tbs := &list.TBSCertList
	const firstVersion = 0
	if tbs.Version != firstVersion {
		return nil, errors.New("unsupported version of the CRL")
	}
	var start struct{ Algorithm, Issuer asn1.RawValue } // tbs.Issuer has lost the types of its strings
	if _, err := asn1.Unmarshal(tbs.Raw, &start); err != nil {
		return nil, err
	}
	r := &revocations{
		issuer:  string(start.Issuer.FullBytes),
		from:    tbs.ThisUpdate,
		until:   tbs.NextUpdate,
		serials: map[string]bool{},
		//lint:ignore SA1019 there is no newer function for version 1
		signedBy: func(issuer *x509.Certificate) error { return issuer.CheckCRLSignature(list) },
	}
	for _, e := range tbs.RevokedCertificates {
		r.serials[serialKey(e.SerialNumber)] = true
	}
	return r, nil
}

func serialKey(n *big.Int) string { return n.Text(36) }
