package side

import (
	"errors"
	"io"
	"os"
	"strconv"

	"starling/lib/proxyprotocol"
	"starling/logs"
	"starling/nginx/errno"
	"starling/vars"
)

// ReadProxied reads the PROXY protocol header at the start of a connection, nil if it has no addresses. The caller's
// deadline on the connection limits the time. A missing header is logged with nginx's text.
func ReadProxied(conn io.Reader, log interface {
	Logf(level logs.Level, format string, args ...any)
}) (*proxyprotocol.Header, error) {
	header, err := proxyprotocol.Read(conn)
	var broken *proxyprotocol.Broken
	switch {
	case err == nil:
	case errors.As(err, &broken):
		broken.Read = append(broken.Read, arrived(conn)...)
		log.Logf(logs.Error, "%v", broken)
	case errors.Is(err, io.EOF):
		log.Logf(logs.Info, "client closed connection while reading PROXY protocol")
	case errors.Is(err, os.ErrDeadlineExceeded):
		log.Logf(logs.Info, "client timed out (110: Connection timed out) while reading PROXY protocol")
	default:
		log.Logf(logs.Info, "%s while reading PROXY protocol", errno.Failure("recv", err))
	}
	return header, err
}

// IsBroken distinguishes an invalid header from a connection that failed before it arrived.
func IsBroken(err error) bool {
	var broken *proxyprotocol.Broken
	return errors.As(err, &broken)
}

// ProxyVariables are $proxy_protocol_…. header returns what ReadProxied read for c, or nil.
func ProxyVariables[C any](header func(c C) *proxyprotocol.Header) []vars.Variable[C] {
	of := func(name, doc string, value func(h *proxyprotocol.Header, dst []byte) []byte) vars.Variable[C] {
		return vars.Variable[C]{
			Name: name,
			Doc:  doc,
			Append: func(c C, _ string, dst []byte) ([]byte, bool) {
				h := header(c)
				if h == nil {
					return dst, false
				}
				return value(h, dst), true
			},
		}
	}
	return []vars.Variable[C]{
		of("proxy_protocol_addr", "The client's address in the PROXY protocol.",
			func(h *proxyprotocol.Header, dst []byte) []byte { return h.Source.Addr().AppendTo(dst) }),
		of("proxy_protocol_port", "The client's port in the PROXY protocol.",
			func(h *proxyprotocol.Header, dst []byte) []byte {
				return strconv.AppendUint(dst, uint64(h.Source.Port()), 10)
			}),
		of("proxy_protocol_server_addr", "The server's address in the PROXY protocol.",
			func(h *proxyprotocol.Header, dst []byte) []byte { return h.Destination.Addr().AppendTo(dst) }),
		of("proxy_protocol_server_port", "The server's port in the PROXY protocol.",
			func(h *proxyprotocol.Header, dst []byte) []byte {
				return strconv.AppendUint(dst, uint64(h.Destination.Port()), 10)
			}),
		{
			Name:   "proxy_protocol_tlv_",
			Prefix: true,
			Doc:    "A TLV of the PROXY protocol: `alpn`, `authority`, `unique_id`, `netns`, `ssl_version`, …, `0xNN`.",
			Append: func(c C, name string, dst []byte) ([]byte, bool) { return header(c).AppendTLV(dst, name) },
		},
	}
}
