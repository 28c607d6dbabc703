package ssl

import (
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"

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

func (d dhParameters) check(read ReadFile) error {
	if d.path == "" {
		return nil
	}
	if err := checkDHParameters(d.path, read); err != nil {
		return conf.At(d.node, "%s", err)
	}
	return nil
}

// checkDHParameters rejects a file that OpenSSL rejects: one that is empty or has something else was meant otherwise.
func checkDHParameters(path string, read ReadFile) error {
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
		return nil
	}
	return failed("no start line: Expecting: DH PARAMETERS")
}
