package ssl

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// suite is one cipher suite of Go, with OpenSSL's name and the words of cipher lists that select it. A hash is a word
// only for suites that use it as their MAC (not with GCM).
type suite struct {
	id    uint16
	name  string
	words string
}

// The suites up to TLS 1.2. Go has no DHE, PSK, CAMELLIA, ARIA, CCM and no anonymous ones.
var suites = []suite{
	{
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		"ECDHE-ECDSA-AES256-GCM-SHA384",
		"kECDHE aECDSA AES AES256 AESGCM TLSv1.2 HIGH",
	},
	{
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		"ECDHE-RSA-AES256-GCM-SHA384",
		"kECDHE aRSA AES AES256 AESGCM TLSv1.2 HIGH",
	},
	{
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		"ECDHE-ECDSA-CHACHA20-POLY1305",
		"kECDHE aECDSA CHACHA20 TLSv1.2 HIGH",
	},
	{
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		"ECDHE-RSA-CHACHA20-POLY1305",
		"kECDHE aRSA CHACHA20 TLSv1.2 HIGH",
	},
	{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		"ECDHE-ECDSA-AES128-GCM-SHA256",
		"kECDHE aECDSA AES AES128 AESGCM TLSv1.2 HIGH",
	},
	{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		"ECDHE-RSA-AES128-GCM-SHA256",
		"kECDHE aRSA AES AES128 AESGCM TLSv1.2 HIGH",
	},
	{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
		"ECDHE-ECDSA-AES128-SHA256",
		"kECDHE aECDSA AES AES128 SHA256 TLSv1.2 HIGH",
	},
	{
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		"ECDHE-RSA-AES128-SHA256",
		"kECDHE aRSA AES AES128 SHA256 TLSv1.2 HIGH",
	},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", "kECDHE aECDSA AES AES256 SHA1 TLSv1 HIGH"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", "kECDHE aRSA AES AES256 SHA1 TLSv1 HIGH"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", "kECDHE aECDSA AES AES128 SHA1 TLSv1 HIGH"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", "kECDHE aRSA AES AES128 SHA1 TLSv1 HIGH"},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", "kRSA aRSA AES AES256 AESGCM TLSv1.2 HIGH"},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", "kRSA aRSA AES AES128 AESGCM TLSv1.2 HIGH"},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", "kRSA aRSA AES AES128 SHA256 TLSv1.2 HIGH"},
	{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", "kRSA aRSA AES AES256 SHA1 SSLv3 HIGH"},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", "kRSA aRSA AES AES128 SHA1 SSLv3 HIGH"},
	{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, "ECDHE-RSA-DES-CBC3-SHA", "kECDHE aRSA 3DES SHA1 TLSv1 MEDIUM"},
	{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, "DES-CBC3-SHA", "kRSA aRSA 3DES SHA1 SSLv3 MEDIUM"},
}

var suites13 = []suite{
	{id: tls.TLS_AES_256_GCM_SHA384, name: "TLS_AES_256_GCM_SHA384"},
	{id: tls.TLS_CHACHA20_POLY1305_SHA256, name: "TLS_CHACHA20_POLY1305_SHA256"},
	{id: tls.TLS_AES_128_GCM_SHA256, name: "TLS_AES_128_GCM_SHA256"},
}

// cipherAliases are the words that stand for others: any of the list.
var cipherAliases = map[string][]string{
	"RSA": {"kRSA"}, "kEECDH": {"kECDHE"}, "ECDHE": {"kECDHE"}, "EECDH": {"kECDHE"}, "ECDH": {"kECDHE"},
	"ECDSA": {"aECDSA"}, "SHA": {"SHA1"}, "TLSv1.0": {"TLSv1"},
	"ALL": {"HIGH", "MEDIUM"}, "DEFAULT": {"HIGH"}, "COMPLEMENTOFDEFAULT": {"MEDIUM"}, "FIPS": {"AES"},
}

// emptyWords select suites that Go does not have: valid, and without effect.
var emptyWords = strings.Fields(
	`COMPLEMENTOFALL LOW EXP EXPORT EXPORT40 EXPORT56 eNULL NULL aNULL kDHE kEDH DHE EDH DH ADH AECDH kDHr kDHd kDH
	kECDHr kECDHe aDH aECDH aDSS DSS AESCCM AESCCM8 ARIA ARIA128 ARIA256 ARIAGCM CAMELLIA CAMELLIA128 CAMELLIA256 CAMELLIAGCM DES RC2 RC4 IDEA
	SEED MD5 SHA384 GOST89MAC GOST94 kGOST aGOST aGOST01 PSK kPSK kRSAPSK kECDHEPSK kDHEPSK aPSK SRP kSRP aSRP CBC SUITEB128 SUITEB192`,
)

// parseCiphers reads an OpenSSL cipher list. The order is checked but not kept: Go orders suites by itself. Names that
// Go does not have cause warnings.
func parseCiphers(list string) (ids []uint16, warnings []string, err error) {
	chosen := make([]bool, len(suites))
	killed := make([]bool, len(suites))
	for i, word := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(": ,;", r) }) {
		if word[0] == '@' {
			if word != "@STRENGTH" {
				warnings = append(warnings, fmt.Sprintf("%q in a cipher list has no effect", word))
			}
			continue
		}
		action := byte(0)
		if strings.IndexByte("!-+", word[0]) >= 0 {
			action, word = word[0], word[1:]
		}
		if word == "DEFAULT" && i > 0 && action == 0 {
			// OpenSSL accepts DEFAULT only at the start.
			warnings = append(warnings, `"DEFAULT" has an effect only at the start of a cipher list`)
			continue
		}
		match, unknown := selectSuites(word)
		if unknown != "" && action == 0 {
			warnings = append(warnings, fmt.Sprintf("cipher %q is not available, ignored", unknown))
		}
		for s := range suites {
			switch {
			case !match[s]:
			case action == '!':
				killed[s] = true
			case action == '-':
				chosen[s] = false
			case action == 0:
				chosen[s] = true
			}
		}
	}
	for s := range suites {
		if chosen[s] && !killed[s] {
			ids = append(ids, suites[s].id)
		}
	}
	if len(ids) == 0 {
		return nil, nil, fmt.Errorf("SSL_CTX_set_cipher_list(%q) failed (no cipher match)", list)
	}
	return ids, warnings, nil
}

// selectSuites returns the suites that a word such as ECDHE+AESGCM selects. unknown is the part that is not a known
// word.
func selectSuites(word string) (match []bool, unknown string) {
	match = make([]bool, len(suites))
	for i := range match {
		match[i] = true
	}
	for part := range strings.SplitSeq(word, "+") {
		known := slices.Contains(emptyWords, part) ||
			slices.ContainsFunc(suites13, func(s suite) bool { return s.name == part })
		any := cipherAliases[part]
		if any == nil {
			any = []string{part}
		}
		for i, s := range suites {
			has := s.name == part ||
				slices.ContainsFunc(strings.Fields(s.words), func(w string) bool { return slices.Contains(any, w) })
			known = known || has
			match[i] = match[i] && has
		}
		if !known {
			unknown = part
		}
	}
	return match, unknown
}

// CipherName is $ssl_cipher: OpenSSL's name of a suite.
func CipherName(id uint16) string {
	for _, list := range [][]suite{suites, suites13} {
		for _, s := range list {
			if s.id == id {
				return s.name
			}
		}
	}
	return tls.CipherSuiteName(id)
}

// ProtocolName is $ssl_protocol.
func ProtocolName(version uint16) string {
	for _, v := range versions {
		if v.id == version {
			return v.name
		}
	}
	return tls.VersionName(version)
}
