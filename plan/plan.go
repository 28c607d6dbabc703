// Package plan holds the parts of one configuration while it is read and then runs: its zones, the state that families
// of directives keep for the whole configuration, and its start and stop steps.
//
// It is passed to every setter as conf.Args.Env. Both http and stream build on it, so it knows neither.
package plan

import (
	"context"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"starling/lib/clock"
	"starling/lib/histogram"
	"starling/lib/stamp"
	"starling/logs"
)

// Plan is one configuration. It is filled by one goroutine and only read once it runs.
type Plan struct {
	// Prefix is where relative paths of logs, pid and state begin (-p); ConfDir is where certificates, includes and
	// password files begin.
	Prefix, ConfDir string
	// Paths are the paths of files that no directive sets.
	Paths Paths
	// FS reads files by absolute path without the leading slash.
	FS    fs.FS
	Clock *clock.Clock
	// Log is the error log of the main level.
	Log logs.Logger
	// Logs are the open log files of this configuration.
	Logs *logs.Logs
	// Connections counts the clients of the process; a reload carries it over.
	Connections *Connections
	// Testing means that the plan is only checked (-t): it is linked, built and loaded but never started.
	Testing bool
	// Generation counts the configurations that the process has run, this one included: 1, then one more with each
	// reload.
	Generation int
	// NodeID is the id of this node in its cluster, as the API writes it; empty if it is in none.
	NodeID string
	// Latency are the buckets of the histograms of latencies.
	Latency histogram.Bounds
	// Zones are the named shared memories.
	Zones *Zones
	// Old is the running configuration that this one follows, nil at the first start. It is dropped once this one runs.
	Old *Plan

	// Successor means that the process replaces another one, which still has the files that only one may write: see
	// OnExclusive.
	Successor bool

	// AsRoot means that root started the process, even if it has changed its user since.
	AsRoot bool
	// Privileged runs work that needs the privileges with which the process was started, if it has dropped them since;
	// nil: it has not. See AsStarted.
	Privileged func(work func() error) error

	parts  map[reflect.Type]any
	read   map[string][]byte // by path; nil once the plan has started
	link   []func() error
	load   []func() error
	start  []func(context.Context) error
	change []func()
	settle []func()
	undo   []func()
	await  []func(context.Context)
	quit   []func(context.Context)
	retire []func()
	owner  []func(uid, gid int) []error
	only   []Exclusive

	certificates *Certificates
	shared       *process // see process
}

// New returns an empty plan.
func New() *Plan {
	return &Plan{
		Paths:       PrefixPaths(),
		Zones:       newZones(),
		Clock:       clock.Real(),
		Log:         logs.Discard,
		Logs:        logs.NewFiles("starling").Logs(),
		Generation:  1,
		Latency:     histogram.DefaultBounds,
		Connections: new(Connections),
		parts:       map[reflect.Type]any{},
		read:        map[string][]byte{},
	}
}

// StampClock is the clock that stamps this node's writes, for all its zones. A reload keeps it.
func (p *Plan) StampClock() *stamp.Clock { return &p.process().stamps }

// Traffic counts requests and TLS handshakes. A reload keeps it.
func (p *Plan) Traffic() *Traffic { return p.process().traffic }

// Part returns the one T of a plan, made with its zero value at first use: the state that a family of
// directives keeps for a whole configuration. T is the family's own type. Call it while the configuration is bound or
// built; a plan that serves is read with Find.
func Part[T any](p *Plan) *T {
	key := reflect.TypeFor[T]()
	if v, ok := p.parts[key]; ok {
		return v.(*T)
	}
	v := new(T)
	p.parts[key] = v
	return v
}

// Find returns the T of a plan, nil if nothing has made it. Unlike Part it changes nothing, so it is safe while the
// plan serves.
func Find[T any](p *Plan) *T {
	v, _ := p.parts[reflect.TypeFor[T]()].(*T)
	return v
}

// Before returns the T of the previous configuration, an empty one if there is none. The previous one serves meanwhile,
// so it must not be changed.
func Before[T any](p *Plan) *T {
	if p.Old != nil {
		if v := Find[T](p.Old); v != nil {
			return v
		}
	}
	return new(T)
}

// OnLink adds a step taken after all files were bound and before anything is built: names are looked up there.
// A step's error should be a *conf.Problem.
func (p *Plan) OnLink(step func() error) { p.link = append(p.link, step) }

// OnLoad adds a step that runs after everything is built, before the configuration starts: for slow work, such as
// reading the records of a zone from disk. At the first start, the cluster's own port is bound by then, so that the
// other nodes find this one there and wait for it. A step's error should be a *conf.Problem.
func (p *Plan) OnLoad(step func() error) { p.load = append(p.load, step) }

