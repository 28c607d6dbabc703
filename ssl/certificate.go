package ssl

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
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
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("PEM_read_bio_X509() failed (%w)", err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, errors.New("PEM_read_bio_X509_AUX() failed (no start line: Expecting: TRUSTED CERTIFICATE)")
	}
	return chain, nil
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
