package cache

import (
	"context"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"starling/lib/plural"
	"starling/logs"
	"starling/nginx/errno"
)

// Run does the background work until the context ends: it loads what is on the disk, then removes what is inactive and
// what exceeds the limits.
func (c *Cache) Run(ctx context.Context) {
	go c.loadAll(ctx)
	go c.syncPurges(ctx)
	go c.beats(ctx)
	go func() {
		for wait := time.Duration(0); sleep(ctx, wait); {
			wait = c.manage(ctx)
		}
	}()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-c.purged:
			}
			if c.Settings().Purges {
				c.sweep(ctx)
			}
		}
	}()
}

// sleep reports false if the context ends meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// pacer sleeps between files as a Pace says.
type pacer struct {
	Pace
	c     *Cache
	files int
	atMS  int64
}

// next is called after each file.
func (p *pacer) next(ctx context.Context) bool {
	p.files++
	nowMS := p.c.clock.Now().MonoMS
	if p.atMS == 0 {
		p.atMS = nowMS
	}
	if p.files < p.Files && nowMS-p.atMS < p.Threshold.Milliseconds() {
		return ctx.Err() == nil
	}
	ok := sleep(ctx, p.Sleep)
	p.files, p.atMS = 0, p.c.clock.Now().MonoMS
	return ok
}

// loadAll enters the files of earlier processes in the index, once in the life of the process. A configuration that
// retires meanwhile leaves the rest to its successor.
func (c *Cache) loadAll(ctx context.Context) {
	for !c.beginLoading() {
		if !sleep(ctx, time.Second) {
			return
		}
	}
	c.mu.Lock()
	l := loader{c: c, began: time.UnixMilli(c.clock.Now().WallMS)}
	walk := walker{c: c, pace: pacer{Pace: c.settings.Loader, c: c}, visit: l.visit}
	needed := c.cold
	c.mu.Unlock()
	whole := !needed || walk.folder(ctx, c.Path, c.Levels, "")
	c.mu.Lock()
	c.loading, c.cold = false, !whole
	bytes := c.bytes
	c.mu.Unlock()
	if l.foreign > 0 {
		c.logf(logs.Warn, "%s in cache folder \"%s\" of others, such as \"%s\": the cache neither removes nor counts "+
			"what it has not made", plural.Of(l.foreign, "file", "files"), c.Path, l.example)
	}
	if needed && whole {
		c.logf(logs.Notice, "http file cache: %s %.3fM, bsize: %d", c.Path, float64(bytes)/(1<<20), blockBytes)
	}
}

// beginLoading reports false while another configuration of the process is loading.
func (c *Cache) beginLoading() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loading {
		return false
	}
	c.loading = true
	return true
}

// walker visits the files in the folder of a cache, with pauses.
type walker struct {
	c    *Cache
	pace pacer
	// visit gets a file, or something else where one is expected. suffix are the digits that the name of a file of the
	// cache ends with there; foreign where there is none.
	visit func(path, name, suffix string)
}

// foreign is the suffix of no file.
const foreign = "/"

// namesAtOnce bounds the memory for the names of one folder.
const namesAtOnce = 1000

// folder visits a folder and those below it; suffix are the digits that its files end with. It reports false if it did
// not see everything.
func (w *walker) folder(ctx context.Context, path string, levels []int, suffix string) bool {
	folder, err := os.Open(path)
	if err != nil {
		if !os.IsNotExist(err) {
			w.c.logf(logs.Crit, "%v", errno.Call("open", path, err))
		}
		return true // nothing that can be visited
	}
	defer folder.Close()
	for {
		entries, err := folder.ReadDir(namesAtOnce)
		for _, entry := range entries {
			name := path + "/" + entry.Name()
			isFolder := len(levels) > 0 && entry.IsDir() && len(entry.Name()) == levels[0] && isHex(entry.Name())
			switch {
			case isFolder && !w.folder(ctx, name, levels[1:], entry.Name()+suffix):
				return false
			case isFolder, path == w.c.Path && strings.HasPrefix(entry.Name(), purgesName):
			case len(levels) > 0:
				w.visit(name, entry.Name(), foreign)
			default:
				w.visit(name, entry.Name(), suffix)
			}
			if !isFolder && !w.pace.next(ctx) {
				return false
			}
		}
		if err == io.EOF {
			return true
		}
		if err != nil {
			w.c.logf(logs.Crit, "%v", errno.Call("readdir", path, err))
			return true
		}
	}
}

// keyOf is the key that a file of the cache has in its name.
func keyOf(name, suffix string) (key Key, ok bool) {
	if len(name) != 2*len(key) || !isHex(name) || !strings.HasSuffix(name, suffix) {
		return key, false
	}
	_, err := hex.Decode(key[:], []byte(name))
	return key, err == nil
}

