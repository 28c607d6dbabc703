package side

import (
	"errors"
	"io"
	"os"

	"starling/lib/proxyprotocol"
	"starling/logs"
	"starling/nginx/errno"
)

// ReadProxied reads the PROXY protocol header at the start of a connection, nil if it has no addresses. The caller's
// deadline on the connection limits the time. A missing header is logged with nginx's text.
func ReadProxied(conn io.Reader, log interface {
	Logf(level logs.Level, format string, args ...any)
}) (*proxyprotocol.Header, error) {
	header, err := proxyprotocol.Read(conn)
	switch {
	case err == nil:
	case IsBroken(err):
		log.Logf(logs.Error, "%v", err)
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
