// Package core has the directives of the main level, which concern the process as a whole.
package core

import (
	"fmt"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/plan"
)

// maxWorkers is far above the cores of any machine; more would only be a slip of the keyboard.
const maxWorkers = 4096

// DefaultPID is where the number of the process is kept, below the prefix.
const DefaultPID = "logs/starling.pid"

// Settings are those of the main level.
type Settings struct {
	Daemon bool
	// PID is the path of the pid file as written.
	PID       string
	ErrorLogs []logs.Target
	User      *User
	// Cores is how many cores the process uses at once; 0: all that the machine or the container grants.
	Cores int
	// ShutdownTimeout bounds how long what is retired may go on; 0: as long as it takes.
	ShutdownTimeout time.Duration
	OpenFiles       uint64 // worker_rlimit_nofile; 0: as it is
}

// Module is the family of the main level.
var Module = conf.Module{
	Name:  "core",
	Doc:   "The process as a whole.",
	New:   conf.NewOf[Settings],
	Clone: conf.CloneOf[Settings],
	Directives: []conf.Directive{
		{
			Name: "daemon", Syntax: "on | off", Default: "on", In: conf.Main,
			Doc: "Detaches the process from the terminal. The command returns when the configuration runs, or with status 1 if it cannot.",
			Set: conf.Field(func(s *Settings) *bool { return &s.Daemon }, conf.Flag),
		},
		{
			Name: "pid", Syntax: "<file>", Default: DefaultPID, In: conf.Main,
			Doc: "Names the file that holds the number of the process, from when it listens until it ends.",
			Set: conf.Field(func(s *Settings) *string { return &s.PID }, conf.String),
		},
		{
			Name: "error_log", Syntax: plan.ErrorLogSyntax, DefaultDoc: "logs/error.log error", In: conf.Main, Repeat: true,
			Doc: "Sets where errors are logged, and from which level on: debug, info, notice, warn, error, crit, alert or emerg. The file `stderr` is standard error.",
			Set: conf.List(func(s *Settings) *[]logs.Target { return &s.ErrorLogs }, plan.ErrorLogTarget),
		},
		{
			Name: "user", Syntax: "<user> [<group>]", In: conf.Main,
			Doc: "Names the user and group to become when started as root, once everything listens and is open. Without it the process becomes `nobody` with the group `nobody` or `nogroup`, as nginx does; `user root` keeps it root. On Linux one thread, which serves no client, keeps the rights to bind ports below 1024 and to open any file, for reloads, `-s reopen`, state files and the pid file; elsewhere a reload has no more rights than the user.",
			Set: conf.Whole(func(s *Settings) **User { return &s.User }, parseUser),
		},
		{
			Name: "worker_processes", Syntax: "<number>|auto", Default: "auto", In: conf.Main,
			Doc: "Sets how many cores are used at once. There is one process whatever the number, so state is never split between workers.",
			Set: conf.Field(func(s *Settings) *int { return &s.Cores }, parseCores),
		},
		{
			Name: "worker_shutdown_timeout", Syntax: "<time>", In: conf.Main,
			Doc: "Sets how long connections may go on after a reload or a graceful end; then they are closed.",
			Set: conf.Field(func(s *Settings) *time.Duration { return &s.ShutdownTimeout }, conf.Time),
		},
		{
			Name: "worker_rlimit_nofile", Syntax: "<number>", In: conf.Main,
			Doc: "Sets how many files and connections may be open.",
			Set: conf.Field(func(s *Settings) *uint64 { return &s.OpenFiles }, func(text string) (uint64, error) {
				n, err := conf.Number(text)
				return uint64(n), err
			}),
		},
		{Name: "events", In: conf.Main, Opens: conf.Events, Doc: "Holds directives of nginx's event loop, which have no meaning here."},
	},
}

func parseCores(text string) (int, error) {
	if text == "auto" {
		return 0, nil
	}
	n, err := conf.Number(text)
	if err != nil {
		return 0, conf.InvalidValue
	}
	if n < 1 || n > maxWorkers {
		return 0, fmt.Errorf("number of worker processes must be between 1 and %d", maxWorkers)
	}
	return n, nil
}
