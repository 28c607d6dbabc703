package ssl

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Offer is what a client offered in its hello, for the variables that show it, and the algorithm of the server's
// signature, which the library does not tell.
type Offer struct {
	ciphers []uint16
	curves  []tls.CurveID
	schemes []tls.SignatureScheme
	signed  tls.SignatureScheme
}

// Shows tells which variables a configuration uses that need more than the state of a connection. Nothing is kept for
// those that it does not use.
type Shows struct {
	// Offer is for $ssl_ciphers, $ssl_curves and $ssl_sigalgs.
	Offer bool
	// Signature is for $ssl_sigalg.
	Signature bool
}

// ShowsOf asks which variables are used.
func ShowsOf(uses func(variable string) bool) Shows {
	return Shows{
		Offer:     uses("ssl_ciphers") || uses("ssl_curves") || uses("ssl_sigalgs"),
		Signature: uses("ssl_sigalg"),
	}
}

// OfferOf keeps what a hello offers.
func OfferOf(hello *tls.ClientHelloInfo) *Offer {
	return &Offer{ciphers: hello.CipherSuites, curves: hello.SupportedCurves, schemes: hello.SignatureSchemes}
}

// CipherNames is $ssl_ciphers: names known to OpenSSL, the others in hexadecimal.
func (p *Peer) CipherNames() string {
	if p.Offer == nil {
		return ""
	}
	return joined(p.Offer.ciphers, func(id uint16) string {
		if name := otherCiphers[id]; name != "" {
			return name
		}
		for _, list := range [][]suite{suites, suites13} {
			for _, s := range list {
				if s.id == id {
					return s.name
				}
			}
		}
		return ""
	})
}

// CurveNames is $ssl_curves.
func (p *Peer) CurveNames() string {
	if p.Offer == nil {
		return ""
	}
	return joined(p.Offer.curves, func(id tls.CurveID) string { return curves[id] })
}

// SignatureNames is $ssl_sigalgs.
func (p *Peer) SignatureNames() string {
	if p.Offer == nil {
		return ""
	}
	return joined(p.Offer.schemes, func(id tls.SignatureScheme) string { return signatures[id] })
}

// Signature is $ssl_sigalg; empty for a resumed session, which needs no signature.
func (p *Peer) Signature() string {
	if p.Offer == nil {
		return ""
	}
	return signatureName(p.Offer.signed)
}

// ClientSignature is $ssl_client_sigalg.
func (p *Peer) ClientSignature() string { return signatureName(p.clientSigned) }

func signatureName(id tls.SignatureScheme) string {
	if id == 0 {
		return ""
	}
	return known(id, signatures[id])
}

// joined lists names as nginx does.
func joined[T ~uint16](ids []T, name func(T) string) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(known(id, name(id)))
	}
	return b.String()
}

// known is a name, or the number of an id without one.
func known[T ~uint16](id T, name string) string {
	if name == "" {
		return fmt.Sprintf("0x%04x", uint16(id))
	}
	return name
}

// curves are OpenSSL's names of key exchanges.
var curves = map[tls.CurveID]string{
	1: "sect163k1", 2: "sect163r1", 3: "sect163r2", 4: "sect193r1", 5: "sect193r2", 6: "sect233k1", 7: "sect233r1",
	8: "sect239k1", 9: "sect283k1", 10: "sect283r1", 11: "sect409k1", 12: "sect409r1", 13: "sect571k1",
	14: "sect571r1", 15: "secp160k1", 16: "secp160r1", 17: "secp160r2", 18: "secp192k1", 19: "prime192v1",
	20: "secp224k1", 21: "secp224r1", 22: "secp256k1", tls.CurveP256: "prime256v1", tls.CurveP384: "secp384r1",
	tls.CurveP521: "secp521r1", 26: "brainpoolP256r1", 27: "brainpoolP384r1", 28: "brainpoolP512r1",
	tls.X25519: "X25519", 30: "X448", 31: "brainpoolP256r1tls13", 32: "brainpoolP384r1tls13",
	33: "brainpoolP512r1tls13", 256: "ffdhe2048", 257: "ffdhe3072", 258: "ffdhe4096", 259: "ffdhe6144",
	260: "ffdhe8192", 512: "MLKEM512", 513: "MLKEM768", 514: "MLKEM1024",
	tls.SecP256r1MLKEM768: "SecP256r1MLKEM768", tls.X25519MLKEM768: "X25519MLKEM768",
	tls.SecP384r1MLKEM1024: "SecP384r1MLKEM1024",
}

