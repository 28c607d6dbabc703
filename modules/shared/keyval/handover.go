package keyval

import (
	"errors"

	"starling/lib/clock"
	"starling/lib/durable"
	"starling/lib/plural"
	"starling/logs"
	"starling/plan"
	"starling/zone/kinds"
)

// handover is the state of the files while the binary is replaced: one of the two processes has them. Guarded by
// store.mu.
type handover struct {
	away bool // the other process has them
	// persist waits until the other process has all changes on disk; nil until this one has yielded the files.
	persist func() error
	// partial means that the log lacks changes that the other process sent before this one had the log.
	partial bool
	// whole is closed when the log has been rewritten since, or that failed.
	whole chan struct{}
}

// exclusive is a state file as the plan hands it over.
type exclusive struct {
	*store
	plan *plan.Plan
}

// start is open, unless the process that this one replaces has the log.
func (s *store) start(z *kinds.Keyval, p *plan.Plan) error {
	s.mu.Lock()
	s.away = s.away || p.Successor
	if s.away {
		s.users++
		if s.current == nil {
			s.current = z
		}
	}
	away := s.away
	s.mu.Unlock()
	if away {
		return nil
	}
	return s.open(z, p.Log)
}

// errPartial is the answer to a write while the log cannot be rewritten after it was taken over.
var errPartial = errors.New("state log could not be rewritten; see the error log")

// Yield implements plan.Exclusive. Writes that are in progress are in the log, or wait for the other process.
func (x exclusive) Yield(persist func() error) error {
	s := x.store
	s.saving.Lock() // no rewriting
	defer s.saving.Unlock()
	s.mu.Lock()
	log := s.log
	s.log, s.away, s.persist = nil, true, persist
	s.mu.Unlock()
	if log == nil {
		return nil
	}
	return log.Close()
}

// Seize implements plan.Exclusive. What the log has and this process has not read yet is merged into the zone: the
// other process may have been killed before it sent its last writes, and its configuration may not share the zone with
// this one. The log is used at once and rewritten beside that: what the other process sent while neither had the log is
// in the zone only.
func (x exclusive) Seize() error {
	s := x.store
	s.mu.Lock()
	away, z, read := s.away, s.current, s.loaded
	s.mu.Unlock()
	if !away {
		return nil
	}
	rest := newRest(z, &read, s.local.Now())
	var log *durable.Log
	err := x.plan.AsStarted(func() (err error) {
		log, err = durable.OpenAfter(s.path+logSuffix, read.logged, rest.restore)
		return err
	})
	if err != nil {
		return err
	}
	x.tellUnread(log, rest)
	if err := s.merge(z, rest.zone, x.plan); err != nil {
		return errors.Join(err, log.Close()) // it still has them
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.logBase, s.clockKept, s.loaded = log, log.Size(), false, loaded{}
	s.away, s.persist, s.partial, s.whole = false, nil, true, make(chan struct{})
	s.changed.Store(true)
	go x.complete(log, z, s.whole)
	return nil
}

// rest is what a log has beyond what was read of it before, in a zone of its own.
type rest struct {
	zone  *kinds.Keyval
	found kinds.Restored
	now   clock.Reading
	// unread are records that this process cannot read, and fault says why it cannot read the first of them.
	unread int
	fault  error
}

func newRest(z *kinds.Keyval, read *loaded, now clock.Reading) *rest {
	r := &rest{zone: z.Beside(), now: now}
	if read.found != nil {
		r.found = *read.found
	}
	return r
}

// restore does not fail: a process that does not serve is worse than one that lacks a record.
func (r *rest) restore(record []byte) error {
	if err := r.zone.Restore(record, &r.found, r.now); err != nil {
		if r.unread++; r.fault == nil {
			r.fault = err
		}
	}
	return nil
}

// tellUnread reports writes of the other process that are lost, and keeps the log that has them: it is rewritten soon.
func (x exclusive) tellUnread(log *durable.Log, r *rest) {
	name := x.path + logSuffix
	if damaged := log.Damaged(); damaged > 0 {
		x.plan.Log.Logf(logs.Error, "state log \"%s\" of the other process is damaged: %d bytes are unreadable, and "+
			"the writes in them are lost unless that process had sent them. Check the disk; the damaged log is saved "+
			"as \"%s\"", name, damaged, name+durable.DamagedPostfix)
	}
	if r.unread == 0 {
		return
	}
	err := x.plan.AsStarted(func() error { return durable.KeepAside(name) })
	x.plan.Log.Logf(logs.Error, "state log \"%s\": cannot read %s of the other process, the first because "+
		"of: %v; the log is saved as \"%s\"%s", name, plural.Of(r.unread, "record", "records"), r.fault,
		name+durable.DamagedPostfix, unless(err))
}

// unless is the end of a line that reports what was done, if that failed.
func unless(err error) string {
	if err == nil {
		return ""
	}
	return " (failed: " + err.Error() + ")"
}

// complete rewrites the log after Seize.
func (x exclusive) complete(log *durable.Log, z *kinds.Keyval, whole chan struct{}) {
	s := x.store
	defer close(whole)
	err := x.plan.AsStarted(func() error { // before the lock, as in run
		s.saving.Lock()
		defer s.saving.Unlock()
		return s.rotate(log, z)
	})
	if errors.Is(err, durable.ErrClosed) {
		return // yielded again, or the process ends
	}
	if err != nil {
		x.plan.Log.Logf(logs.Error, "cannot write state log \"%s\": %v; trying again with the next save",
			s.path+logSuffix, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partial = false
}

// Persist implements plan.Exclusive.
func (x exclusive) Persist() error { return x.store.persistHere() }

func (s *store) persistHere() error {
	s.mu.Lock()
	whole, log := s.whole, s.log
	s.mu.Unlock()
	if log == nil {
		return errNotStarted
	}
	if whole != nil {
		<-whole
	}
	s.mu.Lock()
	partial := s.partial
	s.mu.Unlock()
	if partial {
		return errPartial
	}
	return log.Sync()
}

// elsewhere waits for the other process if the log was closed because that process has it now; err is the error of the
// closed log.
func (s *store) elsewhere(err error) error {
	s.mu.Lock()
	persist := s.persist
	s.mu.Unlock()
	if persist == nil {
		return err
	}
	return s.persisted(persist)
}

// persisted waits for the other process. If that has ended, this one has the log again, and what it knows is written
// there.
func (s *store) persisted(persist func() error) error {
	err := persist()
	if err == nil {
		return nil
	}
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away {
		return err
	}
	return s.persistHere()
}
