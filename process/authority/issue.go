package authority

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starling/lib/certs"
)

// validity is how long a certificate lives and of what kind its key is.
type validity struct {
	days    int
	keyType string
}

// maxDays is a hundred years: more is a typing error.
const maxDays = 36500

func (v validity) check() error {
	if v.days < 1 || v.days > maxDays {
		return fmt.Errorf("--days %d is not between 1 and %d", v.days, maxDays)
	}
	if !slices.Contains(certs.KeyTypes, v.keyType) {
		return fmt.Errorf("unknown key type %q: use %s", v.keyType, strings.Join(certs.KeyTypes, ", "))
	}
	return nil
}

func (v validity) life() time.Duration { return time.Duration(v.days) * 24 * time.Hour }

// maxNameBytes is the longest common name that X.509 allows.
const maxNameBytes = 64

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)
	wildcard = regexp.MustCompile(`^\*\.`)
)

// spec is one node to be certified: "NAME,NAME-OR-ADDRESS,…".
type spec struct {
	name      string
	names     []string
	addresses []net.IP
}

func parseSpec(text string) (spec, error) {
	words := strings.Split(text, ",")
	s := spec{name: words[0]}
	switch {
	case s.name == "":
		return s, fmt.Errorf("node %q has no name: write NAME,ADDRESS", text)
	case s.name == authorityName:
		return s, fmt.Errorf("a node cannot be called %q: its files would be the CA's", s.name)
	case len(s.name) > maxNameBytes:
		return s, fmt.Errorf("name %q is longer than %d bytes", s.name, maxNameBytes)
	case wildcard.MatchString(s.name):
		return s, fmt.Errorf("name %q: the first name of a node tells it from others and cannot be a wildcard", s.name)
	}
	for _, word := range words {
		if address, err := netip.ParseAddr(word); err == nil {
			if address.Zone() != "" {
				return s, fmt.Errorf("address %q has a zone, which a certificate cannot have", word)
			}
			s.addresses = append(s.addresses, address.Unmap().AsSlice())
			continue
		}
		if !hostName.MatchString(wildcard.ReplaceAllString(word, "")) {
			return s, fmt.Errorf("%q of node %q is neither a host name nor an IP address", word, s.name)
		}
		s.names = append(s.names, word)
	}
	return s, nil
}

