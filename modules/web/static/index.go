package static

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"starling/conf"
	"starling/observe"
	"starling/vars"
	"starling/web"
)

// indexer finds the file that answers for a directory.
type indexer struct{ names []vars.Template[*web.Request] }

func buildIndex(b *web.Block) (web.Handler, error) {
	names := conf.SettingsOf[Settings](b.Scope).Index
	if len(names) == 0 {
		name, err := web.Variables(b.Plan).Compile("index.html", b.Scope.Node)
		if err != nil {
			return nil, err
		}
		names = []vars.Template[*web.Request]{name}
	}
	return (&indexer{names}).handle, nil
}

// handle is ngx_http_index_handler.
func (x *indexer) handle(r *web.Request) web.Result {
	n := len(r.Path)
	if n == 0 || r.Path[n-1] != '/' || !readable(r.MethodID) {
		return web.Declined
	}
	folderTested := false
	for i := range x.names {
		name := r.Expand(&x.names[i])
		if len(name) == 0 {
			continue
		}
		if name[0] == '/' {
			return r.InternalRedirect(name, r.Query)
		}
		uri := r.KeepScratch(append(append(r.Scratch(), r.Path...), name...))
		path := string(r.FilenameOf(uri))
		info, err := os.Stat(path)
		if err == nil {
			if info.IsDir() {
				continue
			}
			return r.InternalRedirect(uri, r.Query)
		}
		if !isMissing(err) {
			return refuseIndex(r, path, err)
		}
		if !folderTested {
			folderTested = true
			if status := testFolder(r); status != 0 {
				return status
			}
		}
	}
	return web.Declined
}

func refuseIndex(r *web.Request, path string, err error) web.Result {
	if errors.Is(err, fs.ErrPermission) {
		r.Logf(observe.Error, "\"%s\" is forbidden (%s)", path, reason(err))
		return 403
	}
	r.Logf(observe.Crit, "open() \"%s\" failed (%s)", path, reason(err))
	return 500
}

// testFolder answers 404 for a directory that is not there.
func testFolder(r *web.Request) web.Result {
	folder := string(r.Filename())
	info, err := os.Stat(folder)
	switch {
	case err == nil && info.IsDir():
		return 0
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		if r.Location.Core.LogNotFound {
			r.Logf(observe.Error, "\"%s\" is not found (2: No such file or directory)", folder)
		}
		return 404
	case errors.Is(err, fs.ErrPermission):
		return 0 // the index said what there is to say
	}
	r.Logf(observe.Crit, "stat() \"%s\" failed (%s)", folder, reason(err))
	return 500
}
