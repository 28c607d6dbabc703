// Package randomindex is random_index: a random file of a directory answers for it.
package randomindex

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"

	"starling/conf"
	"starling/nginx/errno"
	"starling/web"
	"starling/web/document"
)

// Module is the family. It stands before the family that serves index files.
var Module = web.Module{
	Module: conf.Module{
		Name:  "random_index",
		Doc:   "Serves a random file of a directory as its index file.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "random_index", Syntax: "on | off", Default: "off", In: conf.Location,
			Doc: "Answers for a directory with a random one of its files, except those whose names begin with a dot. " +
				"A directory without such a file is answered as without this directive.",
			Set: conf.Field(func(s *Settings) *bool { return &s.on }, conf.Flag),
		}},
	},
	Handlers: []web.Hook{{Phase: web.Content, LastResort: true, Build: build}},
}

// Settings of one block.
type Settings struct{ on bool }

func build(b *web.Block) (web.Handler, error) {
	if !conf.SettingsOf[Settings](b.Scope).on {
		return nil, nil
	}
	return handle, nil
}

// handle is ngx_http_random_index_handler.
func handle(r *web.Request) web.Result {
	if len(r.Path) == 0 || r.Path[len(r.Path)-1] != '/' || !document.Readable(r.MethodID) {
		return web.Declined
	}
	if r.LostAlias() {
		return 500
	}
	path := strings.TrimSuffix(string(r.Filename()), "/")
	files, err := os.ReadDir(path + "/")
	if err != nil {
		level, status := document.Failure(err)
		r.Logf(level, "opendir() \"%s\" failed (%s)", path, errno.Reason(err))
		return status
	}
	names := files[:0]
	for _, f := range files {
		if f.Name()[0] != '.' && isFile(path, f) {
			names = append(names, f)
		}
	}
	if len(names) == 0 {
		return web.Declined
	}
	name := names[rand.IntN(len(names))].Name()
	return r.InternalRedirect(r.KeepScratch(append(append(r.Scratch(), r.Path...), name...)), r.Query)
}

// isFile follows symbolic links.
func isFile(path string, f fs.DirEntry) bool {
	if f.Type()&fs.ModeSymlink == 0 {
		return f.Type().IsRegular()
	}
	info, err := os.Stat(path + "/" + f.Name())
	return err == nil && info.Mode().IsRegular()
}
