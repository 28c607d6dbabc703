package process

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"starling/cycle"
	"starling/lib/plural"
	"starling/lib/systemd"
	"starling/logs"
	"starling/modules/core"
	"starling/nginx/version"
)

// running is the process while it serves.
type running struct {
	host    *cycle.Host
	files   *logs.Files
	pidPath string
	// user is the user that the process became at its start; changing it needs a restart.
	user *core.User
	// manager is the service manager that started the process, if one did.
	manager *supervisor
	// busy reports that a reload or the shutdown occupies the goroutine that handles signals.
	busy atomic.Bool
	// changed receives what has changed when watched files have.
	changed <-chan string
	// foreground keeps the process in the foreground, whatever the configuration says.
	foreground bool
	// detached means that standard error is the error log.
	detached bool
	// quitting means that a graceful shutdown has begun, and paused that the process accepts no clients (WINCH).
	quitting, paused bool

	// self is the program, sibling the process that replaces this one, or that this one replaces, for as long as both
	// are there.
	self    self
	sibling *sibling
	// request is what an upgrade is to do, and asked means that "starling upgrade" waits for its result.
	request request
	asked   bool
	foreign []string // sockets of the service manager, see cycle.Host.Sockets

	// watched starts the watchdog; life ends it.
	watched sync.Once
	life    context.Context
}

// run serves until a signal ends it. With "daemon on" it starts itself again, detached, and waits until that process
// serves. Changes of watched files reload the configuration.
func (b *bootLog) run(o cycle.Options, args, watched []string) int {
	ready, me := readyPipe(), thisProgram()
	manager, err := systemd.Attend()
	sockets, socketsErr := systemd.Sockets()
	legacy, legacyErr := inherited()
	if err := errors.Join(err, socketsErr, legacyErr); err != nil {
		b.fail(err)
		return 1
	}
	// A supervised process does not detach: the service manager waits for this process, which has its sockets. Nor does
	// one that replaces another, which may have.
	o.Foreground = o.Foreground || manager.Present() || len(sockets) > 0 || legacy != nil
	if ready == nil && !o.Foreground { // only "daemon" is of interest here: the start reads all again
		d, err := cycle.Read(o)
		if err != nil {
			b.fail(err)
			return 1
		}
		if d.Settings.Daemon {
			return b.detach(args)
		}
	}
	// Installed before any wait: an early signal must not kill the process.
	signals := make(chan os.Signal, 16)
	signal.Ignore(syscall.SIGPIPE)
	signal.Notify(
		signals,
		syscall.SIGTERM,
		syscall.SIGINT,
		syscall.SIGQUIT,
		syscall.SIGHUP,
		syscall.SIGUSR1,
		syscall.SIGUSR2,
		syscall.SIGWINCH,
	)

	ctx, end := context.WithCancel(context.Background())
	defer end()
	s := &running{host: cycle.NewHost(o, b.files), files: b.files, foreground: o.Foreground, self: me, life: ctx}
	s.manager = newSupervisor(manager, s.host.Log)
	s.changed = watch(ctx, watched) // from before the configuration is read: a change while it is read counts
	if legacy != nil {
		return s.inherit(b, legacy, signals)
	}
	admit := s.host.Hold()
	if err := s.start(sockets); err != nil {
		b.fail(err)
		return 1
	}
	if err := s.announce(ready); err != nil {
		b.fail(err)
		s.host.Stop()
		return 1
	}
	b.close()
	admit()
	s.becomeMain()
	s.serve(signals)
	return 0
}

// status is the status that the service manager shows for a serving process.
func (s *running) status() string { return "serving " + s.host.Current().ConfPath() }

// start loads the configuration and begins to serve it, on sockets that were passed to the process as far as they are
// those that the configuration names.
func (s *running) start(sockets []*os.File) error {
	if err := s.host.Pass(sockets); err != nil {
		return err
	}
	c, err := s.host.Load()
	if err != nil {
		return err
	}
	log := c.Log()
	applyLimits(c.Settings, log)
	if err := s.host.Listen(context.Background(), c); err != nil {
		return err
	}
	s.host.DropUnclaimed(log)
	s.files.Echo(nil) // from here on messages go to the log, not the terminal
	log.Logf(logs.Notice, "nginx/%s (%s)", version.Nginx, version.Server)
	log.Logf(logs.Notice, "built by %s", runtime.Version())
	log.Logf(logs.Notice, "OS: %s", system())
	log.Logf(logs.Notice, "using %s", plural.Of(runtime.GOMAXPROCS(0), "core", "cores"))
	return s.host.Run(c)
}

