package keyval

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"starling/conf"
	"starling/lib/clock"
	"starling/lib/durable"
	"starling/lib/plural"
	"starling/logs"
	"starling/nginx/errno"
	"starling/plan"
	"starling/zone/kinds"
)

const (
	// logSuffix names the log next to the JSON file that state= names.
	logSuffix = ".log"
	// saveEvery is how old the JSON file may be. The log is never old, so the delay affects only people and other
	// programs.
	saveEvery = 10 * time.Second
	// saveShare bounds the work for the JSON file to a hundredth of the time.
	saveShare = 100
	// syncRemoteAfter bounds how long peers' writes may be in the log without being on disk: with the sync itself it
	// stays below the second that docs/operating.md promises. No request waits for it, so it costs at most two syncs a
	// second.
	syncRemoteAfter = 500 * time.Millisecond
	// rotateBytes is the minimum length for a rewrite of the log, which must also be rotateFactor times its initial
	// length.
	rotateBytes  = 4 << 20
	rotateFactor = 4
)

// errNotStarted is the answer to a write before the configuration runs; no client can send one.
var errNotStarted = errors.New("state file is not open yet")

// store is the disk state of one state file: the JSON object that NGINX Plus would keep, for people, and the log, which
// has every acknowledged write. A reload hands it on; the old and the new configuration may use it at once.
type store struct {
	path    string
	unsaved *plan.Unsaved
	clock   *clock.Clock // of the zones
	local   *clock.Clock // of the machine

	mu      sync.Mutex
	users   int // configurations that use it
	log     *durable.Log
	logBase int64 // its size after the last rotation
	current *kinds.Keyval
	// salvageFailed is the error of reading the JSON file after damage to the log, until it has been reported.
	salvageFailed error
	// clockKept means that the log has the difference between the machine's wall clock and the monotonic one, and that
	// it was aheadMS.
	clockKept bool
	aheadMS   int64
	handover

	changed  atomic.Bool
	unsynced chan struct{} // holds one when peers' writes must be synced to disk soon
	failed   atomic.Bool   // the log cannot be written, and that was reported
	saving   sync.Mutex
	lastLoad atomic.Pointer[loading]
	loaded
}

// stores are the state files of a configuration, by path.
type stores struct {
	byPath map[string]*store
	loads  *loads
}

// storesOfProcess are those of all configurations of the process: one whose last requests have not ended may use a file
// that the running one does not have.
type storesOfProcess struct{ byPath map[string]*store }

func storesOf(p *plan.Plan) *stores {
	all := plan.Part[stores](p)
	if all.byPath == nil {
		all.byPath = map[string]*store{}
		if all.loads = plan.Before[stores](p).loads; all.loads == nil {
			all.loads = new(loads)
		}
	}
	return all
}

// storeOf returns the state at a path. It is the same for all configurations of the process.
func storeOf(p *plan.Plan, path string) (*store, error) {
	all := storesOf(p)
	if all.byPath[path] != nil {
		return nil, fmt.Errorf("state file \"%s\" is used by another zone", path)
	}
	known := plan.OfProcess[storesOfProcess](p)
	s := known.byPath[path]
	if s == nil {
		s = &store{path: path, unsaved: p.Unsaved(), clock: p.Clock, local: p.Clock.Local(),
			unsynced: make(chan struct{}, 1)}
		if known.byPath == nil {
			known.byPath = map[string]*store{}
		}
		known.byPath[path] = s
	}
	all.byPath[path] = s
	return s, nil
}

