// Package masked keeps passwords out of logs and output: an error about http://user:password@host goes to terminals and
// logs, and from there to all their readers. A text that may or may not be a password is masked.
package masked

import "strings"

const (
	stars  = "***"
	spaces = " \t\r\n"
	quotes = "\"'"
)

// Passwords masks the text between ':' and '@' of user:password@ in a text: in each quoted value as a whole, because
// white space may be unencoded, and in each word outside of quotes.
func Passwords(text string) string {
	if !strings.Contains(text, "@") && !strings.Contains(text, "%40") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		end := i
		switch {
		case opens(text, i):
			end = closing(text, i)
			b.WriteByte(text[i])
			b.WriteString(URL(text[i+1 : end]))
		case strings.IndexByte(spaces, text[i]) >= 0:
			end = i + 1
			b.WriteByte(text[i])
		default:
			for end < len(text) && strings.IndexByte(spaces, text[end]) < 0 && (end == i || !opens(text, end)) {
				end++
			}
			b.WriteString(URL(text[i:end]))
		}
		if i == end || end < len(text) && opens(text, i) {
			b.WriteByte(text[end]) // the quote at the end
			end++
		}
		i = end
	}
	return b.String()
}

// opens reports whether a quoted value begins at a position.
func opens(text string, i int) bool {
	return strings.IndexByte(quotes, text[i]) >= 0 && (i == 0 || strings.IndexByte(spaces+"=(,:[", text[i-1]) >= 0)
}

// closing finds the end of a quoted value, which may contain quotes: it is the last possible one before another value
// begins. A URL without '@' continues beyond that if an '@' follows later: the quote belongs to the password.
func closing(text string, from int) int {
	end := -1
	for i := from + 1; i < len(text); i++ {
		switch {
		case text[i] != text[from]:
		case i+1 == len(text) || strings.IndexByte(spaces+quotes+",;:.)]}", text[i+1]) >= 0:
			end = i
		case strings.IndexByte(spaces, text[i-1]) >= 0 && resolved(text[from:i]):
			if end < 0 {
				return i
			}
			return end
		}
	}
	if end < 0 {
		return len(text)
	}
	return end
}

// resolved reports that a value is not a URL whose password may continue.
func resolved(value string) bool {
	_, rest, _ := strings.Cut(value, "//")
	_, password, found := cutColon(rest)
	return !found || strings.Contains(password, "@") || strings.Contains(password, "%40")
}

// URL masks the password of a text that is one value: a URL, with or without its scheme, or a word that contains one.
func URL(w string) string {
	at := strings.LastIndexByte(w, '@')
	encoded := at < 0
	if encoded {
		if at = strings.LastIndex(w, "%40"); at < 0 {
			return w
		}
	}
	starts := hosts(w[:at])
	for _, from := range starts {
		user, password, found := cutColon(w[from:at])
		if found && !isPort(password) && !(encoded && strings.Contains(user, "/")) { // otherwise it is in the path
			return w[:at-len(password)] + stars + w[at:]
		}
	}
	user, password, found := cutColon(w[:at])
	if strings.Contains(user, "/") && !encoded {
		_, password, found = cutColon(w[strings.LastIndexByte(w[:at], '/')+1 : at])
	}
	prose := strings.HasPrefix(password, " ")
	if len(starts) > 0 || !found || prose || isPort(password) || encoded && strings.Contains(user, "/") {
		return w
	}
	return w[:at-len(password)] + stars + w[at:]
}

// isPort recognizes the text after the colon of http://host:80/@x: digits and a slash.
func isPort(text string) bool { return strings.HasPrefix(strings.TrimLeft(text, "0123456789"), "/") }

// hosts finds where user and host may begin, after a scheme: a URL may be part of another.
func hosts(w string) (starts []int) {
	for i := 1; i <= len(w); i++ {
		for _, slashes := range []string{"//", "%2F%2F"} {
			scheme, found := cutSuffix(w[:i], slashes)
			_, plain := cutSuffix(scheme, ":")
			_, encoded := cutSuffix(scheme, "%3A")
			if found && (scheme == "" || plain || encoded) {
				starts = append(starts, i)
			}
		}
	}
	return starts
}

// cutSuffix is strings.CutSuffix, ignoring case.
func cutSuffix(s, suffix string) (before string, found bool) {
	at := len(s) - len(suffix)
	if at < 0 || !strings.EqualFold(s[at:], suffix) {
		return s, false
	}
	return s[:at], true
}

// cutColon cuts at the first colon that is not part of an IPv6 address, encoded or not.
func cutColon(w string) (before, after string, found bool) {
	skip := 0
	if strings.HasPrefix(w, "[") {
		skip = strings.IndexByte(w, ']') + 1
	}
	for i := skip; i < len(w); i++ {
		switch {
		case w[i] == ':':
			return w[:i], w[i+1:], true
		case strings.HasPrefix(w[i:], "%3A"), strings.HasPrefix(w[i:], "%3a"):
			return w[:i], w[i+3:], true
		}
	}
	return w, "", false
}
