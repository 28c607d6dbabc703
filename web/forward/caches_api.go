package forward

import (
	"iter"

	"starling/admin"
	"starling/plan"
	"starling/web/cache"
)

// cacheFigures are the responses of a cache with one $upstream_cache_status. What is written is counted only for those
// that come from a server.
type cacheFigures struct {
	Responses        uint64  `json:"responses"`
	Bytes            uint64  `json:"bytes"`
	ResponsesWritten *uint64 `json:"responses_written,omitempty"`
	BytesWritten     *uint64 `json:"bytes_written,omitempty"`
}

// cacheReport is what the API shows of a cache.
type cacheReport struct {
	Size        int64        `json:"size"`
	MaxSize     int64        `json:"max_size,omitempty"`
	Cold        bool         `json:"cold"`
	Hit         cacheFigures `json:"hit"`
	Stale       cacheFigures `json:"stale"`
	Updating    cacheFigures `json:"updating"`
	Revalidated cacheFigures `json:"revalidated"`
	Miss        cacheFigures `json:"miss"`
	Expired     cacheFigures `json:"expired"`
	Bypass      cacheFigures `json:"bypass"`
}

// CacheResource is /http/caches: those of all families.
func CacheResource(p *plan.Plan) admin.Resource {
	return admin.Collection[*cache.Cache]{
		Path: "http/caches", Since: 1, Metrics: cacheMetrics(), Each: cachesOf(p),
		Missing: admin.NotFound("CacheNotFound", "cache"),
		Show:    func(c *cache.Cache) any { return reportOf(c) },
		Delete:  admin.Resets(resetFigures),
	}.Resource()
}

func cachesOf(p *plan.Plan) iter.Seq2[string, *cache.Cache] {
	return func(yield func(string, *cache.Cache) bool) {
		all := plan.Find[caches](p)
		if all == nil {
			return
		}
		for _, z := range all.all {
			if z.cache != nil && !yield(z.name, z.cache) {
				return
			}
		}
	}
}

func reportOf(c *cache.Cache) cacheReport {
	r := c.Report()
	figures := func(s cache.Status) cacheFigures {
		f := &c.Figures[s]
		return cacheFigures{Responses: f.Responses.Load(), Bytes: f.Bytes.Load()}
	}
	written := func(s cache.Status) cacheFigures {
		one, f := figures(s), &c.Figures[s]
		responses, bytes := f.ResponsesWritten.Load(), f.BytesWritten.Load()
		one.ResponsesWritten, one.BytesWritten = &responses, &bytes
		return one
	}
	return cacheReport{
		Size: r.Bytes, MaxSize: r.MaxBytes, Cold: r.Cold, Hit: figures(cache.Hit), Stale: figures(cache.Stale),
		Updating: figures(cache.Updating), Revalidated: figures(cache.Revalidated), Miss: written(cache.Miss),
		Expired: written(cache.Expired), Bypass: written(cache.Bypass),
	}
}

func resetFigures(c *cache.Cache) {
	for i := range c.Figures {
		f := &c.Figures[i]
		f.Responses.Store(0)
		f.Bytes.Store(0)
		f.ResponsesWritten.Store(0)
		f.BytesWritten.Store(0)
	}
}

func cacheMetrics() []admin.Metric {
	const prefix, at = "nginxplus_cache_", "*cache."
	list := []admin.Metric{
		admin.Gauge(prefix+"size", at+"size", "Size of the files of a cache."),
		admin.Gauge(prefix+"max_size", at+"max_size", "Maximum size of the files of a cache."),
		admin.Gauge(prefix+"cold", at+"cold", "1 while the files of a cache are loaded after the start."),
	}
	for _, s := range [...]struct {
		name, what string
		written    bool
	}{
		{"hit", "from the cache", false}, {"stale", "stale, from the cache", false},
		{"updating", "stale, from the cache, while they were updated", false},
		{"revalidated", "from the cache, revalidated by a server", false},
		{"miss", "not in the cache, from a server", true}, {"expired", "expired in the cache, from a server", true},
		{"bypass", "from a server, because the cache was bypassed", true},
	} {
		list = append(list,
			admin.Counter(prefix+s.name+"_responses", at+s.name+".responses", "Responses "+s.what+"."),
			admin.Counter(prefix+s.name+"_bytes", at+s.name+".bytes", "Bytes of responses "+s.what+"."))
		if s.written {
			prefix, suffix := prefix, "_written"
			if s.name == "miss" { // the exporter has none
				prefix, suffix = "starling_cache_", "_written_total"
			}
			list = append(list,
				admin.Counter(prefix+s.name+"_responses"+suffix, at+s.name+".responses_written",
					"Responses "+s.what+", that were stored."),
				admin.Counter(prefix+s.name+"_bytes"+suffix, at+s.name+".bytes_written",
					"Bytes of responses "+s.what+", that were stored."))
		}
	}
	return list
}
