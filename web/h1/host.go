package h1

import (
	"starling/nginx/ascii"
	"starling/nginx/hostnames"
)

// cleanHost checks host[:port] as nginx does and converts it to lower case, in the head's own memory only if needed.
func (h *RequestHead) cleanHost(value []byte) (host []byte, port uint16, ok bool) {
	host, port, upper, ok := hostnames.Split(value)
	if !ok || !upper {
		return host, port, ok
	}
	start := len(h.scratch)
	h.scratch = ascii.AppendLower(h.scratch, host)
	host = h.scratch[start:len(h.scratch):len(h.scratch)]
	return host, port, true
}