// issue certifies all nodes or none.
func (s *store) issue(texts []string, v validity, replace bool) (own *authority, names []string, err error) {
	if err := v.check(); err != nil {
		return nil, nil, err
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if own, err = s.authority(); err != nil {
		return nil, nil, err
	}
	var files []file
	for _, text := range texts {
		node, err := parseSpec(text)
		if err != nil {
			return nil, nil, err
		}
		if slices.Contains(names, node.name) {
			return nil, nil, fmt.Errorf("node %q is named twice", node.name)
		}
		names = append(names, node.name)
		made, err := s.sign(own, node.name, s.request(own, node, v))
		if err != nil {
			return nil, nil, err
		}
		files = append(files, made...)
	}
	return own, names, writeAll(files, replace)
}

// request is the certificate of a node: besides its own names it has that of the cluster.
func (s *store) request(own *authority, node spec, v validity) certs.Request {
	if !slices.Contains(node.names, own.cluster()) {
		node.names = append(node.names, own.cluster())
	}
	return certs.Request{
		Subject:  certs.Subject{CommonName: node.name, Organization: []string{own.cluster()}},
		DNSNames: node.names, IPAddresses: node.addresses,
		Until: s.now.Add(v.life()), KeyType: v.keyType,
	}
}

// The names of a node's files in a folder of its own, which are those in a Secret of Kubernetes: so the directives are
// the same wherever the certificate comes from.
const (
	secretTrusted     = "ca.crt"
	secretCertificate = "tls.crt"
	secretKey         = "tls.key"
)

// issueInto certifies one node and writes its files to another folder. It changes nothing in the CA's, which may be
// read-only.
func (s *store) issueInto(c *cobra.Command, out string, texts []string, v validity, replace bool) error {
	if len(texts) > 1 {
		return fmt.Errorf("--out takes one node, not %d: its files have fixed names", len(texts))
	}
	if err := v.check(); err != nil {
		return err
	}
	own, err := s.authority()
	if err != nil {
		return err
	}
	node, err := parseSpec(texts[0])
	if err != nil {
		return err
	}
	made, err := s.sign(own, node.name, s.request(own, node, v))
	if err != nil {
		return err
	}
	files := append(made, s.trustFile(own.trusted))
	for i, name := range []string{secretKey, secretCertificate, secretTrusted} {
		files[i].path = filepath.Join(out, name)
	}
	if err := writeAll(files, replace); err != nil {
		return err
	}
	own.sayCut(c.ErrOrStderr())
	_, err = fmt.Fprintf(c.OutOrStdout(), "made a certificate of node %q of the cluster %q in %s\n", node.name,
		own.cluster(), out)
	return err
}

// sign makes the files of a node. No certificate outlives its CA: it would be worthless from then on.
func (s *store) sign(own *authority, name string, r certs.Request) ([]file, error) {
	r.From = s.now.Add(-startsEarlier)
	if end := own.Certificate().NotAfter; r.Until.After(end) {
		r.Until, own.cut = end, true
	}
	certificate, key, err := own.Sign(r)
	if err != nil {
		return nil, fmt.Errorf("node %q: %w", name, err)
	}
	return []file{
		{s.path(name, keyOf), key, keyMode},
		{s.path(name, certificateOf), certificate, certificateMode},
	}, nil
}

// init makes the folder and its CA.
func (s *store) init(cluster string, v validity, replace bool) (err error) {
	if err := v.check(); err != nil {
		return err
	}
	if most := maxNameBytes - len(" CA 000000"); !hostName.MatchString(cluster) || len(cluster) > most {
		return fmt.Errorf("--cluster %q is not a host name of at most %d bytes", cluster, most)
	}
	own, err := s.newAuthority(cluster, v.keyType, v.life())
	if err != nil {
		return err
	}
	files, err := s.authorityFiles(own, nil)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, folderMode); err != nil {
		return err
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return writeAll(files, replace)
}

// renewal selects the certificates to renew.
type renewal struct {
	names  []string
	all    bool
	within int // only those with fewer days left; 0: all
	days   int // 0: as long as before
}

// rotate renews certificates with new keys, for the same subjects and names: a node's identity does not change.
func (s *store) rotate(r renewal) (own *authority, names []string, err error) {
	if r.days != 0 {
		if err := (validity{r.days, certs.KeyTypes[0]}).check(); err != nil {
			return nil, nil, err
		}
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if own, err = s.authority(); err != nil {
		return nil, nil, err
	}
	members, err := s.chosen(r)
	if err != nil {
		return nil, nil, err
	}
	var files []file
	for _, m := range members {
		if r.within > 0 && daysLeft(m.cert, s.now) >= r.within {
			continue
		}
		life := own.lifeAgain(m.cert)
		if r.days != 0 {
			life = validity{days: r.days}.life()
		}
		made, err := s.sign(own, m.name, certs.Request{
			Subject: m.cert.Subject, RawSubject: m.cert.RawSubject,
			DNSNames: m.cert.DNSNames, IPAddresses: m.cert.IPAddresses, URIs: m.cert.URIs,
			Until: s.now.Add(life), KeyType: keyTypeOf(m.cert),
		})
		if err != nil {
			return nil, nil, err
		}
		files, names = append(files, made...), append(names, m.name)
	}
	if len(files) == 0 {
		return own, nil, nil
	}
	return own, names, writeAll(files, true)
}

// lifeOf is how long a certificate was made for.
func lifeOf(c *x509.Certificate) time.Duration { return c.NotAfter.Sub(c.NotBefore) - startsEarlier }

// lifeAgain is how long the successor of a certificate lives: as long, unless the end of its CA had cut it short. Then
// it is unknown how long it was meant to live, and it gets the default.
func (a *authority) lifeAgain(c *x509.Certificate) time.Duration {
	if slices.ContainsFunc(a.trusted, func(ca *x509.Certificate) bool { return c.NotAfter.Equal(ca.NotAfter) }) {
		return validity{days: nodeDays}.life()
	}
	return lifeOf(c)
}

// keyTypeOf is the type of a certificate's key, the default for one that cannot be made here.
func keyTypeOf(c *x509.Certificate) string {
	return cmp.Or(certs.KeyTypeOf(c.PublicKey), certs.KeyTypes[0])
}

// chosen are the nodes named, or all.
func (s *store) chosen(r renewal) ([]member, error) {
	all, err := s.members()
	if err != nil {
		return nil, err
	}
	var list []member
	for _, m := range all {
		if !r.all && !slices.Contains(r.names, m.name) {
			continue
		}
		if m.err != nil {
			return nil, m.err
		}
		list = append(list, m)
	}
	for _, name := range r.names {
		if !slices.ContainsFunc(all, func(m member) bool { return m.name == name }) {
			return nil, fmt.Errorf("no certificate of node %q in %s: make one with \"starling certs "+
				"issue\"", name, s.dir)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no certificates of nodes in %s", s.dir)
	}
	return list, nil
}

// rotateAuthority makes a new CA that signs from now on. The old one stays trusted until finish.
func (s *store) rotateAuthority(days int) (err error) {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	trusted, err := s.trusted()
	if err != nil {
		return err
	}
	if len(trusted) > 1 {
		return fmt.Errorf("%s has %d CAs: the last rollover has not ended; end it with \"starling certs rotate "+
			"--finish\"",
			s.path(authorityName, certificateOf), len(trusted))
	}
	old := trusted[0]
	v := validity{days: days, keyType: keyTypeOf(old)}
	if v.days == 0 {
		v.days = int(lifeOf(old) / (24 * time.Hour))
	}
	if err := v.check(); err != nil {
		return err
	}
	own, err := s.newAuthority(clusterOf(old), v.keyType, v.life())
	if err != nil {
		return err
	}
	files, err := s.authorityFiles(own, trusted)
	if err != nil {
		return err
	}
	return writeAll(files, true)
}

// finish ends a rollover: only the signing CA remains trusted. It fails while a node would be locked out.
func (s *store) finish() (err error) {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	own, err := s.authority()
	if err != nil {
		return err
	}
	if len(own.trusted) == 1 {
		return errors.New("no rollover to finish: only one CA is trusted")
	}
	members, err := s.members()
	if err != nil {
		return err
	}
	var old []string
	for _, m := range members {
		if m.err != nil {
			return m.err
		}
		if m.cert.CheckSignatureFrom(own.Certificate()) != nil {
			old = append(old, m.name)
		}
	}
	if old != nil {
		return fmt.Errorf("certificates of the old CA are still here: %s; renew them first with \"starling certs "+
			"rotate --all\"",
			strings.Join(old, ", "))
	}
	return writeAll([]file{s.trustFile([]*x509.Certificate{own.Certificate()})}, true)
}
