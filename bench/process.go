package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The cores: the measured process has the first to itself, everything else shares the second.
const (
	measuredCore = 0
	otherCore    = 1
)

// startupLimit bounds the wait for a process to listen.
const startupLimit = 10 * time.Second

// build compiles the starling of this checkout, once.
func (b *bench) build() error {
	if b.binary != "" {
		return nil
	}
	b.binary = filepath.Join(b.dir, "starling")
	cmd := exec.Command("go", "build", "-o", b.binary, "starling")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// process is a server under measurement or one that it needs.
type process struct {
	cmd  *exec.Cmd
	said bytes.Buffer
}

// newProcess prepares a command whose output is kept for error messages.
func newProcess(name string, args ...string) *process {
	p := &process{cmd: exec.Command(name, args...)}
	p.cmd.Stderr, p.cmd.Stdout = &p.said, &p.said
	return p
}

// start runs a command on one core and waits until an address accepts connections.
func start(core int, listens string, env []string, name string, args ...string) (*process, error) {
	p := newProcess(name, args...)
	p.cmd.Env = append(os.Environ(), env...)
	if err := onCore(core, p.cmd.Start); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(startupLimit)
	for {
		conn, err := net.DialTimeout("tcp", listens, time.Second)
		if err == nil {
			return p, conn.Close()
		}
		if time.Now().After(deadline) {
			p.stop()
			return nil, fmt.Errorf("%s does not listen at %s: %w\n%s", name, listens, err, p.said.String())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// onCore runs f on a thread bound to a core; processes started there inherit it.
func onCore(core int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	only.Set(core)
	if runtime.NumCPU() > 1 {
		if err := unix.SchedSetaffinity(0, &only); err != nil {
			return err
		}
	}
	err := f()
	if restore := unix.SchedSetaffinity(0, &before); err == nil {
		err = restore
	}
	return err
}

// keepOff binds all threads of this process to the other core; threads made later inherit it.
func keepOff() error {
	if runtime.NumCPU() < 2 {
		return nil
	}
	var only unix.CPUSet
	only.Set(otherCore)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &only); err != nil {
			return err
		}
	}
	return nil
}

// stop ends the process gracefully, so that coverage of its own accounts and files is whole.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	_ = p.cmd.Wait()                          // its status no longer matters
}

// kill ends the process as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	_ = p.cmd.Wait()         // its status no longer matters
}

// cpu is the processor time used so far by the process and its children, in nanoseconds, from the scheduler's own
// account.
func (p *process) cpu() (time.Duration, error) {
	var total time.Duration
	for _, pid := range family(p.cmd.Process.Pid) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			return 0, err
		}
		for _, t := range tasks {
			text, err := os.ReadFile(t)
			if err != nil {
				continue // the thread has just ended
			}
			ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
			if err != nil {
				return 0, err
			}
			total += time.Duration(ns)
		}
	}
	return total, nil
}

// memory is the resident memory of the process and its children in bytes.
func (p *process) memory() int64 {
	var total int64
	for _, pid := range family(p.cmd.Process.Pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
		if err == nil {
			total += pages * int64(os.Getpagesize())
		}
	}
	return total
}

// family is a process and its descendants.
func family(pid int) []int {
	out := []int{pid}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return out
	}
	for _, f := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(f); err == nil {
			out = append(out, family(child)...)
		}
	}
	return out
}

// steal is the host's account of processor time in ticks.
type steal struct{ stolen, total float64 }

func readSteal() (steal, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return steal{}, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var s steal
	for i, f := range strings.Fields(line)[1:] {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return s, err
		}
		if i < 8 { // guest time is contained in user time
			s.total += v
		}
		if i == 7 {
			s.stolen = v
		}
	}
	return s, nil
}

// since is the share of time stolen between two readings.
func (s steal) since(before steal) float64 {
	if s.total == before.total {
		return 0
	}
	return (s.stolen - before.stolen) / (s.total - before.total)
}