// loader enters files in the index.
type loader struct {
	c       *Cache
	began   time.Time // later temporary files are of this process, or of one that lives
	foreign int
	example string
}

func (l *loader) visit(path, name, suffix string) {
	if !l.file(path, name, suffix) {
		l.foreign++
		l.example = name
	}
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }

// file loads one file. It reports false if its name is not one of the cache.
func (l *loader) file(path, name, suffix string) bool {
	digits, number, temporary := strings.Cut(name, ".")
	key, ok := keyOf(digits, suffix)
	if !ok {
		return false
	}
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return true // it was removed meanwhile
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	if temporary {
		if len(number) != 10 || strings.Trim(number, "0123456789") != "" {
			return false
		}
		if time.Unix(stat.Mtim.Unix()).Before(l.began) && abandoned(path) {
			l.c.removeFile(path)
		}
		return true
	}
	if stat.Size < fixedBytes {
		l.c.logf(logs.Crit, "cache file \"%s\" %v; it is removed", path, errShort)
		l.c.removeFile(path)
		return true
	}
	if !l.c.found(key, blocks(stat.Size)) {
		l.c.removeFile(path)
	}
	return true
}

// abandoned reports whether the process that was writing a temporary file has ended: it no longer holds its lock. One
// that another process is writing now, which this one replaces, stays.
func abandoned(path string) bool {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false // it was completed or removed meanwhile
	}
	defer file.Close()
	return flock(file) == nil
}

// flock takes the lock of a file if nobody has it.
func flock(file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		return err
	}
	return failed
}

// found enters a file in the index; false if there is no room.
func (c *Cache) found(key Key, bytes int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.index.get(&key)
	if e == nil {
		if c.index.count >= c.settings.maxEntries() {
			c.most = c.index.count - c.index.count/8
			return false
		}
		e = c.index.insert(&key)
		e.uses = 1
	}
	if !e.exists {
		e.exists, e.bytes = true, bytes
		c.bytes += bytes
	}
	e.expireS = wallSeconds(c.clock.Now()) + int64(c.settings.Inactive/time.Second)
	return true
}

// The longest and the shortest sleep of the manager, as in nginx.
const (
	managerSleep = 10 * time.Second
	managerRetry = time.Second
)

// manage removes what is inactive and what exceeds the limits, and returns how long it can sleep.
func (c *Cache) manage(ctx context.Context) time.Duration {
	settings := c.Settings()
	pace := pacer{Pace: settings.Manager, c: c}
	next := managerSleep
	for {
		wait, removed := c.expireOldest()
		if !removed {
			next = wait
			break
		}
		if !pace.next(ctx) {
			return 0
		}
	}
	for c.exceeds(&settings) {
		if !c.dropOldest() {
			return managerRetry
		}
		if !pace.next(ctx) {
			return 0
		}
	}
	c.tidyPurges()
	return next
}

// expireOldest removes the oldest entry if it is inactive; otherwise wait is how long none can be.
func (c *Cache) expireOldest() (wait time.Duration, removed bool) {
	c.mu.Lock()
	e, nowS := c.index.oldest, wallSeconds(c.clock.Now())
	if e == nil {
		c.mu.Unlock()
		return managerSleep, false
	}
	if left := e.expireS - nowS; left > 0 {
		c.mu.Unlock()
		return min(time.Duration(left)*time.Second, managerSleep), false
	}
	if e.refs > 0 { // a response that takes longer to send than `inactive`
		e.expireS = nowS + int64(c.settings.Inactive/time.Second)
		c.index.use(e)
		c.mu.Unlock()
		return managerRetry, false
	}
	path, closed := c.drop(e)
	c.mu.Unlock()
	c.discard(path, closed)
	return 0, true
}

// exceeds reports whether the cache is larger than it may be.
func (c *Cache) exceeds(s *Settings) bool {
	c.mu.Lock()
	count, bytes, most := c.index.count, c.bytes, c.most
	c.mu.Unlock()
	switch {
	case count == 0:
		return false
	case s.MaxBytes > 0 && bytes >= s.MaxBytes, most > 0 && count >= most:
		return true
	case s.MinFree == 0:
		return false
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(c.Path, &stat); err != nil {
		return false // removing files would not help
	}
	return int64(stat.Bavail)*int64(stat.Bsize) <= s.MinFree
}

// Report is what the API shows of a cache.
type Report struct {
	Bytes    int64
	MaxBytes int64
	Cold     bool
	Keys     int
}

// Report reads the figures of the index.
func (c *Cache) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Report{Bytes: c.bytes, MaxBytes: c.settings.MaxBytes, Cold: c.cold, Keys: c.index.count}
}
