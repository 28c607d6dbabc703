package log

import (
	"starling/conf"
	"starling/observe"
	"starling/stream"
)

// opened is an access_log with its file.
type opened struct {
	*observe.AccessLog
	cache *observe.FileCache // where the path depends on the session
	Log
}

func build(b *stream.Block) (stream.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if len(s.Logs) == 0 {
		return nil, nil
	}
	var logs []opened
	for _, l := range s.Logs {
		if l.hasPath {
			logs = append(logs, opened{nil, b.Plan.Logs.FileCache(s.Cache), l})
			continue
		}
		file, err := b.Plan.Logs.AccessLog(l.options)
		if err != nil {
			return nil, conf.At(l.node, "%s", err)
		}
		logs = append(logs, opened{file, nil, l})
	}
	return func(session *stream.Session) stream.Result {
		for i := range logs {
			logs[i].line(session)
		}
		return stream.Declined
	}, nil
}

// line writes the session's line unless the condition says no.
func (l *opened) line(s *stream.Session) {
	if l.hasCondition {
		if v := l.condition.Append(nil, s); len(v) == 0 || len(v) == 1 && v[0] == '0' {
			return
		}
	}
	line := append(l.format.append(nil, s), '\n')
	if l.cache == nil {
		l.Write(line)
		return
	}
	if level, err := l.cache.Append(string(l.path.Append(nil, s)), line); err != nil {
		s.Logf(level, "%v", err)
	}
}

// append adds the line of a session, without its end, to dst.
func (f *format) append(dst []byte, s *stream.Session) []byte {
	for literal, use := range f.text.Parts {
		if use == nil {
			dst = append(dst, literal...)
			continue
		}
		value, found := use.Append(nil, s)
		if !found {
			dst = append(dst, f.escape.Missing()...)
			continue
		}
		dst = f.escape.Append(dst, value)
	}
	return dst
}
