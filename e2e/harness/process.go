package harness

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"starling/lib/testkit"
)

// Start runs the node and waits for its pid file: then everything listens.
func (n *Node) Start() {
	n.T.Helper()
	n.Launch()
	n.Started()
}

// Launch runs the node without waiting.
func (n *Node) Launch() {
	n.T.Helper()
	n.heir = 0
	n.cmd = exec.Command(cmp.Or(n.Program, Binary), "-p", n.Dir+"/", "-c", "nginx.conf", "-e", "error.log")
	n.cmd.Stderr = &n.stderr
	options, err := reportTo(n.reportsFolder())
	if err != nil {
		n.T.Fatal(err)
	}
	n.cmd.Env = append(os.Environ(), raceOptions+"="+options)
	n.exited = make(chan struct{})
	if err := n.there(n.cmd.Start); err != nil {
		n.T.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // the state is read from cmd.ProcessState
		close(exited)
	}(n.cmd, n.exited)
}

// Started waits for the pid file of a node that was launched.
func (n *Node) Started() {
	n.T.Helper()
	testkit.Eventually(n.T, Patience, func() error {
		select {
		case <-n.exited:
			n.T.Fatalf("%s did not start: %s%s\n%s", n.Name, n.stderr.String(), n.Log(), n.Config)
		default:
		}
		_, err := os.Stat(filepath.Join(n.Dir, "starling.pid"))
		return err
	})
}

// there runs a function on the network of the node.
func (n *Node) there(fn func() error) error {
	if n.inside == nil {
		return fn()
	}
	return n.inside(fn)
}

// Dial connects to a port of the node, from its own host.
func (n *Node) Dial(port string) (conn net.Conn, err error) {
	err = n.there(func() (err error) {
		conn, err = net.DialTimeout("tcp", n.IP+":"+port, Patience)
		return err
	})
	return conn, err
}

// Signal sends a signal to the node.
func (n *Node) Signal(s syscall.Signal) {
	n.T.Helper()
	if n.heir != 0 {
		if err := syscall.Kill(n.heir, s); err != nil {
			n.T.Fatalf("%s: %v", n.Name, err)
		}
		return
	}
	if err := n.cmd.Process.Signal(s); err != nil {
		n.T.Fatalf("%s: %v", n.Name, err)
	}
}

// wait waits for the node to end and returns its exit status; -1 if a signal ended it.
func (n *Node) wait() int {
	n.T.Helper()
	select {
	case <-n.exited:
	case <-time.After(Patience):
		// SIGABRT prints all goroutines; SIGCONT, so that a stopped process ends too.
		for _, s := range []syscall.Signal{syscall.SIGABRT, syscall.SIGCONT} {
			_ = n.cmd.Process.Signal(s)
		}
		<-n.exited
		n.T.Fatalf("%s does not end\n%s\n%s", n.Name, n.Log(), n.stderr.String())
	}
	return n.cmd.ProcessState.ExitCode()
}

// Quit stops the node gracefully and requires exit status 0.
func (n *Node) Quit() {
	n.T.Helper()
	n.Signal(syscall.SIGQUIT)
	if code := n.wait(); code != 0 {
		n.T.Errorf("%s ended with status %d after QUIT\n%s", n.Name, code, n.Log())
	}
}

// Kill ends the node at once, as a power cut would.
func (n *Node) Kill() {
	n.T.Helper()
	n.Signal(syscall.SIGKILL)
	n.wait()
	// The pid file of a killed node stays; it must not make the next start look ready.
	if err := os.Remove(filepath.Join(n.Dir, "starling.pid")); err != nil {
		n.T.Fatal(err)
	}
}

// Running reports whether the process has started and not ended.
func (n *Node) Running() bool {
	if n.cmd == nil {
		return false
	}
	if n.heir != 0 {
		return Alive(n.heir)
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// cleanup ends the node and checks its log for lines that no log should have.
func (n *Node) cleanup() {
	n.endHeirs()
	if n.cmd != nil && !closed(n.exited) {
		if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			n.T.Error(err)
		}
		n.wait()
	}
	if n.cmd == nil {
		return
	}
	n.checkRaces()
	for line := range strings.Lines(n.stderr.String() + n.Log()) {
		for _, bad := range []string{"[alert]", "[emerg]", "panic", "goroutine "} {
			if strings.Contains(line, bad) && (n.Excused == "" || !strings.Contains(line, n.Excused)) {
				n.T.Errorf("%s wrote: %s", n.Name, line)
			}
		}
	}
	if n.T.Failed() {
		n.T.Logf("%s at %s, log:\n%s%s", n.Name, n.IP, n.stderr.String(), n.Log())
	}
}

// Log is the node's error log so far.
func (n *Node) Log() string {
	text, err := os.ReadFile(filepath.Join(n.Dir, "error.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// WaitLog waits until the node's log has a text.
func (n *Node) WaitLog(want string) {
	n.T.Helper()
	testkit.Eventually(n.T, Patience, func() error {
		if log := n.Log(); !strings.Contains(log, want) {
			return fmt.Errorf("%s has not logged %q:\n%s", n.Name, want, log)
		}
		return nil
	})
}

// Alive reports whether a process runs that may be nobody's child.
func Alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// Inherited notes that another process of the node serves now: the one in the pid file.
func (n *Node) Inherited() int {
	n.T.Helper()
	pid := n.FilePID("starling.pid")
	n.heir = pid
	n.heirs = append(n.heirs, pid)
	return pid
}

// FilePID is the number in a pid file of the node.
func (n *Node) FilePID(name string) int {
	n.T.Helper()
	pid, err := n.readPID(name)
	if err != nil {
		n.T.Fatal(err)
	}
	return pid
}

func (n *Node) readPID(name string) (int, error) {
	text, err := os.ReadFile(filepath.Join(n.Dir, name))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// GetsPID waits until a file that is replaced, and missing for a moment, has that process.
func (n *Node) GetsPID(name string, want int) {
	n.T.Helper()
	testkit.Eventually(n.T, Patience, func() error {
		if got, err := n.readPID(name); got != want {
			return fmt.Errorf("%s has %d, want %d (%v)", name, got, want, err)
		}
		return nil
	})
}

// endHeirs ends the processes that have replaced the first one.
func (n *Node) endHeirs() {
	for _, pid := range n.heirs {
		if !Alive(pid) {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			n.T.Error(err)
		}
		testkit.Eventually(n.T, Patience, func() error {
			if Alive(pid) {
				return fmt.Errorf("process %d of %s does not end", pid, n.Name)
			}
			return nil
		})
	}
}

// Freeze stops the node's process, like a suspended host; thaw continues it.
func (n *Node) Freeze() (thaw func()) {
	n.T.Helper()
	n.Signal(syscall.SIGSTOP)
	thaw = sync.OnceFunc(func() { n.Signal(syscall.SIGCONT) })
	n.T.Cleanup(thaw) // a stopped process does not hear TERM
	return thaw
}

// PID is the number of the process that runs, or ran last.
func (n *Node) PID() int { return cmp.Or(n.heir, n.cmd.Process.Pid) }

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// ResidentKB is the memory of the node's process, in KB; the test is skipped if the system does not report it.
func (n *Node) ResidentKB() int {
	n.T.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		n.T.Skip("no /proc on this system: ", err)
	}
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	if !found {
		n.T.Fatal("no VmRSS")
	}
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		n.T.Fatal(err)
	}
	return kb
}

// LockedBuffer collects the output of a process while the test reads it.
type LockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *LockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *LockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
