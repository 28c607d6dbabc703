package ssl_test

import (
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
)

// prime is a number that is as long as a prime of that many bits.
func prime(bits uint) *big.Int { return new(big.Int).SetBit(big.NewInt(1), int(bits)-1, 1) }

// dhParameters is a file of ssl_dhparam.
func dhParameters(t *testing.T, numbers ...*big.Int) []byte {
	t.Helper()
	der, err := asn1.Marshal(numbers)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "DH PARAMETERS", Bytes: der})
}

// nginx reads the file of ssl_dhparam only for servers with a certificate: many files set it for all of http.
func TestMissingParametersWithoutCertificates(t *testing.T) {
	w := newWorld(t)
	s := w.start(`ssl_dhparam none.pem; server { listen 127.0.0.1:80; say "plain"; }
		server { listen 127.0.0.1:443 ssl; ssl_dhparam ""; ssl_reject_handshake on; }`)
	if status, got := get(t, s.DialLoopbackPort(0), "localhost"); status != 200 || got != "plain" {
		t.Error(status, got)
	}
}
