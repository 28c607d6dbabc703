package ssl

import (
	"crypto/sha256"
	"fmt"
)

// Digest is a digest of files, by path and contents. Equal digests mean that no file has changed.
type Digest [sha256.Size]byte

// Digesting returns a reader that reads as read does, and a function that returns the digest of everything read so far.
func Digesting(read ReadFile) (reader ReadFile, digest func() Digest) {
	sum := sha256.New()
	reader = func(path string) ([]byte, error) {
		data, err := read(path)
		fmt.Fprintf(sum, "%q %x\n", path, sha256.Sum256(data)) // a hash write does not fail
		return data, err
	}
	return reader, func() (d Digest) {
		sum.Sum(d[:0])
		return d
	}
}
