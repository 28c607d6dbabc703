// Package process is the program as the operator sees it: command line, configuration tests, signals, pid file,
// detaching from the terminal, privileges.
package process

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"starling/conf"
	"starling/cycle"
	"starling/logs"
)

// program is the prefix of the command line's messages.
const program = "starling"

// maxProblems is the maximum number of problems printed at once; the first is nginx's.
const maxProblems = 20

// maxTested is the same for -t, which should show all problems; a file in another format would have one in each line.
const maxTested = 1000

// Main runs the program with its arguments, the name not included, and returns the exit status.
func Main(args []string) int {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return runCommand(args, os.Stdout, os.Stderr)
	}
	return serve(args, nil)
}

// serve obeys nginx's flags, and serves if they request nothing else. In a container (nil without one) the options are
// changed, the process stays in the foreground, and a missing configuration needs no explanation.
func serve(args []string, in *contained) int {
	f, err := parseFlags(args)
	if err != nil {
		complain("%v", err)
		return 1
	}
	if f.version {
		printVersion(f)
		if !f.test {
			return 0
		}
	}
	o, err := f.options()
	if err != nil {
		complain("%v", err)
		return 1
	}
	var watched []string
	if in != nil {
		in.options(&o)
		o.Foreground, watched = true, in.watched
	} else if len(args) == 0 && explainStart(o.ConfPath, os.Stderr) {
		return 1
	}
	b := newBootLog(o)
	defer b.close()
	switch {
	case f.signal != "":
		return b.signal(f.signal, o)
	case f.test:
		return b.test(f, o)
	}
	return b.run(o, args, watched)
}

// explainStart tells a user who typed only the name of the program how to start it. With an existing configuration, no
// explanation is needed.
func explainStart(confPath string, w io.Writer) bool {
	if _, err := os.Stat(confPath); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	fmt.Fprintf(w, program+`: no configuration at %s: write one as for nginx, or name yours with "`+program+` -c FILE"
"`+program+` demo" runs a cluster of three nodes to look at; "`+program+` help" lists the flags and commands
`, confPath)
	return true
}

func complain(format string, args ...any) {
	fmt.Fprintf(os.Stderr, program+": "+format+"\n", args...)
}

func printVersion(f flags) {
	text := versionText()
	if f.help {
		text += usageText()
	}
	if f.build {
		text += buildText()
	}
	fmt.Fprint(os.Stderr, text)
}

// bootLog logs what happens before a configuration has a log: to standard error and, as in nginx, to the log of -e. It
// also logs to the installation's log if that exists; it does not create it.
type bootLog struct {
	files *logs.Files
	logs  *logs.Logs
	log   *logs.ErrorLog
}

func newBootLog(o cycle.Options) *bootLog {
	b := &bootLog{files: logs.NewFiles(program)}
	b.files.Echo(os.Stderr)
	b.logs = b.files.Logs()
	targets := []logs.Target{{Path: o.ErrorLog, Level: logs.Notice}}
	if _, err := os.Stat(o.ErrorLog); err != nil && !o.ErrorLogGiven {
		targets = nil
	}
	log, err := b.logs.ErrorLog(targets)
	if err != nil && !o.ErrorLogGiven {
		log, err = b.logs.ErrorLog(nil) // another user's
	}
	if err != nil {
		complain("[alert] could not open error log file: %v", err)
		log, _ = b.logs.ErrorLog([]logs.Target{{Path: logs.StderrPath, Level: logs.Notice}})
		b.files.Echo(nil)
	}
	b.log = log
	return b
}

func (b *bootLog) close() {
	b.logs.Close()
	b.files.Drain()
}

// fail reports why a configuration cannot run.
func (b *bootLog) fail(err error) { b.failed(err, maxProblems) }

func (b *bootLog) failed(err error, most int) {
	b.files.Echo(os.Stderr)
	problems := flatten(err)
	for i, p := range problems {
		if i == most {
			complain("%d more problems: \"starling check\" tells them all", len(problems)-i)
			break
		}
		b.log.Logf(logs.Emerg, "%v", p)
	}
}

// signal is -s: it finds the process by the pid file of the configuration.
func (b *bootLog) signal(name string, o cycle.Options) int {
	d, err := cycle.Read(o)
	if err != nil {
		b.fail(err)
		return 1
	}
	if level, err := sendSignal(name, d.PIDPath()); err != nil {
		b.log.Logf(level, "%v", err)
		if level != logs.Error && level != logs.Alert {
			return 0
		}
		return 1
	}
	return 0
}

// test is -t and -T.
func (b *bootLog) test(f flags, o cycle.Options) int {
	d, err := cycle.NewHost(o, b.files).Test()
	if d != nil {
		for _, w := range d.Warnings { // of a file that is wrong too: they tell more of what is not supported
			b.log.Logf(logs.Warn, "%v", w)
		}
	}
	if err != nil {
		b.failed(err, maxTested)
		complain("configuration file %s test failed", o.ConfPath)
		return 1
	}
	if text := d.IgnoredText(); text != "" && !f.quiet {
		b.log.Logf(logs.Notice, "%s", text)
	}
	if !f.quiet {
		complain("the configuration file %s syntax is ok", o.ConfPath)
		complain("configuration file %s test is successful", o.ConfPath)
	}
	if f.dump {
		fmt.Print(dump(d.Tree))
	}
	return 0
}

// dump writes all files of a configuration in the form of nginx -T.
func dump(tree *conf.Tree) string {
	var b strings.Builder
	for _, file := range tree.Files {
		fmt.Fprintf(&b, "# configuration file %s:\n%s\n", file.Path, file.Bytes)
	}
	return b.String()
}
