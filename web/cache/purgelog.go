package cache

import (
	"encoding/binary"
	"errors"
	"os"

	"starling/lib/durable"
	"starling/lib/owner"
	"starling/logs"
)

// purgesName is the file of the purges in the folder of the cache: a purge that was acknowledged holds after a crash
// too, when the loader finds files that it covers.
const purgesName = "purges"

const (
	// rotateBytes is the size beyond which the file is written anew if most of it is forgotten purges.
	rotateBytes = 1 << 20
	// purgeBytes is a record of a key, with its framing.
	purgeBytes = 41
)

// record encodes a purge: kind, time, end, and the key's MD5 or the prefix.
func (one *purge) record(key Key) []byte {
	b := make([]byte, 0, 17+max(len(key), len(one.prefix)))
	kind := byte(0)
	if one.wildcard {
		kind = 1
	}
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint64(b, uint64(one.atMS))
	b = binary.LittleEndian.AppendUint64(b, uint64(one.untilS))
	if one.wildcard {
		return append(b, one.prefix...)
	}
	return append(b, key[:]...)
}

var errPurgeRecord = errors.New("is not a record of a purge")

// replay adds a purge of the file.
func (p *purges) replay(b []byte) error {
	if len(b) < 17 || b[0] > 1 || b[0] == 0 && len(b) != 17+len(Key{}) {
		return errPurgeRecord
	}
	one := purge{
		atMS: int64(binary.LittleEndian.Uint64(b[1:])), untilS: int64(binary.LittleEndian.Uint64(b[9:])),
		wildcard: b[0] == 1,
	}
	var key Key
	if one.wildcard {
		one.prefix = append([]byte{}, b[17:]...)
	} else {
		copy(key[:], b[17:])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(key, one)
	return nil
}

// openPurges reads the purges of earlier processes and opens their file for more. While another process has it open,
// which this one replaces, purges are only remembered; the manager tries again.
func (c *Cache) openPurges() error {
	c.purges.logMu.Lock()
	defer c.purges.logMu.Unlock()
	if c.purges.log != nil {
		return nil
	}
	path := c.Path + "/" + purgesName
	log, err := durable.Open(path, c.purges.replay)
	if errors.Is(err, durable.ErrInUse) {
		_, err = durable.ReadFile(path, c.purges.replay)
		return err
	}
	if err != nil {
		return err
	}
	if err := log.Rotate(c.purges.snapshot); err != nil {
		return errors.Join(err, log.Close())
	}
	c.purges.log = log
	return nil
}

// snapshot writes the purges that are kept.
func (p *purges) snapshot(write func([]byte) error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for key, one := range p.exact {
		if err := write(one.record(key)); err != nil {
			return err
		}
	}
	for i := range p.wild {
		if err := write(p.wild[i].record(Key{})); err != nil {
			return err
		}
	}
	return nil
}

// remember writes a purge to the disk before it is acknowledged.
func (p *purges) remember(key Key, one purge) error {
	p.logMu.Lock()
	log := p.log
	p.logMu.Unlock()
	if log == nil {
		return nil // a process that this one replaces has the file
	}
	return log.Append(one.record(key))()
}

// tidyPurges forgets the purges that cover nothing any more, opens their file if another process had it, and writes it
// anew if it has become too long.
func (c *Cache) tidyPurges() {
	p := &c.purges
	p.mu.Lock()
	p.expire(wallSeconds(c.clock.Now()))
	kept := int64(len(p.exact)+len(p.wild)) * purgeBytes
	p.mu.Unlock()
	err := c.openPurges()
	p.logMu.Lock()
	log := p.log
	p.logMu.Unlock()
	if err == nil && log != nil && (log.Failed() != nil || log.Size() > rotateBytes && log.Size() > 2*kept) {
		err = log.Rotate(p.snapshot)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) && c.full.due(c.clock.Now().MonoMS) {
		c.logf(logs.Crit, "the purges of cache \"%s\" cannot be stored: %v", c.Name(), err)
	}
}

// Close closes the file of the purges, when no configuration uses the cache any more.
func (c *Cache) Close() error {
	c.purges.logMu.Lock()
	defer c.purges.logMu.Unlock()
	log := c.purges.log
	if c.purges.log = nil; log == nil {
		return nil
	}
	return log.Close()
}

// GiveTo gives the folder, and the file of the purges, to the user that the process will become.
func (c *Cache) GiveTo(uid, gid int) error {
	return errors.Join(owner.Give(c.Path, uid, gid), owner.Give(c.Path+"/"+purgesName, uid, gid))
}
