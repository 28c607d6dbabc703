package referer

import (
	"bytes"

	"starling/nginx/ascii"
	"starling/web"
	"starling/web/h1"
)

const (
	// shortestReferer is nginx's: "http://i.ru".
	shortestReferer = 11
	// maxHostBytes is nginx's bound of a host in a referer; names of DNS are shorter.
	maxHostBytes = 256
)

// valid is ngx_http_referer_variable.
func (s *Settings) valid(r *web.Request) bool {
	if s.table == nil || len(s.hosts)+len(s.regexes)+len(s.hostRegexes) == 0 {
		return true
	}
	referer := r.KnownHeader(h1.HeaderReferer)
	if referer == nil {
		return s.none
	}
	rest, ok := withoutScheme(referer)
	if !ok {
		return s.blocked
	}
	end := bytes.IndexAny(rest, "/:")
	if end < 0 {
		end = len(rest)
	}
	if end > maxHostBytes {
		return false
	}
	name := ascii.AppendLower(r.Alloc(end)[:0], rest[:end])
	if path, found := s.table.Find(name); found {
		if path == "" {
			return true
		}
		slash := max(bytes.IndexByte(rest[end:], '/'), 0)
		return bytes.HasPrefix(rest[end+slash:], []byte(path))
	}
	for _, x := range s.hostRegexes {
		if matched, err := x.Match(name, nil); matched && err == nil {
			return true
		}
	}
	for _, x := range s.regexes {
		if matched, err := x.Match(rest, nil); matched && err == nil {
			return true
		}
	}
	return false
}

func withoutScheme(referer []byte) (rest []byte, ok bool) {
	for _, scheme := range []string{"http://", "https://"} {
		n := len(scheme)
		if len(referer) >= shortestReferer && ascii.EqualString(referer[:n], scheme) {
			return referer[n:], true
		}
	}
	return nil, false
}
