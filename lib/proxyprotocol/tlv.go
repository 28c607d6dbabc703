package proxyprotocol

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// Types of the values that may follow the addresses in version 2, by their names in variables.
var (
	types    = map[string]byte{"alpn": 0x01, "authority": 0x02, "unique_id": 0x05, "ssl": typeSSL, "netns": 0x30}
	sslTypes = map[string]byte{"version": 0x21, "cn": 0x22, "cipher": 0x23, "sig_alg": 0x24, "key_alg": 0x25}
)

// typeSSL is the value with the proxy's information about the client's TLS: a byte of flags, the result of the
// verification and nested values.
const (
	typeSSL        = 0x20
	sslPrefixBytes = 5
)

// AppendTLV appends a value by name: alpn, authority, unique_id, ssl, netns, 0xNN, or of ssl: ssl_version, ssl_cn,
// ssl_cipher, ssl_sig_alg, ssl_key_alg, ssl_verify (a number), ssl_0xNN. It reports whether the header has one. A nil
// header has none.
func (h *Header) AppendTLV(dst []byte, name string) ([]byte, bool) {
	if h == nil {
		return dst, false
	}
	tlvs, names := h.tlvs, types
	if inner, ofSSL := strings.CutPrefix(name, "ssl_"); ofSSL {
		ssl, found := find(tlvs, typeSSL)
		if !found || len(ssl) < sslPrefixBytes {
			return dst, false
		}
		if inner == "verify" {
			return strconv.AppendUint(dst, uint64(binary.BigEndian.Uint32(ssl[1:])), 10), true
		}
		tlvs, names, name = ssl[sslPrefixBytes:], sslTypes, inner
	}
	kind, known := names[name]
	if hex, isHex := strings.CutPrefix(name, "0x"); isHex {
		n, err := strconv.ParseUint(hex, 16, 8)
		kind, known = byte(n), err == nil
	}
	if !known {
		return dst, false
	}
	value, found := find(tlvs, kind)
	return append(dst, value...), found
}

// find searches values of one byte of type and two of length. A truncated value is ignored.
func find(tlvs []byte, kind byte) (value []byte, found bool) {
	for len(tlvs) >= 3 {
		size := int(binary.BigEndian.Uint16(tlvs[1:]))
		if size > len(tlvs)-3 {
			return nil, false
		}
		if tlvs[0] == kind {
			return tlvs[3 : 3+size], true
		}
		tlvs = tlvs[3+size:]
	}
	return nil, false
}
