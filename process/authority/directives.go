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

// placement says where the nodes keep their files and on which port they meet.
type placement struct {
	at   string // folder of the certificates on the nodes; "" is that of the store
	port int
}

func (p placement) check() error {
	if p.port < 1 || p.port > 65535 {
		return fmt.Errorf("--port %d is no port", p.port)
	}
	// A variable would be looked up at every handshake, and nginx's language has no way to write a dollar.
	if strings.ContainsAny(p.at, "$\n") {
		return fmt.Errorf("path %q contains a character that a configuration cannot name", p.at)
	}
	return nil
}

// in makes the folder absolute: relative paths of a configuration begin elsewhere.
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

// path names a file of a node in the words of nginx.conf.
func (p placement) path(name string) string { return quoted(filepath.Join(p.at, name)) }

var plain = regexp.MustCompile(`^[A-Za-z0-9_./~+=@%:-]+$`)

func quoted(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// directives are the server of zone_sync for one node, to be pasted into its stream block as they are.
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

// address is where the others reach a node: its first address, else its first name.
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
