package ssl

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"starling/conf"
)

// The schemes of names that are not paths.
const (
	dataScheme   = "data:"   // the PEM text itself, as the value of a variable may be
	engineScheme = "engine:" // a key in an engine of OpenSSL
	storeScheme  = "store:"  // a key in a store of OpenSSL: the URI of a file, or of another kind of store
)

// Loader reads certificates whose names are known only at a handshake.
type Loader struct {
	Read ReadFile
	// Absolute makes the path of a file of the configuration absolute.
	Absolute func(path string) string
	// Cache may be nil; then every handshake reads the files.
	Cache *CertificateCache

	passwords [][]byte
}

// ReadPasswords reads the passwords of keys once, as nginx does; path may be empty.
func (l *Loader) ReadPasswords(path string) (err error) {
	l.passwords, err = readPasswords(path, l.Read)
	return err
}

// Load reads a certificate with its chain and its key. A pair that does not match is read once more without the cache:
// one of its files may have been replaced later than the other.
func (l *Loader) Load(f CertificateFile) (*tls.Certificate, error) {
	var misfit *mismatch
	cert, err := l.load(f, false)
	if errors.As(err, &misfit) && l.Cache != nil {
		cert, err = l.load(f, true)
	}
	return cert, err
}

func (l *Loader) load(f CertificateFile, anew bool) (*tls.Certificate, error) {
	f = CertificateFile{l.absolute(f.Certificate), l.absolute(f.Key)}
	chain, err := fetch(l.Cache, slot{name: f.Certificate}, anew,
		func() ([]byte, error) { return contents(f.Certificate, l.Read) },
		func(data []byte) ([]*x509.Certificate, bool, error) {
			chain, err := parseChain(data)
			return chain, true, err
		})
	if err != nil {
		return nil, certificateError(f.Certificate, err)
	}
	key, err := fetch(l.Cache, slot{name: f.Key, isKey: true}, anew,
		func() ([]byte, error) { return keyContents(f.Key, l.Read) },
		func(data []byte) (crypto.Signer, bool, error) {
			parse := parseKey
			if scheme(f.Key) == storeScheme {
				parse = parseStoredKey
			}
			key, encrypted, err := parse(data, l.passwords)
			// a key that is encrypted on disk must not stay in memory in plain text
			return key, !encrypted, keyError(err)
		})
	if err != nil {
		return nil, fmt.Errorf("cannot load certificate key \"%s\": %w", shown(f.Key), err)
	}
	cert, err := pairOf(f, chain, key)
	if err != nil {
		return nil, err
	}
	return &cert, nil
}

// absolute leaves anything that is not a path unchanged.
func (l *Loader) absolute(name string) string {
	path, isPath := pathOf(name)
	switch {
	case !isPath:
		return name
	case path == name:
		return l.Absolute(name)
	}
	return storeScheme + l.Absolute(path)
}

// pathOf is the path of a file that a name is, or that it names in a store.
func pathOf(name string) (path string, isPath bool) {
	path, stored := strings.CutPrefix(name, storeScheme)
	if !stored {
		return name, scheme(name) == ""
	}
	if uri, isFile := strings.CutPrefix(path, "file:"); isFile {
		rest, hasAuthority := strings.CutPrefix(uri, "//")
		if local, ok := strings.CutPrefix(rest, "localhost/"); hasAuthority && ok {
			return "/" + local, true
		}
		return rest, !hasAuthority || strings.HasPrefix(rest, "/")
	}
	// another scheme, such as pkcs11
	colon := strings.IndexByte(path, ':')
	return path, colon < 0 || strings.Contains(path[:colon], "/")
}

// checkScheme rejects sources of keys that Go cannot use.
func checkScheme(name string) error {
	switch s := scheme(name); s {
	case engineScheme:
		return conf.NotSupportedf(s, "keys in engines are not supported by starling (\"%s\"): use a file, "+
			"or a server that has the engine behind a stream proxy", name)
	case storeScheme:
		if _, isPath := pathOf(name); !isPath {
			return conf.NotSupportedf(s, "stores other than files are not supported by starling (\"%s\"): use a file",
				name)
		}
	}
	return nil
}

// scheme is the prefix that distinguishes a name from a path; "" for paths.
func scheme(name string) string {
	for _, s := range []string{dataScheme, engineScheme, storeScheme} {
		if strings.HasPrefix(name, s) {
			return s
		}
	}
	return ""
}

// shown is a name for the logs, which must not contain a key.
func shown(name string) string {
	if strings.HasPrefix(name, dataScheme) {
		return dataScheme + "..."
	}
	return name
}

// contents are those of a file or of the name itself.
func contents(name string, read ReadFile) ([]byte, error) {
	if text, isText := strings.CutPrefix(name, dataScheme); isText {
		return []byte(text), nil
	}
	return opened(name, read)
}

func keyContents(name string, read ReadFile) ([]byte, error) {
	if err := checkScheme(name); err != nil {
		return nil, err
	}
	if path, isPath := pathOf(name); isPath {
		return opened(path, read)
	}
	return contents(name, read)
}

func certificateError(name string, err error) error {
	return fmt.Errorf("cannot load certificate \"%s\": %w", shown(name), err)
}

func keyError(err error) error {
	if err != nil {
		return fmt.Errorf("PEM_read_bio_PrivateKey() failed (%w)", err)
	}
	return nil
}

// mismatch is the error for a key that does not belong to the certificate.
type mismatch struct{ file CertificateFile }

func (m *mismatch) Error() string {
	return fmt.Sprintf(
		"SSL_CTX_use_PrivateKey(\"%s\") failed (key values mismatch with certificate \"%s\")",
		shown(m.file.Key),
		shown(m.file.Certificate),
	)
}

// pairOf combines a chain and its key.
func pairOf(f CertificateFile, chain []*x509.Certificate, key crypto.Signer) (tls.Certificate, error) {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(chain[0].PublicKey) {
		return tls.Certificate{}, &mismatch{f}
	}
	cert := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

// pick returns the first certificate that the client supports, one with an RSA key only if there is no other, else the
// first one. Only the kind of key counts, not the names in the certificate: nginx has selected the server by name and
// shows that server's certificate.
func pick(hello *tls.ClientHelloInfo, all []*tls.Certificate) *tls.Certificate {
	if len(all) > 1 {
		nameless := *hello
		nameless.ServerName = ""
		for _, wanted := range []int{rankOther, rankRSA} {
			for _, cert := range all {
				if rank(cert) == wanted && nameless.SupportsCertificate(cert) == nil {
					return cert
				}
			}
		}
	}
	return all[0]
}

// The ranks: clients that support other keys than RSA request those first, and OpenSSL respects that.
const (
	rankOther = iota
	rankRSA
)

func rank(cert *tls.Certificate) int {
	if cert.Leaf.PublicKeyAlgorithm == x509.RSA {
		return rankRSA
	}
	return rankOther
}

// maxNameBytes is the longest name in the DNS.
const maxNameBytes = 253

// SafeName reports whether a name from a stranger (SNI) may be part of a file name: letters, digits, '-', '_' and
// single dots, but not at either end. An empty name is safe.
func SafeName(name string) bool {
	if len(name) > maxNameBytes {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.' && i > 0 && i < len(name)-1 && name[i-1] != '.':
		default:
			return false
		}
	}
	return true
}
