package upgrade

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"starling/e2e/harness"
	"starling/lib/durable"
	"starling/lib/testkit"
)

// delays is an environment variable with a program: this one runs it as the successor of a process, once that has ended.
const delays = "STARLING_TEST_DELAYS"

// deaf is an environment variable that lets it swallow what the process has said, as if that had ended before.
const deaf = "STARLING_TEST_DEAF"

// heardName is the file that it makes when it has been greeted.
const heardName = "heard"

func TestMain(m *testing.M) {
	if program := os.Getenv(delays); program != "" {
		fmt.Fprintln(os.Stderr, delay(program))
		os.Exit(1)
	}
	harness.Main(m)
}

// delay starts the program, with the arguments of a node.
func delay(program string) error {
	const pair = 3 // the descriptor of this process's end
	os.Unsetenv(delays)
	if _, _, err := syscall.Recvfrom(pair, make([]byte, 1), syscall.MSG_PEEK); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(os.Args[2], heardName), nil, 0o600); err != nil {
		return err
	}
	closed := []unix.PollFd{{Fd: pair, Events: unix.POLLRDHUP}}
	if _, err := unix.Poll(closed, -1); err != nil {
		return err
	}
	for swallow := os.Getenv(deaf) != ""; swallow; {
		n, _, err := syscall.Recvfrom(pair, make([]byte, 1<<16), 0)
		swallow = err == nil && n > 0
	}
	return syscall.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
}

// withServers is the small node with an upstream whose servers the API changes.
var withServers = strings.Replace(small, "http {", "http { upstream u { zone u 64k; state {{.Dir}}/u.state; }", 1)

const setServers = "/api/9/http/upstreams/u/servers"

// TestWritesThatTheOldProcessHasNotHeardOf: the old process does not run while the new one acknowledges changes and is
// killed. It accepts clients again with all of them, and so does the process after it.
func TestWritesThatTheOldProcessHasNotHeardOf(t *testing.T) {
	n := alone(t)
	n.Configure(withServers)
	kill(n, n.PID(), syscall.SIGHUP)
	n.WaitLog("exited with code 0")
	n.Excused = "has ended without a word"
	n.Wants(201, "*", "POST", harness.SetOne, `{"deleted":"before"}`)
	n.Wants(201, "*", "POST", setServers, `{"server":"127.0.0.1:1"}`)
	old, heir := started(n)
	kill(n, old, syscall.SIGSTOP)
	n.Wants(204, "*", "PATCH", harness.SetOne, `{"k":"new"}`)
	n.Wants(204, "*", "PATCH", harness.SetOne, `{"deleted":null}`)
	n.Wants(201, "*", "POST", setServers, `{"server":"127.0.0.2:1"}`)
	n.Wants(200, "*", "DELETE", setServers+"/0", "")
	kill(n, heir, syscall.SIGKILL)
	ends(n, heir)
	kill(n, old, syscall.SIGCONT)
	serves(n, old)
	has := func() {
		t.Helper()
		n.Wants(200, "new", "GET", "/?text=k", "")
		n.Wants(200, "", "GET", "/?text=deleted", "")
		if got := n.Must("GET", setServers, "").Body; !strings.Contains(got, "127.0.0.2:1") || strings.Contains(got, "127.0.0.1:1") {
			t.Errorf("the servers are %s", got)
		}
	}
	has()
	n.GetsPID("starling.pid", old)
	started(n)
	has()
}

