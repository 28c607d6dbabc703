package h2

import (
	"errors"
	"fmt"
	"net"
)

// failure ends a connection: the code goes into GOAWAY, the text into the log.
type failure struct {
	code Code
	text string
}

func (f *failure) Error() string { return f.text }

func failed(code Code, format string, args ...any) error {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// Errors of a stream.
var (
	// ErrReset is a stream that the client reset.
	ErrReset = errors.New("client canceled stream")
	// ErrClosed is a stream whose connection is gone.
	ErrClosed = errors.New("client prematurely closed connection")
)

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
