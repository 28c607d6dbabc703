package keyvals

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"starling/conf"
	"starling/lib/clock"
	"starling/lib/durable"
	"starling/logs"
	"starling/nginx/errno"
	"starling/plan"
	"starling/zone/kinds"
)

const (
	// logSuffix names the log beside the JSON file that state= names.
	logSuffix = ".log"
	// saveEvery is how old the JSON file may be. The log is never old, so only people and other programs see it.
	saveEvery = 10 * time.Second
	// saveShare bounds the work for the JSON file to a hundredth of the time.
	saveShare = 100
	// rotateBytes is the length from which a log is rewritten, if it is also rotateFactor times what it began with.
	rotateBytes  = 4 << 20
	rotateFactor = 4
)

// errNotStarted is the answer to a write before the configuration runs; nobody can send one.
var errNotStarted = errors.New("the state file is not open yet")

// store is what lies on disk for one state file: the JSON object that NGINX Plus would keep, for people, and the log,
// which has every acknowledged write. A reload hands it on; old and new configuration may use it at once.
type store struct {
	path  string
	clock *clock.Clock

	mu      sync.Mutex
	users   int // configurations that run with it
	log     *durable.Log
	logBase int64 // its size after the last rotation
	current *kinds.Keyval

	changed atomic.Bool
	failed  atomic.Bool // the log cannot be written, and the operator has been told
	saving  sync.Mutex
}

// stores are the state files of a configuration, by path.
type stores struct{ byPath map[string]*store }

func storeOf(p *plan.Plan, path string) (*store, error) {
	all := plan.Part[stores](p)
	if all.byPath == nil {
		all.byPath = map[string]*store{}
	}
	if all.byPath[path] != nil {
		return nil, fmt.Errorf("state file \"%s\" is used by another zone", path)
	}
	s := &store{path: path, clock: p.Clock}
	if p.Old != nil {
		if before := plan.Part[stores](p.Old).byPath[path]; before != nil {
			s = before
		}
	}
	all.byPath[path] = s
	return s, nil
}

// keepState loads a zone's state, unless it was taken over with its records, and keeps it from the start on.
func keepState(p *plan.Plan, z *kinds.Keyval, at spec, takenOver bool) error {
	path := at.state
	if path == "" {
		return nil
	}
	s, err := storeOf(p, path)
	if err != nil {
		return err
	}
	if !takenOver {
		if err := s.load(z); err != nil {
			return errors.New(errno.Message(err))
		}
		z.OnCommit(func(record []byte) (func() error, error) { return s.keep(z, record, p.Log) }, func(payload []byte) { s.remote(z, payload, p.Log) })
	}
	started := false
	p.OnStart(func(ctx context.Context) error {
		if err := s.open(z, p.Log); err != nil {
			return conf.At(at.node, "%v", err)
		}
		started = true
		go s.run(ctx, p.Log)
		return nil
	})
	p.OnRetire(func() {
		if started { // else another step of the start failed
			s.release(p.Log)
		}
	})
	return nil
}

// load reads the state without touching it: what -t may do. The JSON file counts only where there is no log, for it may be older.
func (s *store) load(z *kinds.Keyval) error {
	now := s.clock.Now()
	var found kinds.Restored
	logged, err := durable.ReadFile(s.path+logSuffix, func(record []byte) error { return z.Restore(record, &found, now) })
	if err != nil || logged {
		return err
	}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(s.path)) // better said by -t than when it is too late
		return err
	}
	if err == nil && len(text) == 0 {
		return nil
	}
	if err == nil {
		err = z.LoadState(text, now)
	}
	if err != nil {
		return fmt.Errorf("state file \"%s\": %w", s.path, err)
	}
	return nil
}

// open opens the log for one more configuration, whose zone is from now on the one to be kept.
func (s *store) open(z *kinds.Keyval, log logs.Logger) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil {
		var found kinds.Restored
		now := s.clock.Now()
		opened, err := durable.Open(s.path+logSuffix, func(record []byte) error { return z.Restore(record, &found, now) })
		if err != nil {
			return err
		}
		if cut := opened.Dropped(); cut > 0 {
			log.Logf(logs.Notice, "state log \"%s\" ended in %d bytes of an unfinished write, which were never acknowledged", s.path+logSuffix, cut)
		}
		damaged := opened.Damaged()
		if damaged > 0 {
			z.ForgetAgreed()
			log.Logf(logs.Error, "state log \"%s\" is damaged: %d bytes in it cannot be read, and the writes in them are lost here; the rest is restored, "+
				"peers repair what they have. Check the disk; the log is kept as \"%s\"", s.path+logSuffix, damaged, s.path+logSuffix+durable.DamagedPostfix)
		}
		s.log, s.logBase = opened, opened.Size()
		if damaged > 0 || z.Len() > 0 && s.logBase < minLogBytes {
			// A sound log takes the place of a damaged one; and where the pairs came from the JSON file, the log must have them before it counts.
			if err := s.rotate(opened, z); err != nil {
				return err
			}
			s.logBase = opened.Size()
		}
	}
	s.users++
	s.current = z
	return nil
}

