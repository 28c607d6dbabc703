package tryfiles

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"starling/conf"
	"starling/observe"
	"starling/web"
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
		name := s.withoutLocation(r, r.Expand(&t.name))
		path := string(r.FilenameOf(name))
		info, err := os.Stat(path)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ENAMETOOLONG) {
				r.Logf(observe.Crit, "stat() \"%s\" failed (%v)", path, err)
			}
			continue
		}
		if info.IsDir() == t.folder {
			r.Path = name
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

// withoutLocation: below an alias a name may be given with or without the location's own part; nginx takes both for the
// same file.
func (s *Settings) withoutLocation(r *web.Request, name []byte) []byte {
	l := r.Location
	if !l.Core.Alias || bytes.HasPrefix(name, []byte(l.Name)) {
		return name
	}
	return r.KeepScratch(append(append(r.Scratch(), l.Name...), name...))
}