// TestClientsThatCannotBeTakenBack: another program has a state file. The log does not say that the process accepts
// clients.
func TestClientsThatCannotBeTakenBack(t *testing.T) {
	n := alone(t)
	old, heir := started(n)
	n.WaitLog("this process serves those that it has") // the old one knows that the new one accepts clients
	kill(n, old, syscall.SIGSTOP)
	kill(n, heir, syscall.SIGKILL)
	ends(n, heir)
	testkit.Eventually(t, harness.Patience, func() error { // its lock can live a moment longer
		log, err := durable.Open(filepath.Join(n.Dir, "one.keyval.log"), func([]byte) error { return nil })
		if err == nil {
			t.Cleanup(func() { log.Close() })
		}
		return err
	})
	n.Excused = "cannot take the clients of"
	kill(n, old, syscall.SIGCONT)
	n.WaitLog(n.Excused)
	kill(n, old, syscall.SIGTERM)
	ends(n, old)
	if strings.Contains(n.Log(), "accepts clients again") {
		t.Errorf("the log has %s", n.Log())
	}
}

// startsDelayed sends USR2, and returns the new process, which has been greeted and waits for the end of the old one.
func startsDelayed(n *harness.Node) (heir int) { return startsBehind(n, "") }

// startsBehind does so with more environment for the new process.
func startsBehind(n *harness.Node, environment string) (heir int) {
	n.T.Helper()
	me, err := os.Executable()
	if err != nil {
		n.T.Fatal(err)
	}
	script(n, fmt.Sprintf("%s %s=%s exec %s \"$@\"", environment, delays, harness.Binary, me))
	kill(n, n.PID(), syscall.SIGUSR2)
	n.WaitLog("upgrade: started")
	testkit.Eventually(n.T, harness.Patience, func() error {
		_, err := os.Stat(filepath.Join(n.Dir, heardName))
		return err
	})
	_, after, _ := strings.Cut(n.Log(), "upgrade: started ")
	_, after, _ = strings.Cut(after, " as process ")
	if _, err := fmt.Sscan(after, &heir); err != nil {
		n.T.Fatal(err)
	}
	return heir
}

// TestTheOldProcessIsToldToEnd: before the new one serves. Nobody serves then: whoever told it wants the service to end.
func TestTheOldProcessIsToldToEnd(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
		t.Run(signal.String(), func(t *testing.T) {
			n := alone(t)
			old, heir := n.PID(), startsDelayed(n)
			kill(n, old, signal)
			ends(n, old)
			ends(n, heir)
		})
	}
}

// TestTheOldProcessDies: while the new one starts, which then takes over with what is on disk; and after it has taken
// over, which it does not notice.
func TestTheOldProcessDies(t *testing.T) {
	for name, environment := range map[string]string{"after its first word": "", "before its first word": deaf + "=1"} {
		t.Run(name, func(t *testing.T) { theOldProcessDies(t, environment) })
	}
}

func theOldProcessDies(t *testing.T, environment string) {
	n := alone(t)
	n.Excused = "has ended without"
	n.Wants(204, "*", "PATCH", harness.SetOne, `{"k":"on disk"}`)
	old := n.PID()
	startsBehind(n, environment)
	kill(n, old, syscall.SIGKILL)
	ends(n, old)
	n.WaitLog("this process takes over")
	n.WaitLog("replaces process")
	heir := n.Inherited()
	serves(n, heir)
	n.Wants(200, "on disk", "GET", "/?text=k", "")
	n.Wants(204, "*", "PATCH", harness.SetOne, `{"k":"later"}`)
	limited(n, "a", 3)
	overUnix(n)

	old, heir = started(n)
	limited(n, "b", 2)
	kill(n, old, syscall.SIGKILL)
	ends(n, old)
	serves(n, heir)
	n.Wants(503, "*", "GET", "/limited?who=a", "")
	limited(n, "b", 1)
	n.Wants(503, "*", "GET", "/limited?who=b", "")
	n.Wants(204, "*", "PATCH", harness.SetOne, `{"k":"last"}`)
	testkit.Eventually(t, harness.Patience, func() error { // it names a process that is no more
		if _, err := os.Stat(filepath.Join(n.Dir, "starling.pid.oldbin")); !os.IsNotExist(err) {
			return fmt.Errorf("the pid file of the old process is still there: %v", err)
		}
		return nil
	})
	_, heir = started(n)
	serves(n, heir)
	n.Wants(200, "last", "GET", "/?text=k", "")
}
