package log

import (
	"fmt"
	"slices"
	"strings"

	"starling/conf"
	"starling/lib/logescape"
	"starling/lib/units"
	"starling/observe"
	"starling/plan"
	"starling/stream"
	"starling/vars"
)

// Settings of one block.
type Settings struct {
	Logs []Log
	// Cache is for logs whose path has variables.
	Cache observe.CacheOptions
}

// Log is one access_log.
type Log struct {
	options observe.AccessOptions
	format  *format
	// path is that of a log whose file depends on the session.
	path    vars.Template[*stream.Session]
	hasPath bool
	// condition is that of if=, where given.
	condition    vars.Template[*stream.Session]
	hasCondition bool
	node         *conf.Node
}

// format is one log_format.
type format struct {
	escape logescape.Style
	text   vars.Template[*stream.Session]
}

// formats are those of one configuration, by name in lower case.
type formats struct{ byName map[string]*format }

func declareFormat(_ any, a *conf.Args) error {
	all := plan.Part[formats](stream.PlanOf(a))
	name := strings.ToLower(a.Words[0])
	if all.byName[name] != nil {
		return fmt.Errorf("duplicate \"log_format\" name \"%s\"", a.Words[0])
	}
	f := &format{escape: logescape.Default}
	if a.Has("escape") {
		f.escape = logescape.Styles[a.Value("escape")]
	}
	var err error
	if f.text, err = stream.CompileTemplate(a, strings.Join(a.Values("string"), "")); err != nil {
		return err
	}
	if all.byName == nil {
		all.byName = map[string]*format{}
	}
	all.byName[name] = f
	return nil
}

func setAccessLog(s *Settings, a *conf.Args) error {
	if a.FirstWrite(&s.Logs) {
		s.Logs = nil
	}
	path := a.Words[0]
	switch {
	case path == "off" && len(a.Words) > 1:
		return fmt.Errorf("invalid parameter \"%s\"", a.Words[1])
	case path == "off":
		return nil
	case strings.HasPrefix(path, observe.SyslogScheme):
		if err := observe.CheckSyslog(path); err != nil {
			return err
		}
		if a.Has("buffer") || a.Has("flush") || a.Has("gzip") {
			return fmt.Errorf("logs to syslog cannot be buffered")
		}
	}
	if !a.Has("format") {
		return fmt.Errorf("log format is not specified")
	}
	p := stream.PlanOf(a)
	if !strings.HasPrefix(path, observe.SyslogScheme) {
		path = p.PrefixPath(path)
	}
	l := Log{options: observe.AccessOptions{Path: path}, hasPath: strings.Contains(path, "$") && !strings.HasPrefix(path, observe.SyslogScheme), node: a.Node}
	if l.format = plan.Part[formats](p).byName[strings.ToLower(a.Value("format"))]; l.format == nil {
		return fmt.Errorf("unknown log format \"%s\"", a.Value("format"))
	}
	if err := l.parameters(a); err != nil {
		return err
	}
	if l.hasPath {
		if l.options.BufferBytes > 0 {
			return fmt.Errorf("buffered logs cannot have variables in name")
		}
		var err error
		if l.path, err = stream.CompileTemplate(a, path); err != nil {
			return err
		}
	}
	if !l.hasPath { // the file is made even if no block writes to it, as in nginx
		p.OnLink(func() error {
			if _, err := p.Logs.AccessLog(l.options); err != nil {
				return conf.At(l.node, "%s", err)
			}
			return nil
		})
	}
	s.Logs = append(slices.Clip(s.Logs), l)
	return nil
}

func (l *Log) parameters(a *conf.Args) (err error) {
	if a.Has("buffer") {
		if l.options.BufferBytes, err = units.Size(a.Value("buffer")); err != nil || l.options.BufferBytes == 0 {
			return fmt.Errorf("invalid buffer size \"%s\"", a.Value("buffer"))
		}
	}
	if a.Has("gzip") {
		if err := l.compress(a.Value("gzip")); err != nil {
			return err
		}
	}
	if a.Has("flush") {
		if l.options.Flush, err = units.Time(a.Value("flush")); err != nil || l.options.Flush == 0 {
			return fmt.Errorf("invalid flush time \"%s\"", a.Value("flush"))
		}
		if l.options.BufferBytes == 0 {
			return fmt.Errorf("no buffer is defined for access_log \"%s\"", a.Words[0])
		}
	}
	if a.Has("if") {
		l.hasCondition = true
		l.condition, err = stream.CompileTemplate(a, a.Value("if"))
	}
	return err
}

// compress takes the level of gzip, 1 if none is given, and a buffer if none was.
func (l *Log) compress(level string) (err error) {
	l.options.GzipLevel = 1
	if level != "" {
		if l.options.GzipLevel, err = conf.Int(1, 9)(level); err != nil {
			return fmt.Errorf("invalid compression level \"%s\"", level)
		}
	}
	if l.options.BufferBytes == 0 {
		l.options.BufferBytes = observe.GzipBufferBytes
	}
	return nil
}
