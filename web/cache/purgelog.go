package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"starling/lib/durable"
	"starling/lib/owner"
	"starling/lib/plural"
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

// The kinds of records, in their first byte. That of a purge goes on with its time, its end, and the key's MD5 or the
// prefix; one of the shared zone, after the purge itself, with the time at which it was learnt and its key there; one
// of a node with its number and two times.
const (
	recordExact = iota
	recordPrefix
	recordKnown
	recordSelf  // how long this node has run
	recordHeard // what it has heard of another one
)

// record encodes a purge.
func (one *purge) record(key Key) []byte {
	b := make([]byte, 0, 17+max(len(key), len(one.prefix)))
	kind := byte(recordExact)
	if one.wildcard {
		kind = recordPrefix
	}
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint64(b, uint64(one.atMS))
	b = binary.LittleEndian.AppendUint64(b, uint64(one.untilS))
	if one.wildcard {
		return append(b, one.prefix...)
	}
	return append(b, key[:]...)
}

func knownRecord(shared string, learntMS int64) []byte {
	return append(binary.LittleEndian.AppendUint64([]byte{recordKnown}, uint64(learntMS)), shared...)
}

func nodeRecord(kind byte, node uint64, a, b int64) []byte {
	record := binary.LittleEndian.AppendUint64([]byte{kind}, node)
	record = binary.LittleEndian.AppendUint64(record, uint64(a))
	return binary.LittleEndian.AppendUint64(record, uint64(b))
}

var errPurgeRecord = errors.New("is not a record of a purge")

