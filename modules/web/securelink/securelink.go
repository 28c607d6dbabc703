package securelink

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strconv"

	"starling/conf"
	"starling/web"
)

// appendLink is ngx_http_secure_link_variable.
func appendLink(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	s := conf.SettingsOf[Settings](r.Location.Scope)
	if len(s.secret) > 0 {
		return s.appendWithSecret(r, dst)
	}
	if s.link.Text() == "" || s.text.Text() == "" {
		return dst, false
	}
	hash, expires, dated := bytes.Cut(r.Expand(&s.link), []byte{','})
	at, ok := seconds(expires)
	if dated && !ok {
		return dst, false
	}
	got, ok := decode(hash)
	want := md5.Sum(r.Expand(&s.text))
	if !ok || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return dst, false
	}
	if dated && at < r.Now().WallMS/1000 {
		return append(dst, '0'), true
	}
	return append(dst, '1'), true
}

// appendExpires is the time in the link, if it is one.
func appendExpires(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	s := conf.SettingsOf[Settings](r.Location.Scope)
	if s.link.Text() == "" || s.text.Text() == "" || len(s.secret) > 0 {
		return dst, false
	}
	_, expires, _ := bytes.Cut(r.Expand(&s.link), []byte{','})
	if _, ok := seconds(expires); !ok {
		return dst, false
	}
	return append(dst, expires...), true
}

// seconds reads a time; nginx rejects the epoch itself and everything that is not all digits.
func seconds(text []byte) (int64, bool) {
	at, err := strconv.ParseUint(string(text), 10, 63)
	return int64(at), err == nil && at > 0
}

// maxHashBytes is base64 of an MD5 hash with its padding.
const maxHashBytes = 24

// decode reads base64url, with or without padding.
func decode(text []byte) (hash [md5.Size]byte, ok bool) {
	if len(text) > maxHashBytes {
		return hash, false
	}
	text = bytes.TrimRight(text, "=")
	var memory [maxHashBytes]byte
	n, err := base64.RawURLEncoding.Decode(memory[:], text)
	return [md5.Size]byte(memory[:md5.Size]), err == nil && n == md5.Size
}

// appendWithSecret checks /prefix/hash/link as the client sent it.
func (s *Settings) appendWithSecret(r *web.Request, dst []byte) ([]byte, bool) {
	target := r.Target[min(1, len(r.Target)):]
	_, rest, ok := bytes.Cut(target, []byte{'/'})
	hash, link, found := bytes.Cut(rest, []byte{'/'})
	if !ok || !found || len(link) == 0 || len(hash) != hex.EncodedLen(md5.Size) {
		return dst, false
	}
	var got [md5.Size]byte
	if _, err := hex.Decode(got[:], hash); err != nil {
		return dst, false
	}
	want := md5.Sum(append(append(r.Alloc(len(link) + len(s.secret))[:0], link...), s.secret...))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return dst, false
	}
	return append(dst, link...), true
}
