package ssl

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// Encrypted PKCS #8 keys (RFC 5958) with PBES2 (RFC 8018): the current format of OpenSSL. PBES1 is rejected.

var errUnsupportedEncryption = errors.New("unsupported key encryption")

// Bounds on the computations that a key file may request.
const (
	maxIterations   = 10_000_000
	maxScryptMemory = 256 << 20 // 128 * N * r bytes
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

// contentCiphers are the ciphers of PBES2 by object identifier, all in CBC mode.
var contentCiphers = map[string]struct {
	keyBytes int
	new      func(key []byte) (cipher.Block, error)
}{
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
}

// prfs are the pseudo-random functions of PBKDF2: HMAC with these hashes.
var prfs = map[string]func() hash.Hash{
	"":                    sha1.New, // the default of RFC 8018
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.8":  sha256.New224,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
}

type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct{ Derivation, Cipher pkix.AlgorithmIdentifier }

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyBytes   int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

type scryptParams struct {
	Salt     []byte
	N, R, P  int
	KeyBytes int `asn1:"optional"`
}

// decryptPKCS8 returns the PKCS #8 key inside an EncryptedPrivateKeyInfo. A wrong password is nearly always an error,
// and otherwise yields bytes that are not a key.
func decryptPKCS8(der, password []byte) ([]byte, error) {
	var outer encryptedKey
	if err := unmarshal(der, &outer); err != nil {
		return nil, err
	}
	if !outer.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("%w: %v (only PBES2 is supported: convert it with `openssl pkcs8 -topk8`)",
			errUnsupportedEncryption, outer.Algorithm.Algorithm)
	}
	var params pbes2Params
	if err := unmarshal(outer.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, err
	}
	content, ok := contentCiphers[params.Cipher.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("%w: cipher %v", errUnsupportedEncryption, params.Cipher.Algorithm)
	}
	var iv []byte
	if err := unmarshal(params.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	key, err := derive(params.Derivation, password, content.keyBytes)
	if err != nil {
		return nil, err
	}
	block, err := content.new(key)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(outer.Data) == 0 || len(outer.Data)%size != 0 {
		return nil, errors.New("invalid length of the encrypted key")
	}
	plain := make([]byte, len(outer.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, outer.Data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size {
		return nil, errors.New("bad decrypt")
	}
	return plain[:len(plain)-pad], nil
}

// derive makes the cipher's key from the password.
func derive(algorithm pkix.AlgorithmIdentifier, password []byte, keyBytes int) ([]byte, error) {
	switch {
	case algorithm.Algorithm.Equal(oidPBKDF2):
		var p pbkdf2Params
		if err := unmarshal(algorithm.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		prf, ok := prfs[p.PRF.Algorithm.String()]
		if !ok {
			return nil, fmt.Errorf("%w: PBKDF2 with %v", errUnsupportedEncryption, p.PRF.Algorithm)
		}
		if p.Iterations < 1 || p.Iterations > maxIterations {
			return nil, fmt.Errorf("%w: %d iterations", errUnsupportedEncryption, p.Iterations)
		}
		return pbkdf2.Key(prf, string(password), p.Salt, p.Iterations, keyBytes)
	case algorithm.Algorithm.Equal(oidScrypt):
		var p scryptParams
		if err := unmarshal(algorithm.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		if p.N < 2 || p.R < 1 || p.P < 1 || p.P > 64 || p.N > maxScryptMemory/128/p.R {
			return nil, fmt.Errorf("%w: scrypt with N=%d r=%d p=%d", errUnsupportedEncryption, p.N, p.R, p.P)
		}
		return scrypt.Key(password, p.Salt, p.N, p.R, p.P, keyBytes)
	}
	return nil, fmt.Errorf("%w: key derivation %v", errUnsupportedEncryption, algorithm.Algorithm)
}

// unmarshal reads one DER value that must fill the bytes.
func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = errors.New("trailing data")
	}
	if err != nil {
		return fmt.Errorf("cannot parse the encrypted key: %w", err)
	}
	return nil
}