// replay takes up a record of the file, and keeps its purge until untilS or longer.
func (p *purges) replay(b []byte, untilS int64) error {
	if len(b) == 0 {
		return errPurgeRecord
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch kind, rest := b[0], b[1:]; {
	case kind == recordExact && len(rest) == 16+len(Key{}), kind == recordPrefix && len(rest) >= 16:
		p.replayPurge(kind, rest, untilS)
	case kind == recordKnown && len(rest) > 8:
		if _, _, ok := parseShared(rest[8:]); !ok {
			return errPurgeRecord
		}
		if p.known == nil {
			p.known = map[string]int64{}
		}
		p.known[string(rest[8:])] = int64(binary.LittleEndian.Uint64(rest))
	case (kind == recordSelf || kind == recordHeard) && len(rest) == 24:
		p.recalls(kind, binary.LittleEndian.Uint64(rest), int64(binary.LittleEndian.Uint64(rest[8:])),
			int64(binary.LittleEndian.Uint64(rest[16:])))
	default:
		return errPurgeRecord
	}
	return nil
}

func (p *purges) replayPurge(kind byte, rest []byte, untilS int64) {
	one := purge{
		atMS:   int64(binary.LittleEndian.Uint64(rest)),
		untilS: max(untilS, int64(binary.LittleEndian.Uint64(rest[8:]))), wildcard: kind == recordPrefix,
	}
	var key Key
	if one.wildcard {
		one.prefix = append([]byte{}, rest[16:]...)
	} else {
		copy(key[:], rest[16:])
	}
	p.put(key, one)
}

// openPurges reads the purges of earlier processes and opens their file for more. While another process has it open
// that has not ended yet, purges are only remembered; the manager tries again. It does so too if the file cannot be
// written; until then purges are rejected, and those in the file hold. now means that it does not wait for its turn.
func (c *Cache) openPurges(now bool) {
	p, nowMS := &c.purges, c.clock.Now().MonoMS
	p.logMu.Lock()
	defer p.logMu.Unlock()
	if p.closed {
		return
	}
	c.noticeLoss()
	if p.log != nil || p.away || !now && p.unkept != nil && nowMS < p.retryMS {
		return
	}
	err := c.open()
	if errors.Is(err, durable.ErrInUse) {
		p.read = false // the other process may have added some
		c.readPurges()
		p.unkept = nil
		return
	}
	c.notes(err, now)
}

// noticeLoss closes the file of the purges if somebody has removed or replaced it, with logMu held. Whoever empties the
// folder does not mean the purges: what is put back there must not be served. So they are written again.
func (c *Cache) noticeLoss() {
	p := &c.purges
	if p.log == nil || !p.log.Lost() {
		return
	}
	c.logf(logs.Warn, "cache \"%s\" writes its purges again: somebody has removed or replaced \"%s\" while it was in "+
		"use; to empty a cache, purge \"*\"", c.Name(), c.purgesPath())
	if err := p.closeLog(); err != nil {
		c.logf(logs.Warn, "cannot close the removed purges of cache \"%s\": %v", c.Name(), err)
	}
}

// notes remembers whether purges can be kept, with logMu held. It logs each change, and with always each failure.
func (c *Cache) notes(err error, always bool) {
	p, before := &c.purges, c.purges.unkept
	p.unkept, p.retryMS = nil, c.clock.Now().MonoMS+managerSleep.Milliseconds()
	if err == nil {
		if before != nil {
			c.logf(logs.Notice, "cache \"%s\" accepts purges again: \"%s\" can be written", c.Name(), c.purgesPath())
		}
		return
	}
	p.unkept = fmt.Errorf("\"%s\" cannot be written: %w", c.purgesPath(), err)
	if always || before == nil || before.Error() != p.unkept.Error() {
		c.logf(logs.Crit, "cache \"%s\" rejects purges: %v; make room, or make the folder writable; it tries again "+
			"every %v", c.Name(), p.unkept, managerSleep)
	}
	c.readPurges()
}

// readPurges takes up the purges of a file that this process cannot write, with logMu held. If it cannot read them
// either, everything counts as purged: what the file covers must not come back.
func (c *Cache) readPurges() {
	p := &c.purges
	if p.read {
		return
	}
	p.read = true
	found, err := durable.ReadFile(c.purgesPath(), c.replay)
	switch {
	case err != nil:
		c.logf(logs.Crit, "cache \"%s\" purges everything: it cannot read its purges: %v; move \"%s\" away if this "+
			"goes on", c.Name(), err, c.purgesPath())
		c.rememberAll(c.clock.Now(), maxAheadMS) // earlier processes can have stored what is as far ahead (learn)
	case found.Damaged > 0:
		c.damaged(found.Damaged, found.DamagedAt, "")
	}
}

// damaged purges everything, because a failing disk has lost purges that were acknowledged. note ends the line of the
// log.
func (c *Cache) damaged(bytes, at int64, note string) {
	c.logf(logs.Crit, "cache \"%s\" purges everything: \"%s\" is damaged: %d bytes from position %d on cannot be "+
		"read, and what they purged is not known; check the disk%s", c.Name(), c.purgesPath(), bytes, at, note)
	c.rememberAll(c.clock.Now(), maxAheadMS)
}

// tellDamage reports what could not be read of the file that was just opened. A purge that a crash has cut was never
// acknowledged.
func (c *Cache) tellDamage(log *durable.Log) {
	if damaged := log.Damaged(); damaged > 0 {
		c.damaged(damaged, log.DamagedAt(),
			fmt.Sprintf("; the damaged file is saved as \"%s\"", c.purgesPath()+durable.DamagedPostfix))
	}
	if cut := log.Dropped(); cut > 0 {
		c.logf(logs.Notice, "cache \"%s\": dropped %s of a purge at the end of \"%s\" that was never acknowledged",
			c.Name(), plural.Of(cut, "byte", "bytes"), c.purgesPath())
	}
}

// replay takes up a record of the file. Its purge is kept for as long as one that is made now: the loader gives the
// files that it covers a new time to become inactive.
func (c *Cache) replay(b []byte) error { return c.purges.replay(b, c.purgeUntilS(c.clock.Now())) }

func (c *Cache) purgesPath() string { return c.Path + "/" + purgesName }

// open reads the file and opens it, with logMu held.
func (c *Cache) open() error {
	p := &c.purges
	if err := c.makeFolder(); err != nil {
		return err
	}
	log, err := durable.Open(c.purgesPath(), c.replay)
	if err != nil {
		return err
	}
	c.tellDamage(log)
	if err := log.Rotate(p.snapshot); err != nil {
		return errors.Join(err, log.Close())
	}
	p.log, p.read = log, true
	return nil
}

// ErrReplacing rejects a purge through the process that does not serve while the binary is replaced: the other one
// would not hear of it.
var ErrReplacing = errors.New("another process has taken over from this one; purge again on a new connection")

// Yield leaves the purges to the other process while the binary is replaced.
func (c *Cache) Yield() error {
	p := &c.purges
	p.logMu.Lock()
	defer p.logMu.Unlock()
	p.away, p.unkept = true, nil
	return p.closeLog()
}

// closeLog closes the file, with logMu held.
func (p *purges) closeLog() error {
	log := p.log
	if p.log = nil; log == nil {
		return nil
	}
	return log.Close()
}

// Seize takes them back, with what the other process has purged.
func (c *Cache) Seize() error {
	p := &c.purges
	p.logMu.Lock()
	defer p.logMu.Unlock()
	if !p.away {
		return nil
	}
	p.read = false // the other process may have added some
	err := c.open()
	if errors.Is(err, durable.ErrInUse) {
		return err
	}
	c.notes(err, true)
	p.away = false
	c.wakePurger()
	return nil
}

func (p *purges) isAway() bool {
	p.logMu.Lock()
	defer p.logMu.Unlock()
	return p.away
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
	for shared, learntMS := range p.known {
		if err := write(knownRecord(shared, learntMS)); err != nil {
			return err
		}
	}
	if p.self != 0 {
		ranMS := p.ranMS + max(p.beatMS-p.sinceMS, 0)
		if err := write(nodeRecord(recordSelf, p.self, ranMS, 0)); err != nil {
			return err
		}
	}
	for node, h := range p.heard {
		if err := write(nodeRecord(recordHeard, node, h.sureMS, h.lastMS)); err != nil {
			return err
		}
	}
	return nil
}

// append adds records to the file. The function that it returns waits for the disk: a purge is acknowledged after it.
func (p *purges) append(records ...[]byte) (wait func() error) {
	p.logMu.Lock()
	log, failure := p.log, p.unkept
	if p.away { // since this purge began
		failure = ErrReplacing
	}
	p.logMu.Unlock()
	wait = func() error { return nil }
	if log == nil {
		return func() error { return failure } // nil: another process, which is ending, has the file
	}
	for _, record := range records {
		wait = log.Append(record)
	}
	return wait
}

// unsyncedPurges has records that nobody waits for written to the disk soon: the nodes that made them have them too.
func (c *Cache) unsyncedPurges() {
	select {
	case c.unsynced <- struct{}{}:
	default: // it is about to
	}
}

// syncPurges does that until the context ends.
func (c *Cache) syncPurges(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.unsynced:
		}
		c.purges.logMu.Lock()
		log := c.purges.log
		c.purges.logMu.Unlock()
		if log == nil {
			continue
		}
		if err := log.Sync(); err != nil && !errors.Is(err, durable.ErrClosed) && c.full.due(c.clock.Now().MonoMS) {
			c.logf(logs.Crit, "the purges of cache \"%s\" cannot be stored: %v", c.Name(), err)
		}
	}
}

