package process

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"starling/nginx/errno"
)

// replaceFD makes the descriptor to mean what from means.
func replaceFD(from, to int) error { return unix.Dup3(from, to, 0) }

// Of root's rights one thread keeps these: to bind ports below 1024, and to open any file.
const keptRights = 1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_DAC_OVERRIDE

// office is the thread that keeps rights of root for reloads and for the upkeep of files. Capabilities belong to
// threads: all others, and so whatever serves a client, have none. The runtime starts no thread from a locked one, so
// nothing inherits them either.
type office struct {
	jobs chan job
	tid  atomic.Int64
}

type job struct {
	work func() error
	done chan error
}

// keepRights opens the office. To be called before the process becomes another user; dropRights is called after.
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

// dropRights gives up all rights but those to keep, which are in effect only during work.
func (o *office) dropRights() error { return o.do(func() error { return setRights(0) }) }

func (o *office) do(work func() error) error {
	j := job{work, make(chan error)}
	o.jobs <- j
	return <-j.done
}

// asStarted does work with the rights kept, one piece after another.
func (o *office) asStarted(work func() error) error {
	if o.tid.Load() == int64(unix.Gettid()) { // work asks for more work
		return work()
	}
	return o.do(func() error {
		if err := setRights(keptRights); err != nil {
			return err
		}
		err := work()
		if err := setRights(0); err != nil {
			panic(
				fmt.Sprintf("cannot drop root privileges again: %v", err),
			) // better no server than one that serves as root
		}
		return err
	})
}

// setRights says which of the rights kept are in effect in this thread.
func setRights(effective uint32) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	rights := [2]unix.CapUserData{{Effective: effective, Permitted: keptRights}}
	if err := unix.Capset(&header, &rights[0]); err != nil {
		return fmt.Errorf("capset() failed (%s)", errno.Reason(err))
	}
	return nil
}