// OnStart adds a step taken when the configuration starts to run. The context ends when it retires. Steps must not
// block, nor change what the previous configuration uses: a later one may fail. See OnSwitch.
func (p *Plan) OnStart(step func(context.Context) error) { p.start = append(p.start, step) }

// OnSwitch adds a step taken when all steps of OnStart have succeeded, for what cannot fail: changes of anything that
// the previous configuration uses. A reload that fails has made none of them.
func (p *Plan) OnSwitch(step func()) { p.change = append(p.change, step) }

// OnUndo adds a step that undoes one of OnStart, taken if another one fails. All are dropped once the configuration
// runs: unlike a step of OnRetire, it may refer to the previous configuration without keeping that in memory.
func (p *Plan) OnUndo(step func()) { p.undo = append(p.undo, step) }

// onSettle adds a step taken after those of OnSwitch.
func (p *Plan) onSettle(step func()) { p.settle = append(p.settle, step) }

// BeforeClients adds a step that delays the first clients of a process until it returns. The context ends when clients
// no longer wait, or the configuration retires.
func (p *Plan) BeforeClients(step func(context.Context)) { p.await = append(p.await, step) }

// OnQuit adds a step taken when the process shuts down gracefully and the last request has ended: pending changes are
// sent to the cluster there. The context bounds it.
func (p *Plan) OnQuit(step func(context.Context)) { p.quit = append(p.quit, step) }

// OnRetire adds a step taken when the configuration's last request has ended.
func (p *Plan) OnRetire(step func()) { p.retire = append(p.retire, step) }

// OnOwner adds a step that runs before the process changes its user: it changes the owner of the files that the user
// needs, with owner.Give.
func (p *Plan) OnOwner(step func(uid, gid int) []error) { p.owner = append(p.owner, step) }

// GiveTo runs the steps of OnOwner.
func (p *Plan) GiveTo(uid, gid int) (errs []error) {
	for _, step := range p.owner {
		errs = append(errs, step(uid, gid)...)
	}
	return errs
}

// AsStarted runs work with the privileges with which the process was started: for the maintenance of files in folders
// of root. It must not open anything of a client's choosing.
func (p *Plan) AsStarted(work func() error) error {
	if p.Privileged == nil {
		return work()
	}
	return p.Privileged(work)
}

// Link runs the link steps and returns all their errors.
func (p *Plan) Link() []error { return all(taken(&p.link)) }

// Load runs the load steps and returns all their errors.
func (p *Plan) Load() []error { return all(taken(&p.load)) }

// taken takes the steps away from the plan. Each step runs once, and many refer to the previous configuration: if the
// plan kept them, each configuration would keep its predecessor in memory, and so all that the process ever ran.
func taken[T any](steps *[]T) []T {
	list := *steps
	*steps = nil
	return list
}

func all(steps []func() error) (errs []error) {
	for _, step := range steps {
		if err := step(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Start runs the start steps, then the steps that cannot fail. If a start step fails, it undoes the earlier ones.
func (p *Plan) Start(ctx context.Context) error {
	p.read = nil // keys are among it
	for _, step := range taken(&p.start) {
		if err := step(ctx); err != nil {
			for _, undo := range slices.Backward(taken(&p.undo)) {
				undo()
			}
			return err
		}
	}
	p.undo = nil
	p.depart()
	for _, step := range slices.Concat(taken(&p.change), taken(&p.settle)) {
		step()
	}
	return nil
}

// AwaitClients runs the steps before clients, all at once, and returns when all have ended.
func (p *Plan) AwaitClients(ctx context.Context) {
	var steps sync.WaitGroup
	for _, step := range p.await {
		steps.Go(func() { step(ctx) })
	}
	steps.Wait()
}

// Quit runs the quit steps.
func (p *Plan) Quit(ctx context.Context) {
	for _, step := range p.quit {
		step(ctx)
	}
}

// Retire runs the retire steps in reverse order, once.
func (p *Plan) Retire() {
	for _, step := range slices.Backward(taken(&p.retire)) {
		step()
	}
}

// ConfPath makes a path of the configuration absolute: certificates, password files, includes.
func (p *Plan) ConfPath(path string) string { return absolute(p.ConfDir, path) }

// PrefixPath makes a path of the installation absolute: logs, pid, state, document roots.
func (p *Plan) PrefixPath(path string) string { return absolute(p.Prefix, path) }

func absolute(base, path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return filepath.Join(base, path)
}

// ReadFile reads a whole file by absolute path, until the plan starts only once per file: hundreds of servers may name
// the same certificate, and a pipe yields its contents only once.
func (p *Plan) ReadFile(path string) ([]byte, error) {
	if data, known := p.read[path]; known {
		return data, nil
	}
	data, err := readFile(p.FS, path)
	if err == nil && p.read != nil {
		p.read[path] = data
	}
	return data, err
}
