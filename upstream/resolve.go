package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"starling/lib/clock"
	"starling/lib/resolver"
	"starling/logs"
)

// Names resolves names; *resolver.Resolver does.
type Names interface {
	Lookup(ctx context.Context, name string) (addrs []netip.Addr, valid time.Duration, err error)
	LookupSRV(ctx context.Context, service, name string) (targets []resolver.SRV, valid time.Duration, err error)
}

// retryAfter is the minimum time between two queries for one name: after a failure or a response that must not be
// cached.
const retryAfter = time.Second

// found is one current address of a name.
type found struct {
	name   string // of the server as shown: the template's, or the target's for SRV
	addr   netip.AddrPort
	weight int // 0 is the template's
	dns    int // the weight that DNS gave it
	backup bool
}

// Resolve keeps the servers of templates (resolve) in sync with DNS until ctx ends. It blocks; start it in its own
// goroutine. If DNS denies a name, its servers are removed; after any other failure the known ones stay and it is
// logged.
func (g *Group) Resolve(ctx context.Context, names Names, c *clock.Clock, log logs.Logger) {
	running := map[*Server]context.CancelFunc{}
	var all sync.WaitGroup
	defer all.Wait()
	for {
		g.mu.Lock()
		templates := slices.Clone(g.templates)
		g.mu.Unlock()
		for t, stop := range running {
			if !slices.Contains(templates, t) {
				stop()
				delete(running, t)
			}
		}
		for _, t := range templates {
			if running[t] == nil {
				own, stop := context.WithCancel(ctx)
				running[t] = stop
				all.Go(func() { g.follow(own, t, names, c, log) })
			}
		}
		select {
		case <-g.edits:
		case <-ctx.Done():
			for _, stop := range running {
				stop()
			}
			return
		}
	}
}

// follow resolves one template's name periodically.
func (g *Group) follow(ctx context.Context, t *Server, names Names, c *clock.Clock, log logs.Logger) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for told := ""; ; { // each failure is logged when it begins and when it ends, not at every query
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		valid, err := g.resolveOnce(ctx, t, names, c)
		if ctx.Err() != nil {
			return
		}
		switch trouble := describe(err); {
		case trouble == told:
		case trouble == "":
			log.Logf(logs.Notice, "resolved %s again in upstream %q", t.settings.Host, g.Name)
			told = ""
		default:
			log.Logf(logs.Error, "%s in upstream %q", trouble, g.Name)
			told = trouble
		}
		timer.Reset(max(valid, retryAfter))
	}
}

func describe(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// resolveOnce queries once and updates the template's servers. It returns how long the response is valid.
func (g *Group) resolveOnce(ctx context.Context, t *Server, names Names, c *clock.Clock) (time.Duration, error) {
	var now []found
	var valid time.Duration
	var err, partly error
	set := &t.settings // Host, Port, Service and Name never change
	if set.Service != "" {
		var targets []resolver.SRV
		targets, valid, err = names.LookupSRV(ctx, set.Service, set.Host)
		now, partly = srvServers(targets, set)
	} else {
		var addrs []netip.Addr
		addrs, valid, err = names.Lookup(ctx, set.Host)
		for _, a := range addrs {
			now = append(now, found{name: set.Name, addr: netip.AddrPortFrom(a, set.Port)})
		}
	}
	if err != nil && !errors.Is(err, resolver.ErrNotFound) {
		return 0, err
	}
	if syncErr := g.syncChildren(t, now, c.Now()); syncErr != nil {
		return valid, syncErr
	}
	return valid, errors.Join(err, partly)
}

// srvServers lists the servers of SRV targets. Those of the lowest priority value are as the template says; the others
// are backups.
func srvServers(targets []resolver.SRV, set *Settings) ([]found, error) {
	var out []found
	var errs []error
	best := uint16(65535)
	for _, t := range targets {
		if len(t.Addrs) > 0 {
			best = min(best, t.Priority)
		}
	}
	for _, t := range targets {
		if t.Err != nil {
			errs = append(errs, fmt.Errorf("%w while resolving service %s of %s", t.Err, set.Service, set.Host))
		}
		for _, a := range t.Addrs {
			out = append(out, found{name: t.Target, addr: netip.AddrPortFrom(a, t.Port), weight: max(int(t.Weight), 1),
				backup: t.Priority != best})
		}
	}
	return out, errors.Join(errs...)
}

// syncChildren makes the servers of a template those that were found; servers that stay keep their state.
func (g *Group) syncChildren(t *Server, now []found, at clock.Reading) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.templates, t) {
		return nil // removed during the query
	}
	for i := range now {
		now[i].dns = now[i].weight
		now[i].weight = t.weightOf(now[i].dns)
		now[i].backup = now[i].backup || t.settings.Backup
	}
	for _, child := range g.childrenOf(t) {
		same := func(f found) bool {
			weight := child.settings.Weight
			if child.edit != nil {
				weight = t.weightOf(child.dnsWeight) // the edit has set another one, which stays
			}
			return f.addr == child.Addr.IP && f.name == child.Name && f.weight == weight &&
				f.backup == child.settings.Backup
		}
		if i := slices.IndexFunc(now, same); i >= 0 {
			now = slices.Delete(now, i, i+1)
			continue
		}
		g.leave(child)
	}
	for _, f := range now {
		settings := t.settings
		settings.Host, settings.Name, settings.Addr = "", f.name, TCP(f.addr)
		settings.Weight, settings.Backup = f.weight, f.backup
		s, err := g.join(settings, t, at)
		if err != nil {
			return err
		}
		s.dnsWeight = f.dns
		if g.sharing != nil {
			if s.edit, _ = g.sharing.cluster.Read(s.key(), at); s.edit != nil {
				s.becomeFound(at)
				g.recount()
			}
		}
		s.beginSlowStart(at.MonoMS)
	}
	return nil
}

// weightOf is the weight of a server to which DNS gave one, or 0.
func (s *Server) weightOf(dns int) int {
	if s.settings.Weight != DefaultWeight || dns == 0 {
		return s.settings.Weight
	}
	return dns
}

// Inherit copies the addresses that the group of the same name in the previous cycle had from DNS, so that a reload
// does not start without servers. A template that the old group also had, even with another port, gets the old
// addresses until DNS responds.
func (g *Group) Inherit(old *Group, now clock.Reading) error {
	type key struct {
		host, service string
		backup        bool
	}
	known := map[key][]found{}
	old.mu.Lock()
	old.each(func(s *Server) {
		if s.parent == nil {
			return
		}
		p := &s.parent.settings
		k := key{p.Host, p.Service, p.Backup}
		known[k] = append(
			known[k],
			found{name: s.Name, addr: s.Addr.IP, weight: s.settings.Weight, backup: s.settings.Backup},
		)
	})
	old.mu.Unlock()
	g.mu.Lock()
	templates := slices.Clone(g.templates)
	g.mu.Unlock()
	for _, t := range templates {
		p := &t.settings
		var from []found
		for _, f := range known[key{p.Host, p.Service, p.Backup}] {
			if p.Service == "" {
				f.name, f.weight, f.addr = p.Name, 0, netip.AddrPortFrom(f.addr.Addr(), p.Port)
			}
			if !slices.Contains(from, f) { // several lines with one name each had it
				from = append(from, f)
			}
		}
		if err := g.syncChildren(t, from, now); err != nil {
			return err
		}
	}
	return nil
}