// keepState loads a zone's state, unless the zone before had it, and persists it from the start on. A zone in use gets
// the records of another state when nothing can fail any more; makeZone makes a zone for them until then.
func (zone *Zone) keepState(p *plan.Plan, before *Zone, makeZone func() *kinds.Keyval) error {
	at, z := zone.spec, zone.Keyval
	path := at.state
	if path == "" {
		if before != nil && before.store != nil {
			p.OnSwitch(z.OnCommitNothing)
		}
		return nil
	}
	s, err := storeOf(p, path)
	if err == nil {
		err = p.OwnFile(path, at.node)
	}
	if err != nil {
		return err
	}
	zone.store = s
	takenOver := before != nil && before.store == s
	loaded := z
	if before != nil && !takenOver {
		loaded = makeZone()
	}
	if !takenOver {
		p.OnLoad(func() error {
			if err := s.load(loaded, p.Log, storesOf(p).loads); err != nil {
				return conf.At(at.node, "%s", errno.Message(err))
			}
			return nil
		})
	}
	keep := func() {
		z.OnCommit(
			func(record []byte) (func() error, error) { return s.keep(z, record, p.Log) },
			func(payload []byte) { s.remote(z, payload, p.Log) },
		)
		z.OnKeep(s.persistHere)
	}
	if before == nil {
		keep()
	}
	p.OnSwitch(func() {
		s.keepFor(z)
		if before != nil {
			keep() // also for the zone's old state: with the log of this configuration, whose predecessor retires
		}
		if loaded != z {
			s.adopt(p, loaded)
		}
	})
	started := false
	p.OnStart(func(ctx context.Context) error {
		if err := s.start(loaded, p); err != nil {
			return conf.At(at.node, "%v", err)
		}
		started = true
		go s.run(ctx, p)
		go s.syncRemote(ctx, p.Log)
		return nil
	})
	p.OnExclusive(exclusive{s, p})
	p.OnOwner(s.giveTo)
	p.OnRetire(func() {
		if started { // otherwise another step of the start failed
			s.release(p)
		}
	})
	return nil
}

// keepFor makes z the zone whose state this is.
func (s *store) keepFor(z *kinds.Keyval) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = z
}

// adopt adds what was loaded to the zone, and starts a log with everything that the zone has.
func (s *store) adopt(p *plan.Plan, loaded *kinds.Keyval) {
	if err := s.merge(s.current, loaded, p); err != nil {
		p.Log.Logf(logs.Error, "%v", err)
	}
	s.rewrite(p)
}

// merge adds what was read of the files to a zone in use.
func (s *store) merge(z, loaded *kinds.Keyval, p *plan.Plan) error {
	read, refused := loaded.Len(), z.Stats().Refused
	if err := z.Merge(loaded, p.Clock.Now()); err != nil {
		return fmt.Errorf("cannot add %s of state file \"%s\" to zone \"%s\": %w",
			plural.Of(read, "pair", "pairs"), s.path, z.Info().Name, err)
	}
	if refused = z.Stats().Refused - refused; refused > 0 {
		p.Log.Logf(logs.Warn, "zone \"%s\" has no room for %s of state file \"%s\"", z.Info().Name,
			plural.Of(refused, "pair", "pairs"), s.path)
	}
	return nil
}

// open opens the log for one more configuration and persists that configuration's zone from now on.
func (s *store) open(z *kinds.Keyval, log logs.Logger) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil {
		restore := s.restore
		if restore == nil {
			restore = restoring(z, new(kinds.Restored), s.local.Now())
		}
		opened, err := durable.OpenAfter(s.path+logSuffix, s.logged, restore)
		if err != nil {
			return err
		}
		if cut := opened.Dropped(); cut > 0 {
			log.Logf(logs.Notice,
				"state log \"%s\": discarded %d bytes of an incomplete, never acknowledged write at its end",
				s.path+logSuffix, cut)
		}
		if err := s.tellDamage(opened, z, log); err != nil {
			return err
		}
		s.log, s.logBase, s.clockKept = opened, opened.Size(), false
		if opened.Damaged() > 0 || s.dropped > 0 || z.Len() > 0 && s.logBase < minLogBytes {
			// A sound log replaces a damaged one, or one with pairs that were dropped. If the pairs came from the JSON
			// file, they must be in the log before it counts.
			if err := s.rotate(opened, z); err != nil {
				return err
			}
			s.logBase = opened.Size()
		}
		s.changed.Store(true) // after a crash the JSON file is older than the log
		s.current = z
	}
	s.users++
	s.loaded = loaded{}
	return nil
}

// tellDamage reports unreadable data. The JSON file and the peers restore what they have of it.
func (s *store) tellDamage(opened *durable.Log, z *kinds.Keyval, log logs.Logger) error {
	damaged, failed := opened.Damaged(), s.salvageFailed
	if damaged == 0 && failed == nil {
		return nil
	}
	z.ForgetAgreed() // before peers could take the lost pairs for deleted
	name := s.path + logSuffix
	if damaged > 0 {
		log.Logf(logs.Error,
			"state log \"%s\" is damaged: %d bytes are unreadable, and the writes in them are lost unless \"%s\" has "+
				"them; restored %s, peers will repair the rest where they can. Check the disk; the damaged log "+
				"is saved as \"%s\"", name, damaged, s.path, plural.Of(z.Len(), "pair", "pairs"),
			name+durable.DamagedPostfix)
	}
	if failed == nil {
		return nil
	}
	s.salvageFailed = nil
	err := durable.KeepAside(s.path) // it is rewritten soon
	if damaged > 0 {
		log.Logf(logs.Error, "state file \"%s\" is damaged too: %v; saved as \"%s\"", s.path, failed,
			s.path+durable.DamagedPostfix)
	} else {
		log.Logf(logs.Error, "state file \"%s\" is damaged, and \"%s\" has no pairs: %v; restored %s from "+
			"before the damage, peers will repair the rest where they can. Check the disk; the damaged file is saved "+
			"as \"%s\"", s.path, name, failed, plural.Of(z.Len(), "pair", "pairs"),
			s.path+durable.DamagedPostfix)
	}
	return err
}

