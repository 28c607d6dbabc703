package log

import (
	"sync"

	"starling/conf"
	"starling/observe"
	"starling/plan"
	"starling/web"
)

// writer writes the lines of one block's requests.
type writer struct {
	logs  []openLog
	lines *linePool
}

// openLog is an access_log with its file, which is nil where the path depends on the request.
type openLog struct {
	*observe.AccessLog
	cache *observe.FileCache // where the path depends on the request
	Log
}

// linePool keeps the buffers in which lines are put together.
type linePool struct{ sync.Pool }

const (
	lineBytes = 512
	// keepLineBytes: a buffer that one long line made grow beyond this is not kept.
	keepLineBytes = 16 << 10
)

func (p *linePool) get() *[]byte {
	if b, ok := p.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, lineBytes)
	return &b
}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.Off {
		return nil, nil
	}
	logs := s.Logs
	if len(logs) == 0 {
		f, err := find(b.Plan, combinedName, b.Scope.Node)
		if err != nil {
			return nil, err
		}
		logs = []Log{{options: observe.AccessOptions{Path: b.Plan.PrefixPath(defaultPath)}, format: f, node: b.Scope.Node}}
	}
	w := &writer{lines: plan.Part[linePool](b.Plan)}
	for _, l := range logs {
		if l.hasPath {
			w.logs = append(w.logs, openLog{nil, cacheOf(b.Plan, s.Cache), l})
			continue
		}
		file, err := b.Plan.Logs.AccessLog(l.options)
		if err != nil {
			return nil, conf.At(l.node, "%s", err)
		}
		w.logs = append(w.logs, openLog{file, nil, l})
	}
	return w.handle, nil
}

// caches are those of one configuration: equal open_log_file_cache lines share one, as one inherited by many locations does.
type caches struct {
	byOptions map[observe.CacheOptions]*observe.FileCache
}

func cacheOf(p *plan.Plan, o observe.CacheOptions) *observe.FileCache {
	all := plan.Part[caches](p)
	if all.byOptions == nil {
		all.byOptions = map[observe.CacheOptions]*observe.FileCache{}
	}
	if all.byOptions[o] == nil {
		all.byOptions[o] = p.Logs.FileCache(o)
	}
	return all.byOptions[o]
}

func (w *writer) handle(r *web.Request) web.Result {
	line := w.lines.get()
	for i := range w.logs {
		l := &w.logs[i]
		if l.hasCondition {
			if v := r.Expand(&l.condition); len(v) == 0 || len(v) == 1 && v[0] == '0' {
				continue
			}
		}
		*line = append(l.format.append((*line)[:0], r), '\n')
		if l.hasPath {
			l.writeOnce(r, *line)
		} else {
			l.Write(*line)
		}
	}
	if cap(*line) <= keepLineBytes {
		w.lines.Put(line)
	}
	return web.Declined
}

// append adds the line of a request, without its end, to dst.
func (f *format) append(dst []byte, r *web.Request) []byte {
	for i := range f.pieces {
		p := &f.pieces[i]
		if p.use == nil {
			dst = append(dst, p.literal...)
			continue
		}
		from := len(dst)
		var found bool
		dst, found = p.use.Append(dst, r)
		if !found {
			dst = append(dst[:from], f.escape.Missing()...)
		} else if f.escape.Needed(dst[from:]) {
			dst = f.escape.Append(dst[:from], r.Copy(dst[from:]))
		}
	}
	return dst
}
