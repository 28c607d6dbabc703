package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"starling/conf"
	"starling/lib/durable"
	"starling/lib/filekind"
	"starling/lib/owner"
	"starling/logs"
	"starling/nginx/errno"
	"starling/plan"
	"starling/side"
	servers "starling/upstream"
	"starling/upstream/groups"

	"golang.org/x/sys/unix"
)

// stateFile is the file of one `state` directive: the servers of a group, as they are after its last change. A reload
// hands it on, so that a change made through the old configuration meanwhile is not lost.
type stateFile struct {
	path    string
	unsaved *plan.Unsaved
	again   chan struct{} // holds one when the file of a shared upstream lacks changes and must be tried again

	mu sync.Mutex
	// holder is the configuration whose group's changes are saved: the running one.
	holder *holder
	// changes counts the changes saved, and last are the servers after the last one.
	changes int
	last    []servers.Settings
	// lastShared means that the last change was one of a shared upstream: see sharedstate.go for what follows.
	lastShared bool
	written    []byte // the servers and the state of the zone that the file has; nil: not known
	failed     bool   // changes of other nodes cannot be saved, and that was reported
	saveNow    func() error
	away       bool         // the process that this one replaces, or that replaces it, has the file: see handover.go
	persist    func() error // waits until that process has all changes on disk; nil until this one has yielded the file
}

// holder tells configurations apart, without keeping a retired one in memory. It has a size, so that no two are equal.
type holder struct{ _ byte }

// stateFiles are the state files of a configuration, of both sides, by path.
type stateFiles struct{ byPath map[string]*stateFile }

// state is a state directive.
type state struct {
	file *stateFile
	node *conf.Node
	// missing means that there was no file, and seen is how many changes it had when it was read.
	missing bool
	seen    int
	kept    *kept // the comments of a shared upstream, nil if the file has none
	args    *conf.Args
}

// errReloaded rejects a change through a configuration that has been replaced.
var errReloaded = errors.New("configuration was reloaded meanwhile; nothing was changed; send the change again")

func (b *Block[C]) setState(a *conf.Args) error {
	if len(b.Servers) > 0 {
		return conf.Verdict("is incompatible with \"server\"")
	}
	p := side.PlanOf(a)
	path := p.PrefixPath(a.Words[0])
	if err := p.OwnFile(path, a.Node); err != nil {
		return err
	}
	all := plan.Part[stateFiles](p)
	if all.byPath == nil {
		all.byPath = map[string]*stateFile{}
	}
	file := &stateFile{path: path, unsaved: p.Unsaved(), again: make(chan struct{}, 1)}
	if before := plan.Before[stateFiles](p).byPath[path]; before != nil {
		file = before
	}
	all.byPath[path] = file
	b.state = &state{file: file, node: a.Node, args: a}
	text, err := b.state.read()
	if err != nil {
		return err
	}
	return b.splice(text)
}

// splice adds the servers of a state file to the block.
func (b *Block[C]) splice(text string) error {
	b.reading = true
	defer func() { b.reading = false }()
	return b.state.args.Splice(b.state.file.path, text, "server")
}

// read reads the file, which need not exist.
func (s *state) read() (string, error) {
	f := s.file
	f.mu.Lock()
	defer f.mu.Unlock()
	s.seen = f.changes
	text, err := filekind.Read(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		s.missing = true
		_, err = os.Stat(filepath.Dir(f.path)) // better reported by -t than too late
	}
	if err != nil {
		return "", errno.Call("open", f.path, err)
	}
	lines, comments, err := split(string(text))
	if err != nil {
		return "", fmt.Errorf("state file \"%s\": %w", f.path, err)
	}
	s.kept = comments
	return lines, nil
}

