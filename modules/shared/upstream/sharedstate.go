package upstream

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"starling/conf"
	"starling/lib/clock"
	"starling/logs"
	"starling/plan"
	servers "starling/upstream"
	"starling/zone/kinds"
)

// The state file of a shared upstream has the servers as they are, as every state file, and in comments what the
// cluster needs: the servers of this node's own, and the zone with its stamps and tombstones. They are replaced
// together, so that a crash leaves both of one moment, and a configuration without `sync` goes on with the servers as
// they are.
const (
	ownLine  = "#own "
	zoneLine = "#zone "
	handLine = "# starling writes this file; servers that are added to it by hand do not count, because the cluster " +
		"shares this upstream\n"
)

const (
	// saveRemoteAfter bounds how long changes of other nodes may be only in memory: with the sync to the disk less than
	// the second that docs/operating.md promises. Those nodes have them too.
	saveRemoteAfter = 500 * time.Millisecond
	// saveNotesAfter is that of what the zone notes about the cluster every few seconds: when the nodes agreed. An
	// older note is not wrong, so it costs little to be late.
	saveNotesAfter = time.Minute
	// saveAgainAfter is when a file that could not be written is tried again.
	saveAgainAfter = 10 * time.Second
)

// kept is what the comments of a state file have.
type kept struct {
	own     [][]byte
	records [][]byte
}

// split separates the comments of a shared upstream from the servers; nil if the file is not of one. In such a file no
// name of a server has a line break, which could look like a comment.
func split(text string) (lines string, k *kept, err error) {
	if !strings.HasPrefix(text, handLine) {
		return text, nil, nil
	}
	k = new(kept)
	var rest strings.Builder
	for line := range strings.Lines(text) {
		own, isOwn := strings.CutPrefix(line, ownLine)
		record, isZone := strings.CutPrefix(line, zoneLine)
		switch {
		case isOwn:
			k.own = append(k.own, []byte(strings.TrimSpace(own)))
			rest.WriteByte('\n') // problems name the line
		case isZone:
			one, err := base64.StdEncoding.DecodeString(strings.TrimSpace(record))
			if err != nil {
				return "", nil, fmt.Errorf("the zone in it is damaged: %w", err)
			}
			k.records = append(k.records, one)
			rest.WriteByte('\n')
		default:
			rest.WriteString(line)
		}
	}
	return rest.String(), k, nil
}

