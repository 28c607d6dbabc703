package web

import (
	"bytes"
	"encoding/base64"

	"starling/nginx/ascii"
	"starling/web/h1"
)

// maxBasicBytes bounds the decoded credentials; large_client_header_buffers bounds the header itself.
const maxBasicBytes = 8 << 10

const basicScheme = "basic "

// BasicCredentials returns user and password of the Authorization header (RFC 7617); they are valid during the request.
func (r *Request) BasicCredentials() (user, password []byte, given bool) {
	header := r.KnownHeader(h1.HeaderAuthorization)
	if len(header) <= len(basicScheme) || len(header) > maxBasicBytes ||
		!ascii.EqualString(header[:len(basicScheme)], basicScheme) {
		return nil, nil, false
	}
	encoded := bytes.TrimRight(bytes.TrimLeft(header[len(basicScheme):], " "), "=")
	decoded := r.Alloc(base64.RawStdEncoding.DecodedLen(len(encoded)))
	n, err := base64.RawStdEncoding.Decode(decoded, encoded)
	if err != nil {
		return nil, nil, false
	}
	return bytes.Cut(decoded[:n], []byte{':'})
}
