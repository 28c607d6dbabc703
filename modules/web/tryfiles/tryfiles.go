package tryfiles

import (
	"bytes"
	"errors"
	"io/fs"
	"syscall"

	"starling/conf"
	"starling/logs"
	"starling/nginx/errno"
	"starling/web"
	"starling/web/document"
)

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if len(s.tries) == 0 || b.Scope.In != conf.Server && b.Scope.In != conf.Location {
		return nil, nil
	}
	return s.handle, nil
}

// handle is ngx_http_try_files_handler. A file that exists becomes the URI; the location stays.
func (s *Settings) handle(r *web.Request) web.Result {
	for i := range s.tries {
		t := &s.tries[i]
		name := r.Expand(&t.name)
		if r.LostAlias() {
			return 500
		}
		before := r.BehindAlias
		r.BehindAlias = true
		path := string(r.FilenameOf(s.withLocation(r, name)))
		r.BehindAlias = before
		info, err := document.Stat(r, path)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) &&
				!errors.Is(err, syscall.ENAMETOOLONG) {
				r.Logf(logs.Crit, "%v", errno.Call(document.CallOf(err), path, err))
			}
			continue
		}
		if info.IsDir() == t.folder {
			r.Path, r.BehindAlias = s.withLocation(r, name), true
			return web.Declined
		}
	}
	if s.status != 0 {
		return web.Result(s.status)
	}
	to := r.Expand(&s.last)
	if len(to) > 0 && to[0] == '@' {
		return r.NamedRedirect(string(to))
	}
	path, query, _ := bytes.Cut(to, []byte{'?'})
	return r.InternalRedirect(path, query)
}

// withLocation: below an alias a name may be given with or without the location's own part; nginx accepts both for the
// same file.
func (s *Settings) withLocation(r *web.Request, name []byte) []byte {
	part := r.Location.Core.AliasPart
	if bytes.HasPrefix(name, part) {
		return name
	}
	return r.KeepScratch(append(append(r.Scratch(), part...), name...))
}
