package document

import (
	"io/fs"
	"os"
	"strings"

	"starling/lib/symlink"
	"starling/web"
)

// Open opens a file without waiting for the writer of a pipe. disable_symlinks of the request's location applies.
func Open(r *web.Request, path string) (*os.File, fs.FileInfo, error) {
	rule, trusted := linksOf(r, path)
	file, err := symlink.Open(path, trusted, rule)
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

// Stat tells about a file. With disable_symlinks it opens the file, as nginx does, which needs permission to read it.
func Stat(r *web.Request, path string) (fs.FileInfo, error) {
	if r.Location.Core.Symlinks == symlink.Follow {
		return os.Stat(path)
	}
	file, info, err := Open(r, path)
	if err != nil {
		return nil, err
	}
	file.Close()
	return info, nil
}

// linksOf is ngx_http_set_disable_symlinks: which links a path may have, and how many bytes of it may have any.
func linksOf(r *web.Request, path string) (rule symlink.Rule, trusted int) {
	core := r.Location.Core
	if core.Symlinks == symlink.Follow {
		return symlink.Follow, 0
	}
	from := string(r.Expand(&core.SymlinksFrom))
	n := len(from)
	switch {
	case n == 0 || !strings.HasPrefix(path, from):
		return core.Symlinks, 0
	case n == len(path):
		return symlink.Follow, 0
	case path[n] == '/':
		return core.Symlinks, n
	case path[n-1] == '/':
		return core.Symlinks, n - 1
	}
	return core.Symlinks, 0
}
