package browser

import (
	"bytes"
	"strings"

	"starling/web"
	"starling/web/h1"
)

// The browsers that can be named, in the order in which nginx looks for them: Opera names others too.
const (
	opera = iota
	msie
	gecko
	safari
	konqueror
	kinds
)

// marks tell a browser's name, where it can begin at the earliest, and where its version begins after the name.
var marks = [kinds]struct {
	word string
	skip int
	mark string
	add  int
}{
	opera:     {"opera", 0, "Opera", len("Opera ")},
	msie:      {"msie", len("Mozilla/4.0 (compatible; "), "MSIE ", len("MSIE ")},
	gecko:     {"gecko", len("Mozilla/5.0 ("), "rv:", len("rv:")},
	safari:    {"safari", len("Mozilla/5.0 ("), "Safari/", len("Safari/")},
	konqueror: {"konqueror", len("Mozilla/5.0 (compatible; "), "Konqueror/", len("Konqueror/")},
}

func kindOf(word string) (kind int, known bool) {
	for kind, m := range marks {
		if strings.EqualFold(m.word, word) {
			return kind, true
		}
	}
	return 0, false
}

// agentOf is the User-Agent, nil if there is none.
func agentOf(r *web.Request) []byte { return r.KnownHeader(h1.HeaderUserAgent) }

// parseVersion reads numbers with dots as nginx does: the first counts a million, each further one a hundredth of the
// one before. It ends at another byte, or at a dot behind which the version is beyond enough, if that is not 0.
func parseVersion(text []byte, enough uint64) (version uint64, rest []byte) {
	scale, part := uint64(1_000_000), uint64(0)
	for len(text) > 0 {
		c := text[0]
		switch {
		case c >= '0' && c <= '9':
			part = part*10 + uint64(c-'0')
		case c == '.':
			version += part * scale
			if enough > 0 && version > enough {
				return version, text
			}
			part, scale = 0, scale/100
		default:
			return version + part*scale, text
		}
		text = text[1:]
	}
	return version + part*scale, nil
}

// isModern decides as ngx_http_browser does.
func (s *Settings) isModern(agent []byte) bool {
	if agent == nil {
		return s.unlisted
	}
	if s.listed {
		for kind, m := range marks {
			needs := s.modern[kind]
			if !needs.given && kind != opera || m.skip >= len(agent) {
				continue
			}
			at := bytes.Index(agent[m.skip:], []byte(m.mark))
			if at < 0 || m.skip+at+m.add >= len(agent) {
				continue
			}
			if !needs.given {
				return false // Opera, unless it is named: it may pretend to be another
			}
			version, _ := parseVersion(agent[m.skip+at+m.add:], needs.version)
			return version >= needs.version
		}
		if !s.unlisted {
			return false
		}
	}
	if s.netscape4 && isNetscape4(agent) {
		return false
	}
	for _, text := range s.ancient {
		if bytes.Contains(agent, []byte(text)) {
			return false
		}
	}
	return s.unlisted
}

func isNetscape4(agent []byte) bool {
	return len(agent) > len("Mozilla/4.72 ") && bytes.HasPrefix(agent, []byte("Mozilla/")) &&
		agent[len("Mozilla/")] > '0' && agent[len("Mozilla/")] < '5'
}
