// Package core has the directives of the main level, which configure the process as a whole.
package core

import (
	"fmt"
	"time"

	"starling/conf"
	"starling/lib/histogram"
	"starling/logs"
	"starling/plan"
	"starling/side"
)

// maxWorkers is far above the core count of any machine; a higher value is a typing error.
const maxWorkers = 4096

// Settings are those of the main level.
type Settings struct {
	Daemon bool
	// PID is the path of the pid file as written; empty: the one in the plan's Paths.
	PID       string
	ErrorLogs []logs.Target
	User      *User
	// Cores is how many cores the process uses at once; 0: all that the machine or the container grants.
	Cores int
	// ShutdownTimeout bounds how long retired work may continue; 0: without limit.
	ShutdownTimeout time.Duration
	OpenFiles       uint64 // worker_rlimit_nofile; 0: unchanged
}

// Module is the family of the main level.
var Module = conf.Module{
	Name:  "core",
	Doc:   "Process-wide settings.",
	New:   conf.NewOf[Settings],
	Clone: conf.CloneOf[Settings],
	Directives: []conf.Directive{
		{
			Name: "daemon", Syntax: "on | off", Default: "on", In: conf.Main,
			Doc: "Runs the process in the background. The command returns when the process serves clients, or with " +
				"status 1 if the start failed.",
			Set: conf.Field(func(s *Settings) *bool { return &s.Daemon }, conf.Flag),
		},
		{
			Name: "pid", Syntax: "<file>", DefaultDoc: plan.SystemPaths().PID, In: conf.Main,
			Doc: "Sets the file that stores the process ID. It exists while the process is listening. The default is " +
				"`" + plan.PrefixPaths().PID + "` below a prefix given with `-p`.",
			Set: conf.Field(func(s *Settings) *string { return &s.PID }, conf.String),
		},
		{
			Name: "error_log", Syntax: plan.ErrorLogSyntax, DefaultDoc: plan.SystemErrorLog + " error", In: conf.Main,
			Repeat: true,
			Doc: "Sets the error log and its minimum level: debug, info, notice, warn, error, crit, alert or emerg. " +
				"The file `stderr` selects standard error." + plan.ErrorLogJSON +
				" The default is `" + plan.PrefixPaths().ErrorLog +
				"` below a prefix given with `-p`.",
			Set: conf.List(func(s *Settings) *[]logs.Target { return &s.ErrorLogs }, plan.ErrorLogTarget),
		},
		{
			Name: "user", Syntax: "<user> [<group>]", In: conf.Main,
			Doc: "Sets the user and group that a process started as root switches to after it has opened its sockets " +
				"and files. The default is `nobody` with the group `nobody` or `nogroup`, as in nginx; `user root` " +
				"keeps root. On Linux, one thread that serves no clients keeps the privileges to bind ports below " +
				"1024 and to open any file, for reloads, `-s reopen`, state files and the pid file. On other " +
				"systems, a reload has only the user's privileges.",
			Set: conf.Whole(func(s *Settings) **User { return &s.User }, parseUser),
		},
		{
			Name: "worker_processes", Syntax: "<number>|auto", Default: "auto", In: conf.Main,
			Doc: "Sets the number of CPU cores used concurrently. There is always one process, so state is never " +
				"split between workers.",
			Set: conf.Field(func(s *Settings) *int { return &s.Cores }, parseCores),
		},
		{
			Name: "worker_shutdown_timeout", Syntax: "<time>", In: conf.Main,
			Doc: "Sets the timeout for closing remaining connections after a reload or a graceful shutdown.",
			Set: conf.Field(func(s *Settings) *time.Duration { return &s.ShutdownTimeout }, conf.Time),
		},
		{
			Name: "worker_rlimit_nofile", Syntax: "<number>", In: conf.Main,
			Doc: "Sets the limit on open files and connections.",
			Set: conf.Field(func(s *Settings) *uint64 { return &s.OpenFiles }, func(text string) (uint64, error) {
				n, err := conf.Number(text)
				return uint64(n), err
			}),
		},
		{
			Name: "latency_buckets", Syntax: "<time>...", DefaultDoc: latencyDefault, In: conf.Main,
			Doc: "Sets the upper bounds of the buckets in which the latencies of `status_zone`s and of the servers " +
				"of upstreams are counted, in the API (`response_time_hist`) and for `metrics`. After a reload with " +
				"other bounds, zones start to count anew. NGINX Plus has fixed bounds.",
			Set: conf.Raw(setLatencyBuckets),
		},
		{
			Name:  "events",
			In:    conf.Main,
			Opens: conf.Events,
			Doc:   "Contains the directives of nginx's event loop, which are accepted and ignored.",
		},
	},
}

// latencyDefault is histogram.DefaultBounds.
const latencyDefault = "5ms 10ms 25ms 50ms 75ms 100ms 250ms 500ms 750ms 1s 2500ms 5s 7500ms 10s"

func setLatencyBuckets(_ *Settings, a *conf.Args) error {
	var bounds histogram.Bounds
	for _, word := range a.Words {
		bound, err := conf.Time(word)
		if err != nil {
			return err
		}
		bounds = append(bounds, bound)
	}
	if err := bounds.Check(); err != nil {
		return fmt.Errorf("invalid \"latency_buckets\": %w", err)
	}
	side.PlanOf(a).Latency = bounds
	return nil
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
