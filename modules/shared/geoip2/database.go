package geoip2

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"starling/lib/filekind"
	"starling/logs"
	"starling/nginx/errno"
)

// maxFileBytes bounds a database in memory. The largest of MaxMind have less than half of it.
const maxFileBytes = 1 << 30

// database is one geoip2 block. Requests read its contents without a lock.
type database struct {
	side, path string
	files      fs.FS
	log        logs.Logger
	everyS     int64 // auto_reload in seconds; 0: never

	contents   atomic.Pointer[contents]
	checkedAtS atomic.Int64
	checking   atomic.Bool
}

// contents are those of a file. They are in memory, not mapped: a mapped file that is overwritten or truncated would
// end the process.
type contents struct {
	reader   *maxminddb.Reader
	modified time.Time
	size     int64
	changedS int64       // $… metadata last_change
	damaged  atomic.Bool // was logged
}

// sameAs reports whether a file is still the one that was read.
func (c *contents) sameAs(info fs.FileInfo) bool {
	return c.size == info.Size() && c.modified.Equal(info.ModTime())
}

// stat tells about the file, or why it cannot be a database.
func (d *database) stat() (fs.FileInfo, error) {
	info, err := fs.Stat(d.files, strings.TrimPrefix(d.path, "/"))
	if err != nil {
		return nil, err
	}
	if err := filekind.Check(info.Mode()); err != nil {
		return nil, err
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("the file is larger than %d MB", maxFileBytes>>20)
	}
	return info, nil
}

// read reads the file. A file that changes meanwhile is refused, because its parts do not belong together.
func (d *database) read(info fs.FileInfo, changedS int64) (*contents, error) {
	text, err := fs.ReadFile(d.files, strings.TrimPrefix(d.path, "/"))
	if err != nil {
		return nil, err
	}
	c := &contents{modified: info.ModTime(), size: info.Size(), changedS: changedS}
	if after, err := d.stat(); err != nil {
		return nil, err
	} else if !c.sameAs(after) || int64(len(text)) != c.size {
		return nil, errors.New("the file changed while it was read: replace it with a rename")
	}
	c.reader, err = maxminddb.OpenBytes(text)
	return c, err
}

// open reads the database for a new configuration, or takes it over from one that has the same file.
func (d *database) open(others []*database, nowS int64) error {
	d.checkedAtS.Store(nowS)
	info, err := d.stat()
	if err != nil {
		return d.failed("failed", err)
	}
	for _, other := range others {
		if c := other.contents.Load(); other.path == d.path && c != nil && c.sameAs(info) {
			d.contents.Store(c)
			return nil
		}
	}
	c, err := d.read(info, nowS)
	if err != nil {
		return d.failed("failed", err)
	}
	d.contents.Store(c)
	return nil
}

func (d *database) failed(what string, err error) error {
	return fmt.Errorf("MMDB_open(\"%s\") %s (%s)", d.path, what, errno.Reason(err))
}

// at returns the contents. If the file is due for a check, a goroutine checks it, so that no request waits for the
// disk: it gets the old contents.
func (d *database) at(nowS int64) *contents {
	if d.everyS > 0 && nowS-d.checkedAtS.Load() >= d.everyS && d.checking.CompareAndSwap(false, true) {
		d.checkedAtS.Store(nowS)
		go func() {
			defer d.checking.Store(false)
			d.check()
		}()
	}
	return d.contents.Load()
}

// check reads the file again if it has changed. The old contents stay if that fails.
func (d *database) check() {
	info, err := d.stat()
	if err != nil {
		d.log.Logf(logs.Error, "%v", d.failed("failed to reload", err))
		return
	}
	if d.contents.Load().sameAs(info) {
		return
	}
	c, err := d.read(info, info.ModTime().Unix())
	if err != nil {
		d.log.Logf(logs.Error, "%v", d.failed("failed to reload", err))
		return
	}
	d.contents.Store(c)
	d.log.Logf(logs.Info, "Reload MMDB \"%s\"", d.path)
}
