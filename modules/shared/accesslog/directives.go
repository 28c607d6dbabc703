// Package accesslog is the part of access_log that http and stream share: the formats, the directives and the writing
// of lines. Each side says what its variables are read from and which logs exist by default.
package accesslog

import (
	"fmt"
	"slices"
	"strings"

	"starling/conf"
	"starling/logs"
	"starling/nginx/units"
	"starling/plan"
	"starling/side"
	"starling/vars"
)

// Options are the differences between the two sides.
type Options[C side.Subject] struct {
	Side *side.Side[C]
	// Combined is the text of the combined format, the default of a directive that names none; empty if a format must
	// be named.
	Combined string
	// JSON is the text of the format "json", for configurations that declare none of that name.
	JSON string
	// ByDefault means that blocks without a log write to that of the plan's Paths.
	ByDefault bool
	// MayOpen reports whether a path with variables may be opened, so that names made up by strangers are rejected;
	// PathDoc documents the condition. nil allows all.
	MayOpen func(C) bool
	PathDoc string
}

// Settings of one block.
type Settings[C side.Subject] struct {
	logs []setting[C]
	off  bool
	// cache is for logs whose path has variables.
	cache logs.CacheOptions
}

// setting is one access_log.
type setting[C side.Subject] struct {
	options logs.AccessOptions
	format  *format[C]
	// path replaces options.Path if it has variables.
	path *vars.Template[C]
	// condition is that of if=, if given.
	condition *vars.Template[C]
	node      *conf.Node
}

// Directives are those of both sides: log_format in one context, the others in several.
func (s *Options[C]) Directives(places conf.Context) []conf.Directive {
	byDefault := "off"
	if s.ByDefault {
		byDefault = plan.SystemPaths().AccessLog + " " + combinedName
	}
	return []conf.Directive{
		{
			Name: "log_format", Syntax: "<name> [escape=<style>] <string>...", Params: formatParams, In: s.Side.Block,
			Repeat: true,
			Doc: "Defines a log format with variables. `escape` sets the escaping of special characters in values: " +
				"`default` (`\\xHH`), `json` or `none`.",
			Set: s.declareFormat,
		}, {
			Name:   "access_log",
			Syntax: "<path>|off [<format>] [buffer=<size>] [gzip[=<level>]] [flush=<time>] [if=<condition>]",
			Params: accessLogParams, OneMore: true, In: places, Repeat: true, DefaultDoc: byDefault,
			Doc: "Sets the log file. The format `json` need not be declared. " +
				"`buffer` enables buffering, `gzip` compression (level 1, buffer 64k). A path " +
				"with variables is opened for each line, unless `open_log_file_cache` keeps it open" + s.PathDoc +
				". With `if`, only " + s.Side.Many + " are logged for which the condition is neither empty nor `0`. " +
				"`off` disables all logs of this level.",
			Set: conf.Raw(s.setAccessLog),
		}, {
			Name: "open_log_file_cache", Syntax: plan.FileCacheSyntax, Params: plan.FileCacheParams, DefaultDoc: "off",
			In:  places &^ (conf.LocationIf | conf.LimitExcept),
			Doc: plan.FileCacheDoc,
			Set: conf.Whole(func(settings *Settings[C]) *logs.CacheOptions { return &settings.cache }, plan.FileCache),
		},
	}
}

func (s *Options[C]) setAccessLog(settings *Settings[C], a *conf.Args) error {
	if a.FirstWrite(&settings.logs) {
		settings.logs, settings.off = nil, false
	}
	path, p := a.Words[0], side.PlanOf(a)
	if path == "off" {
		if len(a.Words) > 1 {
			return fmt.Errorf("invalid parameter \"%s\"", a.Words[1])
		}
		settings.off = true
		return nil
	}
	syslog := strings.HasPrefix(path, logs.SyslogScheme)
	switch {
	case path == "":
		path = stderrPath
	case !syslog:
		path = p.PrefixPath(path)
	default:
		if err := checkSyslog(a); err != nil {
			return err
		}
	}
	l := setting[C]{options: logs.AccessOptions{Path: path}, node: a.Node}
	var err error
	if l.format, err = s.formatOf(a); err != nil {
		return err
	}
	if strings.Contains(path, "$") && !syslog {
		if l.path, err = s.compile(a, path); err != nil {
			return err
		}
	}
	if err := l.file(a); err != nil {
		return err
	}
	if a.Has("if") {
		if l.condition, err = s.compile(a, a.Value("if")); err != nil {
			return err
		}
	}
	if l.path == nil { // the file is made even if no block writes to it, as in nginx
		p.OnLink(func() error {
			_, err := l.open(p)
			return err
		})
	}
	settings.logs = append(slices.Clip(settings.logs), l)
	return nil
}

// stderrPath is what nginx takes an empty path for.
const stderrPath = "/dev/stderr"

func checkSyslog(a *conf.Args) error {
	if err := logs.CheckSyslog(a.Words[0]); err != nil {
		return err
	}
	if a.Has("buffer") || a.Has("flush") || a.Has("gzip") {
		return fmt.Errorf("logs to syslog cannot be buffered")
	}
	return nil
}

func (s *Options[C]) compile(a *conf.Args, text string) (*vars.Template[C], error) {
	t, err := s.Side.Compile(a, text)
	return &t, err
}

// file reads the parameters of the file.
func (l *setting[C]) file(a *conf.Args) (err error) {
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
	if l.path != nil && l.options.BufferBytes > 0 {
		return fmt.Errorf("buffered logs cannot have variables in name")
	}
	return nil
}

// compress reads the level of gzip, 1 by default, and sets a default buffer if none was given.
func (l *setting[C]) compress(level string) (err error) {
	l.options.GzipLevel = 1
	if level != "" {
		if l.options.GzipLevel, err = conf.Int(1, 9)(level); err != nil {
			return fmt.Errorf("invalid compression level \"%s\"", level)
		}
	}
	if l.options.BufferBytes == 0 {
		l.options.BufferBytes = logs.GzipBufferBytes
	}
	return nil
}

// formatParams explains the parameters of log_format.
var formatParams = map[string]string{
	"escape": "Escaping of values: `default`, `json` or `none`.",
}

// accessLogParams explains the parameters of access_log.
var accessLogParams = map[string]string{
	"buffer": "Size of the write buffer.",
	"gzip":   "Compresses the buffer with this level, 1 by default.",
	"flush":  "Maximum time a line stays in the buffer.",
	"if":     "Condition; requests are not logged if it is empty or `0`.",
}