// ownServers are the servers of this node as the file has them.
func (k *kept) ownServers(r *reader) ([]servers.Settings, error) {
	var list []servers.Settings
	for _, text := range k.own {
		s, err := r.parseOwn(text)
		if err != nil {
			return nil, fmt.Errorf("server %.*q in it: %w", maxNameBytes, text, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// restore gives a zone that is new in this process its records back.
func (s *state) restore(m *member, p *plan.Plan) {
	s.kept.restore(m.zone.memory, p.Clock.Local().Now(), func(err error) {
		m.zone.memory.ForgetAgreed() // before peers could take what is lost for deleted
		p.Log.Logf(logs.Error, "state file \"%s\": %v; the cluster repairs what this node lacks", s.file.path, err)
	})
}

func (k *kept) restore(to *kinds.Keyval, now clock.Reading, failed func(err error)) {
	var found kinds.Restored
	for _, record := range k.records {
		if err := to.Restore(record, &found, now); err != nil {
			failed(err)
		}
	}
}

// keepShared saves the group and its part of the cluster's zone while the configuration runs.
func (s *state) keepShared(p *plan.Plan, g *servers.Group, m *member, me *holder,
	serversIn func(lines string) ([]servers.Settings, error)) {
	f := s.file
	if s.kept != nil && !m.zone.continued {
		p.OnLoad(func() error { s.restore(m, p); return nil })
	}
	g.SetKeep(func(list []servers.Settings) error { return f.saveShared(p, me, m, list) })
	changed, noted := make(chan struct{}, 1), make(chan struct{}, 1)
	m.saved, m.noted = func() { soon(changed) }, func() { soon(noted) }
	p.OnExclusive(exclusive{f, g, m, p, changed, serversIn})
	p.OnStart(func(ctx context.Context) error {
		f.mu.Lock()
		f.saveNow = g.SaveState
		f.mu.Unlock()
		soon(changed)
		go f.saveRemote(ctx, g, changed, noted, p.Log)
		return nil
	})
	p.OnQuit(func(context.Context) {
		f.force()
		f.report(g.SaveState(), p.Log)
	})
}

// soon wakes the goroutine that waits for a channel, unless it is about to wake anyway.
func soon(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// saveRemote saves what other nodes change, until the configuration retires.
func (f *stateFile) saveRemote(ctx context.Context, g *servers.Group, changed, noted chan struct{}, log logs.Logger) {
	save, note := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	save.Stop()
	note.Stop()
	noting := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			save.Reset(saveRemoteAfter)
			continue
		case <-f.again:
			save.Reset(saveAgainAfter)
			continue
		case <-noted:
			if !noting {
				noting = true
				note.Reset(saveNotesAfter)
			}
			continue
		case <-note.C:
			noting = false
			f.force()
		case <-save.C:
		}
		f.report(g.SaveState(), log)
	}
}

// force makes the next save write, even if no server has changed.
func (f *stateFile) force() {
	f.mu.Lock()
	f.written = nil
	f.mu.Unlock()
}

// report logs that what other nodes changed cannot be saved, once until it can.
func (f *stateFile) report(err error, log logs.Logger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && !f.failed {
		log.Logf(logs.Error, "%v; the servers are right in memory, but a restart needs the other nodes for them", err)
	}
	f.failed = err != nil
}

// saveShared writes the file unless it has all that already.
func (f *stateFile) saveShared(p *plan.Plan, by *holder, m *member, list []servers.Settings) error {
	f.mu.Lock()
	if f.holder != by {
		saveNow := f.saveNow
		f.mu.Unlock()
		if saveNow == nil {
			return errReloaded
		}
		return saveNow() // of the configuration that runs, which has followed the cluster too
	}
	if f.away {
		persist := f.persist
		f.mu.Unlock()
		if persist == nil {
			return nil // the other process has the file, and follows the cluster too
		}
		err := persist()
		if err != nil && !f.isAway() { // that process has ended, and this one has the file
			return f.saveShared(p, by, m, list)
		}
		return err
	}
	defer f.mu.Unlock()
	text, err := m.stateText(list)
	if err != nil {
		return err
	}
	if now := fmt.Append(text, m.zone.memory.Changes()); !bytes.Equal(now, f.written) {
		err := p.AsStarted(func() error { return f.replace(text, m, p) })
		f.unsaved.Tell(f.path, err)
		if err != nil {
			soon(f.again)
			return fmt.Errorf("%w; the change is made on all nodes, but not saved on this one", err)
		}
		f.written = now
	}
	f.changes++
	f.last, f.lastShared = list, true
	return nil
}

// stateText is the file without the zone.
func (m *member) stateText(list []servers.Settings) ([]byte, error) {
	text := []byte(handLine)
	for i := range list {
		text = append(text, serverLine(&list[i])...)
	}
	for _, s := range m.group.Own() {
		own, err := m.own(&s)
		if err != nil {
			return nil, err
		}
		text = append(append(append(text, ownLine...), own...), '\n')
	}
	return text, nil
}

func (f *stateFile) replace(text []byte, m *member, p *plan.Plan) error {
	return f.rewrite(func(w io.Writer) error {
		if _, err := w.Write(text); err != nil {
			return err
		}
		return m.zone.memory.Snapshot(p.Clock.Local().Now(), func(record []byte) error {
			_, err := fmt.Fprintf(w, "%s%s\n", zoneLine, base64.StdEncoding.EncodeToString(record))
			return err
		})
	})
}

// readOwn makes the servers of a shared upstream those of this node as its state file has them.
func (s *state) readOwn(r *reader) ([]servers.Settings, bool, error) {
	if s.kept == nil {
		return nil, false, nil
	}
	list, err := s.kept.ownServers(r)
	if err != nil {
		return nil, false, conf.At(s.node, "state file \"%s\": %v", s.file.path, err)
	}
	return list, true, nil
}
