package keyval

import (
	"context"
	"errors"
	"io"
	"time"

	"starling/lib/durable"
	"starling/lib/owner"
	"starling/logs"
	"starling/nginx/errno"
	"starling/plan"
	"starling/zone/kinds"
)

// run rewrites the JSON file from time to time, and the log when it has grown long, until the configuration retires.
func (s *store) run(ctx context.Context, p *plan.Plan) {
	log := p.Log
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
		err := p.AsStarted(func() error { return s.save(false) })
		s.unsaved.Tell(s.path, err)
		if err != nil {
			log.Logf(logs.Error, "cannot write state file \"%s\": %v", s.path, err)
		} else if s.failed.Swap(false) {
			log.Logf(logs.Notice, "state log \"%s\" is writable again; acknowledging writes", s.path+logSuffix)
		}
		pause = max(saveEvery, saveShare*time.Since(began))
		timer.Reset(pause)
	}
}

// save updates the JSON file and shortens the log if that is worth it. It does not shorten at the end, because nothing
// should delay the shutdown.
func (s *store) save(atEnd bool) (err error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away || !s.changed.Swap(false) {
		return nil
	}
	defer func() {
		if err != nil {
			s.changed.Store(true) // to be tried again
		}
	}()
	s.mu.Lock()
	z, log, base, partial := s.current, s.log, s.logBase, s.partial
	s.mu.Unlock()
	now := s.clock.Now() // of the zones: it orders a clear before or after the file
	err = durable.Replace(s.path, time.UnixMilli(now.WallMS), func(w io.Writer) error { return z.WriteState(w, now) })
	if err != nil {
		return err
	}
	if log == nil { // closed meanwhile, with all acknowledged writes
		return nil
	}
	short := atEnd || log.Size() < rotateBytes || log.Size() < rotateFactor*base
	if log.Failed() == nil && !partial && short {
		return log.Sync()
	}
	if err := s.rotate(log, z); err != nil { // this also repairs a log that failed
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logBase, s.partial = log.Size(), false
	return nil
}

// giveTo gives the files to the user to which the process is about to switch.
func (s *store) giveTo(uid, gid int) (errs []error) {
	for _, path := range []string{s.path, s.path + logSuffix} {
		if err := owner.Give(path, uid, gid); err != nil {
			errs = append(errs, errno.Call("chown", path, err))
		}
	}
	return errs
}

// rotate starts a new log with the contents of the zone. Writes continue meanwhile.
func (s *store) rotate(log *durable.Log, z *kinds.Keyval) error {
	return log.Rotate(func(write func([]byte) error) error { return z.Snapshot(s.local.Now(), write) })
}

// rewrite starts a new log with the contents of the zone, after a reload has changed these otherwise than by writes. If
// that fails, the next save tries again.
func (s *store) rewrite(p *plan.Plan) {
	err := p.AsStarted(func() error { // before the lock, as in run
		s.saving.Lock()
		defer s.saving.Unlock()
		s.mu.Lock()
		log, z := s.log, s.current
		s.mu.Unlock()
		if log == nil {
			return nil // the other process has it
		}
		if err := s.rotate(log, z); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.logBase, s.partial = log.Size(), false
		return nil
	})
	s.changed.Store(true)
	if err == nil {
		return
	}
	s.unsaved.Tell(s.path, err)
	p.Log.Logf(logs.Error, "cannot write state log \"%s\": %v; trying again with the next save", s.path+logSuffix, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partial = true
}

// release ends one configuration's use; the last one leaves both files complete.
func (s *store) release(p *plan.Plan) {
	s.mu.Lock()
	s.users--
	last := s.users == 0 && !s.away
	s.mu.Unlock()
	if !last {
		return
	}
	err := p.AsStarted(func() error { return s.save(true) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(err, s.log.Close()); err != nil {
		p.Log.Logf(logs.Error, "cannot write state file \"%s\" on shutdown: %v", s.path, err)
	}
	s.log, s.current = nil, nil
}
