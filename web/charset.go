package web

import (
	"bytes"

	"starling/nginx/ascii"
)

// SplitCharset returns the media type with the parameters before charset, and the charset, which ends the value.
func SplitCharset(contentType []byte) (mediaType, charset []byte) {
	for at := 0; ; {
		semicolon := bytes.IndexByte(contentType[at:], ';')
		if semicolon < 0 {
			return contentType, nil
		}
		at += semicolon + 1
		rest := bytes.TrimLeft(contentType[at:], " ")
		const key = "charset="
		if len(rest) >= len(key) && ascii.EqualString(rest[:len(key)], key) {
			return contentType[:at-1], bytes.Trim(rest[len(key):], `"`)
		}
	}
}

// WithCharset returns the content type with the charset.
func (r *Request) WithCharset(mediaType, charset []byte) []byte {
	const parameter = "; charset="
	b := r.Alloc(len(mediaType) + len(parameter) + len(charset))[:0]
	return append(append(append(b, mediaType...), parameter...), charset...)
}

// inheritCharset adds Out.Charset to a content type without a charset.
func (r *Request) inheritCharset() {
	if len(r.Out.Charset) == 0 || len(r.Out.ContentType) == 0 {
		return
	}
	if _, own := SplitCharset(r.Out.ContentType); len(own) == 0 {
		r.Out.ContentType = r.WithCharset(r.Out.ContentType, r.Out.Charset)
	}
}
