package ssl

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"starling/nginx/errno"
)

// Bounds of files that come from the configuration: mistakes (a disk image as certificate) should be reported, not read
// into memory.
const (
	maxFileBytes = 16 << 20
	maxPasswords = 1024
)

// opened reads a file and words a failure as nginx and OpenSSL do.
func opened(path string, read ReadFile) ([]byte, error) {
	data, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("BIO_new_file() failed (%s)", reason(err))
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("BIO_new_file() failed (the file has more than %d bytes)", maxFileBytes)
	}
	return data, nil
}

// reason is the system's error text, without its number and the path that the message already has.
func reason(err error) string {
	if number, ok := errno.Of(err); ok {
		return errno.Text(number)
	}
	return errno.Reason(err)
}

// parseChain returns all certificates of a PEM file; other blocks are skipped, as in OpenSSL.
func parseChain(data []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !isCertificate(block) {
			continue
		}
		cert, _, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, errNoCertificate
	}
	return chain, nil
}

var errNoCertificate = errors.New("PEM_read_bio_X509_AUX() failed " +
	"(no start line: Expecting: TRUSTED CERTIFICATE)")

func isCertificate(block *pem.Block) bool {
	return slices.Contains([]string{"CERTIFICATE", "X509 CERTIFICATE", trustedCertificate}, block.Type)
}

// trustedCertificate is the type of a block in which OpenSSL's trust settings follow the certificate.
const trustedCertificate = "TRUSTED CERTIFICATE"

// parseBlock returns a certificate and the trust settings behind it.
func parseBlock(block *pem.Block) (cert *x509.Certificate, aux []byte, err error) {
	der := block.Bytes
	if block.Type == trustedCertificate {
		var first asn1.RawValue
		if aux, err = asn1.Unmarshal(der, &first); err == nil {
			der = first.FullBytes
		}
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		return nil, nil, fmt.Errorf("PEM_read_bio_X509() failed (%w)", err)
	}
	return cert, aux, nil
}

// trusted is a certificate of a file of authorities, with OpenSSL's trust settings (openssl x509 -addtrust).
type trusted struct {
	*x509.Certificate
	// accepts and rejects are the uses that the settings name; nil: no settings.
	accepts, rejects []asn1.ObjectIdentifier
}

// trustSettings are X509_CERT_AUX of OpenSSL; what follows (names, identifiers) does not matter.
type trustSettings struct {
	Trust  []asn1.ObjectIdentifier `asn1:"optional"`
	Reject []asn1.ObjectIdentifier `asn1:"optional,tag:0"`
	Alias  string                  `asn1:"optional,utf8"`
	KeyID  []byte                  `asn1:"optional"`
	Other  asn1.RawValue           `asn1:"optional,tag:1"`
}

// loadTrusted reads the certificates of authorities.
func loadTrusted(path string, read ReadFile) ([]trusted, error) {
	data, err := opened(path, read)
	if err != nil {
		return nil, certificateError(path, err)
	}
	var all []trusted
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !isCertificate(block) {
			continue
		}
		cert, aux, err := parseBlock(block)
		if err != nil {
			return nil, certificateError(path, err)
		}
		t := trusted{Certificate: cert}
		if len(aux) > 0 {
			var settings trustSettings
			if _, err := asn1.Unmarshal(aux, &settings); err != nil {
				return nil, certificateError(path, fmt.Errorf("PEM_read_bio_X509_AUX() failed (%w)", err))
			}
			t.accepts, t.rejects = settings.Trust, settings.Reject
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, certificateError(path, errNoCertificate)
	}
	return all, nil
}

// uses are the object identifiers of what a certificate can be trusted for.
var uses = map[x509.ExtKeyUsage]asn1.ObjectIdentifier{
	x509.ExtKeyUsageAny:        {2, 5, 29, 37, 0},
	x509.ExtKeyUsageServerAuth: {1, 3, 6, 1, 5, 5, 7, 3, 1},
	x509.ExtKeyUsageClientAuth: {1, 3, 6, 1, 5, 5, 7, 3, 2},
}

