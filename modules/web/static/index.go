package static

import (
	"errors"
	"io/fs"
	"syscall"

	"starling/conf"
	"starling/logs"
	"starling/nginx/errno"
	"starling/vars"
	"starling/web"
	"starling/web/document"
)

// indexer finds the file that answers for a directory.
type indexer struct{ names []vars.Template[*web.Request] }

func buildIndex(b *web.Block) (web.Handler, error) {
	names := conf.SettingsOf[Settings](b.Scope).Index
	if len(names) == 0 {
		name, err := web.Side.Variables(b.Plan).Compile("index.html", b.Scope.Node)
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
	if n == 0 || r.Path[n-1] != '/' || !document.Readable(r.MethodID) {
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
		if r.LostAlias() {
			return 500
		}
		uri := r.KeepScratch(append(append(r.Scratch(), r.Path...), name...))
		path := string(r.Filename()) + string(name) // also if the alias of a regular expression is the whole path
		_, err := document.Stat(r, path)
		switch {
		case err == nil:
			return r.InternalRedirect(uri, r.Query)
		case !errors.Is(err, fs.ErrNotExist):
			return refuseIndex(r, path, err)
		case !folderTested:
			folderTested = true
			if status := testFolder(r, path); status != 0 {
				return status
			}
		}
	}
	return web.Declined
}

// refuseIndex answers for a file or folder that cannot be checked.
func refuseIndex(r *web.Request, path string, err error) web.Result {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EMLINK):
		r.Logf(logs.Error, "\"%s\" is forbidden (%s)", path, errno.Reason(err))
		return 403
	case document.IsMissing(err):
		if r.Location.Core.LogNotFound {
			r.Logf(logs.Error, "\"%s\" is not found (%s)", path, errno.Reason(err))
		}
		return 404
	}
	r.Logf(logs.Crit, "%v", errno.Call(document.CallOf(err), path, err))
	return 500
}

// testFolder answers for a directory that does not exist; path is that of the index file, which logs name.
func testFolder(r *web.Request, path string) web.Result {
	folder := string(r.Filename())
	info, err := document.Stat(r, folder)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return 0 // it may still be searchable, or the index file would not have been missing
	case err != nil:
		return refuseIndex(r, path, err)
	case !info.IsDir():
		r.Logf(logs.Alert, "\"%s\" is not a directory", folder)
		return 500
	}
	return 0
}