// announce reports that the process serves: first with the pid file, then to the process that started it. Privileges
// are dropped in between, because the pid file's directory is often root's.
func (s *running) announce(ready *os.File) error {
	c := s.host.Current()
	s.pidPath = c.PIDPath()
	if err := writePID(s.pidPath); err != nil {
		if c.Settings.Daemon && !s.foreground || c.Settings.PID != "" {
			return err
		}
		// A supervisor of a foreground process knows its number; the root of a container may be read-only.
		c.Log().Logf(logs.Notice, "%v: there is no pid file, so \"-s\" does not find this process", err)
	}
	s.user = c.Settings.User
	if err := become(s.user, s.host, c.Log()); err != nil {
		return err
	}
	if ready == nil {
		return nil
	}
	s.detached = true
	if err := detachStreams(c.Log()); err != nil {
		return err
	}
	return tellReady(ready)
}

// applyLimits applies the configuration's settings of the whole process.
func applyLimits(s *core.Settings, log logs.Logger) {
	if s.Cores == 0 {
		runtime.SetDefaultGOMAXPROCS() // it follows the limits of a container, and their changes
	} else {
		runtime.GOMAXPROCS(s.Cores)
	}
	if s.OpenFiles == 0 {
		return
	}
	var limit unix.Rlimit
	setLimit(&limit.Cur, s.OpenFiles)
	setLimit(&limit.Max, s.OpenFiles)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		log.Logf(logs.Alert, "setrlimit(RLIMIT_NOFILE, %d) failed: %v", s.OpenFiles, err)
	}
}

// setLimit sets a limit in the system's own type: FreeBSD's are signed.
func setLimit[T int64 | uint64](limit *T, n uint64) { *limit = T(min(n, math.MaxInt64)) }

func system() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.GOOS
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

// serve obeys signals, and the other process while there is one, until a signal ends the process.
func (s *running) serve(signals <-chan os.Signal) {
	hurry := make(chan struct{})
	quit := make(chan struct{})
	for {
		s.catchUp()
		select {
		case <-quit:
			s.endSharing()
			s.ended()
			return
		case <-s.manager.ping:
		case path := <-s.changes():
			s.host.Log().Logf(logs.Notice, "%s has changed, reconfiguring", path)
			s.reload()
		case m := <-s.messages():
			s.heard(m)
		case sig := <-signals:
			switch sig {
			case syscall.SIGTERM, syscall.SIGINT:
				s.note(sig, ", exiting")
				s.stopping("stopping at once")
				if s.quitting {
					close(hurry)
					<-quit
				} else {
					s.host.Stop()
				}
				s.endSharing()
				s.ended()
				return
			case syscall.SIGQUIT:
				if s.quitting {
					continue
				}
				s.note(sig, ", shutting down")
				s.leave()
				s.quitting = true
				s.host.Log().Logf(logs.Notice, "gracefully shutting down")
				s.stopping("waiting for the last requests to end")
				go func() {
					defer close(quit)
					s.host.Quit(hurry)
				}()
			default:
				s.obey(sig)
			}
		}
	}
}

// changes receives what has changed of the watched files. It is nil while this process must not reload: changes wait
// until it serves again.
func (s *running) changes() <-chan string {
	if s.quitting || s.paused || s.sibling != nil && !(s.sibling.serving && s.sibling.handed) {
		return nil
	}
	return s.changed
}

// inherit is run for a process that replaces another one.
func (s *running) inherit(b *bootLog, from *legacy, signals <-chan os.Signal) int {
	if err := s.succeed(from, signals); err != nil {
		b.fail(err)
		return 1
	}
	b.close()
	s.serve(signals)
	return 0
}

// messages are those of the other process, nil if there is none.
func (s *running) messages() <-chan message {
	if s.sibling == nil {
		return nil
	}
	return s.sibling.events
}

// catchUp obeys the messages that came while another one was awaited.
func (s *running) catchUp() {
	for s.sibling != nil && len(s.sibling.waiting) > 0 {
		m := s.sibling.waiting[0]
		s.sibling.waiting = s.sibling.waiting[1:]
		s.heard(m)
	}
}

// obey obeys a signal that does not end the process.
func (s *running) obey(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		s.hangup(sig)
	case syscall.SIGUSR1:
		s.note(sig, ", reopening logs")
		s.host.Reopen()
		s.redirect()
	case syscall.SIGUSR2:
		if s.quitting {
			s.note(sig, ", ignored while shutting down")
			return
		}
		s.note(sig, ", changing binary")
		s.upgrade()
	case syscall.SIGWINCH:
		switch {
		case s.quitting:
			s.note(sig, ", ignored while shutting down")
		case onTerminal():
			s.note(sig, ", ignored: a terminal sends it when its size changes")
		case s.paused || s.sibling != nil:
			s.note(sig, ", ignored: this process accepts no clients, or is being replaced")
		default:
			s.note(sig, ", accepting no more clients; HUP accepts them again")
			s.paused = true
			s.host.Pause(false)
		}
	default:
		s.note(sig, ", ignored")
	}
}

