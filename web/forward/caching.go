package forward

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"starling/conf"
	"starling/nginx/units"
	"starling/plan"
	"starling/side"
	"starling/vars"
	"starling/web"
	"starling/web/cache"
	"starling/web/h1"
)

// caching are PREFIX_cache and the directives around it in one block.
type caching struct {
	zone   *cacheZone                   // nil: byName, or off
	byName *vars.Template[*web.Request] // a name with variables
	on     bool
	scope  *conf.Scope // of PREFIX_cache, if it is on: PREFIX_store cannot be beside it

	key     *vars.Template[*web.Request] // nil: that of the family
	valid   []cache.ValidFor
	minUses int
	// maxRange is PREFIX_cache_max_range_offset; the largest number: no limit.
	maxRange int64
	stale    Condition
	methods  methodSet
	bypass   []vars.Template[*web.Request]
	noCache  []vars.Template[*web.Request]
	purge    []vars.Template[*web.Request]

	lock, revalidate, convertHead, background bool
	lockTimeout, lockAge                      time.Duration
}

// noMaxRange means that there is no limit.
const noMaxRange = math.MaxInt64

// methodSet are methods by their bits.
type methodSet uint64

func (m methodSet) has(method h1.Method) bool {
	return m&(1<<method) != 0 || method == h1.MethodGet || method == h1.MethodHead
}

// cachedMethods are the words of PREFIX_cache_methods.
var cachedMethods = map[string]h1.Method{"GET": h1.MethodGet, "HEAD": h1.MethodHead, "POST": h1.MethodPost}

// cacheDirectives are those of families whose responses can be stored, in nginx's order.
func cacheDirectives[S any](d declarer[S]) []conf.Directive {
	at := func(s *S) *caching { return &d.place(s).caching }
	path := d.one("_cache_path", cachePathSyntax, "", "Defines a cache: a folder for responses, and a zone with their "+
		"keys. Files of other programs in the folder stay.",
		conf.Raw(func(_ *S, a *conf.Args) error { return d.family.setCachePath(a) }))
	path.In, path.Repeat, path.OneMore, path.Params = conf.HTTP, true, true, cachePathParams
	byDefault := func(one conf.Directive, text string) conf.Directive {
		one.DefaultDoc = text
		return one
	}
	all := []conf.Directive{
		byDefault(d.one("_cache", "off | <zone>", "", "Stores responses in a cache, and answers with them. The name "+
			"can contain variables.",
			conf.Raw(func(s *S, a *conf.Args) error { return d.place(s).setCache(d.family, a) })), "off"),
		byDefault(d.one("_cache_key", "<text>", "", "Sets the key of a response in the cache.",
			conf.Raw(func(s *S, a *conf.Args) error { return compileTo(&at(s).key, a) })),
			"$scheme$"+d.family.Prefix+"_host$request_uri"),
		path,
		d.conditions("_cache_bypass", "Passes a request to the server, without looking into the cache, if a value is "+
			"not empty and not 0.", func(s *S) *[]vars.Template[*web.Request] { return &at(s).bypass }),
		d.conditions("_no_cache", "Does not store a response if a value is not empty and not 0.",
			func(s *S) *[]vars.Template[*web.Request] { return &at(s).noCache }),
		d.purgeConditions("Makes a request a purge if a value is not empty and not 0: the response of its "+
			"key is removed with its variants, or those of all keys that begin with the text before a final `*`. The "+
			"answer is 204, or 404 if there is none. In a cache with `sync` the purge holds on all nodes of the "+
			"cluster, and the answer is 204.",
			func(s *S) *[]vars.Template[*web.Request] { return &at(s).purge }),
	}
	valid := d.one("_cache_valid", "<word>...", "", "Sets how long responses are used whose headers do not say it: a "+
		"time for 200, 301 and 302, or statuses, or `any`, before the time.",
		conf.Raw(func(s *S, a *conf.Args) error { return setValid(&at(s).valid, a) }))
	valid.Repeat = true
	all = append(all, valid,
		d.one("_cache_min_uses", "<number>", "1", "Sets after how many requests for its key a response is stored.",
			conf.Field(func(s *S) *int { return &at(s).minUses }, conf.Number)),
		d.one("_cache_max_range_offset", "<number>", "", "Passes a request for a range beyond that offset to the "+
			"server, without storing the response.",
			conf.Field(func(s *S) *int64 { return &at(s).maxRange }, conf.Offset)),
		wordSet(d, "_cache_use_stale", "<condition>...", "off", "Sets when a stale response is used: after errors of "+
			"the server, or with `updating` while another request updates it.",
			func(s *S) *Condition { return &at(s).stale }, addStale),
		wordSet(d, "_cache_methods", "<method>...", "GET HEAD", "Sets the methods whose responses are stored: GET, "+
			"HEAD, POST. GET and HEAD always are.", func(s *S) *methodSet { return &at(s).methods }, addMethod))
	return append(all, cacheLockDirectives(d, at)...)
}

