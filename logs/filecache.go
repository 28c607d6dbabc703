package logs

import (
	"container/list"
	"os"
	"sync"
	"time"

	"starling/nginx/errno"
)

// CacheOptions are those of open_log_file_cache.
type CacheOptions struct {
	Max      int           // files kept open; 0: none, each line opens its file
	MinUses  int           // of a file within Inactive, before it is kept open
	Inactive time.Duration // after which an unused file is closed
	Valid    time.Duration // after which a path is checked again: the file may have been moved away
}

// FileCache appends lines to files whose paths are known only with the line. It keeps the most recently used ones open,
// as ngx_open_cached_file does. It is safe for concurrent use.
type FileCache struct {
	options CacheOptions

	mu      sync.Mutex
	byPath  map[string]*list.Element
	recency list.List // of *cachedFile, the most recently used first
}

type cachedFile struct {
	path          string
	out           *os.File // nil while it is not kept open
	uses          int
	used, checked time.Time
}

// FileCache returns a cache that Close closes too.
func (l *Logs) FileCache(o CacheOptions) *FileCache {
	c := &FileCache{options: o, byPath: map[string]*list.Element{}}
	l.mu.Lock()
	l.caches = append(l.caches, c)
	l.mu.Unlock()
	return c
}

// Append writes a line to the file of a path and creates it if needed. A line longer than MaxAccessLine is cut. The
// error has nginx's text, and level is the one at which nginx logs it.
func (c *FileCache) Append(path string, line []byte) (level Level, err error) {
	if len(line) > MaxAccessLine {
		line = append(line[:MaxAccessLine-1:MaxAccessLine-1], '\n')
	}
	if c.options.Max == 0 {
		return (&cachedFile{path: path}).append(line, false)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.expire(now)
	e := c.byPath[path]
	if e == nil {
		e = c.recency.PushFront(&cachedFile{path: path})
		c.byPath[path] = e
	}
	c.recency.MoveToFront(e)
	f := e.Value.(*cachedFile)
	f.uses++
	f.used = now
	if f.out != nil && now.Sub(f.checked) > c.options.Valid {
		f.check(now)
	}
	level, err = f.append(line, f.uses >= c.options.MinUses)
	switch {
	case err != nil && f.uses == 1:
		c.drop(e) // a path that could never be opened evicts no other
	case c.recency.Len() > c.options.Max:
		c.drop(c.recency.Back())
	}
	return level, err
}

// append must be called with the cache's lock held if the file is in a cache.
func (f *cachedFile) append(line []byte, keep bool) (Level, error) {
	if f.out == nil {
		out, err := openLog(f.path)
		if err != nil {
			return Crit, err
		}
		f.out, f.checked = out, f.used
	}
	_, err := f.out.Write(line)
	if !keep || err != nil {
		if closeErr := f.out.Close(); err == nil && closeErr != nil {
			f.out = nil
			return Alert, errno.Call("close", f.path, closeErr)
		}
		f.out = nil
	}
	if err != nil {
		return Alert, errno.Call("write", f.path, err)
	}
	return 0, nil
}

// check closes the file if its path leads to another file now.
func (f *cachedFile) check(now time.Time) {
	f.checked = now
	at, err := os.Stat(f.path)
	if is, statErr := f.out.Stat(); err != nil || statErr != nil || !os.SameFile(at, is) {
		f.out.Close() // every line was written
		f.out = nil
	}
}

// expire must be called with the lock held.
func (c *FileCache) expire(now time.Time) {
	for {
		e := c.recency.Back()
		if e == nil || now.Sub(e.Value.(*cachedFile).used) <= c.options.Inactive {
			return
		}
		c.drop(e)
	}
}

// drop must be called with the lock held.
func (c *FileCache) drop(e *list.Element) {
	f := c.recency.Remove(e).(*cachedFile)
	delete(c.byPath, f.path)
	if f.out != nil {
		f.out.Close() // every line was written
	}
}

func (c *FileCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.recency.Back(); e != nil; e = c.recency.Back() {
		c.drop(e)
	}
}
