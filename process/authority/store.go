// Package authority is `starling certs`: it makes the certificates of a cluster, in a folder of its own.
//
// The folder has ca.crt (the certificates to trust; all nodes get it), ca.key (the authority's key; it never leaves the
// folder) and, for each node, NAME.crt and NAME.key. There is no other state: a certificate is renewed with its own
// contents.
package authority

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"starling/lib/certs"
)

const (
	authorityName = "ca"
	certificateOf = ".crt"
	keyOf         = ".key"
)

// startsEarlier is how far in the past a certificate starts, for machines whose clocks are behind.
const startsEarlier = time.Hour

// store is the folder.
type store struct {
	dir string
	now time.Time
}

func (s *store) path(name, kind string) string { return filepath.Join(s.dir, name+kind) }

// authority is the CA of a store.
type authority struct {
	*certs.Authority
	// trusted is all of ca.crt: during a rollover more than the signing one.
	trusted []*x509.Certificate
	// cut means that a certificate was made that ends with the CA, earlier than it should.
	cut bool
}

// sayCut proposes to renew a CA whose end cuts the certificates short that it issues.
func (a *authority) sayCut(w io.Writer) {
	if a.cut {
		fmt.Fprintf(w, "Note: the CA expires on %s, and so do the certificates just made. Renew it with \"starling "+
			"certs rotate --ca\".\n", date(a.Certificate().NotAfter))
	}
}

func (s *store) noAuthority() error {
	return fmt.Errorf("no CA in %s: make one with \"starling certs init --dir %s\"", s.dir, s.dir)
}

// trusted reads ca.crt.
func (s *store) trusted() ([]*x509.Certificate, error) {
	path := s.path(authorityName, certificateOf)
	list, err := readCertificates(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.noAuthority()
	}
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
			return nil, fmt.Errorf("%s: \"%s\" is not the certificate of a CA: it may not sign others", path, c.Subject)
		}
	}
	return list, nil
}

// authority reads the CA that signs: ca.key, with its certificate in ca.crt.
func (s *store) authority() (*authority, error) {
	trusted, err := s.trusted()
	if err != nil {
		return nil, err
	}
	keyPath := s.path(authorityName, keyOf)
	key, err := readKey(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: only the folder in which \"starling certs init\" made the CA can sign",
			keyPath)
	}
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(trusted, func(c *x509.Certificate) bool { return fits(c, key) })
	if i < 0 {
		return nil, fmt.Errorf("%s is not the key of %s", keyPath, s.path(authorityName, certificateOf))
	}
	if own := trusted[i]; s.now.After(own.NotAfter) {
		return nil, fmt.Errorf("CA \"%s\" in %s expired on %s: make a new one with \"starling certs rotate --ca\"",
			own.Subject, s.path(authorityName, certificateOf), date(own.NotAfter))
	}
	return &authority{Authority: certs.Existing(trusted[i], key), trusted: trusted}, nil
}

// cluster is the name in all nodes' certificates besides their own.
func (a *authority) cluster() string { return clusterOf(a.Certificate()) }

func clusterOf(c *x509.Certificate) string {
	if len(c.Subject.Organization) == 0 {
		return ""
	}
	return c.Subject.Organization[0]
}

// newAuthority makes a CA for a cluster. No two have the same subject, so that both can be trusted during a rollover.
func (s *store) newAuthority(cluster, keyType string, life time.Duration) (*certs.Authority, error) {
	var mark [3]byte
	if _, err := rand.Read(mark[:]); err != nil {
		return nil, err
	}
	return certs.Make(certs.Request{
		Subject: certs.Subject{
			CommonName:   fmt.Sprintf("%s CA %x", cluster, mark),
			Organization: []string{cluster},
		},
		From: s.now.Add(-startsEarlier), Until: s.now.Add(life), KeyType: keyType,
	})
}

// authorityFiles are ca.key and ca.crt; the signing CA is first.
func (s *store) authorityFiles(own *certs.Authority, others []*x509.Certificate) ([]file, error) {
	key, err := own.KeyPEM()
	if err != nil {
		return nil, err
	}
	return []file{
		{s.path(authorityName, keyOf), key, keyMode},
		s.trustFile(append([]*x509.Certificate{own.Certificate()}, others...)),
	}, nil
}

func (s *store) trustFile(list []*x509.Certificate) file {
	var text bytes.Buffer
	for _, c := range list {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return file{s.path(authorityName, certificateOf), text.Bytes(), certificateMode}
}

// member is a node's certificate in the store.
type member struct {
	name string
	cert *x509.Certificate
	err  error // why cert is nil
}

// members reads the certificates of all nodes, sorted by name.
func (s *store) members() ([]member, error) {
	paths, err := filepath.Glob(filepath.Join(globEscape.Replace(s.dir), "*"+certificateOf))
	if err != nil {
		return nil, err
	}
	var list []member
	for _, path := range paths {
		m := member{name: strings.TrimSuffix(filepath.Base(path), certificateOf)}
		if m.name == authorityName || strings.HasPrefix(m.name, ".") {
			continue
		}
		chain, err := readCertificates(path)
		if err != nil {
			m.err = err
		} else {
			m.cert = chain[0]
		}
		list = append(list, m)
	}
	return list, nil
}

// globEscape escapes characters of a folder's name that would be a pattern.
var globEscape = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

// maxFileBytes is far above the size of certificates and keys.
const maxFileBytes = 1 << 20

func readPEM(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s is not a file of certificates or keys", path)
	}
	return os.ReadFile(path)
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	var list []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no certificate in PEM", path)
	}
	return list, nil
}

func readKey(path string) (crypto.Signer, error) {
	data, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%s has no unencrypted private key in PKCS #8", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a key of type %T cannot sign", path, key)
	}
	return signer, nil
}

func fits(c *x509.Certificate, key crypto.Signer) bool {
	public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// daysLeft counts whole days; it is negative after expiry.
func daysLeft(c *x509.Certificate, now time.Time) int {
	left := c.NotAfter.Sub(now)
	days := int(left / (24 * time.Hour))
	if left < 0 {
		days--
	}
	return days
}
