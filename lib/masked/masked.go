// Package masked keeps passwords out of what is logged and shown: an error about http://user:password@host goes to
// terminals, to logs and from there to whoever reads them.
package masked

import "strings"

const stars = "***"

// Passwords replaces what stands between ':' and '@' of user:password@ in each word of a text. Quotes, commas and
// slashes end words, but of a password that begins behind "//user:" only white space, quotes and the end do: somebody
// may have forgotten to encode it.
func Passwords(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		end := strings.IndexAny(text, " \t\r\n\"'")
		if end < 0 {
			end = len(text)
		}
		b.WriteString(word(text[:end]))
		if text = text[end:]; text != "" {
			b.WriteByte(text[0])
			text = text[1:]
		}
	}
	return b.String()
}

func word(w string) string {
	at := strings.LastIndexByte(w, '@')
	if at < 0 {
		return w
	}
	from := 0
	if scheme := strings.Index(w, "//"); scheme >= 0 && scheme < at {
		from = scheme + 2
	} else {
		from = strings.LastIndexAny(w[:at], "/,") + 1
	}
	colon := strings.IndexByte(w[from:at], ':')
	if colon < 0 {
		return w
	}
	// http://host:80/@x is no password: digits and a slash behind the colon are a port.
	if rest := strings.TrimLeft(w[from+colon+1:at], "0123456789"); strings.HasPrefix(rest, "/") {
		return w
	}
	return w[:from+colon+1] + stars + w[at:]
}
