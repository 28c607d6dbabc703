package ssl

import (
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"starling/conf"
)

// noDH completes "no effect: ".
const noDH = "finite-field Diffie-Hellman is not available; clients use elliptic curves, which need no parameters"

// dhParameters is ssl_dhparam: a file that is not used, and is checked where nginx reads it.
type dhParameters struct {
	path string
	node *conf.Node
}

func readDHParameters(a *conf.Args) (dhParameters, error) {
	path, err := file(a)
	if path != "" {
		a.Warn("\"ssl_dhparam\" has no effect: %s", noDH)
	}
	return dhParameters{path, a.Node}, err
}

func (d dhParameters) check(ciphers string, read ReadFile) error {
	if d.path == "" {
		return nil
	}
	if err := checkDHParameters(d.path, ciphers, read); err != nil {
		return conf.At(d.node, "%s", err)
	}
	return nil
}

// primeBits are the shortest primes that OpenSSL accepts at its security levels.
var primeBits = [...]int{1024, 1024, 2048, 3072, 7680, 15360}

// defaultLevel is the security level of OpenSSL since 3.2, and of distributions before.
const defaultLevel = 2

// shortestPrime is the length in bits that the security level in a cipher list ("@SECLEVEL=1") demands of a prime.
func shortestPrime(ciphers string) int {
	const word = "@SECLEVEL="
	if i := strings.LastIndex(ciphers, word); i >= 0 {
		level, _, _ := strings.Cut(ciphers[i+len(word):], ":")
		if n, err := strconv.Atoi(level); err == nil && n >= 0 && n < len(primeBits) {
			return primeBits[n]
		}
	}
	return primeBits[defaultLevel]
}

// checkDHParameters rejects a file that OpenSSL rejects: one that is empty or has something else was meant otherwise,
// and one with a short prime would fail in nginx.
func checkDHParameters(path, ciphers string, read ReadFile) error {
	data, err := read(path)
	if err != nil {
		return fmt.Errorf("BIO_new_file(\"%s\") failed (%s)", path, reason(err))
	}
	failed := func(why string) error { return fmt.Errorf("PEM_read_bio_DHparams(\"%s\") failed (%s)", path, why) }
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "DH PARAMETERS" && block.Type != "X9.42 DH PARAMETERS" {
			continue
		}
		var group struct {
			Prime, Generator *big.Int
			More             []asn1.RawValue `asn1:"optional"`
		}
		if rest, err := asn1.Unmarshal(block.Bytes, &group); err != nil || len(rest) > 0 || group.Prime.Sign() <= 0 {
			return failed("asn1 error")
		}
		if bits, least := group.Prime.BitLen(), shortestPrime(ciphers); bits < least {
			return fmt.Errorf("SSL_CTX_set_tmp_dh(\"%s\") failed (dh key too small: %d bits; make a file with "+
				"\"openssl dhparam %d\")", path, bits, least)
		}
		return nil
	}
	return failed("no start line: Expecting: DH PARAMETERS")
}