// tidyPurges forgets the purges that cover nothing any more, opens their file if another process had it, and writes it
// anew if it has become too long.
func (c *Cache) tidyPurges() {
	p, now := &c.purges, c.clock.Now()
	if s := c.sharing.Load(); s != nil && s.lacksPurges() {
		c.logf(logs.Error, "cache \"%s\" has no room for the purges of other nodes, and purges everything", c.Name())
		c.purgeMore(now)
	}
	p.mu.Lock()
	p.expire(now, knownLife)
	kept := int64(len(p.exact)+len(p.wild)+len(p.known)+len(p.heard)) * purgeBytes
	p.mu.Unlock()
	c.openPurges(false)
	p.logMu.Lock()
	log := p.log
	p.logMu.Unlock()
	if log == nil || log.Failed() == nil && (log.Size() <= rotateBytes || log.Size() <= 2*kept) {
		return
	}
	err := log.Rotate(p.snapshot)
	if err != nil && !errors.Is(err, os.ErrNotExist) && c.full.due(c.clock.Now().MonoMS) {
		c.logf(logs.Crit, "the purges of cache \"%s\" cannot be stored: %v", c.Name(), err)
	}
}

// Close closes the file of the purges, when no configuration uses the cache any more. Start opens it again.
func (c *Cache) Close() error {
	c.purges.logMu.Lock()
	defer c.purges.logMu.Unlock()
	c.purges.closed = true
	return c.purges.closeLog()
}

// GiveTo gives the folder, and the file of the purges, to the user that the process will become.
func (c *Cache) GiveTo(uid, gid int) error {
	if at, err := os.Lstat(c.Path); err == nil && at.Mode().IsRegular() {
		return nil // it is no folder, and somebody else's
	}
	return errors.Join(owner.Give(c.Path, uid, gid), owner.Give(c.Path+"/"+purgesName, uid, gid))
}
