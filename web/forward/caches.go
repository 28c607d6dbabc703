package forward

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/nginx/units"
	"starling/plan"
	"starling/side"
	"starling/web/cache"
	"starling/zone"
	"starling/zone/kinds"
)

// caches are the PREFIX_cache_path of a configuration, for each family by name.
type caches struct{ all []*cacheZone }

// cacheZone is one PREFIX_cache_path. PREFIX_cache can name it before it is declared.
type cacheZone struct {
	family   *Family
	name     string
	settings cache.Settings
	node     *conf.Node // that declares it; nil: none
	named    []*conf.Node
	cache    *cache.Cache  // since the link step
	users    *atomic.Int32 // configurations that run with it
	zone     *plan.Zone    // of node
}

// sharedPurges is the value of a cache's zone with `sync`: what the cluster shares.
type sharedPurges struct{ keyval *kinds.Keyval }

// Unwrap returns the zone itself.
func (s *sharedPurges) Unwrap() zone.Shared { return s.keyval }

func (c *caches) find(f *Family, name string) *cacheZone {
	for _, z := range c.all {
		if z.family.Prefix == f.Prefix && z.name == name {
			return z
		}
	}
	return nil
}

// mention returns the zone of a name, declared or not yet.
func (c *caches) mention(p *plan.Plan, f *Family, name string) *cacheZone {
	z := c.find(f, name)
	if z == nil {
		z = &cacheZone{family: f, name: name}
		c.all = append(c.all, z)
		p.OnLink(func() error { return z.link(p) })
	}
	return z
}

// minKeyBytes is nginx's smallest keys_zone: two pages.
const minKeyBytes = 2 * 4096

// setCachePath is PREFIX_cache_path.
func (f *Family) setCachePath(a *conf.Args) error {
	p := side.PlanOf(a)
	s := cache.DefaultSettings()
	s.Path = p.PrefixPath(strings.TrimSuffix(a.Words[0], "/"))
	slashes := a.Words[0] != "" && strings.Trim(a.Words[0], "/") == "" // an empty word is the prefix
	if slashes || strings.Trim(s.Path, "/") == "" {
		return fmt.Errorf("the root folder cannot be the folder of a cache")
	}
	err := setKeysZone(a, &s)
	if err != nil {
		return err
	}
	for _, set := range cacheParameters {
		if a.Has(set.name) {
			if err := set.parse(&s, a.Value(set.name)); err != nil {
				return err
			}
		}
	}
	if s.Name == "" {
		return fmt.Errorf("\"%s\" must have \"keys_zone\" parameter", a.Node.Name)
	}
	all := plan.Part[caches](p)
	for _, other := range all.all {
		if other.node != nil && other.settings.Path == s.Path {
			return fmt.Errorf("the same path name \"%s\" used in %s:%d and", s.Path, other.node.File, other.node.Line)
		}
	}
	z := all.mention(p, f, s.Name)
	if z.node != nil {
		return fmt.Errorf("duplicate zone \"%s\"", s.Name)
	}
	if z.zone, err = p.Zones.Mention(s.Name, f.Prefix+"_cache", a.Node.File, a.Node.Line); err != nil {
		return err
	}
	z.zone.Bytes, z.zone.Sync = s.KeyBytes, a.Has("sync")
	z.node, z.settings = a.Node, s
	return nil
}

func setKeysZone(a *conf.Args, s *cache.Settings) error {
	if !a.Has("keys_zone") {
		return nil
	}
	text := a.Value("keys_zone")
	name, size, sized := strings.Cut(text, ":")
	n, err := units.Size(size)
	switch {
	case !sized || err != nil:
		return fmt.Errorf("invalid keys zone size \"keys_zone=%s\"", text)
	case n < minKeyBytes:
		return fmt.Errorf("keys zone \"keys_zone=%s\" is too small", text)
	}
	s.Name, s.KeyBytes = name, n
	return nil
}

// cacheParameter is a parameter of PREFIX_cache_path.
type cacheParameter struct {
	name  string
	parse func(s *cache.Settings, text string) error
}

var cacheParameters = []cacheParameter{
	{"levels", func(s *cache.Settings, text string) error { return parseLevels(&s.Levels, text) }},
	{"use_temp_path", func(_ *cache.Settings, text string) error {
		if text != "on" && text != "off" {
			return fmt.Errorf(
				"invalid use_temp_path value \"use_temp_path=%s\", it must be \"on\" or \"off\"", text)
		}
		return nil
	}},
	{"inactive", func(s *cache.Settings, text string) (err error) {
		if s.Inactive, err = units.Seconds(text); err != nil {
			return invalidParameter("inactive", text)
		}
		return nil
	}},
	{"max_size", func(s *cache.Settings, text string) error { return parseBytes("max_size", text, &s.MaxBytes) }},
	{"min_free", func(s *cache.Settings, text string) error { return parseBytes("min_free", text, &s.MinFree) }},
	files("loader", func(s *cache.Settings) *cache.Pace { return &s.Loader }),
	pause("loader", "sleep", func(s *cache.Settings) *time.Duration { return &s.Loader.Sleep }),
	pause("loader", "threshold", func(s *cache.Settings) *time.Duration { return &s.Loader.Threshold }),
	files("manager", func(s *cache.Settings) *cache.Pace { return &s.Manager }),
	pause("manager", "sleep", func(s *cache.Settings) *time.Duration { return &s.Manager.Sleep }),
	pause("manager", "threshold", func(s *cache.Settings) *time.Duration { return &s.Manager.Threshold }),
	{"purger", func(s *cache.Settings, text string) error {
		if text != "on" && text != "off" {
			return fmt.Errorf("invalid purger value \"purger=%s\", it must be \"on\" or \"off\"", text)
		}
		s.Purges = text == "on"
		return nil
	}},
	files("purger", func(s *cache.Settings) *cache.Pace { return &s.Purger }),
	pause("purger", "sleep", func(s *cache.Settings) *time.Duration { return &s.Purger.Sleep }),
	pause("purger", "threshold", func(s *cache.Settings) *time.Duration { return &s.Purger.Threshold }),
}

