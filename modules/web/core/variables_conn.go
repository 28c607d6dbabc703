package core

import (
	"encoding/hex"
	"net/netip"
	"strconv"

	"starling/nginx/units"
	"starling/web"
	"starling/web/h1"
)

func connectionVariables() []variable {
	return []variable{
		always("remote_addr", "The client's address.",
			func(r *web.Request, dst []byte) ([]byte, bool) { return appendAddr(dst, r.Remote), true }),
		always("remote_user", "The user name of basic authentication, even if it is not verified.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				user, _, _ := r.BasicCredentials()
				return append(dst, user...), len(user) > 0
			}),
		always("remote_port", "The client's port.", func(r *web.Request, dst []byte) ([]byte, bool) {
			if r.Remote.Port() == 0 {
				return dst, true
			}
			return strconv.AppendUint(dst, uint64(r.Remote.Port()), 10), true
		}),
		always("binary_remote_addr", "The client's address in 4 or 16 bytes.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				switch a := r.Remote.Addr(); {
				case a.Is4():
					b := a.As4()
					dst = append(dst, b[:]...)
				case a.Is6():
					b := a.As16()
					dst = append(dst, b[:]...)
				default:
					dst = append(dst, "unix:"...)
				}
				return dst, true
			}),
		always("connection", "The serial number of the connection.",
			number(func(r *web.Request) int64 { return int64(r.Conn.Serial) })),
		always("connection_requests", "The number of requests of the connection.",
			number(func(r *web.Request) int64 { return int64(r.Conn.Requests) })),
		always("connection_time", "The age of the connection, in seconds with milliseconds.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				return units.AppendSeconds(dst, max(r.Now().MonoMS-r.Conn.OpenedAt.MonoMS, 0)), true
			}),
		always("pipe", "`p` if the request was pipelined, otherwise `.`.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				if r.Conn.Pipelined() {
					return append(dst, 'p'), true
				}
				return append(dst, '.'), true
			}),
	}
}

// serverVariables describe the server side of a request: the server's address and name.
func serverVariables() []variable {
	return []variable{
		always("server_addr", "The server address that accepted the connection.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				if !r.Conn.Local.IsValid() {
					return append(dst, r.Conn.Port.Addr.String()...), true
				}
				return r.Conn.Local.Addr().AppendTo(dst), true
			}),
		always("server_port", "The server port that accepted the connection.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				if p := r.Conn.Local.Port(); p != 0 {
					dst = strconv.AppendUint(dst, uint64(p), 10)
				}
				return dst, true
			}),
		always("server_name", "The first name of the virtual server.",
			func(r *web.Request, dst []byte) ([]byte, bool) { return append(dst, r.Server.Name...), true }),
		always("request_port", "The port of the `Host` header or of the request line.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				if r.Port != 0 {
					dst = strconv.AppendUint(dst, uint64(r.Port), 10)
				}
				return dst, true
			}),
		always("is_request_port", "`:` if `$request_port` has a value, otherwise empty.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				if r.Port != 0 {
					dst = append(dst, ':')
				}
				return dst, true
			}),
		always("scheme", "`http` or `https`.", func(r *web.Request, dst []byte) ([]byte, bool) {
			if r.Conn.TLS != nil {
				return append(dst, "https"...), true
			}
			return append(dst, "http"...), true
		}),
		always("https", "`on` over TLS, otherwise empty.", func(r *web.Request, dst []byte) ([]byte, bool) {
			if r.Conn.TLS != nil {
				dst = append(dst, "on"...)
			}
			return dst, true
		}),
		always("http2", "`h2` over TLS, `h2c` without TLS; empty without HTTP/2.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				switch {
				case r.Version < h1.Version20:
					return dst, true
				case r.Conn.TLS != nil:
					return append(dst, "h2"...), true
				}
				return append(dst, "h2c"...), true
			}),
	}
}

// tcpVariables are what the kernel knows of the client's connection; they have no value where it does not say.
func tcpVariables() []variable {
	of := func(name, doc string, value func(*web.TCPInfo) uint32) variable {
		return always(name, doc, func(r *web.Request, dst []byte) ([]byte, bool) {
			info, ok := r.TCPInfo()
			if !ok {
				return dst, false
			}
			return strconv.AppendUint(dst, uint64(value(&info)), 10), true
		})
	}
	return []variable{
		of("tcpinfo_rtt", "The round-trip time of the client's TCP connection in microseconds (only on Linux).",
			func(i *web.TCPInfo) uint32 { return i.RTTMicros }),
		of("tcpinfo_rttvar", "The variation of `$tcpinfo_rtt` in microseconds (only on Linux).",
			func(i *web.TCPInfo) uint32 { return i.RTTVarianceMicros }),
		of("tcpinfo_snd_cwnd", "The congestion window of the client's TCP connection in segments (only on Linux).",
			func(i *web.TCPInfo) uint32 { return i.SendWindowSegments }),
		of("tcpinfo_rcv_space", "The space for received bytes of the client's TCP connection (only on Linux).",
			func(i *web.TCPInfo) uint32 { return i.ReceiveSpaceBytes }),
	}
}

func appendAddr(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(dst, "unix:"...)
	}
	return a.Addr().AppendTo(dst)
}

func responseVariables() []variable {
	limit := always("limit_rate", "The rate limit of the response in bytes per second.",
		number(func(r *web.Request) int64 { return max(r.LimitRate, 0) }))
	limit.Assign = func(r *web.Request, value []byte) {
		if n, err := units.Size(string(value)); err == nil {
			r.SetLimitRate(n)
		}
	}
	return []variable{
		always("status", "The status of the response.", func(r *web.Request, dst []byte) ([]byte, bool) {
			status := r.Status()
			if status < 100 {
				return append(dst, "000"...), true
			}
			return strconv.AppendInt(dst, int64(status), 10), true
		}),
		always("bytes_sent", "The bytes sent to the client.", number((*web.Request).BytesSent)),
		always("body_bytes_sent", "The body bytes sent to the client.", number((*web.Request).BodyBytesSent)),
		always("request_length", "The length of the request: line, headers and body.",
			number((*web.Request).RequestLength)),
		always("request_time", "The time since the first byte of the request, in seconds with milliseconds.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				return units.AppendSeconds(dst, max(r.Now().MonoMS-r.StartedAt.MonoMS, 0)), true
			}),
		always("request_completion", "`OK` if the response was sent completely, otherwise empty.",
			func(r *web.Request, dst []byte) ([]byte, bool) {
				if r.Complete() {
					dst = append(dst, "OK"...)
				}
				return dst, true
			}),
		always("request_id", "16 random bytes in hexadecimal, the same throughout the request.", appendRequestID),
		limit,
	}
}

func appendRequestID(r *web.Request, dst []byte) ([]byte, bool) {
	id := r.ID()
	return hex.AppendEncode(dst, id[:]), true
}
