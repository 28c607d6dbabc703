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

// used pairs the certificates of a configuration with their files, in the order of both.
func (c *Common) used(config *tls.Config) []Used {
	var list []Used
	for i, f := range c.Certificates {
		list = append(list, Used{shown(f.Certificate), config.Certificates[i].Leaf})
	}
	return list
}

// Used are the server's certificates whose names are known before a handshake.
func (s *Server) Used() []Used { return s.used }

// Used is the client certificate, if its name is known before a handshake.
func (c *Client) Used() []Used { return c.used }

// Trusted are the certificates of the trusted authorities.
func (c *Client) Trusted() []Used { return c.verify.used }

// Trusts returns how a client with a certificate would be verified.
func (s *Server) Trusts(own *tls.Certificate, now time.Time) VerifyCode {
	return s.verify.verify(parsed(own), x509.ExtKeyUsageClientAuth, now)
}

// Trusts returns how a server with a certificate would be verified, without its name.
func (c *Client) Trusts(own *tls.Certificate, now time.Time) VerifyCode {
	return c.verify.verify(parsed(own), x509.ExtKeyUsageServerAuth, now)
}

// parsed is the chain of a certificate that was loaded before, so parsing cannot fail.
func parsed(own *tls.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{own.Leaf}
	for _, der := range own.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, c)
		}
	}
	return chain
}
