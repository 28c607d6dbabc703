// Package longkey makes keys of any length fit.
package longkey

import "crypto/sha256"

// Fit returns the key itself if it has at most that many bytes, else its SHA-256: a unique replacement that is the same
// on every node. most must not be less than 32.
func Fit(key []byte, most int) []byte {
	if len(key) <= most {
		return key
	}
	return digest(key)
}

// digest is separate so that ordinary keys allocate nothing.
//
//go:noinline
func digest(key []byte) []byte {
	sum := sha256.Sum256(key)
	return sum[:]
}
