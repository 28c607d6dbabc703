package cache

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"starling/lib/clock"
	"starling/logs"
	"starling/nginx/errno"
)

// Cache is one PREFIX_cache_path. It outlives the configurations that use it.
type Cache struct {
	Path   string
	Levels []int

	clock *clock.Clock
	log   logs.Logger

	mu       sync.Mutex
	settings Settings
	index    index
	opened   opened
	bytes    int64 // of all files
	most     int   // keys beyond which the manager removes the oldest; 0: the zone was never full
	cold     bool  // the loader has not seen all files yet
	loading  bool

	purges purges
	purged chan struct{} // for the purger
	// unsynced holds one when purges of other nodes must be synced to the disk soon.
	unsynced chan struct{}
	sharing  atomic.Pointer[shared] // nil: this node alone has the purges
	writing  atomic.Int64           // open temporary files
	waiting  atomic.Int64           // requests that wait for another's response
	next     atomic.Uint64

	full    quiet // the disk, or a file that cannot be written
	noRoom  quiet // the zone
	Figures [Statuses]Counters
}

// Status is how a request was answered ($upstream_cache_status).
type Status uint8

// The statuses. None is that of a request that did not ask a cache.
const (
	None Status = iota
	Miss
	Bypass
	Expired
	Stale
	Updating
	Revalidated
	Hit
	Statuses
)

// String is nginx's word.
func (s Status) String() string {
	return [...]string{"", "MISS", "BYPASS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED", "HIT"}[s]
}

// New returns the cache of a folder. It is usable at once; Run loads what is there.
func New(s Settings, clock *clock.Clock, log logs.Logger) *Cache {
	return &Cache{
		Path: s.Path, Levels: s.Levels, clock: clock, log: log, settings: s, cold: true,
		index: index{table: newTable()}, purged: make(chan struct{}, 1), unsynced: make(chan struct{}, 1),
		purges: purges{peers: peers{sinceMS: clock.Now().MonoMS}},
	}
}

// Configure sets the parameters of a new configuration; path and levels stay.
func (c *Cache) Configure(s Settings, log logs.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settings, c.log = s, log
}

// Settings are those in use.
func (c *Cache) Settings() Settings {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settings
}

// Name is that of the zone.
func (c *Cache) Name() string { return c.Settings().Name }

// Start makes the folder of the cache, whose parent must exist as in nginx, and reads its purges: before the first
// request, because they cover what it may find. A successor of another process gets their file when it takes over:
// Seize. A full disk, or a file that cannot be opened, stops nothing: purges are rejected until the manager can write.
func (c *Cache) Start(successor bool) error {
	if err := c.makeFolder(); err != nil && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	c.purges.logMu.Lock()
	c.purges.closed = false
	c.purges.logMu.Unlock()
	if !successor {
		c.openPurges(true)
		return nil
	}
	c.purges.logMu.Lock()
	c.readPurges()
	c.purges.logMu.Unlock()
	return c.Yield()
}

func (c *Cache) makeFolder() error {
	if err := os.Mkdir(c.Path, 0o700); err != nil && !os.IsExist(err) {
		return errno.Call("mkdir", c.Path, err)
	}
	return nil
}

// fileOf is the name of a key's file: below folders named by its last digits.
func (c *Cache) fileOf(key Key) string {
	var b strings.Builder
	b.WriteString(c.folderOf(key))
	b.WriteByte('/')
	var digits [2 * len(key)]byte
	hex.Encode(digits[:], key[:])
	b.Write(digits[:])
	return b.String()
}

func (c *Cache) folderOf(key Key) string {
	var digits [2 * len(key)]byte
	hex.Encode(digits[:], key[:])
	path, end := c.Path, len(digits)
	for _, n := range c.Levels {
		path += "/" + string(digits[end-n:end])
		end -= n
	}
	return path
}

// makeFolders makes the folders above a key's file.
func (c *Cache) makeFolders(key Key) error {
	var digits [2 * len(key)]byte
	hex.Encode(digits[:], key[:])
	path, end := c.Path, len(digits)
	for _, n := range c.Levels {
		path += "/" + string(digits[end-n:end])
		end -= n
		if err := os.Mkdir(path, 0o700); err != nil && !os.IsExist(err) {
			return errno.Call("mkdir", path, err)
		}
	}
	return nil
}

// removeFile removes the file of a key that has left the index.
func (c *Cache) removeFile(path string) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		c.logf(logs.Crit, "%v", errno.Call("unlink", path, err))
	}
}

// logf writes to the log of the running configuration.
func (c *Cache) logf(level logs.Level, format string, args ...any) {
	c.mu.Lock()
	log := c.log
	c.mu.Unlock()
	log.Logf(level, format, args...)
}

// drop removes an entry that nobody uses from the index, and returns the work that remains, for after the lock: a file
// to remove, if path is not empty, and an object to release.
func (c *Cache) drop(e *entry) (path string, closed *Object) {
	if e.object != nil {
		closed = c.opened.forget(e)
	}
	if e.exists {
		c.bytes -= e.bytes
		path = c.fileOf(e.key)
	}
	e.settle()
	c.index.remove(e)
	return path, closed
}

// dropOldest removes the entry that was not used for longest, and that nobody uses now. It reports whether there was
// one.
func (c *Cache) dropOldest() bool {
	c.mu.Lock()
	path, closed, dropped := c.makeRoom()
	c.mu.Unlock()
	c.discard(path, closed)
	return dropped
}

// makeRoom is dropOldest with the lock held; the work that remains is as with drop.
func (c *Cache) makeRoom() (path string, closed *Object, dropped bool) {
	// Those in use, of which there are at most as many as requests, are passed over: their use makes them new.
	for tries := 20; tries > 0; tries-- {
		e := c.index.oldest
		if e == nil {
			break
		}
		if e.refs > 0 {
			e.expireS = wallSeconds(c.clock.Now()) + int64(c.settings.Inactive.Seconds())
			c.index.use(e)
			continue
		}
		path, closed = c.drop(e)
		return path, closed, true
	}
	return "", nil, false
}

func (c *Cache) discard(path string, closed *Object) {
	if closed != nil {
		closed.release()
	}
	if path != "" {
		c.removeFile(path)
	}
}

func wallSeconds(now clock.Reading) int64 { return now.WallMS / 1000 }

// quiet limits a message that every request could cause.
type quiet struct{ lastMS atomic.Int64 }

// quietMS is how long the same message is not repeated.
const quietMS = 10_000

func (q *quiet) due(nowMS int64) bool {
	last := q.lastMS.Load()
	return (last == 0 || nowMS-last >= quietMS) && q.lastMS.CompareAndSwap(last, nowMS)
}
