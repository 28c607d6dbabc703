package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"

	"starling/lib/filekind"
	"starling/nginx/errno"
)

// loader reads configuration files, each once.
type loader struct {
	fsys  fs.FS
	dir   string // of the main file, with its last slash: the base of relative names
	files []File
	texts map[string]string
	loads int
	bytes int
}

func newLoader(fsys fs.FS, main string) *loader {
	dir, _ := path.Split(main)
	return &loader{fsys: fsys, dir: dir, texts: map[string]string{}}
}

// inside turns an absolute path into a name in the file system.
func inside(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}

// errTooMuch is every tooMuch: the limits of a configuration, past which nothing more is read.
var errTooMuch = errors.New("a limit of configurations")

type tooMuch struct{ what string }

func (t tooMuch) Error() string { return t.what }

func (t tooMuch) Unwrap() error { return errTooMuch }

// load returns the text of a file. If a file is included again, nginx reads it again; the result is the same.
func (l *loader) load(name string) (string, error) {
	text, seen := l.texts[name]
	if !seen {
		bytes, err := l.read(name)
		if err != nil {
			return "", err
		}
		text = string(bytes)
		l.texts[name] = text
		l.files = append(l.files, File{Path: name, Bytes: bytes})
	}
	l.loads++
	l.bytes += len(text)
	if l.loads > maxLoads {
		return "", tooMuch{fmt.Sprintf("too many included files, the limit is %d", maxLoads)}
	}
	if l.bytes > maxLoadedBytes {
		return "", tooMuch{fmt.Sprintf("configuration is larger than %d MB", maxLoadedBytes>>20)}
	}
	return text, nil
}

func (l *loader) read(name string) ([]byte, error) {
	info, err := fs.Stat(l.fsys, inside(name))
	if err == nil {
		err = filekind.Check(info.Mode())
	}
	if err != nil {
		return nil, fileError("open", name, err)
	}
	f, err := l.fsys.Open(inside(name))
	if err != nil {
		return nil, fileError("open", name, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("read() \"%s\" failed (21: Is a directory)", name)
	}
	bytes, err := io.ReadAll(io.LimitReader(f, maxLoadedBytes+1))
	if err != nil {
		return nil, fileError("read", name, err)
	}
	return bytes, nil
}

// fileError returns the failure of a system call with nginx's text, if the errno is the same on all systems.
func fileError(call, name string, err error) error {
	if errors.Is(err, fs.ErrInvalid) {
		err = errors.New("file names must be UTF-8")
	}
	return errno.Call(call, name, err)
}

// expand turns the word of an include into full paths. A pattern without a match is not an error. Plain names are not
// checked here.
func (l *loader) expand(name string) ([]string, error) {
	if !strings.HasPrefix(name, "/") {
		name = l.dir + name
	}
	if !strings.ContainsAny(name, "*?[") {
		return []string{name}, nil
	}
	if strings.Contains(name, "[:") {
		return nil, fmt.Errorf("character classes in include pattern \"%s\" are not supported by starling", name)
	}
	pattern := strings.ReplaceAll(inside(name), "[!", "[^")
	found, err := fs.Glob(l.fsys, pattern)
	if err != nil {
		return nil, fmt.Errorf("invalid include pattern \"%s\"", name)
	}
	paths := found[:0]
	for _, f := range found {
		if !hiddenMatch(pattern, f) {
			paths = append(paths, "/"+f)
		}
	}
	sort.Strings(paths) // as glob(3): by the whole path, not directory by directory
	return paths, nil
}

// hiddenMatch reports whether a wildcard matched the leading dot of a name, which glob(3) never does: an editor's
// backup file must not become configuration.
func hiddenMatch(pattern, name string) bool {
	patterns, names := strings.Split(pattern, "/"), strings.Split(name, "/")
	for i := range names {
		if i < len(patterns) && strings.HasPrefix(names[i], ".") && !strings.HasPrefix(patterns[i], ".") {
			return true
		}
	}
	return false
}
