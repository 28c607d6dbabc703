package plan

import (
	"fmt"
	"path/filepath"

	"starling/conf"
)

// ownFiles are the files that a configuration rewrites, by path, each with the directive that names it.
type ownFiles struct{ byPath map[string]*conf.Node }

// OwnFile claims a file that the directive rewrites: two that rewrite one file would each lose what the other wrote.
func (p *Plan) OwnFile(path string, by *conf.Node) error {
	own := Part[ownFiles](p)
	if own.byPath == nil {
		own.byPath = map[string]*conf.Node{}
	}
	path = canonical(path)
	if other := own.byPath[path]; other != nil {
		return fmt.Errorf("file \"%s\" is already used by \"%s\" in %s:%d", path, other.Name, other.File, other.Line)
	}
	own.byPath[path] = by
	return nil
}

// canonical is the one path of a file that symbolic links give several. The file need not exist.
func canonical(path string) string {
	path = filepath.Clean(path)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(folder, filepath.Base(path))
	}
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}
