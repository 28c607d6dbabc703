package ssl

import (
	"crypto/sha256"
	"fmt"
)

// Digest is a sum over files, by path and contents. Equal digests mean that nothing in them has changed.
type Digest [sha256.Size]byte

// Digesting returns a reader that reads as read does, and what tells the digest of all that was read with it so far.
func Digesting(read ReadFile) (reader ReadFile, digest func() Digest) {
	sum := sha256.New()
	reader = func(path string) ([]byte, error) {
		data, err := read(path)
		fmt.Fprintf(sum, "%q %x\n", path, sha256.Sum256(data)) // a hash does not fail
		return data, err
	}
	return reader, func() (d Digest) {
		sum.Sum(d[:0])
		return d
	}
}
