package plan

import (
	"fmt"
	"time"

	"starling/conf"
	"starling/logs"
)

// FileCacheSyntax is the syntax of open_log_file_cache on both sides.
const FileCacheSyntax = "off\nmax=<number> [inactive=<time>] [min_uses=<number>] [valid=<time>]"

// FileCacheDoc is its text for the reference.
const FileCacheDoc = "Caches open log files whose path contains variables: at most `max` files, each after " +
	"`min_uses` (1) uses and until it is unused for `inactive` (10s). The path is checked again every `valid` (60s), " +
	"in case the file was moved."

// FileCacheParams explains its parameters.
var FileCacheParams = map[string]string{
	"max":      "Maximum number of open files; the least recently used one is closed.",
	"inactive": "Time after which an unused file is closed; 10s by default.",
	"min_uses": "Number of uses within `inactive` before a file stays open; 1 by default.",
	"valid":    "Interval between checks of the path; 60s by default.",
}

// FileCache reads an open_log_file_cache directive.
func FileCache(a *conf.Args) (logs.CacheOptions, error) {
	o := logs.CacheOptions{MinUses: 1, Inactive: 10 * time.Second, Valid: 60 * time.Second}
	if a.Words[0] == "off" && len(a.Words) == 1 {
		return logs.CacheOptions{}, nil
	}
	if !a.Has("max") {
		return o, fmt.Errorf("\"open_log_file_cache\" must have \"max\" parameter")
	}
	for name, set := range map[string]func(text string) error{
		"max":      func(text string) (err error) { o.Max, err = conf.AtLeast(conf.Number, 1)(text); return err },
		"min_uses": func(text string) (err error) { o.MinUses, err = conf.AtLeast(conf.Number, 1)(text); return err },
		"inactive": func(text string) (err error) { o.Inactive, err = conf.Seconds(text); return err },
		"valid":    func(text string) (err error) { o.Valid, err = conf.Seconds(text); return err },
	} {
		if a.Has(name) && set(a.Value(name)) != nil {
			return o, fmt.Errorf("invalid \"open_log_file_cache\" parameter \"%s=%s\"", name, a.Value(name))
		}
	}
	return o, nil
}
