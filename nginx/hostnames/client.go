package hostnames

import "starling/nginx/ascii"

// hostByte are the bytes of a registered name or an IP literal besides letters, digits, '.' and ':' (RFC 3986, 3.2.2).
var hostByte = func() (ok [256]bool) {
	for _, c := range []byte("-_~!$&'()*+,;=") {
		ok[c] = true
	}
	for c := range 256 {
		ok[c] = ok[c] || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' && c < 0x80
	}
	return ok
}()

// Clean is a name from a client in the form in which names are compared: in lower case, without port and trailing dot.
// ok is false if nginx would not look it up.
func Clean(name string) (host []byte, ok bool) {
	host, _, _, ok = Split([]byte(name))
	return ascii.AppendLower(host[:0], host), ok
}

// Split checks host[:port] from a client the way nginx does: the host is without its trailing dot and not yet in lower
// case; upper reports that it has capitals. It does not allocate.
func Split(value []byte) (host []byte, port uint16, upper, ok bool) {
	end, literal := 0, false
	if len(value) > 0 && value[0] == '[' {
		literal, end = true, 1
	}
	dot := false
scan:
	for ; end < len(value); end++ {
		c := value[end]
		switch {
		case c == '.':
			if dot {
				return nil, 0, false, false
			}
			dot = true
			continue
		case literal && c == ']', !literal && c == ':':
			break scan
		case literal && c == ':', !literal && c == '%':
		case !hostByte[c]:
			return nil, 0, false, false
		case c >= 'A' && c <= 'Z':
			upper = true
		}
		dot = false
	}
	if literal {
		if end == len(value) {
			return nil, 0, false, false
		}
		end++
	}
	port, ok = splitPort(value[end:])
	host = value[:end:end]
	if !literal && dot {
		host = host[: end-1 : end-1]
	}
	return host, port, upper, ok && len(host) > 0
}

// splitPort reads "", ":" or ":digits" up to 65535.
func splitPort(b []byte) (uint16, bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b[0] != ':' {
		return 0, false
	}
	port := 0
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return 0, false
		}
		if port = port*10 + int(c-'0'); port > 65535 {
			return 0, false
		}
	}
	return uint16(port), true
}
