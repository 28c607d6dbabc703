package ssl

import (
	"crypto/x509"
	"slices"
	"strings"
)

// Identity is the name in a certificate: its subject in the form of RFC 2253 or, if that is empty, its alternative
// names. A renewed certificate has the same. It is only as reliable as the verification of the certificate: any trusted
// authority may issue it.
func Identity(cert *x509.Certificate) string {
	if subject := distinguishedName(cert.RawSubject); subject != "" {
		return subject
	}
	var names []string
	for _, name := range cert.DNSNames {
		names = append(names, "DNS:"+name)
	}
	for _, address := range cert.IPAddresses {
		names = append(names, "IP:"+address.String())
	}
	for _, uri := range cert.URIs {
		names = append(names, "URI:"+uri.String())
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}
