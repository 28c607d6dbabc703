package process

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"starling/cycle"
	"starling/logs"
	"starling/plan"
)

// The locations of an installation's configuration if the command line has none; plan.SystemPaths has the rest.
const (
	DefaultPrefix = "/etc/starling/"
	DefaultConf   = "nginx.conf"
)

// flags are the options of the command line, nginx's own.
type flags struct {
	help, version, build  bool
	test, dump, quiet     bool
	signal                string
	prefix, conf, globals string // prefix is empty without -p
	errorLog              string // empty without -e
}

// parseFlags parses arguments as nginx does: letters can be joined ("-tq"), a value can follow directly
// ("-c/etc/x.conf").
func parseFlags(args []string) (flags, error) {
	f := flags{conf: DefaultConf}
	for i := 0; i < len(args); i++ {
		letters, isOption := strings.CutPrefix(args[i], "-")
		if !isOption {
			return f, fmt.Errorf("invalid option: \"%s\"", args[i])
		}
		for letters != "" {
			letter := letters[0]
			letters = letters[1:]
			if f.flag(letter) {
				continue
			}
			place, what := f.value(letter)
			if place == nil {
				return f, fmt.Errorf("invalid option: \"%c\"", letter)
			}
			if letters == "" {
				if i++; i < len(args) {
					letters = args[i]
				}
			}
			if letters == "" {
				return f, fmt.Errorf("option \"-%c\" requires %s", letter, what)
			}
			*place, letters = letters, ""
		}
	}
	if _, known := signalsByName[f.signal]; f.signal != "" && !known {
		return f, fmt.Errorf("invalid option: \"-s %s\"", f.signal)
	}
	return f, nil
}

// flag sets a letter without value.
func (f *flags) flag(letter byte) bool {
	switch letter {
	case '?', 'h':
		f.help, f.version = true, true
	case 'v':
		f.version = true
	case 'V':
		f.version, f.build = true, true
	case 't':
		f.test = true
	case 'T':
		f.test, f.dump = true, true
	case 'q':
		f.quiet = true
	default:
		return false
	}
	return true
}

// value returns the destination of a letter's value and nginx's name for it.
func (f *flags) value(letter byte) (place *string, what string) {
	switch letter {
	case 'p':
		return &f.prefix, "directory name"
	case 'c':
		return &f.conf, "file name"
	case 'e':
		return &f.errorLog, "file name"
	case 'g':
		return &f.globals, "parameter"
	case 's':
		return &f.signal, "parameter"
	}
	return nil, ""
}

// options makes paths absolute: the prefix is relative to the working directory, -c and -e to the prefix. With a
// prefix, everything is below it, as in nginx; without, files are at the system's paths.
func (f *flags) options() (cycle.Options, error) {
	paths := plan.PrefixPaths()
	if f.prefix == "" {
		paths = plan.SystemPaths()
	}
	prefix, err := filepath.Abs(cmp.Or(f.prefix, DefaultPrefix))
	if err != nil {
		return cycle.Options{}, fmt.Errorf(
			"cannot determine the working directory, set -p to an absolute path: %w",
			err,
		)
	}
	prefix = strings.TrimSuffix(prefix, "/") + "/"
	o := cycle.Options{Prefix: prefix, ConfPath: below(prefix, f.conf), Paths: paths, ErrorLog: f.errorLog,
		ErrorLogGiven: f.errorLog != "", FS: os.DirFS("/")}
	if f.errorLog != logs.StderrPath {
		o.ErrorLog = below(prefix, cmp.Or(f.errorLog, paths.ErrorLog))
	}
	if o.Globals = f.globals; o.Globals != "" && !strings.HasSuffix(strings.TrimSpace(o.Globals), ";") &&
		!strings.HasSuffix(strings.TrimSpace(o.Globals), "}") {
		o.Globals += ";"
	}
	if len(o.ConfPath) > maxPath {
		return o, errors.New("path of the configuration file is too long")
	}
	return o, nil
}

// maxPath is Linux' PATH_MAX.
const maxPath = 4096

func below(prefix, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(prefix, path)
}

const usage = `Usage: starling [-?hvVtTq] [-s signal] [-p prefix]
                [-e filename] [-c filename] [-g directives]
       starling COMMAND [options]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and configure options then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to the running process: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: ` + DefaultPrefix + `)
  -e filename   : set error log file (default: ` + plan.SystemErrorLog + `)
  -c filename   : set configuration file (default: ` + DefaultConf + `)
  -g directives : set global directives out of configuration file

`
