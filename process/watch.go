package process

import (
	"context"
	"fmt"
	"hash"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// watchVariable lists the watched paths.
const watchVariable = "STARLING_RELOAD_ON_CHANGE"

const (
	// watchEvery is how often watched files are looked at. Kubernetes needs up to a minute to change a volume, so there
	// is no hurry; and a look at a few dozen files costs microseconds.
	watchEvery = 2 * time.Second
	// maxWatched bounds the files of one path; beyond are folders of content, which no reload would read again.
	maxWatched = 10000
)

// watchedPaths checks the value of the variable.
func watchedPaths(value string) ([]string, error) {
	paths := strings.Fields(value)
	for _, path := range paths {
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("%s: \"%s\" is not an absolute path", watchVariable, path)
		}
		if _, complete := stateOf(path); !complete {
			return nil, fmt.Errorf("%s: %s has more than %d files: name folders of certificates and configurations "+
				"only", watchVariable, path, maxWatched)
		}
	}
	return paths, nil
}

// watch reports each path below which something has changed since the call. The files are polled: a volume of
// Kubernetes replaces a link above the files, and a file may be mounted over, so notifications of the kernel miss some
// changes.
func watch(ctx context.Context, paths []string) <-chan string {
	if len(paths) == 0 {
		return nil
	}
	changed := make(chan string)
	watches := make([]watched, len(paths))
	for i, path := range paths {
		watches[i] = newWatched(path)
	}
	go func() {
		ticks := time.NewTicker(watchEvery)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
			case <-ctx.Done():
				return
			}
			for i := range watches {
				if !watches[i].look() {
					continue
				}
				select {
				case changed <- watches[i].path:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return changed
}

// watched is one path and what was seen of it.
type watched struct {
	path string
	// reported is the state at the start or at the last report, last that at the last look.
	reported, last uint64
}

func newWatched(path string) watched {
	state, _ := stateOf(path) // more files than at the start are watched up to the limit
	return watched{path, state, state}
}

// look reports whether something has changed and is complete: a certificate and its key may be written one after the
// other, so a change counts when the next look finds the same.
func (w *watched) look() bool {
	now, _ := stateOf(w.path)
	complete := now == w.last
	w.last = now
	if !complete || now == w.reported {
		return false
	}
	w.reported = now
	return true
}

// stateOf is equal for equal files: names, sizes and times. Links are followed, for volumes are made of them. What
// cannot be looked at is part of the state, too. It is not complete if there are too many files.
func stateOf(path string) (state uint64, complete bool) {
	l := look{hash: fnv.New64a(), left: maxWatched}
	l.add(path, 0)
	return l.hash.Sum64(), l.left >= 0
}

// maxWatchedDepth ends circles of links.
const maxWatchedDepth = 8

// look collects a state.
type look struct {
	hash hash.Hash64
	left int // files until the limit
}

func (l *look) add(path string, depth int) {
	if l.left--; l.left < 0 || depth > maxWatchedDepth {
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		fmt.Fprintf(l.hash, "%q %v\n", path, err)
	case info.IsDir():
		entries, err := os.ReadDir(path)
		fmt.Fprintf(l.hash, "%q %v\n", path, err)
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), "..") { // the folders of a volume's versions, which its files lead to
				l.add(filepath.Join(path, e.Name()), depth+1)
			}
		}
	default:
		fmt.Fprintf(l.hash, "%q %v %d %d\n", path, info.Mode(), info.Size(), info.ModTime().UnixNano())
	}
}
