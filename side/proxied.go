package side

import (
	"errors"
	"io"
	"os"

	"starling/lib/proxyprotocol"
	"starling/logs"
	"starling/nginx/errno"
)

// ReadProxied reads the header of the PROXY protocol that a connection begins with, nil where the proxy names no
// addresses. How long that may take is said by the deadline that the caller has set on the connection. Why there is no
// header is logged in nginx's words.
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

// IsBroken tells a header that is none from a connection that failed before it was there.
func IsBroken(err error) bool {
	var broken *proxyprotocol.Broken
	return errors.As(err, &broken)
}
