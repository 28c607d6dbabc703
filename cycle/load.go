// Package cycle turns configurations into running servers: it reads and binds one, listens for it, starts it, and at a
// reload switches from the old to the new one without losing a connection.
package cycle

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"starling/admin"
	"starling/conf"
	"starling/logs"
	"starling/modules"
	"starling/modules/core"
	"starling/modules/stream/zonesync"
	"starling/plan"
	"starling/side"
	"starling/stream"
	"starling/web"
)

// Options are the location of a configuration and the base of its relative paths. All paths are absolute.
type Options struct {
	Prefix   string // with its last slash
	ConfPath string
	// ErrorLog is the log for errors if the configuration has no error_log: a path or logs.StderrPath.
	ErrorLog string
	// ErrorLogGiven means that the command line sets it (-e). If a default cannot be opened, it is not used: a process
	// in the foreground writes to standard error then.
	ErrorLogGiven bool
	// Foreground keeps the process in the foreground, whatever the configuration says.
	Foreground bool
	// Globals are directives given on the command line (-g), read before the file.
	Globals string
	// FS is the file system, rooted at "/".
	FS fs.FS
	// Paths are the paths of files without a directive; zero: below the prefix, as in nginx.
	Paths plan.Paths
}

// Draft is a configuration that was read and bound, with nothing opened yet.
type Draft struct {
	Tree     *conf.Tree
	Settings *core.Settings
	Warnings conf.Problems
	// Ignored are the accepted directives that have no effect.
	Ignored []conf.Ignored

	confPath string
	top      *conf.Scope
	plan     *plan.Plan
}

// IgnoredText lists each ignored directive once, with its first location; "" if there is none.
func (d *Draft) IgnoredText() string {
	var names []string
	seen := map[string]bool{}
	for _, i := range d.Ignored {
		if n := i.Node; !seen[n.Name] {
			seen[n.Name] = true
			names = append(names, fmt.Sprintf("%s (%s:%d)", n.Name, n.File, n.Line))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "directives without effect in starling: " + strings.Join(names, ", ")
}

// ConfPath is the absolute path of the configuration file.
func (d *Draft) ConfPath() string { return d.confPath }

// PIDPath is the absolute path of the pid file.
func (d *Draft) PIDPath() string { return d.plan.PrefixPath(cmp.Or(d.Settings.PID, d.plan.Paths.PID)) }

// families are the modules of both sides with their binder.
type families struct {
	web    []*web.Module
	stream []*stream.Module
	binder *conf.Binder
}

// All returns the modules that the binder knows, for documentation and for the list of features.
func All() []*conf.Module {
	all := modules.Main()
	for _, m := range modules.Web() {
		all = append(all, &m.Module)
	}
	for _, m := range modules.Stream() {
		all = append(all, &m.Module)
	}
	return all
}

func newFamilies() (*families, error) {
	f := &families{web: modules.Web(), stream: modules.Stream()}
	binder, err := conf.NewBinder(All())
	f.binder = binder
	return f, err
}

// Read parses and binds a configuration. It opens only the configuration's files, so it serves -s as well. With an
// error, the draft is returned as far as it could be read. The error is a conf.Problems, the first being nginx's.
func Read(o Options) (*Draft, error) {
	d, _, err := read(o, nil)
	return d, err
}

func read(o Options, old *plan.Plan) (*Draft, *families, error) {
	f, err := newFamilies()
	if err != nil {
		return nil, nil, fmt.Errorf("invalid module list: %w", err)
	}
	p := plan.New()
	p.Prefix, p.ConfDir, p.FS, p.Old = o.Prefix, directory(o.ConfPath), o.FS, old
	if o.Paths != (plan.Paths{}) {
		p.Paths = o.Paths
	}
	p.AsRoot = os.Geteuid() == 0
	if old != nil {
		p.AsRoot = old.AsRoot
		p.Clock = old.Clock // one origin of monotonic time: zones carried over hold readings of it
	}
	if err := errors.Join(web.Prepare(p, f.web), stream.Prepare(p, f.stream)); err != nil {
		return nil, nil, fmt.Errorf("invalid module variables: %w", err)
	}
	var globals []string
	if o.Globals != "" {
		globals = append(globals, o.Globals)
	}
	tree, err := conf.Parse(o.FS, o.ConfPath, globals...)
	if err != nil && tree == nil {
		return nil, nil, err
	}
	bound := f.binder.Bind(tree, p)
	d := &Draft{
		Tree:     tree,
		Warnings: bound.Warnings,
		Ignored:  bound.Ignored,
		top:      bound.Top,
		plan:     p,
		confPath: o.ConfPath,
		Settings: conf.Settings[core.Settings](bound.Top, &core.Module),
	}
	if problems := d.problems(bound.Problems); len(problems) > 0 {
		return d, f, problems
	}
	return d, f, nil
}

func directory(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i+1]
		}
	}
	return "/"
}

