package core

import (
	"net/netip"
	"os"
	"strconv"
	"time"

	"starling/lib/proxyprotocol"
	"starling/logs"
	"starling/nginx/version"
	"starling/stream"
	"starling/vars"
)

// coreVariables are those of nginx's stream core.
var coreVariables = []vars.Variable[*stream.Session]{
	{
		Name:   "binary_remote_addr",
		Doc:    "The client's address in 4 or 16 bytes.",
		Append: appendBinaryRemoteAddr,
	},
	{Name: "bytes_received", Doc: "The bytes received from the client.",
		Append: number((*stream.Session).BytesReceived)},
	{Name: "bytes_sent", Doc: "The bytes sent to the client.", Append: number((*stream.Session).BytesSent)},
	{
		Name: "connection",
		Doc:  "The serial number of the connection.",
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			return strconv.AppendUint(dst, s.Number, 10), true
		},
	},
	{
		Name: "hostname",
		Doc:  "The host name of the machine.",
		Append: func(_ *stream.Session, _ string, dst []byte) ([]byte, bool) {
			name, err := os.Hostname()
			return append(dst, name...), err == nil
		},
	},
	{
		Name: "msec",
		Doc:  "The current time in seconds with milliseconds.",
		Append: func(_ *stream.Session, _ string, dst []byte) ([]byte, bool) {
			return appendMillis(dst, time.Now().UnixMilli()), true
		},
	},
	{
		Name:   "nginx_version",
		Doc:    "The compatible nginx version.",
		Append: text(func(*stream.Session) string { return version.Nginx }),
	},
	{Name: "pid", Doc: "The process ID.", Append: number(func(*stream.Session) int64 { return int64(os.Getpid()) })},
	{Name: "protocol", Doc: "`TCP` or `UDP`.", Append: text(func(s *stream.Session) string {
		if s.IsUDP() {
			return "UDP"
		}
		return "TCP"
	})},
	{
		Name: "remote_addr", Doc: "The client's address.",
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			return appendIP(dst, s.Remote), true
		},
	},
	{
		Name: "remote_port", Doc: "The client's port.",
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			return appendPort(dst, s.Remote), true
		},
	},
	{
		Name: "server_addr",
		Doc:  "The server address that accepted the connection.",
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			return appendIP(dst, s.Local), true
		},
	},
	{
		Name:   "server_name",
		Doc:    "The first name of the virtual server.",
		Append: text(func(s *stream.Session) string { return s.Server.Name }),
	},
	{
		Name: "server_port",
		Doc:  "The server port that accepted the connection.",
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			return appendPort(dst, s.Local), true
		},
	},
	{
		Name: "session_time",
		Doc:  "The duration of the session, in seconds with milliseconds.",
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			return appendMillis(dst, time.Since(s.StartedAt).Milliseconds()), true
		},
	},
	{
		Name: "status",
		Doc:  "The status of the session: `200`, `400`, `403`, `500`, `502` or `503`.",
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			if s.Status == 0 {
				return append(dst, "000"...), true
			}
			return strconv.AppendInt(dst, int64(s.Status), 10), true
		},
	},
	{
		Name:   "time_iso8601",
		Doc:    "The local time in ISO 8601 format.",
		Append: moment(func(t *logs.Stamps) string { return t.ISO8601 }),
	},
	{
		Name: "time_iso8601_ms",
		Doc:  "The local time in ISO 8601 format with milliseconds.",
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			now := time.Now()
			return s.Stamps(now).AppendISO8601Millis(dst, now.UnixMilli()), true
		},
	},
	{
		Name:   "time_local",
		Doc:    "The local time in the common log format.",
		Append: moment(func(t *logs.Stamps) string { return t.Local }),
	},
}

// proxied is the PROXY header of the session, or nil.
func proxied(s *stream.Session) *proxyprotocol.Header { return s.Proxied }

type appender = func(s *stream.Session, rest string, dst []byte) ([]byte, bool)

func text(of func(*stream.Session) string) appender {
	return func(s *stream.Session, _ string, dst []byte) ([]byte, bool) { return append(dst, of(s)...), true }
}

func number(of func(*stream.Session) int64) appender {
	return func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
		return strconv.AppendInt(dst, of(s), 10), true
	}
}

func moment(of func(*logs.Stamps) string) appender {
	return func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
		return append(dst, of(s.Stamps(time.Now()))...), true
	}
}

// appendIP adds "unix:" for a session without addresses, as nginx does.
func appendIP(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(dst, "unix:"...)
	}
	return a.Addr().AppendTo(dst)
}

func appendPort(dst []byte, a netip.AddrPort) []byte {
	if a.Port() == 0 {
		return dst
	}
	return strconv.AppendUint(dst, uint64(a.Port()), 10)
}

func appendBinaryRemoteAddr(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
	a := s.Remote.Addr()
	switch {
	case !a.IsValid():
		return append(dst, "unix:"...), true
	case a.Is4():
		b := a.As4()
		return append(dst, b[:]...), true
	}
	b := a.As16()
	return append(dst, b[:]...), true
}

// appendMillis writes milliseconds as seconds with three decimals.
func appendMillis(dst []byte, ms int64) []byte {
	ms = max(ms, 0)
	dst = strconv.AppendInt(dst, ms/1000, 10)
	rest := ms % 1000
	return append(dst, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}
