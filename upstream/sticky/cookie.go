package sticky

import (
	"strconv"
	"time"
)

// Cookie is `sticky cookie`: a cookie set by the proxy names the server.
type Cookie struct {
	Name string
	// Expires is the cookie's lifetime; with 0 it ends with the browser session, with ExpiresMax never.
	Expires time.Duration
	// Path is sent unchanged; empty omits it.
	Path             string
	HTTPOnly, Secure bool
}

// ExpiresMax is `expires=max`: the date and age that nginx sends for it.
const ExpiresMax time.Duration = 1<<63 - 1

const (
	farDate = "Thu, 31-Dec-37 23:55:55 GMT"
	farAge  = 315360000 // seconds
	// cookieDate has two digits of the year, as in nginx and the first cookies.
	cookieDate = "Mon, 02-Jan-06 15:04:05 GMT"
)

// AppendSetCookie appends the value of the Set-Cookie header for a server. It is sent with every proxied response, even
// if the client already has the cookie. domain and sameSite are evaluated values, empty omits them; sameSite is sent as
// written, see ValidSameSite.
func (c *Cookie) AppendSetCookie(dst []byte, server, domain, sameSite []byte, now time.Time) []byte {
	dst = append(dst, c.Name...)
	dst = append(dst, '=')
	dst = append(dst, server...)
	switch {
	case c.Expires == ExpiresMax:
		dst = append(dst, "; expires="+farDate+"; max-age="...)
		dst = strconv.AppendInt(dst, farAge, 10)
	case c.Expires > 0:
		dst = append(dst, "; expires="...)
		dst = now.Add(c.Expires).UTC().AppendFormat(dst, cookieDate)
		dst = append(dst, "; max-age="...)
		dst = strconv.AppendInt(dst, int64(c.Expires/time.Second), 10)
	}
	if len(domain) > 0 {
		dst = append(dst, "; domain="...)
		dst = append(dst, domain...)
	}
	if c.HTTPOnly {
		dst = append(dst, "; httponly"...)
	}
	if c.Secure {
		dst = append(dst, "; secure"...)
	}
	if len(sameSite) > 0 {
		dst = append(dst, "; samesite="...)
		dst = append(dst, sameSite...)
	}
	if c.Path != "" {
		dst = append(dst, "; path="...)
		dst = append(dst, c.Path...)
	}
	return dst
}

// ValidSameSite reports whether a text is strict, lax or none in any case. nginx rejects others in the configuration,
// and sends strict if a variable returns one.
func ValidSameSite(text string) bool {
	if len(text) > len("strict") {
		return false
	}
	var lower [len("strict")]byte
	for i := range len(text) {
		lower[i] = text[i] | 0x20
	}
	switch string(lower[:len(text)]) {
	case "strict", "lax", "none":
		return true
	}
	return false
}
