package authority

import (
	"crypto/x509"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// placement is the location of the nodes' files and their sync port.
type placement struct {
	at   string // folder of the certificates on the nodes; "" is that of the store
	port int
}

func (p placement) check() error {
	if p.port < 1 || p.port > 65535 {
		return fmt.Errorf("--port %d is no port", p.port)
	}
	// A variable would be looked up at every handshake, and nginx's language cannot write a literal dollar.
	if strings.ContainsAny(p.at, "$\n") {
		return fmt.Errorf("path %q contains a character that a configuration cannot name", p.at)
	}
	return nil
}

// in makes the folder absolute: relative paths in a configuration have another base.
func (p placement) in(s *store) (placement, error) {
	if p.at == "" {
		at, err := filepath.Abs(s.dir)
		if err != nil {
			return p, err
		}
		p.at = at
	}
	return p, p.check()
}

// path is the path of a node's file as written in nginx.conf.
func (p placement) path(name string) string { return quoted(filepath.Join(p.at, name)) }

var plain = regexp.MustCompile(`^[A-Za-z0-9_./~+=@%:-]+$`)

func quoted(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// directives are the server of zone_sync for one node, ready to paste into its stream block.
func (p placement) directives(m member, all []member, cluster string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: for the stream block of its configuration. The node needs ca.crt, %[1]s.crt and\n# "+
		"%[1]s.key in %s.\n",
		m.name, p.at)
	listen := strconv.Itoa(p.port)
	if len(m.cert.IPAddresses) > 0 {
		listen = p.address(m.cert)
	}
	certificate, key, trust := p.path(m.name+certificateOf), p.path(m.name+keyOf), p.path(authorityName+certificateOf)
	fmt.Fprintf(&b, `server {
    listen %s ssl;

    ssl_certificate        %s;
    ssl_certificate_key    %s;
    ssl_verify_client      on;
    ssl_client_certificate %s;

    zone_sync;
`, listen, certificate, key, trust)
	for _, other := range all {
		if other.cert != nil {
			fmt.Fprintf(&b, "    zone_sync_server %s;\n", p.address(other.cert))
		}
	}
	fmt.Fprintf(&b, `
    zone_sync_ssl                     on;
    zone_sync_ssl_verify              on;
    zone_sync_ssl_name                %s;
    zone_sync_ssl_trusted_certificate %s;
    zone_sync_ssl_certificate         %s;
    zone_sync_ssl_certificate_key     %s;
}
`, cluster, trust, certificate, key)
	return b.String()
}

// address is how the others reach a node: its first address, otherwise its first name.
func (p placement) address(c *x509.Certificate) string {
	host := c.Subject.CommonName
	switch {
	case len(c.IPAddresses) > 0:
		host = c.IPAddresses[0].String()
	case len(c.DNSNames) > 0:
		host = c.DNSNames[0]
	}
	return net.JoinHostPort(host, strconv.Itoa(p.port))
}
