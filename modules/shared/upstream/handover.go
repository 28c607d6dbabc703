package upstream

import (
	"errors"
	"io/fs"

	"starling/lib/filekind"
	"starling/logs"
	"starling/plan"
	"starling/side"
	servers "starling/upstream"
)

// While the binary is replaced, one of the two processes writes a state file. A process that takes the file over adopts
// what is in it: the other one may have been killed right after a change, and if the upstream is not shared, the file
// is the only way in which one process learns of the changes of the other.

// errReplacing rejects a change through the process that does not have the file.
var errReplacing = errors.New("another process has taken over from this one; nothing was changed; send the change " +
	"again on a new connection")

// yield leaves the file to the other process.
func (f *stateFile) yield(persist func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away, f.persist = true, persist
}

// seize makes the file this process's own.
func (f *stateFile) seize() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away, f.persist, f.written = false, nil, nil
}

func (f *stateFile) isAway() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.away
}

// tell reports that the file cannot be adopted. The process serves nevertheless.
func (f *stateFile) tell(log logs.Logger, err error) {
	log.Logf(logs.Error, "cannot adopt state file \"%s\" of the other process: %v; the servers stay as this process "+
		"knows them", f.path, err)
}

// unshared is the state file of an upstream that the cluster does not share.
type unshared[C side.Subject] struct {
	block *Block[C]
	group *servers.Group
	plan  *plan.Plan
}

// Yield implements plan.Exclusive. Changes through this process are rejected from now on.
func (x unshared[C]) Yield(persist func() error) error {
	x.block.state.file.yield(persist)
	return nil
}

// Seize implements plan.Exclusive.
func (x unshared[C]) Seize() error {
	f := x.block.state.file
	if !f.isAway() {
		return nil
	}
	text, err := filekind.Read(f.path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err == nil {
		err = x.adopt(string(text))
	}
	f.seize()
	if missing {
		err = x.group.SaveState()
	}
	if err != nil {
		f.tell(x.plan.Log, err)
	}
	return nil
}

// adopt makes the servers of the group those of the file.
func (x unshared[C]) adopt(text string) error {
	lines, _, err := split(text)
	if err != nil {
		return err
	}
	list, err := x.block.serversIn(lines)
	if err != nil {
		return err
	}
	return x.group.Adopt(list, x.plan.Clock.Now())
}

// serversIn are the servers of a state file without comments.
func (b *Block[C]) serversIn(lines string) (list []servers.Settings, err error) {
	before := b.Servers
	b.Servers = nil
	err = b.splice(lines)
	read := b.Servers
	b.Servers = before
	for i := range read {
		list = append(list, read[i].each()...)
	}
	return list, err
}

// Persist implements plan.Exclusive: each change is on disk before it is made.
func (x unshared[C]) Persist() error { return nil }

// exclusive is the state file of a shared upstream.
type exclusive struct {
	*stateFile
	group   *servers.Group
	member  *member
	plan    *plan.Plan
	changed chan struct{}
	// serversIn are the servers of a file that is not of a shared upstream.
	serversIn func(lines string) ([]servers.Settings, error)
}

// Yield implements plan.Exclusive.
func (x exclusive) Yield(persist func() error) error {
	x.yield(persist)
	return nil
}

// Seize implements plan.Exclusive.
func (x exclusive) Seize() error {
	if !x.isAway() {
		return nil
	}
	if err := x.merge(); err != nil {
		x.tell(x.plan.Log, err)
	}
	x.seize()
	soon(x.changed)
	return nil
}

// merge adds what the file has of the cluster's zone. A file without it is of a process whose upstream is not shared:
// its servers become this node's own, as when a process starts with such a file. That one may have changed them since
// this process has read them.
func (x exclusive) merge() error {
	text, err := filekind.Read(x.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines, kept, err := split(string(text))
	switch {
	case err != nil:
		return err
	case kept == nil:
		return x.adopt(lines)
	}
	memory := x.member.zone.memory
	beside := memory.Beside()
	kept.restore(beside, x.plan.Clock.Local().Now(), func(failed error) { err = errors.Join(err, failed) })
	if failed := memory.Merge(beside, x.plan.Clock.Now()); failed != nil {
		return errors.Join(err, failed)
	}
	x.member.zone.followMarks(true)
	return err
}

func (x exclusive) adopt(lines string) error {
	list, err := x.serversIn(lines)
	if err == nil {
		err = x.group.Adopt(list, x.plan.Clock.Now())
	}
	if err == nil {
		x.group.Share(x.member)
		x.member.zone.followAll()
	}
	return err
}

// Persist implements plan.Exclusive.
func (x exclusive) Persist() error { return x.group.SaveState() }