func cacheLockDirectives[S any](d declarer[S], at func(*S) *caching) []conf.Directive {
	flag := func(name, byDefault, doc string, place func(*caching) *bool) conf.Directive {
		return d.one(name, "on | off", byDefault, doc, conf.Field(func(s *S) *bool { return place(at(s)) }, conf.Flag))
	}
	timed := func(name, doc string, place func(*caching) *time.Duration) conf.Directive {
		return d.one(name, "<time>", "5s", doc,
			conf.Field(func(s *S) *time.Duration { return place(at(s)) }, conf.Time))
	}
	return []conf.Directive{
		flag("_cache_lock", "off", "Lets only one request at a time fetch a new response; the others for its key wait.",
			func(c *caching) *bool { return &c.lock }),
		timed("_cache_lock_timeout", "Sets how long requests wait for another one; then they are passed to the "+
			"server, and their responses are not stored.", func(c *caching) *time.Duration { return &c.lockTimeout }),
		timed("_cache_lock_age", "Sets after how long one more request is passed to the server.",
			func(c *caching) *time.Duration { return &c.lockAge }),
		flag("_cache_revalidate", "off", "Asks the server with If-Modified-Since and If-None-Match whether a stale "+
			"response is still valid.", func(c *caching) *bool { return &c.revalidate }),
		flag("_cache_convert_head", "on", "Requests with HEAD are passed to the server as GET, to store the response.",
			func(c *caching) *bool { return &c.convertHead }),
		flag("_cache_background_update", "off", "Updates a stale response in the background while it is used.",
			func(c *caching) *bool { return &c.background }),
	}
}

const cachePathSyntax = "<path> [levels=<levels>] [use_temp_path=<flag>] [keys_zone=<name>:<size>] [inactive=<time>] " +
	"[max_size=<size>] [min_free=<size>] [loader_files=<number>] [loader_sleep=<time>] [loader_threshold=<time>] " +
	"[manager_files=<number>] [manager_sleep=<time>] [manager_threshold=<time>] [purger=<flag>] " +
	"[purger_files=<number>] [purger_sleep=<time>] [purger_threshold=<time>] [sync]"

var cachePathParams = map[string]string{
	"levels": "Digits in the names of the folders on each level, 1 or 2: `1:2`. Without it, all files are in one " +
		"folder.",
	"use_temp_path": "Accepted for compatibility: responses are always written into the folder of the cache, as with " +
		"`off`.",
	"keys_zone": "Name and size of the zone with the keys; 1 MB holds 8,000. As much memory again keeps small " +
		"responses and open files. Required.",
	"inactive":          "How long a response stays that nobody asks for; 10 minutes by default.",
	"max_size":          "Size beyond which the responses that were not used for longest are removed.",
	"min_free":          "Free space on the disk below which they are removed.",
	"loader_files":      "Files that are loaded after a start before the loader sleeps; 100 by default.",
	"loader_sleep":      "How long it sleeps; 50 ms by default.",
	"loader_threshold":  "How long it works at most before it sleeps; 200 ms by default.",
	"manager_files":     "Files that are removed before the manager sleeps; 100 by default.",
	"manager_sleep":     "How long it sleeps; 50 ms by default.",
	"manager_threshold": "How long it works at most before it sleeps; 200 ms by default.",
	"purger": "`on` removes the files that a purge with a wildcard covers at once, in the background; otherwise they " +
		"are removed when they are asked for, or when they are inactive.",
	"purger_files":     "Files that are looked at before the purger sleeps; 10 by default.",
	"purger_sleep":     "How long it sleeps; 50 ms by default.",
	"purger_threshold": "How long it works at most before it sleeps; 50 ms by default.",
	"sync": "Shares purges with the nodes of the cluster, each of which has a cache of its own: a purge on one node " +
		"holds on all of them. A node that was away learns what was purged meanwhile before it answers with what it " +
		"has stored; if it was away for more than 50 minutes, it purges everything. Not in nginx.",
}

