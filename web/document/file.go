package document

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"starling/logs"
	"starling/nginx/errno"
	"starling/web"
	"starling/web/h1"
)

// Readable reports whether a method can be answered with a file; POST then gets 405, as nginx gives it later.
func Readable(m h1.Method) bool { return m == h1.MethodGet || m == h1.MethodHead || m == h1.MethodPost }

// Failure is the status for a file or folder that cannot be used, and the level at which the reason is logged.
func Failure(err error) (level logs.Level, status web.Result) {
	switch {
	case IsMissing(err):
		return logs.Error, 404
	case errors.Is(err, fs.ErrPermission):
		return logs.Error, 403
	}
	return logs.Crit, 500
}

// Refuse answers for a file that cannot be opened.
func Refuse(r *web.Request, path []byte, err error) web.Result {
	level, status := Failure(err)
	if errors.Is(err, syscall.EMLINK) || errors.Is(err, syscall.ELOOP) {
		level, status = logs.Error, 403
	}
	if status != 404 || r.Location.Core.LogNotFound {
		r.Logf(level, "%s() \"%s\" failed (%s)", CallOf(err), path, errno.Reason(err))
	}
	return status
}

// CallOf is the system call that failed: openat with disable_symlinks.
func CallOf(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Op
	}
	return "open"
}

// IsMissing reports whether no file has the path.
func IsMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

// Send answers with the file or the requested part of it; coding is the Content-Encoding of its bytes, "" for none.
func Send(r *web.Request, file *os.File, info fs.FileInfo, coding string) web.Result {
	d := Of(r, info)
	d.Head(r, r.StatusFor(200))
	if coding != "" {
		r.SetHeader([]byte("Content-Encoding"), []byte(coding))
	}
	if len(r.Out.ContentType) == 0 { // otherwise a server sent it, with X-Accel-Redirect
		r.Out.ContentType = r.CopyString(r.Location.TypeOf(r.Path))
	}
	r.Out.ContentLength, r.Out.Ranges = d.Size, web.ManyRanges
	if err := r.SendHead(); err != nil || r.MethodID == h1.MethodHead {
		return web.Done
	}
	for {
		first, length, more := r.NextRange(d.Size)
		if !more || r.SendFile(file, first, length) != nil { // which has logged it
			return web.Done
		}
	}
}
