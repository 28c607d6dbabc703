package ssl

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// Used is a certificate that a configuration uses, with the file that it is from.
type Used struct {
	File        string
	Certificate *x509.Certificate
}

// used puts the certificates of a configuration beside their files, in the order of both.
func (c *Common) used(config *tls.Config) []Used {
	var list []Used
	for i, f := range c.Certificates {
		list = append(list, Used{shown(f.Certificate), config.Certificates[i].Leaf})
	}
	return list
}

// Used are the certificates that the server shows, as far as their names are known before a handshake.
func (s *Server) Used() []Used { return s.used }

// Used is the certificate that is shown to others, if its name is known before a handshake.
func (c *Client) Used() []Used { return c.used }

// Trusted are the certificates of authorities by which others are verified.
func (c *Client) Trusted() []Used { return c.verify.used }

// Trusts says how a client that shows a certificate would be verified.
func (s *Server) Trusts(own *tls.Certificate, now time.Time) VerifyCode {
	return s.verify.verify(parsed(own), x509.ExtKeyUsageClientAuth, now)
}

// Trusts says how a server that shows a certificate would be verified, but for its name.
func (c *Client) Trusts(own *tls.Certificate, now time.Time) VerifyCode {
	return c.verify.verify(parsed(own), x509.ExtKeyUsageServerAuth, now)
}

// parsed is the chain of a certificate that was loaded before, and so can be parsed.
func parsed(own *tls.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{own.Leaf}
	for _, der := range own.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, c)
		}
	}
	return chain
}