// Cycle is one configuration, built and possibly running.
type Cycle struct {
	*Draft
	log   *logs.ErrorLog
	sites []side.Site // of http and of stream, if they have blocks
	// cancel ends the context of the plan's services.
	cancel func()
}

// Log is the error log of the main level.
func (c *Cycle) Log() *logs.ErrorLog { return c.log }

// build opens the logs of a draft and makes its servers. On an error nothing stays open.
func (h *Host) build(d *Draft, f *families) (c *Cycle, err error) {
	p := d.plan
	p.Logs = h.files.Logs()
	p.Connections = &h.connections
	p.Generation = h.generation + 1
	p.Testing = h.testing
	p.Privileged = h.AsStarted
	if p.Successor = h.succeeds(); p.Successor {
		plan.Part[zonesync.Predecessor](p).Link = h.predecessor.link(Cluster)
	}
	defer func() {
		if err != nil {
			p.Logs.Close()
		}
	}()
	c = &Cycle{Draft: d}
	if c.log, err = h.errorLog(d); err != nil {
		return nil, err
	}
	p.Log = c.log
	if !h.testing { // a test passes them to its caller
		for _, w := range d.Warnings {
			c.log.Logf(logs.Warn, "%v", w)
		}
		if text := d.IgnoredText(); text != "" {
			c.log.Logf(logs.Notice, "%s", text)
		}
	}
	if errs := p.Link(); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return c, c.sides(f)
}

// errorLog opens the error log of the main level.
func (h *Host) errorLog(d *Draft) (*logs.ErrorLog, error) {
	if targets := d.Settings.ErrorLogs; len(targets) > 0 {
		return d.plan.Logs.ErrorLog(targets)
	}
	log, err := d.plan.Logs.ErrorLog([]logs.Target{{Path: h.options.ErrorLog, Level: logs.Error}})
	if err != nil && !h.options.ErrorLogGiven && (h.options.Foreground || !d.Settings.Daemon) {
		return d.plan.Logs.ErrorLog([]logs.Target{{Path: logs.StderrPath, Level: logs.Error}})
	}
	return log, err
}

// sides builds http and stream and collects their API resources.
func (c *Cycle) sides(f *families) error {
	p := c.plan
	var errs []error
	catalog := plan.Part[admin.Catalog](p)
	add := func(site side.Site, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		c.sites = append(c.sites, site)
		catalog.Resources = append(catalog.Resources, site.Resources()...)
	}
	for _, scope := range c.top.All("http") {
		add(web.Build(p, scope, f.web))
	}
	for _, scope := range c.top.All("stream") {
		add(stream.Build(p, scope, f.stream))
	}
	stream.SetHandoff(p, c.find)
	catalog.Resources = append(catalog.Resources,
		plan.Part[plan.ResolverZones](p).Resource(), p.Certificates().Resource())
	p.WatchCertificates()
	return errors.Join(errs...)
}
