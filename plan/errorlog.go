package plan

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/logs"
)

// ErrorLogSyntax is the syntax of error_log on every level.
const ErrorLogSyntax = "<file> [<level>...]"

// ErrorLogJSON is the part of its documentation about lines of JSON.
const ErrorLogJSON = " With `json` as the last word, lines are JSON."

// ErrorLogTarget parses one error_log directive; relative paths start at the prefix of the plan in a.Env.
func ErrorLogTarget(a *conf.Args) (logs.Target, error) {
	p := a.Env.(*Plan)
	path := a.Words[0]
	t := logs.Target{Path: path, Level: logs.Error}
	switch {
	case strings.HasPrefix(path, "memory:"):
		return t, conf.Unsupported("memory:")
	case strings.HasPrefix(path, logs.SyslogScheme):
		if err := logs.CheckSyslog(path); err != nil {
			return t, err
		}
	case path == "": // nginx's other name of it
		t.Path = logs.StderrPath
	case path != logs.StderrPath:
		t.Path = p.PrefixPath(path)
	}
	for i, word := range a.Words[1:] {
		if word == "json" && i == len(a.Words)-2 {
			t.JSON = true
			break
		}
		level, known := logs.ParseLevel(word)
		if strings.HasPrefix(word, "debug_") {
			level, known = logs.Debug, true // parts of nginx's debug output, of which there is none here
		}
		if !known {
			return t, fmt.Errorf("invalid log level \"%s\"", word)
		}
		if i > 0 && level != logs.Debug {
			return t, fmt.Errorf("invalid log level \"%s\"", word)
		}
		t.Level = level
	}
	return t, nil
}

// OpenErrorLog opens the error log of a block. If no enclosing level has an error_log, targets are empty and it is the
// main error log.
func (p *Plan) OpenErrorLog(targets []logs.Target) (logs.Logger, error) {
	if len(targets) == 0 {
		return p.Log, nil
	}
	return p.Logs.ErrorLog(targets)
}
