package accesslog

import (
	"sync"

	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/vars"
)

// Writer writes the lines of one block. It is safe for concurrent use.
type Writer[C side.Subject] struct {
	logs    []openLog[C]
	lines   *linePool
	options *Options[C]
}

// openLog is an access_log with its file or, if the path depends on c, with the cache of such files.
type openLog[C side.Subject] struct {
	file      *logs.AccessLog
	cache     *logs.FileCache
	path      *vars.Template[C]
	condition *vars.Template[C]
	format    *format[C]
}

// linePool keeps the buffers in which lines are built.
type linePool struct{ sync.Pool }

const (
	lineBytes = 512
	// keepLineBytes: a buffer that one long line grew beyond this is not kept.
	keepLineBytes = 16 << 10
)

func (p *linePool) get() *[]byte {
	if b, ok := p.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, lineBytes)
	return &b
}

// Open opens the logs of a block; nil if it has none.
func (s *Options[C]) Open(settings *Settings[C], p *plan.Plan, node *conf.Node) (*Writer[C], error) {
	if settings.off {
		return nil, nil
	}
	opens := settings.logs
	if len(opens) == 0 && s.ByDefault {
		f, err := s.combined(p, node)
		if err != nil {
			return nil, err
		}
		to := logs.AccessOptions{Path: p.PrefixPath(p.Paths.AccessLog)}
		if !plan.Part[unasked](p).opens(p, to) {
			return nil, nil
		}
		opens = []setting[C]{{options: to, format: f, node: node}}
	}
	if len(opens) == 0 {
		return nil, nil
	}
	w := &Writer[C]{lines: plan.Part[linePool](p), options: s}
	for i := range opens {
		l := &opens[i]
		one := openLog[C]{path: l.path, condition: l.condition, format: l.format}
		if l.path != nil {
			one.cache = cacheOf(p, settings.cache)
		} else {
			var err error
			if one.file, err = l.open(p); err != nil {
				return nil, err
			}
		}
		w.logs = append(w.logs, one)
	}
	return w, nil
}

// unasked is the default access log, which no directive names. If it cannot be opened there is none: a process in a
// container may have no folder for it, and the log was not requested.
type unasked struct{ tried, opened bool }

func (u *unasked) opens(p *plan.Plan, to logs.AccessOptions) bool {
	if u.tried {
		return u.opened
	}
	u.tried = true
	_, err := p.Logs.AccessLog(to)
	if u.opened = err == nil; !u.opened {
		p.Log.Logf(logs.Notice, "%v: requests are not logged; name a file with \"access_log\", or set it off", err)
	}
	return u.opened
}

func (l *setting[C]) open(p *plan.Plan) (*logs.AccessLog, error) {
	file, err := p.Logs.AccessLog(l.options)
	if err != nil {
		return nil, conf.At(l.node, "%s", err)
	}
	return file, nil
}

// caches are those of one configuration: equal open_log_file_cache lines share one, as a line inherited by many blocks
// does.
type caches struct {
	byOptions map[logs.CacheOptions]*logs.FileCache
}

func cacheOf(p *plan.Plan, o logs.CacheOptions) *logs.FileCache {
	all := plan.Part[caches](p)
	if all.byOptions == nil {
		all.byOptions = map[logs.CacheOptions]*logs.FileCache{}
	}
	if all.byOptions[o] == nil {
		all.byOptions[o] = p.Logs.FileCache(o)
	}
	return all.byOptions[o]
}

// Write writes the lines of c to the logs whose conditions hold.
func (w *Writer[C]) Write(c C) {
	line := w.lines.get()
	for i := range w.logs {
		l := &w.logs[i]
		if l.condition != nil {
			*line = l.condition.Append((*line)[:0], c)
			if v := *line; len(v) == 0 || len(v) == 1 && v[0] == '0' {
				continue
			}
		}
		*line = append(l.format.append((*line)[:0], c), '\n')
		if l.file != nil {
			l.file.Write(*line)
		} else {
			w.writeOnce(l, c, *line)
		}
	}
	if cap(*line) <= keepLineBytes {
		w.lines.Put(line)
	}
}

// writeOnce appends a line to the file to which a path with variables expands for c.
func (w *Writer[C]) writeOnce(l *openLog[C], c C, line []byte) {
	if w.options.MayOpen != nil && !w.options.MayOpen(c) {
		return
	}
	if level, err := l.cache.Append(string(l.path.Append(nil, c)), line); err != nil {
		c.Logf(level, "%v", err)
	}
}