func invalidParameter(name, text string) error {
	return fmt.Errorf("invalid %s value \"%s=%s\"", name, name, text)
}

func parseBytes(name, text string, to *int64) (err error) {
	if *to, err = units.Offset(text); err != nil {
		return invalidParameter(name, text)
	}
	return nil
}

func files(who string, pace func(*cache.Settings) *cache.Pace) cacheParameter {
	name := who + "_files"
	return cacheParameter{name, func(s *cache.Settings, text string) error {
		n, err := conf.Number(text)
		if err != nil {
			return invalidParameter(name, text)
		}
		pace(s).Files = n
		return nil
	}}
}

func pause(who, what string, to func(*cache.Settings) *time.Duration) cacheParameter {
	name := who + "_" + what
	return cacheParameter{name, func(s *cache.Settings, text string) (err error) {
		if *to(s), err = units.Time(text); err != nil {
			return invalidParameter(name, text)
		}
		return nil
	}}
}

// maxLevels is nginx's.
const maxLevels = 3

// parseLevels parses one to three numbers 1 or 2 with colons between.
func parseLevels(to *[]int, text string) error {
	words := strings.Split(text, ":")
	for _, word := range words {
		if word != "1" && word != "2" || len(words) > maxLevels {
			return fmt.Errorf("invalid \"levels\" \"levels=%s\"", text)
		}
		*to = append(*to, int(word[0]-'0'))
	}
	return nil
}

// link gives the zone its cache: that of the running configuration, or a new one.
func (z *cacheZone) link(p *plan.Plan) error {
	if z.node == nil {
		named := z.named[0]
		return &conf.Problem{What: fmt.Sprintf("\"%s_cache\" zone \"%s\" is unknown", z.family.Prefix, z.name),
			File: named.File, Line: named.Line}
	}
	s := &z.settings
	if old := plan.Before[caches](p).find(z.family, z.name); old != nil && old.cache != nil {
		switch {
		case old.cache.Path != s.Path:
			return conf.At(z.node, "cache \"%s\" uses the \"%s\" cache path while previously it used the \"%s\" "+
				"cache path", z.name, s.Path, old.cache.Path)
		case fmt.Sprint(old.cache.Levels) != fmt.Sprint(s.Levels):
			return conf.At(z.node, "cache \"%s\" had previously different levels", z.name)
		}
		z.cache, z.users = old.cache, old.users
	} else {
		z.users = new(atomic.Int32)
		z.cache = cache.New(*s, p.Clock, p.Log)
	}
	continued, err := z.linkShared(p)
	if err != nil {
		return err
	}
	var running context.Context
	p.OnStart(func(ctx context.Context) error {
		if err := z.cache.Start(p.Successor); err != nil {
			return conf.At(z.node, "%s", err)
		}
		users := z.users
		users.Add(1)
		p.OnRetire(func() {
			if users.Add(-1) > 0 {
				return
			}
			if err := z.cache.Close(); err != nil {
				p.Log.Logf(logs.Error, "cannot close the purges of cache \"%s\": %v", z.name, err)
			}
		})
		running = ctx
		return nil
	})
	p.OnExclusive(purgesOf{z.cache})
	p.OnSwitch(func() {
		if err := z.share(p, continued); err != nil {
			p.Log.Logf(logs.Error, "cannot share the purges of cache \"%s\": %v", z.name, err)
		}
		z.cache.Configure(*s, p.Log)
		z.cache.Run(running)
	})
	p.OnOwner(func(uid, gid int) []error {
		if err := z.cache.GiveTo(uid, gid); err != nil {
			return []error{fmt.Errorf("chown() \"%s\" failed (%w)", s.Path, err)}
		}
		return nil
	})
	return nil
}

// purgesOf is the file of the purges of a cache, which only one process writes.
type purgesOf struct{ cache *cache.Cache }

// Yield implements plan.Exclusive. Purges through this process are rejected from now on.
func (x purgesOf) Yield(func() error) error { return x.cache.Yield() }

// Seize implements plan.Exclusive.
func (x purgesOf) Seize() error { return x.cache.Seize() }

// Persist implements plan.Exclusive: each purge is on disk before it is acknowledged.
func (x purgesOf) Persist() error { return nil }

// linkShared gives a zone with `sync` its memory. continued reports that it is that of the running configuration.
func (z *cacheZone) linkShared(p *plan.Plan) (continued bool, err error) {
	if !z.zone.Sync {
		return false, nil
	}
	s := new(sharedPurges)
	z.zone.Value = s
	return plan.Continue(p, z.zone, plan.Continuation[*sharedPurges]{
		Take: func(old *sharedPurges) { s.keyval = old.keyval },
		Make: func(*sharedPurges) {
			s.keyval = kinds.NewKeyval(kinds.KeyvalConfig{
				Name: z.name, Expression: "purges of " + z.family.Prefix + "_cache", Bytes: cache.SharedBytes,
				Sync: true, Clock: p.StampClock(),
			})
		},
	})
}

// share lets the cache use the zone; its purges of earlier processes are in it before the cluster is.
func (z *cacheZone) share(p *plan.Plan, continued bool) error {
	s, sync := z.zone.Value.(*sharedPurges)
	switch {
	case !sync:
		z.cache.Unshare()
	case !continued:
		z.cache.Share(s.keyval)
		return z.cache.Announce(p.Clock.Now())
	}
	return nil
}
