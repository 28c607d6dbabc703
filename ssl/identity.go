package ssl

import (
	"crypto/x509"
	"slices"
	"strings"
)

// Identity is who a certificate names: its subject in the form of RFC 2253 or, where that is empty, its alternative
// names. A renewed certificate has the same. It is worth what the verification of the certificate is worth: any of the
// trusted authorities may give it.
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
