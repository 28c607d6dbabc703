package errno

import (
	"net"
	"os"
	"strings"
	"syscall"
)

// Args are the arguments of a log line, with nginx's text for errors. It copies args only if one changes.
func Args(args []any) []any {
	copied := false
	for i, arg := range args {
		err, ok := arg.(error)
		if !ok || err == nil {
			continue
		}
		plain := err.Error()
		text := Message(err)
		if text == plain {
			continue
		}
		if !copied {
			args, copied = append([]any(nil), args...), true
		}
		args[i] = text
	}
	return args
}

// Message is the text of an error with nginx's texts for failed system calls, whatever wraps them: "read tcp
// 10.0.0.1:80->10.0.0.2:5000: read: connection reset by peer" becomes "recv() failed (104: Connection reset by peer)".
func Message(err error) string { return reworded(err.Error(), err) }

// Worded is err with its Message as text, for errors that are both logged and shown elsewhere.
func Worded(err error) error {
	if text := Message(err); text != err.Error() {
		return &failed{text, err}
	}
	return err
}

// reworded replaces in text the texts of system calls below err.
func reworded(text string, err error) string {
	var words string
	switch e := err.(type) {
	case nil, *failed:
		return text
	case *os.PathError:
		words = pathWords(e.Op, e.Path, e.Err)
	case *os.LinkError:
		words = pathWords(e.Op, e.Old+"\" to \""+e.New, e.Err)
	case *net.OpError:
		words = socketWords(e)
	case *os.SyscallError:
		words = callWords(e.Syscall, e.Err)
	case syscall.Errno:
		words = Reason(e)
	}
	if words != "" {
		return strings.Replace(text, err.Error(), words, 1)
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return reworded(text, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			text = reworded(text, inner)
		}
	}
	return text
}

// pathWords is empty if no system call failed, as are the others.
func pathWords(call, path string, err error) string {
	if _, ok := Of(err); !ok {
		return ""
	}
	return Call(call, path, err).Error()
}

func callWords(call string, err error) string {
	if _, ok := Of(err); !ok {
		return ""
	}
	return Failure(calls(call), err)
}

// socketWords omits the addresses of an established connection, because the line names them. Without a connection the
// address matters.
func socketWords(e *net.OpError) string {
	number, ok := Of(e.Err)
	if !ok {
		return ""
	}
	call := calls(e.Op)
	if e.Addr != nil && (e.Op == "dial" || e.Op == "listen") {
		return call + "() to " + e.Addr.String() + " failed (" + Reason(number) + ")"
	}
	return Failure(call, number)
}

// calls maps a call in Go to the name of the call that nginx makes.
func calls(call string) string {
	switch call {
	case "read", "recvfrom", "recvmsg":
		return "recv"
	case "write", "sendto", "sendmsg":
		return "send"
	case "dial":
		return "connect"
	case "listen":
		return "bind"
	case "accept4":
		return "accept"
	}
	return call
}