// endsChain reports whether a certificate is trusted for a use, and whether it may be part of a chain at all. Without
// settings, OpenSSL trusts self-signed ones.
func (t *trusted) endsChain(usage x509.ExtKeyUsage) (ends, allowed bool) {
	has := func(list []asn1.ObjectIdentifier) bool {
		return slices.ContainsFunc(list, func(id asn1.ObjectIdentifier) bool {
			return id.Equal(uses[usage]) || id.Equal(uses[x509.ExtKeyUsageAny])
		})
	}
	switch {
	case has(t.rejects):
		return false, false
	case len(t.accepts) > 0:
		return has(t.accepts), has(t.accepts)
	}
	return selfSigned(t.Certificate), true
}

func loadChain(path string, read ReadFile) ([]*x509.Certificate, error) {
	data, err := opened(path, read)
	if err != nil {
		return nil, certificateError(path, err)
	}
	chain, err := parseChain(data)
	if err != nil {
		return nil, certificateError(path, err)
	}
	return chain, nil
}

// loadCertificate reads a certificate with its chain and its key.
func loadCertificate(f CertificateFile, passwords [][]byte, read ReadFile) (tls.Certificate, error) {
	l := Loader{Read: read, Absolute: func(path string) string { return path }, passwords: passwords}
	cert, err := l.Load(f)
	if err != nil {
		return tls.Certificate{}, err
	}
	return *cert, nil
}

// parseKey finds the first private key of a PEM file and decrypts it with the first password that works.
func parseKey(data []byte, passwords [][]byte) (key crypto.Signer, encrypted bool, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		decrypt := func(password []byte) ([]byte, error) { return decryptPKCS8(block.Bytes, password) }
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY":
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			continue
		//lint:ignore SA1019 keys of OpenSSL's `-traditional` format are still in use
		case x509.IsEncryptedPEMBlock(block):
			decrypt = func(password []byte) ([]byte, error) {
				//lint:ignore SA1019 as above
				return x509.DecryptPEMBlock(block, password)
			}
		default:
			key, err = parseKeyDER(block.Bytes)
			return key, false, err
		}
		der, err := unlock(passwords, decrypt)
		if err != nil {
			return nil, true, err
		}
		key, err = parseKeyDER(der)
		return key, true, err
	}
	return nil, false, errors.New("no start line: Expecting: ANY PRIVATE KEY")
}

// parseStoredKey is parseKey for a key from a store, whose files may also be DER.
func parseStoredKey(data []byte, passwords [][]byte) (key crypto.Signer, encrypted bool, err error) {
	if block, _ := pem.Decode(data); block != nil {
		return parseKey(data, passwords)
	}
	if key, err = parseKeyDER(data); err == nil {
		return key, false, nil
	}
	var isEncrypted encryptedKey
	if unmarshal(data, &isEncrypted) != nil {
		return nil, false, err
	}
	der, err := unlock(passwords, func(password []byte) ([]byte, error) { return decryptPKCS8(data, password) })
	if err != nil {
		return nil, true, err
	}
	key, err = parseKeyDER(der)
	return key, true, err
}

// unlock tries each password. A wrong one may yield bytes that are not a key, so the result is parsed too.
func unlock(passwords [][]byte, decrypt func(password []byte) ([]byte, error)) ([]byte, error) {
	if len(passwords) == 0 {
		return nil, errors.New("key is encrypted and no password file is set")
	}
	var last error
	for _, password := range passwords {
		der, err := decrypt(password)
		if err == nil {
			_, err = parseKeyDER(der)
		}
		if err == nil {
			return der, nil
		}
		last = err
		if errors.Is(err, errUnsupportedEncryption) {
			break
		}
	}
	if errors.Is(last, errUnsupportedEncryption) {
		return nil, last
	}
	return nil, errors.New("bad decrypt: no matching password in the password file")
}

func parseKeyDER(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

// readPasswords reads a password file: one password a line, empty lines ignored as in nginx.
func readPasswords(path string, read ReadFile) ([][]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := read(path)
	if err != nil {
		return nil, errno.Call("open", path, err)
	}
	var passwords [][]byte
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) > 0 {
			passwords = append(passwords, line)
		}
		if len(passwords) > maxPasswords {
			return nil, fmt.Errorf("%q has more than %d passwords", path, maxPasswords)
		}
	}
	return passwords, nil
}
