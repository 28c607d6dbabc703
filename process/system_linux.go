package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"starling/nginx/errno"
)

// replaceFD makes a descriptor refer to the file of another.
func replaceFD(from, to int) error { return unix.Dup3(from, to, 0) }

// One thread keeps these privileges of root: binding ports below 1024, opening any file, and starting and ending the
// process that replaces this one, which needs root's privileges until it has opened all of its files.
const keptRights = 1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID |
	1<<unix.CAP_KILL

// office is the thread that keeps privileges of root for reloads and file maintenance. Capabilities belong to threads:
// all others, and so all that serve clients, have none. The runtime starts no thread from a locked one, so nothing
// inherits them either.
type office struct {
	jobs chan job
	tid  atomic.Int64
}

type job struct {
	work func() error
	done chan error
}

// keepRights starts the office. Call it before the process changes its user, dropRights after.
func keepRights() (*office, error) {
	o := &office{jobs: make(chan job)}
	opened := make(chan error)
	go func() {
		runtime.LockOSThread() // for good
		err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0)
		o.tid.Store(int64(unix.Gettid()))
		opened <- err
		if err != nil {
			return
		}
		for j := range o.jobs {
			j.done <- j.work()
		}
	}()
	return o, <-opened
}

// dropRights drops all privileges but those to keep, which are effective only during work.
func (o *office) dropRights() error { return o.do(func() error { return setRights(0) }) }

func (o *office) do(work func() error) error {
	j := job{work, make(chan error)}
	o.jobs <- j
	return <-j.done
}

// asStarted runs work with the kept privileges, one task at a time.
func (o *office) asStarted(work func() error) error {
	if o.tid.Load() == int64(unix.Gettid()) { // work starts more work
		return work()
	}
	return o.do(func() error {
		if err := setRights(keptRights); err != nil {
			return err
		}
		err := work()
		if err := setRights(0); err != nil {
			// better no server than one that serves as root
			panic(fmt.Sprintf("cannot drop root privileges again: %v", err))
		}
		return err
	})
}

// startAsStarted starts a process with the user and the privileges with which this one was started. The caller has the
// kept rights, if any.
func startAsStarted(command *exec.Cmd, asRoot bool) error {
	if asRoot && os.Geteuid() != 0 {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 0, Gid: 0}}
	}
	return command.Start()
}

// setRights sets which of the kept privileges are effective in this thread.
func setRights(effective uint32) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	rights := [2]unix.CapUserData{{Effective: effective, Permitted: keptRights}}
	if err := unix.Capset(&header, &rights[0]); err != nil {
		return fmt.Errorf("capset() failed (%s)", errno.Reason(err))
	}
	return nil
}
