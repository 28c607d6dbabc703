package admin

import (
	"encoding/hex"
	"net/netip"
	"unicode"
	"unicode/utf8"
)

// maxShownBytes bounds the text of a key; a key can have 64 KB.
const maxShownBytes = 256

// KeyText is the key of a zone for people: text as it is, $binary_remote_addr as an address, other bytes in
// hexadecimal.
func KeyText(key []byte) string {
	if isText(key) {
		return string(key[:min(len(key), maxShownBytes)])
	}
	if address, ok := netip.AddrFromSlice(key); ok {
		return address.String()
	}
	return "0x" + hex.EncodeToString(key[:min(len(key), maxShownBytes/2)])
}

func isText(key []byte) bool {
	if !utf8.Valid(key) {
		return false
	}
	for _, r := range string(key) {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