// keepState saves the group's changes to its file while the configuration runs.
func (b *Block[C]) keepState(p *plan.Plan, g, old *groups.Group[C], shared *member) {
	s, me := b.state, new(holder)
	if shared == nil {
		g.SetKeep(func(list []servers.Settings) error { return s.file.save(p, me, list) })
	}
	p.OnStart(func(context.Context) error {
		f := s.file
		f.mu.Lock()
		defer f.mu.Unlock()
		f.away = f.away || p.Successor
		switch {
		case f.away: // the other process makes the file
		case s.missing && f.changes == s.seen:
			if err := p.AsStarted(func() error { return f.write(nil) }); err != nil {
				return conf.At(s.node, "%v", err)
			}
		default:
			if err := p.AsStarted(f.writable); err != nil {
				p.Log.Logf(logs.Warn, "%v", conf.At(s.node, "%v; the API will reject changes of the servers", err))
			}
		}
		before, saveNow := f.holder, f.saveNow
		f.holder = me
		if shared == nil {
			f.saveNow = nil // the group of a previous configuration would save as one that was replaced
		}
		p.OnUndo(func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.holder, f.saveNow = before, saveNow
		})
		if f.changes == s.seen || shared != nil && f.lastShared { // a shared group follows the cluster
			return nil
		}
		now := p.Clock.Now() // the API has changed the servers since the file was read
		err := g.Replace(f.last, now)
		if shared != nil {
			g.Share(shared)
			defer shared.zone.followAll()
		}
		if err == nil && old != nil {
			err = g.Inherit(old.Group, now)
		}
		return err
	})
	if shared != nil {
		s.keepShared(p, g.Group, shared, me, b.serversIn)
	} else {
		p.OnExclusive(unshared[C]{b, g.Group, p})
	}
	p.OnOwner(func(uid, gid int) (errs []error) {
		if err := owner.Give(s.file.path, uid, gid); err != nil {
			errs = append(errs, errno.Call("chown", s.file.path, err))
		}
		return errs
	})
}

// save writes the servers of a group as a change will leave them.
func (f *stateFile) save(p *plan.Plan, by *holder, list []servers.Settings) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.holder != by:
		return errReloaded
	case f.away:
		return errReplacing
	}
	if err := p.AsStarted(func() error { return f.write(list) }); err != nil {
		p.Log.Logf(logs.Error, "%v; the change of the servers was rejected", err)
		return fmt.Errorf("%w; nothing was changed", err)
	}
	f.changes++
	f.last, f.lastShared = list, false
	return nil
}

// write replaces the file, so that a crash leaves the old one or the new one.
func (f *stateFile) write(list []servers.Settings) error {
	return f.rewrite(func(w io.Writer) error {
		for i := range list {
			if _, err := io.WriteString(w, serverLine(&list[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *stateFile) rewrite(write func(io.Writer) error) error {
	if err := durable.Replace(f.path, time.Now(), write); err != nil {
		return fmt.Errorf("cannot write state file \"%s\" (%s)", f.path, errno.Reason(err))
	}
	return nil
}

// writable checks that the file's folder lets it be replaced.
func (f *stateFile) writable() error {
	folder := filepath.Dir(f.path)
	if err := unix.Faccessat(unix.AT_FDCWD, folder, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("cannot write state file \"%s\": folder \"%s\" (%s)", f.path, folder, errno.Reason(err))
	}
	return nil
}

// serverLine is a server as a directive, with the parameters that are not the defaults, as NGINX Plus writes it.
func serverLine(s *servers.Settings) string {
	words := []string{"server", s.Name}
	if s.Host == "" && !literal(s.Name) { // a name whose addresses were looked up when the file was read
		words[1] = s.Addr.Text
	}
	add := func(given bool, word string) {
		if given {
			words = append(words, word)
		}
	}
	add(s.Weight != servers.DefaultWeight, "weight="+strconv.Itoa(s.Weight))
	add(s.MaxConns != 0, "max_conns="+strconv.Itoa(s.MaxConns))
	add(s.MaxFails != servers.DefaultMaxFails, "max_fails="+strconv.Itoa(s.MaxFails))
	add(s.FailTimeout != servers.DefaultFailTimeout, "fail_timeout="+servers.FormatTime(s.FailTimeout))
	add(s.SlowStart != 0, "slow_start="+servers.FormatTime(s.SlowStart))
	add(s.Route != "", "route="+s.Route)
	add(s.Service != "", "service="+s.Service)
	add(s.Host != "", "resolve")
	add(s.Backup, "backup")
	add(s.Down, "down")
	add(s.Drain && !s.Down, "drain") // a server that is down serves not even its sessions
	for i, w := range words {
		words[i] = quoted(w)
	}
	return strings.Join(words, " ") + ";\n"
}

func literal(name string) bool {
	t, err := groups.ParseTarget(name, 0, false)
	if err != nil {
		return false
	}
	_, is := t.Literal()
	return is
}

// quoted is a word as the configuration's syntax needs it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' ||
			slices.Contains([]rune("._-:/=[]@+%"), r))
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
