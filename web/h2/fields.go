package h2

import (
	"errors"
	"strings"

	"starling/web/h1"
)

// Decoder reads the header blocks that one peer sends, for the client side of a connection (web/forward/h2client). It
// must see every block.
type Decoder struct{ of decoder }

// NewDecoder returns the decoder of a new connection.
func NewDecoder() *Decoder {
	d := new(Decoder)
	d.of.table.limit = tableBytes
	return d
}

// ErrTooBig is a header block over the limit of Decode.
var ErrTooBig = errors.New("too large header block")

// DecodeError is an invalid header block.
type DecodeError struct{ what string }

func (e *DecodeError) Error() string { return e.what }

// Decode reads a whole block with at most limit bytes of names and values, and passes each field to take. The bytes of
// the fields are in memory. The connection is unusable after an error, which is ErrTooBig or a *DecodeError.
func (d *Decoder) Decode(block []byte, limit int, memory *h1.Arena, take func(name, value []byte, id h1.Known)) error {
	d.of.maxStringBytes, d.of.maxBlockBytes = limit, limit
	err := d.of.decode(block, memory, func(f field) { take(f.name, f.value, f.id) })
	var f *failure
	switch {
	case !errors.As(err, &f):
		return err
	case f.code == CodeEnhanceYourCalm:
		return ErrTooBig
	}
	return &DecodeError{strings.TrimPrefix(f.text, "client sent ")}
}

// Release frees the memory of the table.
func (d *Decoder) Release() { d.of.table.release() }

// Pseudo-headers of requests in the static table (RFC 7541, appendix A).
const (
	staticAuthority   = 1
	staticMethodGet   = 2
	staticMethodPost  = 3
	staticPathRoot    = 4
	staticSchemeHTTP  = 6
	staticSchemeHTTPS = 7
)

// AppendRequest begins the header block of a request.
func AppendRequest(dst, method []byte, secure bool, path, authority []byte) []byte {
	switch string(method) {
	case "GET":
		dst = append(dst, 0x80|staticMethodGet)
	case "POST":
		dst = append(dst, 0x80|staticMethodPost)
	default:
		dst = appendEncoded(append(dst, staticMethodGet), method)
	}
	scheme := byte(staticSchemeHTTP)
	if secure {
		scheme = staticSchemeHTTPS
	}
	dst = append(dst, 0x80|scheme)
	if string(path) == "/" {
		dst = append(dst, 0x80|staticPathRoot)
	} else {
		dst = appendEncoded(append(dst, staticPathRoot), path)
	}
	return appendEncoded(append(dst, staticAuthority), authority)
}