// onTerminal reports whether the terminal of the user sends signals to this process: it is not detached, and in the
// foreground there. A container with a terminal is such a process too.
func onTerminal() bool {
	for fd := range 3 {
		if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil && group == unix.Getpgrp() {
			return true
		}
	}
	return false
}

// hangup reloads, or accepts clients again.
func (s *running) hangup(sig os.Signal) {
	switch b := s.sibling; {
	case s.quitting:
		s.note(sig, ", ignored while shutting down")
	case s.paused:
		s.note(sig, ", accepting clients again")
		s.paused = false
		s.host.Resume()
	case b != nil && !b.handed:
		s.note(sig, ", ignored until the new process serves")
	case b != nil && !b.serving:
		s.note(sig, ", asking "+b.name()+" for the clients")
		s.askBack()
	default:
		s.note(sig, ", reconfiguring")
		s.reload()
	}
}

var signalNames = map[os.Signal]string{
	syscall.SIGTERM:  "SIGTERM",
	syscall.SIGINT:   "SIGINT",
	syscall.SIGQUIT:  "SIGQUIT",
	syscall.SIGHUP:   "SIGHUP",
	syscall.SIGUSR1:  "SIGUSR1",
	syscall.SIGUSR2:  "SIGUSR2",
	syscall.SIGWINCH: "SIGWINCH",
}

func (s *running) note(sig os.Signal, what string) {
	number, _ := sig.(syscall.Signal)
	s.host.Log().Logf(logs.Notice, "signal %d (%s) received%s", int(number), signalNames[sig], what)
}

// stopping tells the service manager that the process ends. From here on the check for the watchdog does not wait for
// the goroutine that handles signals.
func (s *running) stopping(how string) {
	s.busy.Store(true)
	s.manager.tell(s.manager.Stopping(how))
}

// reload applies a new configuration. If anything is wrong with it, it changes nothing and the log has the reason.
func (s *running) reload() {
	s.busy.Store(true)
	defer s.busy.Store(false)
	s.host.Log().Logf(logs.Notice, "reconfiguring")
	s.manager.tell(s.manager.Reloading("reading " + s.host.Current().ConfPath()))
	if err := s.host.Reload(context.Background()); err != nil {
		problems := flatten(err)
		for _, problem := range problems {
			s.host.Log().Logf(logs.Emerg, "%v", problem)
		}
		s.manager.tell(s.manager.Ready(
			fmt.Sprintf("the reload failed, still serving the old configuration: %v", problems[0])))
		return
	}
	defer func() { s.manager.tell(s.manager.Ready(s.status())) }()
	c := s.host.Current()
	if s.sibling != nil {
		if err := s.sibling.handover.Follow(); err != nil {
			c.Log().Logf(logs.Error, "upgrade: sharing no changed zones with %s: %v", s.sibling.name(), err)
		}
	}
	s.redirect()
	applyLimits(c.Settings, c.Log())
	if changed(s.user, c.Settings.User) {
		c.Log().Logf(logs.Warn, "a changed \"user\" takes effect only on restart")
	}
	if path := c.PIDPath(); path != s.pidPath {
		if err := s.host.AsStarted(func() error { return writePID(path) }); err != nil {
			c.Log().Logf(logs.Emerg, "%v", err)
			return
		}
		if err := s.host.AsStarted(func() error { return removePID(s.pidPath) }); err != nil {
			c.Log().Logf(logs.Alert, "%v", err)
		}
		s.pidPath = path
	}
}

// redirect lets the standard error of a detached process follow the error log.
func (s *running) redirect() {
	if !s.detached {
		return
	}
	if err := redirectStderr(s.host.Current().Log()); err != nil {
		s.host.Log().Logf(logs.Alert, "dup3() of the error log failed: %v", err)
	}
}

func changed(was, is *core.User) bool {
	if was == nil || is == nil {
		return was != is
	}
	return was.Name != is.Name || was.Group != is.Group
}

// ended is the last action of the process.
func (s *running) ended() {
	if err := s.host.AsStarted(func() error { return removePID(s.pidPath) }); err != nil {
		s.host.Log().Logf(logs.Warn, "%v", err)
	}
	s.host.Log().Logf(logs.Notice, "exit")
	s.files.Drain()
}