// newCaching has the values without defaults of directives.
func newCaching() caching {
	return caching{maxRange: noMaxRange, minUses: 1}
}

// conditions declares a directive with texts of which one must be true.
func (d declarer[S]) conditions(name, doc string, at func(*S) *[]vars.Template[*web.Request]) conf.Directive {
	one := d.one(name, "<text>...", "", doc, conf.Raw(func(s *S, a *conf.Args) error {
		return web.AddConditions(at(s), a)
	}))
	one.Repeat = true
	return one
}

// purgeConditions declares PREFIX_cache_purge. Module ngx_cache_purge has a directive of that name whose words are not
// conditions: they would make every request a purge.
func (d declarer[S]) purgeConditions(doc string, at func(*S) *[]vars.Template[*web.Request]) conf.Directive {
	one := d.one("_cache_purge", "<text>...", "", doc, conf.Raw(func(s *S, a *conf.Args) error {
		name := d.family.Prefix + "_cache_purge"
		if slices.Contains(a.Words[1:], "from") {
			return errors.New(otherPurge(name))
		}
		if len(a.Words) > 1 { // ZONE KEY
			p, first, node := side.PlanOf(a), a.Words[0], a.Node
			p.OnLink(func() error {
				if plan.Part[caches](p).find(d.family, first) != nil {
					return conf.At(node, "%s", otherPurge(name))
				}
				return nil
			})
		}
		return web.AddConditions(at(s), a)
	}))
	one.Repeat = true
	return one
}

func otherPurge(name string) string {
	return fmt.Sprintf("\"%s\" has the words of module ngx_cache_purge, which would make every request a purge here: "+
		"use one variable that \"map\" sets to 1 for the method PURGE and the clients that may purge, in the location "+
		"with the cache", name)
}

func compileTo(to **vars.Template[*web.Request], a *conf.Args) error {
	t, err := web.Side.Compile(a, a.Words[0])
	*to = &t
	return err
}

func (c *caching) turnOff() { c.zone, c.byName, c.on, c.scope = nil, nil, false, nil }

// setCache is PREFIX_cache.
func (s *Settings) setCache(f *Family, a *conf.Args) error {
	c, store := &s.caching, &s.storing
	c.turnOff()
	if a.Words[0] == "off" {
		return nil
	}
	if store.on && store.scope == a.Scope {
		return conf.Verdict("is incompatible with \"" + f.Prefix + "_store\"")
	}
	store.on, store.path, store.scope = false, nil, nil // of an outer block
	t, err := web.Side.Compile(a, a.Words[0])
	if err != nil {
		return err
	}
	c.on, c.scope = true, a.Scope
	name, literal := t.Literal()
	if !literal {
		c.byName = &t
		return nil
	}
	p := side.PlanOf(a)
	if name == "" {
		return fmt.Errorf("invalid zone name \"\"")
	}
	c.zone = plan.Part[caches](p).mention(p, f, name)
	c.zone.named = append(c.zone.named, a.Node)
	return nil
}

func addMethod(_ *Family, set *methodSet, word string) error {
	method, known := cachedMethods[strings.ToUpper(word)]
	if !known {
		return fmt.Errorf("invalid value \"%s\"", word)
	}
	*set |= 1 << method
	return nil
}

// setValid is PREFIX_cache_valid.
func setValid(list *[]cache.ValidFor, a *conf.Args) error {
	if a.FirstWrite(list) {
		*list = nil
	}
	last := len(a.Words) - 1
	d, err := units.Seconds(a.Words[last])
	if err != nil {
		return fmt.Errorf("invalid time value \"%s\"", a.Words[last])
	}
	seconds := int64(d / time.Second)
	if last == 0 {
		for _, status := range [...]int{200, 301, 302} {
			*list = append(*list, cache.ValidFor{Status: status, Seconds: seconds})
		}
		return nil
	}
	for _, word := range a.Words[:last] {
		status := 0
		if word != "any" {
			if status, err = strconv.Atoi(word); err != nil || status < 100 || status > 599 ||
				strings.Trim(word, "0123456789") != "" {
				return fmt.Errorf("invalid status \"%s\"", word)
			}
		}
		*list = append(*list, cache.ValidFor{Status: status, Seconds: seconds})
	}
	return nil
}
