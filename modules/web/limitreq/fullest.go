package limitreq

import (
	"encoding/hex"
	"net/netip"
	"unicode"
	"unicode/utf8"

	"starling/lib/clock"
)

const (
	// shownKeys is how many keys of a zone the API names.
	shownKeys = 20
	// maxShownBytes bounds the text of a key; a key can have 64 KB.
	maxShownBytes = 256
)

// fullest are the keys of a zone that are limited most.
type fullest struct {
	RateMilli  int64        `json:"rate"`  // 1/1000 requests per second
	BurstMilli int64        `json:"burst"` // the largest of the limits with this zone, in 1/1000 requests
	Keys       []limitedKey `json:"keys"`  // the most limited first
}

// limitedKey is a key and its excess, in 1/1000 requests.
type limitedKey struct {
	Key         string `json:"key"`
	ExcessMilli int64  `json:"excess"`
}

func (z *Zone) fullest(now clock.Reading) fullest {
	out := fullest{RateMilli: z.rate, BurstMilli: z.BurstMilli(), Keys: []limitedKey{}}
	for _, l := range z.Fullest(shownKeys, now) {
		out.Keys = append(out.Keys, limitedKey{keyText(l.Key), l.ExcessMilli})
	}
	return out
}

// keyText is a key for people: text as it is, $binary_remote_addr as an address, other bytes in hexadecimal.
func keyText(key []byte) string {
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