// minLogBytes is less than any log with a record.
const minLogBytes = 24

// keep puts local writes into the log; what it returns waits for the disk. Those that a retiring configuration made also go into the zone
// that followed.
func (s *store) keep(z *kinds.Keyval, record []byte, log logs.Logger) (wait func() error, err error) {
	s.mu.Lock()
	kept, current := s.log, s.current
	s.mu.Unlock()
	if kept == nil {
		return nil, errNotStarted
	}
	appended := kept.Append(record)
	s.changed.Store(true)
	if current != z {
		var found kinds.Restored
		if err := current.Restore(record, &found, s.clock.Now()); err != nil {
			return nil, err
		}
	}
	return func() error {
		err := appended()
		s.tell(err, z, log)
		return err
	}, nil
}

// tell says that the log cannot be written, once until it can.
func (s *store) tell(err error, z *kinds.Keyval, log logs.Logger) {
	if err != nil && !s.failed.Swap(true) {
		log.Logf(logs.Error, "state log \"%s\" cannot be written, so writes to zone \"%s\" are not acknowledged; they stand in memory and on the peers. "+
			"Make room on the disk: it is tried again every %v: %v", s.path+logSuffix, z.Info().Name, saveEvery, err)
	}
}

// remote puts a peer's writes into the log without waiting: the peer has them too. A failure shows at the next local write.
func (s *store) remote(z *kinds.Keyval, payload []byte, log logs.Logger) {
	s.mu.Lock()
	kept := s.log
	s.mu.Unlock()
	if kept == nil {
		log.Logf(logs.Warn, "changes of peers for zone \"%s\" came before its state log was open", z.Info().Name)
		return
	}
	kept.Append(payload)
	s.changed.Store(true)
}

// run rewrites the JSON file now and then, and the log when it has grown long, until the configuration retires.
func (s *store) run(ctx context.Context, log logs.Logger) {
	pause := saveEvery
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		if err := s.save(); err != nil {
			log.Logf(logs.Error, "state file \"%s\" could not be written: %v", s.path, err)
		} else if s.failed.Swap(false) {
			log.Logf(logs.Notice, "state log \"%s\" is written again: writes are acknowledged", s.path+logSuffix)
		}
		pause = max(saveEvery, saveShare*time.Since(began))
		timer.Reset(pause)
	}
}

// save brings the JSON file up to date and shortens the log if that is worth it.
func (s *store) save() (err error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	if !s.changed.Swap(false) {
		return nil
	}
	defer func() {
		if err != nil {
			s.changed.Store(true) // to be tried again
		}
	}()
	s.mu.Lock()
	z, log, base := s.current, s.log, s.logBase
	s.mu.Unlock()
	text, err := z.MarshalState(s.clock.Now())
	if err == nil {
		err = durable.Replace(s.path, text)
	}
	if err != nil {
		return err
	}
	if log == nil { // closed meanwhile, with all that was acknowledged
		return nil
	}
	if log.Failed() == nil && (log.Size() < rotateBytes || log.Size() < rotateFactor*base) {
		return log.Sync()
	}
	if err := s.rotate(log, z); err != nil { // also what mends a log that failed
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logBase = log.Size()
	return nil
}

// rotate begins the log anew with what the zone holds. Writes go on meanwhile.
func (s *store) rotate(log *durable.Log, z *kinds.Keyval) error {
	return log.Rotate(func(write func([]byte) error) error { return z.Snapshot(s.clock.Now(), write) })
}

// release ends one configuration's use; the last one leaves both files complete.
func (s *store) release(log logs.Logger) {
	s.mu.Lock()
	s.users--
	last := s.users == 0
	s.mu.Unlock()
	if !last {
		return
	}
	s.changed.Store(true)
	err := s.save()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(err, s.log.Close()); err != nil {
		log.Logf(logs.Error, "state file \"%s\" could not be written at the end: %v", s.path, err)
	}
	s.log = nil
}
