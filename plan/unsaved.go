package plan

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// UnsavedFile is a file that lacks what the process has in memory, because it could not be written.
type UnsavedFile struct {
	Path  string
	Since time.Time
	Why   error // of the last attempt
}

// Unsaved are the files of all configurations of a process that could not be written when that was tried last.
type Unsaved struct {
	mu     sync.Mutex
	byPath map[string]UnsavedFile // by canonical path
}

// Unsaved is where those who write files of the configuration tell how that went. A reload keeps it.
func (p *Plan) Unsaved() *Unsaved { return &p.process().unsaved }

// Tell keeps the error of writing a file that OwnFile has claimed; nil: the file has everything.
func (u *Unsaved) Tell(path string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil && len(u.byPath) == 0 {
		return
	}
	path = canonical(path)
	if err == nil {
		delete(u.byPath, path)
		return
	}
	if u.byPath == nil {
		u.byPath = map[string]UnsavedFile{}
	}
	file := UnsavedFile{Path: path, Since: time.Now(), Why: err}
	if before, ok := u.byPath[path]; ok {
		file.Since = before.Since
	}
	u.byPath[path] = file
}

// UnsavedFiles are those of this configuration, by path.
func (p *Plan) UnsavedFiles() []UnsavedFile {
	own, u := Find[ownFiles](p), p.Unsaved()
	if own == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var list []UnsavedFile
	for path, file := range u.byPath {
		if own.byPath[path] != nil {
			list = append(list, file)
		}
	}
	slices.SortFunc(list, func(a, b UnsavedFile) int { return cmp.Compare(a.Path, b.Path) })
	return list
}
