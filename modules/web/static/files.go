package static

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"starling/logs"
	"starling/nginx/errno"
	"starling/nginx/escape"
	"starling/web"
	"starling/web/h1"
)

// copyBytes is how much of a file is read at once.
const copyBytes = 32 << 10

func buildFiles(*web.Block) (web.Handler, error) { return serve, nil }

// serve is ngx_http_static_handler.
func serve(r *web.Request) web.Result {
	if !readable(r.MethodID) {
		return 405
	}
	if len(r.Path) == 0 || r.Path[len(r.Path)-1] == '/' {
		return web.Declined
	}
	path := r.Filename()
	file, info, err := open(string(path))
	if err != nil {
		return refuse(r, path, err)
	}
	defer file.Close()
	switch {
	case info.IsDir():
		return addSlash(r)
	case !info.Mode().IsRegular():
		r.Logf(logs.Crit, "\"%s\" is not a regular file", path)
		return 404
	case r.MethodID == h1.MethodPost:
		return 405
	}
	return send(r, file, info)
}

func readable(m h1.Method) bool { return m == h1.MethodGet || m == h1.MethodHead || m == h1.MethodPost }

// open opens a file without waiting for the writer of a pipe.
func open(path string) (*os.File, fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// refuse answers for a file that cannot be opened.
func refuse(r *web.Request, path []byte, err error) web.Result {
	level, status := logs.Crit, web.Result(500)
	switch {
	case isMissing(err):
		level, status = logs.Error, 404
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EMLINK), errors.Is(err, syscall.ELOOP):
		level, status = logs.Error, 403
	}
	if status != 404 || r.Location.Core.LogNotFound {
		r.Logf(level, "open() \"%s\" failed (%s)", path, errno.Reason(err))
	}
	return status
}

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

// addSlash redirects the client to the directory's own URI.
func addSlash(r *web.Request) web.Result {
	to := append(escape.Append(r.Scratch(), r.Path, escape.Path), '/')
	if len(r.Query) > 0 {
		to = append(append(to, '?'), r.Query...)
	}
	r.Out.Location = r.KeepScratch(to)
	return 301
}

// send answers with the file or the requested part of it. Conditions apply only to status 200: an error_page with a
// status of its own is sent whole.
func send(r *web.Request, file *os.File, info fs.FileInfo) web.Result {
	d := document{modified: info.ModTime().Truncate(time.Second), size: info.Size()}
	if r.Location.Core.ETag {
		d.etag = appendETag(r.Alloc(maxETag)[:0], d.modified, d.size)
	}
	if r.StatusFor(200) == 200 {
		if failed := d.precondition(r); failed == 304 {
			return d.notModified(r)
		} else if failed != 0 {
			return failed
		}
	}
	d.head(r, r.StatusFor(200))
	if len(r.Out.ContentType) == 0 { // otherwise a server sent it, with X-Accel-Redirect
		r.Out.ContentType = r.CopyString(r.Location.TypeOf(r.Path))
	}
	r.Out.ContentLength, r.Out.Ranges = d.size, true
	if err := r.SendHead(); err != nil || r.MethodID == h1.MethodHead {
		return web.Done
	}
	first, length := r.TakeRange(d.size)
	copyFile(r, file, first, length)
	return web.Done
}

// copyFile sends the bytes; a file that has become shorter meanwhile ends the connection, because the length was
// promised.
func copyFile(r *web.Request, file *os.File, first, length int64) {
	block := h1.TakeSlab(int(min(length, copyBytes)))
	defer block.GiveBack()
	for at, end := first, first+length; at < end; {
		piece := block.Mem[:min(int64(len(block.Mem)), end-at)]
		n, err := file.ReadAt(piece, at)
		if n > 0 {
			if _, err := r.Write(piece[:n]); err != nil {
				return // the connection remembers its failure
			}
			at += int64(n)
		}
		if err != nil && (err != io.EOF || at < end) {
			r.Logf(logs.Alert, "file \"%s\" was truncated while sending or cannot be read: %v", file.Name(), err)
			return
		}
	}
}