// minLogBytes is less than any log with a record.
const minLogBytes = 24

// errReplaced is the answer to a late write of a retiring configuration.
var errReplaced = errors.New("a reload has given the state file to another zone, or to one of another type")

// keep writes local writes to the log; the function that it returns waits for the disk.
func (s *store) keep(z *kinds.Keyval, record []byte, log logs.Logger) (wait func() error, err error) {
	s.mu.Lock()
	kept, current, persist := s.log, s.current, s.persist
	s.keepClock()
	s.mu.Unlock()
	var appended func() error
	switch {
	case current != nil && current != z:
		return nil, errReplaced
	case kept != nil:
		appended = kept.Append(record)
	case persist != nil:
		appended = func() error { return s.persisted(persist) }
	default:
		return nil, errNotStarted
	}
	s.changed.Store(true)
	return func() error {
		err := appended()
		if errors.Is(err, durable.ErrClosed) {
			err = s.elsewhere(err)
		}
		s.tell(err, z, log)
		return err
	}, nil
}

// clockStepMS is the smallest change of the machine's clock that counts as a step.
const clockStepMS = 100

// keepClock logs the difference between the machine's clock and the monotonic one if it has changed. The expiry times
// of the following records depend on it: they stay right after a restart even if the clock was set. Called with mu
// held.
func (s *store) keepClock() {
	now := s.local.Now()
	aheadMS := now.WallMS - now.MonoMS
	if s.log == nil || s.clockKept && aheadMS > s.aheadMS-clockStepMS && aheadMS < s.aheadMS+clockStepMS {
		return
	}
	s.log.Append(kinds.ClockRecord(now)) // no request waits for it; a later write does
	s.clockKept, s.aheadMS = true, aheadMS
}

// tell reports that the log cannot be written, in the log once until it is writable again.
func (s *store) tell(err error, z *kinds.Keyval, log logs.Logger) {
	if err != nil {
		s.unsaved.Tell(s.path, err) // until the next save
	}
	if err != nil && !s.failed.Swap(true) {
		log.Logf(logs.Error,
			"cannot write state log \"%s\"; writes to zone \"%s\" are not acknowledged, though they are in memory "+
				"and on the peers. Free disk space; retrying every %v: %v",
			s.path+logSuffix, z.Info().Name, saveEvery, err)
	}
}

// remote logs a peer's writes without waiting: the peer has them too, until it is lost. Therefore they are synced soon.
func (s *store) remote(z *kinds.Keyval, payload []byte, log logs.Logger) {
	s.mu.Lock()
	kept, away, replaced := s.log, s.away, s.current != nil && s.current != z
	s.keepClock()
	s.mu.Unlock()
	if away || replaced {
		return // the other process has it too, or gets it with the contents of the zone
	}
	if kept == nil {
		log.Logf(logs.Warn, "received updates of zone \"%s\" from peers before its state log was open", z.Info().Name)
		return
	}
	kept.Append(payload)
	s.changed.Store(true)
	s.syncSoon()
}

func (s *store) syncSoon() {
	select {
	case s.unsynced <- struct{}{}:
	default: // it is about to
	}
}

// syncRemote syncs peers' writes to disk within syncRemoteAfter, until the configuration retires.
func (s *store) syncRemote(ctx context.Context, log logs.Logger) {
	timer := time.NewTimer(syncRemoteAfter)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.unsynced:
		}
		timer.Reset(syncRemoteAfter)
		select {
		case <-ctx.Done():
			s.syncSoon() // the next configuration does it
			return
		case <-timer.C:
		}
		s.mu.Lock()
		z, kept := s.current, s.log
		s.mu.Unlock()
		if kept == nil {
			continue // closed meanwhile, with all its data
		}
		if err := kept.Sync(); !errors.Is(err, durable.ErrClosed) {
			s.tell(err, z, log)
		}
	}
}
