package cache

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"starling/lib/clock"
	"starling/logs"
	"starling/nginx/errno"
)

// Refresh stores a new freshness of the response that the ticket has, after the server has confirmed it.
func (t *Ticket) Refresh(fresh Freshness, now clock.Reading) {
	c, o := t.c, t.Object
	if o == nil || t.e == nil {
		return
	}
	e := t.e
	c.mu.Lock()
	e.rewrites++ // so that nobody takes the change of the file for that of another program
	c.mu.Unlock()
	written, err := o.rewrite(fresh, wallSeconds(now))
	if err != nil && c.full.due(now.MonoMS) {
		c.logf(logs.Crit, "%v; the response will be asked for again", errno.Call("pwrite", o.path, err))
	}
	c.mu.Lock()
	var closed *Object
	e.rewrites--
	e.stamp = 0
	if e.version == t.version {
		if e.object != nil {
			closed = c.opened.forget(e)
		}
		e.stamp = written
		e.version++
		t.version = e.version
	}
	c.mu.Unlock()
	if closed != nil {
		closed.release()
	}
}

// rewrite changes the freshness in the file, unless another response has taken its place. It returns the stamp of the
// file after that, 0 if it is not the one that was opened.
func (o *Object) rewrite(fresh Freshness, nowS int64) (stamp, error) {
	m := o.Meta
	m.Freshness, m.DateS = fresh, nowS
	var block [freshnessBytes + 4]byte
	m.putFreshness(block[:])
	file, err := os.OpenFile(o.path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	before, written := stampOfFile(file), stamp(0)
	var start [freshnessAt]byte
	if _, err = file.ReadAt(start[:], 0); err == nil && headSum(start[:]) == o.headSum {
		_, err = file.WriteAt(block[:], freshnessAt)
	}
	if before == o.stamp {
		written = stampOfFile(file)
	}
	return written, errors.Join(err, file.Close())
}
