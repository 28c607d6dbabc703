package autoindex

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"starling/logs"
	"starling/nginx/errno"
	"starling/web"
	"starling/web/document"
	"starling/web/h1"
)

// entry is one line of a list.
type entry struct {
	name string
	info fs.FileInfo
}

func (e *entry) isFile() bool { return e.info.Mode().IsRegular() }

// kind is what formats other than HTML say.
func (e *entry) kind() string {
	switch {
	case e.info.IsDir():
		return "directory"
	case e.isFile():
		return "file"
	}
	return "other"
}

// readAtOnce is how many names of a directory are read at once.
const readAtOnce = 256

// handle is ngx_http_autoindex_handler.
func (s *Settings) handle(r *web.Request) web.Result {
	if len(r.Path) == 0 || r.Path[len(r.Path)-1] != '/' || r.MethodID != h1.MethodGet && r.MethodID != h1.MethodHead {
		return web.Declined
	}
	form, callback := s.format, []byte(nil)
	if form == formatJSONP {
		var ok bool
		if callback, ok = callbackOf(r); !ok {
			return 400
		}
		if len(callback) == 0 {
			form = formatJSON
		}
	}
	if r.LostAlias() {
		return 500
	}
	path := strings.TrimSuffix(string(r.Filename()), "/")
	folder, err := os.Open(cmp.Or(path, "/"))
	if err != nil {
		return refuse(r, "open", path, err)
	}
	defer folder.Close()
	if info, err := folder.Stat(); err == nil && !info.IsDir() {
		return refuse(r, "open", path, syscall.ENOTDIR)
	}
	entries, status := list(r, folder, path)
	if status != 0 {
		return status
	}
	r.Out.Status, r.Out.ContentType = 200, []byte(form.mediaType())
	if err := r.SendHead(); err != nil || r.MethodID == h1.MethodHead {
		return web.Done
	}
	p := &page{settings: s, entries: entries, callback: callback}
	switch form {
	case formatHTML:
		p.html(r)
	case formatXML:
		p.xml()
	default:
		p.json()
	}
	r.WriteLast(p.out) // the connection remembers its failure
	return web.Done
}

func refuse(r *web.Request, call, path string, err error) web.Result {
	level, status := document.Failure(err)
	r.Logf(level, "%s() \"%s\" failed (%s)", call, path, errno.Reason(err))
	return status
}

// list returns the entries, directories first, each kind by name.
func list(r *web.Request, folder *os.File, path string) (entries []entry, status web.Result) {
	for {
		names, err := folder.Readdirnames(readAtOnce)
		for _, name := range names {
			if name[0] == '.' {
				continue
			}
			e, keep, status := look(r, path, name)
			if status != 0 {
				return nil, status
			}
			if keep {
				entries = append(entries, e)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, refuse(r, "readdir", path, err)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.info.IsDir() != b.info.IsDir() {
			if a.info.IsDir() {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return entries, 0
}

// look finds out about one file, or about a symbolic link itself if it leads nowhere.
func look(r *web.Request, path, name string) (e entry, keep bool, status web.Result) {
	full := filepath.Join(path, name)
	info, err := os.Stat(full)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
		if info, err = os.Lstat(full); errors.Is(err, fs.ErrNotExist) {
			return e, false, 0 // removed meanwhile
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		r.Logf(logs.Crit, "stat() \"%s\" failed (%s)", full, errno.Reason(err))
		return e, false, 0
	case err != nil:
		r.Logf(logs.Crit, "stat() \"%s\" failed (%s)", full, errno.Reason(err))
		return e, false, 500
	}
	return entry{name, info}, true, 0
}

// maxCallbackBytes is nginx's bound of a function's name.
const maxCallbackBytes = 128

// callbackOf returns the argument callback; ok is false if it cannot be the name of a function.
func callbackOf(r *web.Request) (name []byte, ok bool) {
	name, _ = r.Argument("callback")
	if len(name) > maxCallbackBytes {
		r.Logf(logs.Info, "client sent too long callback name: \"%s\"", name)
		return nil, false
	}
	for _, c := range name {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' {
			continue
		}
		r.Logf(logs.Info, "client sent invalid callback name: \"%s\"", name)
		return nil, false
	}
	return name, true
}
