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
	"starling/vars"
	"starling/web"
)

// Settings of one block.
type Settings struct {
	Logs []Log
	Off  bool
	// Cache is for logs whose path has variables.
	Cache observe.CacheOptions
}

// Log is one access_log.
type Log struct {
	options observe.AccessOptions
	// path takes the place of options.Path where it has variables.
	path    vars.Template[*web.Request]
	hasPath bool
	format  *format
	// condition is that of if=, where given.
	condition    vars.Template[*web.Request]
	hasCondition bool
	node         *conf.Node
}

// format is one log_format.
type format struct {
	name   string
	escape logescape.Style
	pieces []piece
}

// piece is a literal or a variable.
type piece struct {
	literal string
	use     *vars.Use[*web.Request]
}

// formats are those of one configuration, by name in lower case.
type formats struct{ byName map[string]*format }

const (
	combinedName = "combined"
	combinedText = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
	defaultPath  = "logs/access.log"
)

// find returns a format by its name. The combined one is made when it is first asked for.
func find(p *plan.Plan, name string, node *conf.Node) (*format, error) {
	all := plan.Part[formats](p)
	lower := strings.ToLower(name)
	if f := all.byName[lower]; f != nil {
		return f, nil
	}
	if lower != combinedName {
		return nil, fmt.Errorf("unknown log format \"%s\"", name)
	}
	return all.add(p, combinedName, logescape.Default, combinedText, node)
}

func (all *formats) add(p *plan.Plan, name string, escape logescape.Style, text string, node *conf.Node) (*format, error) {
	template, err := web.Variables(p).Compile(text, node)
	if err != nil {
		return nil, err
	}
	f := &format{name: name, escape: escape}
	for literal, use := range template.Parts {
		f.pieces = append(f.pieces, piece{literal, use})
	}
	if all.byName == nil {
		all.byName = map[string]*format{}
	}
	all.byName[strings.ToLower(name)] = f
	return f, nil
}

func declareFormat(_ any, a *conf.Args) error {
	p, name := web.PlanOf(a), a.Words[0]
	all := plan.Part[formats](p)
	if strings.EqualFold(name, combinedName) || all.byName[strings.ToLower(name)] != nil {
		return fmt.Errorf("duplicate \"log_format\" name \"%s\"", name)
	}
	escape, text := logescape.Default, a.Words[1:]
	if word, given := strings.CutPrefix(text[0], "escape="); given {
		style, known := logescape.Styles[word]
		if !known {
			return fmt.Errorf("unknown log format escaping \"%s\"", word)
		}
		escape, text = style, text[1:]
	}
	_, err := all.add(p, name, escape, strings.Join(text, ""), a.Node)
	return err
}

func setAccessLog(s *Settings, a *conf.Args) error {
	if a.FirstWrite(&s.Logs) {
		s.Logs, s.Off = nil, false
	}
	path := a.Words[0]
	if path == "off" {
		if len(a.Words) > 1 {
			return fmt.Errorf("invalid parameter \"%s\"", a.Words[1])
		}
		s.Off = true
		return nil
	}
	p := web.PlanOf(a)
	l := Log{options: observe.AccessOptions{Path: p.PrefixPath(path)}, hasPath: strings.Contains(path, "$"), node: a.Node}
	if strings.HasPrefix(path, observe.SyslogScheme) {
		if err := observe.CheckSyslog(path); err != nil {
			return err
		}
		if a.Has("buffer") || a.Has("flush") || a.Has("gzip") {
			return fmt.Errorf("logs to syslog cannot be buffered")
		}
		l.options.Path, l.hasPath = path, false
	}
	name := combinedName
	if a.Has("format") {
		name = a.Value("format")
	}
	var err error
	if l.format, err = find(p, name, a.Node); err != nil {
		return err
	}
	if l.hasPath {
		if l.path, err = web.CompileTemplate(a, l.options.Path); err != nil {
			return err
		}
	}
	if err := l.parameters(a); err != nil {
		return err
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
	if l.hasPath && l.options.BufferBytes > 0 {
		return fmt.Errorf("buffered logs cannot have variables in name")
	}
	if a.Has("if") {
		l.hasCondition = true
		l.condition, err = web.CompileTemplate(a, a.Value("if"))
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
