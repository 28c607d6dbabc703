package h1

import "bytes"

// checkMethod checks the method's bytes received so far (complete means that they must have ended).
func checkMethod(part []byte, have int) error {
	for i, c := range part[:min(have, maxMethodBytes+1)] {
		if c == ' ' && i > 0 {
			return nil
		}
		if (c < 'A' || c > 'Z') && c != '_' && c != '-' || i == maxMethodBytes {
			return clientProblem(400, "invalid method")
		}
	}
	return nil
}

// parseRequestLine splits "METHOD target HTTP/1.x". Exactly one space separates the parts: nginx accepts more, but
// request smuggling needs two readers that split differently, and no client sends them.
func (h *RequestHead) parseRequestLine(line []byte, l *Limits) error {
	if err := checkMethod(line, len(line)); err != nil {
		return err
	}
	space := bytes.IndexByte(line, ' ')
	if space < 0 {
		return invalidRequest()
	}
	h.Method = line[:space:space]
	h.MethodID = IdentifyMethod(h.Method)
	target := line[space+1:]
	if !beginsTarget(target, h.MethodID) {
		return h.unreadable() // whatever the version: "PRI * HTTP/2.0" is 400 in nginx, not 505
	}
	space = bytes.IndexByte(target, ' ')
	if space < 0 {
		h.Version = Version09
	} else {
		if err := h.parseVersion(target[space+1:]); err != nil {
			return err
		}
		target = target[:space:space]
	}
	if len(target) == 0 || controlIn(target) {
		return h.unreadable()
	}
	if h.Version == Version09 && h.MethodID != MethodGet {
		return clientProblem(400, "invalid method in HTTP/0.9 request")
	}
	return h.parseTarget(target, l)
}

// checkLineStart checks a line of which the end is missing; its method was checked.
func checkLineStart(part []byte) error {
	method, target, after := bytes.Cut(part, []byte{' '})
	if !after {
		return nil
	}
	if controlIn(target) || !beginsTarget(target, IdentifyMethod(method)) {
		return invalidRequest()
	}
	_, proto, _ := bytes.Cut(target, []byte{' '})
	return checkVersion(proto)
}

func beginsTarget(target []byte, method Method) bool {
	if len(target) == 0 || method == MethodConnect {
		return true
	}
	first := target[0]
	return first == '/' || first|0x20 >= 'a' && first|0x20 <= 'z'
}

// unreadable is the error of a line that is no request line. Its version does not count, as in nginx: the response has
// no chunks.
func (h *RequestHead) unreadable() error {
	h.Version, h.Proto = 0, nil
	return invalidRequest()
}

func invalidRequest() error { return clientProblem(400, "invalid request") }

// parseVersion reads "HTTP/1.x", one digit each (RFC 9112, 2.3).
func (h *RequestHead) parseVersion(proto []byte) error {
	if len(proto) == 0 { // "GET / " of an HTTP/0.9 client, as nginx
		h.Version = Version09
		return nil
	}
	if err := checkVersion(proto); err != nil {
		return err
	}
	if len(proto) != versionBytes {
		return invalidRequest()
	}
	h.Proto = proto
	h.Version = Version11
	if proto[7] == '0' {
		h.Version = Version10
	}
	return nil
}

const versionBytes = len("HTTP/1.1")

// checkVersion checks the beginning of a version.
func checkVersion(proto []byte) error {
	for i, c := range proto {
		digit := c >= '0' && c <= '9'
		switch {
		case i < 5 && c != "HTTP/"[i], i == 5 && (!digit || c == '0'), i == 7 && !digit, i >= versionBytes:
			return invalidRequest()
		case i == 5 && c != '1', i == 6 && digit:
			return clientProblem(505, "invalid version")
		case i == 6 && c != '.':
			return invalidRequest()
		}
	}
	return nil
}

// parseTarget accepts the four forms of RFC 9112, 3.2, of which nginx rejects "*", as does starling.
func (h *RequestHead) parseTarget(target []byte, l *Limits) error {
	switch {
	case h.MethodID == MethodConnect:
		return h.parseAuthority(target)
	case target[0] == '/':
	default:
		var err error
		if target, err = h.cutAbsolute(target); err != nil {
			return err
		}
	}
	path, args, scratch, ok := normalise(h.scratch, target, !l.KeepSlashes)
	if !ok {
		h.Path = target[:0] // nginx's $uri is then empty, which is not the same as missing
		// Nginx looks at the host after the path: the default server responds.
		h.Host, h.Port, h.hostSent = nil, 0, false
		return invalidRequest()
	}
	h.Target, h.Path, h.Args, h.scratch = target, path, args, scratch
	return nil
}

// cutAbsolute removes scheme and authority from an absolute-form target; the rest starts with '/' or '?', or is "/".
func (h *RequestHead) cutAbsolute(target []byte) ([]byte, error) {
	end := bytes.Index(target, []byte("://"))
	if end <= 0 || !isScheme(target[:end]) {
		return nil, h.unreadable()
	}
	h.Scheme = target[:end:end]
	rest := target[end+3:]
	path := bytes.IndexAny(rest, "/?#")
	slash := target[end+1 : end+2 : end+2]
	authority := rest
	if path >= 0 {
		authority = rest[:path:path]
		slash = rest[path:]
	}
	if slash[0] == '#' || !isAuthority(authority) {
		return nil, h.unreadable()
	}
	host, port, ok := h.cleanHost(authority)
	if !ok {
		return nil, clientProblem(400, "invalid host in request line")
	}
	h.Host, h.Port, h.hostSent = host, port, true
	return slash, nil
}

// parseAuthority checks CONNECT's host:port; the method itself is rejected when the head is complete.
func (h *RequestHead) parseAuthority(target []byte) error {
	host, port, ok := h.cleanHost(target)
	if !ok || port == 0 || !isAuthority(target) {
		return h.unreadable()
	}
	h.Target, h.Path = target, target[:0]
	h.Host, h.Port, h.hostSent = host, port, true
	return nil
}

// isAuthority reports whether a host and port have only the bytes that nginx takes in a request line: fewer than in
// Host.
func isAuthority(b []byte) bool {
	name, port := true, false
	if len(b) > 0 && b[0] == '[' {
		name = false
		b = b[bytes.IndexByte(b, ']')+1:] // what is in the brackets is checked as in Host
	}
	for _, c := range b {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '.' || c == '-'
		switch {
		case c == ':' && !port:
			name, port = false, true
		case c >= '0' && c <= '9' && (name || port), letter && name:
		default:
			return false
		}
	}
	return true
}

func isScheme(b []byte) bool {
	for i, c := range b {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return true
}
