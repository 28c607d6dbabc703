package h1

import "strconv"

type text interface{ ~string | ~[]byte }

// AppendStatusLine writes "HTTP/1.1 404 Not Found"; with a line from ResponseHead.Line it writes that after the version
// instead, so that an upstream's reason is preserved.
func AppendStatusLine(dst []byte, status int, line []byte) []byte {
	if len(line) > 0 {
		dst = append(dst, "HTTP/1.1 "...)
		dst = append(dst, line...)
		return append(dst, '\r', '\n')
	}
	if status >= 100 && status <= lastStatus {
		return append(dst, statusLines[status]...)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	return append(dst, ' ', '\r', '\n')
}

// AppendRequestLine writes "GET /path HTTP/1.1". White space and controls in target are escaped: a target made from a
// decoded $uri must not end the line.
func AppendRequestLine[M, T text](dst []byte, method M, target T, version Version) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	start := len(dst)
	dst = append(dst, target...)
	if clean := dst[start:]; controlIn(clean) || hasSpace(clean) {
		dst = appendEscaped(dst[:start], string(clean))
	}
	if version == Version10 {
		return append(dst, " HTTP/1.0\r\n"...)
	}
	return append(dst, " HTTP/1.1\r\n"...)
}

func hasSpace(b []byte) bool {
	for _, c := range b {
		if c == ' ' {
			return true
		}
	}
	return false
}

func appendEscaped(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c <= 0x20 || c == 0x7f {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendHeader writes a field. A line end or NUL in the value becomes a space, because values contain variables, and
// these untrusted input.
func AppendHeader[N, V text](dst []byte, name N, value V) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	start := len(dst)
	dst = append(dst, value...)
	if written := dst[start:]; controlIn(written) {
		for i, c := range written {
			if c == '\r' || c == '\n' || c == 0 {
				written[i] = ' '
			}
		}
	}
	return append(dst, '\r', '\n')
}

// AppendKnown is AppendHeader with a known header's usual spelling.
func AppendKnown[V text](dst []byte, id Known, value V) []byte {
	return AppendHeader(dst, knownNames[id], value)
}

// AppendHeaders writes parsed headers unchanged, in their order, except the known ones in except.
func AppendHeaders(dst []byte, headers Headers, except KnownSet) []byte {
	for i := range headers {
		h := &headers[i]
		if except.Has(h.ID) {
			continue
		}
		dst = append(dst, h.Name...)
		dst = append(dst, ':', ' ')
		dst = append(dst, h.Value...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// AppendContentLength writes the Content-Length field.
func AppendContentLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// AppendChunkedCoding writes "Transfer-Encoding: chunked".
func AppendChunkedCoding(dst []byte) []byte { return append(dst, "Transfer-Encoding: chunked\r\n"...) }

// AppendHeadEnd writes the empty line.
func AppendHeadEnd(dst []byte) []byte { return append(dst, '\r', '\n') }

// Continue is the interim answer to Expect: 100-continue.
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// AppendChunkSize writes the line before a chunk of n bytes; n must not be 0, which would end the body.
func AppendChunkSize(dst []byte, n int) []byte {
	dst = strconv.AppendInt(dst, int64(n), 16)
	return append(dst, '\r', '\n')
}

// AppendLastChunk ends a chunked body, with trailers if there are any.
func AppendLastChunk(dst []byte, trailers Headers) []byte {
	dst = append(dst, '0', '\r', '\n')
	dst = AppendHeaders(dst, trailers, 0)
	return append(dst, '\r', '\n')
}
