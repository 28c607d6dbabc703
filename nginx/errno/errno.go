// Package errno words failed system calls as nginx does: open() "x" failed (2: No such file or directory). Operators
// search their logs for these texts, and their tools know them.
package errno

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"
)

// Text is the C library's text of an error number; unlike Go's it begins with a capital.
func Text(number syscall.Errno) string {
	text := number.Error()
	if text != "" && text[0] >= 'a' && text[0] <= 'z' {
		text = string(text[0]-'a'+'A') + text[1:]
	}
	return text
}

// Reason is why a system call failed, with number and text: "2: No such file or directory". For an error without a
// number it is the error's own text.
func Reason(err error) string {
	if number, ok := Of(err); ok {
		return strconv.Itoa(int(number)) + ": " + Text(number)
	}
	var at *fs.PathError
	if errors.As(err, &at) { // the caller names the path
		return at.Err.Error()
	}
	return err.Error()
}

// Of is the number of the failed system call; ok is false if no system call failed.
func Of(err error) (number syscall.Errno, ok bool) {
	switch {
	case errors.As(err, &number):
		return number, true
	case errors.Is(err, fs.ErrNotExist): // from an fs.FS other than the machine's
		return syscall.ENOENT, true
	case errors.Is(err, fs.ErrPermission):
		return syscall.EACCES, true
	}
	return 0, false
}

// Failure words a failed call: "send() failed (32: Broken pipe)".
func Failure(call string, err error) string { return call + "() failed (" + Reason(err) + ")" }

// Call is the error of a failed call on a path: open() "x" failed (2: No such file or directory). It wraps err.
func Call(call, path string, err error) error {
	return &failed{text: fmt.Sprintf("%s() \"%s\" failed (%s)", call, path, Reason(err)), err: err}
}

// failed is an error that already has nginx's text.
type failed struct {
	text string
	err  error
}

func (f *failed) Error() string { return f.text }
func (f *failed) Unwrap() error { return f.err }