// signatures are the names of the standards, which OpenSSL shows.
var signatures = map[tls.SignatureScheme]string{
	tls.PKCS1WithSHA1: "rsa_pkcs1_sha1", tls.ECDSAWithSHA1: "ecdsa_sha1",
	tls.PKCS1WithSHA256: "rsa_pkcs1_sha256", tls.ECDSAWithP256AndSHA256: "ecdsa_secp256r1_sha256",
	tls.PKCS1WithSHA384: "rsa_pkcs1_sha384", tls.ECDSAWithP384AndSHA384: "ecdsa_secp384r1_sha384",
	tls.PKCS1WithSHA512: "rsa_pkcs1_sha512", tls.ECDSAWithP521AndSHA512: "ecdsa_secp521r1_sha512",
	tls.PSSWithSHA256: "rsa_pss_rsae_sha256", tls.PSSWithSHA384: "rsa_pss_rsae_sha384",
	tls.PSSWithSHA512: "rsa_pss_rsae_sha512", tls.Ed25519: "ed25519",
	0x0301: "rsa_pkcs1_sha224", 0x0303: "ecdsa_sha224", 0x0302: "dsa_sha224", 0x0202: "dsa_sha1",
	0x0402: "dsa_sha256", 0x0502: "dsa_sha384", 0x0602: "dsa_sha512", 0x0808: "ed448",
	0x0809: "rsa_pss_pss_sha256", 0x080a: "rsa_pss_pss_sha384", 0x080b: "rsa_pss_pss_sha512",
	0x081a: "ecdsa_brainpoolP256r1_sha256", 0x081b: "ecdsa_brainpoolP384r1_sha384",
	0x081c: "ecdsa_brainpoolP512r1_sha512", 0x0904: "mldsa44", 0x0905: "mldsa65", 0x0906: "mldsa87",
}

// recording returns a certificate whose key notes in the offer how it signs.
func (o *Offer) recording(cert *tls.Certificate) *tls.Certificate {
	key, ok := cert.PrivateKey.(crypto.Signer)
	if o == nil || !ok {
		return cert
	}
	noted := *cert
	noted.PrivateKey = &recorder{key, o}
	if decrypter, ok := key.(crypto.Decrypter); ok {
		noted.PrivateKey = &decryptingRecorder{recorder{key, o}, decrypter}
	}
	return &noted
}

// recorder is a key of one handshake.
type recorder struct {
	key   crypto.Signer
	offer *Offer
}

// decryptingRecorder is an RSA key, which some cipher suites use to decrypt.
type decryptingRecorder struct {
	recorder
	decrypter crypto.Decrypter
}

// Decrypt decrypts with the key.
func (r *decryptingRecorder) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	return r.decrypter.Decrypt(random, message, opts)
}

// Public is the public key.
func (r *recorder) Public() crypto.PublicKey { return r.key.Public() }

// Sign signs, and notes with which algorithm.
func (r *recorder) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	_, isPSS := opts.(*rsa.PSSOptions)
	switch r.key.Public().(type) {
	case *ecdsa.PublicKey:
		r.offer.signed = ecdsaSchemes[opts.HashFunc()]
	case *rsa.PublicKey:
		r.offer.signed = rsaSchemes[opts.HashFunc()]
		if isPSS {
			r.offer.signed = pssSchemes[opts.HashFunc()]
		}
	case ed25519.PublicKey:
		r.offer.signed = tls.Ed25519
	}
	return r.key.Sign(random, digest, opts)
}

var (
	ecdsaSchemes = map[crypto.Hash]tls.SignatureScheme{
		crypto.SHA1: tls.ECDSAWithSHA1, crypto.SHA256: tls.ECDSAWithP256AndSHA256,
		crypto.SHA384: tls.ECDSAWithP384AndSHA384, crypto.SHA512: tls.ECDSAWithP521AndSHA512,
	}
	rsaSchemes = map[crypto.Hash]tls.SignatureScheme{
		crypto.SHA1: tls.PKCS1WithSHA1, crypto.SHA256: tls.PKCS1WithSHA256,
		crypto.SHA384: tls.PKCS1WithSHA384, crypto.SHA512: tls.PKCS1WithSHA512,
	}
	pssSchemes = map[crypto.Hash]tls.SignatureScheme{
		crypto.SHA256: tls.PSSWithSHA256, crypto.SHA384: tls.PSSWithSHA384, crypto.SHA512: tls.PSSWithSHA512,
	}
)

// signatureOfPeer is the algorithm of the peer's signature. The library knows it, but shows it to its own tests only.
func signatureOfPeer(state *tls.ConnectionState) tls.SignatureScheme {
	field := reflect.ValueOf(state).Elem().FieldByName("testingOnlyPeerSignatureAlgorithm")
	if !field.IsValid() || !field.CanUint() {
		return 0 // a newer version of the library; the tests notice
	}
	return tls.SignatureScheme(field.Uint())
}
