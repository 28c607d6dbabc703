package forward

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"starling/logs"
	"starling/nginx/errno"
	"starling/web/h1"
)

// storeFile is the temporary file of a response that PREFIX_store keeps. The first piece of the body makes it.
type storeFile struct {
	*stores
	file    *os.File // nil: not made yet
	written int64
}

// beginStore decides by the head whether the response is written to a file (ngx_http_upstream_process_request).
func (x *Exchange) beginStore() {
	if x.l.storing.on && x.head.Status == 200 && x.buffering {
		x.storeFile = &storeFile{stores: x.l.stores}
	}
}

// writeStore writes a piece of the body.
func (x *Exchange) writeStore(piece []byte) {
	f := x.storeFile
	if f == nil || len(piece) == 0 {
		return
	}
	if err := f.write(&x.l.storing, piece); err != nil {
		x.storeFailed(err)
		x.dropStore()
	}
}

// endStore gives the file of a complete response its name (ngx_http_upstream_store).
func (x *Exchange) endStore() {
	f := x.storeFile
	if f == nil {
		return
	}
	defer x.dropStore()
	r, s := x.Request, &x.l.storing
	if x.head.ContentLength >= 0 && x.head.ContentLength != f.written {
		return
	}
	if r.MethodID == h1.MethodHead && f.written == 0 {
		return // it has no body, but the file of the URI does
	}
	path := ""
	if s.path == nil {
		path = string(r.Filename())
	} else {
		path = string(r.Expand(s.path))
	}
	if path == "" {
		return
	}
	modified := time.Time{}
	if s := x.head.lastModified(); s != -1 {
		modified = time.Unix(s, 0)
	}
	if err := f.publish(s, path, modified, time.UnixMilli(r.Now().WallMS)); err != nil {
		x.storeFailed(err)
	}
}

// storeFailed logs a failure. The client gets its response all the same.
func (x *Exchange) storeFailed(err error) {
	x.Logf(logs.Crit, "%v while reading upstream; the response is not stored", err)
}

// dropStore ends the storing of a response, and removes its temporary file.
func (x *Exchange) dropStore() {
	f := x.storeFile
	if f == nil {
		return
	}
	x.storeFile = nil
	if err := f.remove(); err != nil {
		x.Logf(logs.Crit, "%v", err)
	}
}

func (f *storeFile) create(s *storing) (err error) {
	f.file, _, err = s.temp.Create(&f.next, f.open)
	return err
}

func (f *storeFile) write(s *storing, piece []byte) error {
	if f.file == nil {
		if err := f.create(s); err != nil {
			return err
		}
	}
	n := int64(len(piece))
	f.written += n
	if f.bytes.Add(n) > f.limit {
		return fmt.Errorf("responses in temporary files reached the limit of %d bytes", f.limit)
	}
	if _, err := f.file.Write(piece); err != nil {
		return errno.Call("write", f.file.Name(), err)
	}
	return nil
}

// publish is ngx_ext_rename_file. An empty response has no temporary file yet.
func (f *storeFile) publish(s *storing, to string, modified, now time.Time) error {
	if f.file == nil {
		if err := f.create(s); err != nil {
			return err
		}
	}
	from := f.file.Name()
	if err := f.file.Chmod(s.access); err != nil {
		return errno.Call("chmod", from, err)
	}
	if !modified.IsZero() {
		if err := os.Chtimes(from, now, modified); err != nil {
			return errno.Call("utimes", from, err)
		}
	}
	err := f.move(from, to)
	if errors.Is(err, syscall.ENOENT) {
		if err := makeFoldersOf(to, folderAccess(s.access)); err != nil {
			return err
		}
		err = f.move(from, to)
	}
	if errors.Is(err, syscall.EXDEV) {
		return f.copyTo(to, s.access, modified, now)
	}
	if err != nil {
		return renameFailed(from, to, err)
	}
	return f.close()
}

// rename is the call as it is: os.Rename checks its arguments itself and reports other errors.
func rename(from, to string) error { return syscall.Rename(from, to) }

func renameFailed(from, to string, err error) error {
	return fmt.Errorf("rename() \"%s\" to \"%s\" failed (%s)", from, to, errno.Reason(err))
}

// folderAccess gives those who may read a folder the right to search it, too.
func folderAccess(mode fs.FileMode) fs.FileMode { return mode | mode&0o444>>2 }

// makeFoldersOf makes the folders above a file (ngx_create_full_path).
func makeFoldersOf(path string, mode fs.FileMode) (denied error) {
	for at := 1; at < len(path); at++ {
		if path[at] != '/' {
			continue
		}
		switch err := os.Mkdir(path[:at], mode); {
		case err == nil, errors.Is(err, fs.ErrExist):
			denied = nil
		case errors.Is(err, fs.ErrPermission):
			denied = errno.Call("mkdir", path[:at], err) // it can be there, out of sight
		default:
			return errno.Call("mkdir", path[:at], err)
		}
	}
	return denied
}

// copyTo stores the file in another file system: beside its place, and then under its name.
func (f *storeFile) copyTo(to string, access fs.FileMode, modified, now time.Time) error {
	if modified.IsZero() {
		info, err := f.file.Stat()
		if err != nil {
			return errno.Call("fstat", f.file.Name(), err)
		}
		modified = info.ModTime()
	}
	name := fmt.Sprintf("%s.%010d", to, f.next.Add(1)%1e10)
	file, err := f.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, access)
	if err != nil {
		return errno.Call("open", name, err)
	}
	if err = f.fill(file, access); err == nil {
		if err = os.Chtimes(name, now, modified); err != nil {
			err = errno.Call("utimes", name, err)
		} else if err = rename(name, to); err != nil {
			err = renameFailed(name, to, err)
		}
	}
	if err != nil {
		return also(err, removeFile(name))
	}
	return nil // dropStore removes the original
}

// fill copies the temporary file into another one and closes that.
func (f *storeFile) fill(file *os.File, access fs.FileMode) error {
	_, err := io.Copy(file, io.NewSectionReader(f.file, 0, f.written))
	if err != nil {
		err = errno.Call("write", file.Name(), err)
	} else if err = file.Chmod(access); err != nil {
		err = errno.Call("chmod", file.Name(), err)
	}
	if closed := file.Close(); err == nil && closed != nil {
		err = errno.Call("close", file.Name(), closed)
	}
	return err
}

// close closes a file that has got its name.
func (f *storeFile) close() error {
	file := f.file
	f.file = nil
	f.bytes.Add(-f.written)
	f.written = 0
	if err := file.Close(); err != nil {
		return errno.Call("close", file.Name(), err)
	}
	return nil
}

// remove removes the temporary file if there is one.
func (f *storeFile) remove() error {
	if f.file == nil {
		return nil
	}
	name := f.file.Name()
	return also(f.close(), removeFile(name))
}

// also adds an error to another one on the same line of the log.
func also(err, next error) error {
	if err == nil || next == nil {
		return errors.Join(err, next)
	}
	return fmt.Errorf("%w; %w", err, next)
}

func removeFile(name string) error {
	if err := os.Remove(name); err != nil {
		return errno.Call("unlink", name, err)
	}
	return nil
}
