package process_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"starling/lib/testkit"
	"starling/process"
)

// waitLimit is how long a script waits for what another process is about to do.
const waitLimit = time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"starling": func() { os.Exit(process.Main(os.Args[1:])) },
	})
}

// The scripts in testdata run the real program. Besides the commands of testscript they know
//
//	fill FILE…         puts the values of $NAMES into files
//	ports A B          sets $A and $B to addresses on which nobody listens
//	waitfile FILE      waits until the file exists, or with ! until it does not
//	waitlog FILE RE    waits until the text of the file matches
//	get ADDR RE        waits until a connection, or a GET of http://…, answers with what matches; with ! until nobody listens
//	status N CMD…      runs a command that must end with that exit status
//	json FILE          wants each line of a file to be an object in JSON
//	signal NAME FILE   sends a signal to the process whose number is in the file
//
// and $SOCKETS, a folder for unix sockets, and $LOOPBACK, an address that no other tests use.
func TestScripts(t *testing.T) {
	sockets := testkit.SocketDir(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SOCKETS", sockets)
			env.Setenv("LOOPBACK", testkit.Loopback())
			env.Defer(func() { killDaemons(t, env.WorkDir) })
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "configured": // starling is installed where the tests run
				_, err := os.Stat(process.DefaultPrefix + process.DefaultConf)
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fill": fill, "ports": ports, "waitfile": waitFile, "waitlog": waitLog, "getuntil": getUntil, "get": get, "signal": sendSignal,
			"status": status, "json": jsonLines,
		},
	})
}

// killDaemons ends what a script that failed has left: a detached process is nobody's child, and its pid file is there
// while it lives.
func killDaemons(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.pid"))
	if err != nil {
		t.Error(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		pid, notNumber := strconv.Atoi(string(bytes.TrimSpace(text)))
		if err != nil || notNumber != nil || pid <= 0 {
			continue // it ends just now
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
}

// eventually waits for a condition of other processes.
func eventually(ts *testscript.TestScript, check func() error) {
	deadline := time.NewTimer(waitLimit)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			ts.Fatalf("still not so after %v: %v", waitLimit, err)
		case <-tick.C:
		}
	}
}

func ports(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		ts.Setenv(name, testkit.FreeAddress(ts))
	}
}

func fill(ts *testscript.TestScript, _ bool, files []string) {
	for _, name := range files {
		text := os.Expand(ts.ReadFile(name), func(variable string) string {
			if value := ts.Getenv(variable); value != "" {
				return value
			}
			return "$" + variable // nginx's own
		})
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	eventually(ts, func() error {
		_, err := os.Stat(path)
		switch {
		case neg && err == nil:
			return fmt.Errorf("%s is still there", path)
		case neg && errors.Is(err, os.ErrNotExist):
			return nil
		}
		return err
	})
}

func waitLog(ts *testscript.TestScript, _ bool, args []string) {
	path, want := ts.MkAbs(args[0]), regexp.MustCompile(args[1])
	eventually(ts, func() error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !want.Match(text) {
			return fmt.Errorf("nothing in %s matches %s:\n%s", path, want, text)
		}
		return nil
	})
}

// getUntil asks an address until a file matches: a request that came just before the logs were reopened is in the old
// file.
func getUntil(ts *testscript.TestScript, _ bool, args []string) {
	path, want := ts.MkAbs(args[1]), regexp.MustCompile(args[2])
	eventually(ts, func() error {
		if _, err := answer(args[0]); err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && !want.Match(text) {
			err = fmt.Errorf("nothing in %s matches %s:\n%s", path, want, text)
		}
		return err
	})
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	eventually(ts, func() error {
		text, err := answer(args[0])
		switch {
		case neg && errors.Is(err, syscall.ECONNREFUSED):
			return nil
		case neg:
			return fmt.Errorf("somebody listens: %q, %v", text, err)
		case err != nil:
			return err
		case !regexp.MustCompile(args[1]).Match(text):
			return fmt.Errorf("the answer %q does not match %s", text, args[1])
		}
		return nil
	})
}

func answer(address string) ([]byte, error) {
	if strings.HasPrefix(address, "http://") {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get(address)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		return io.ReadAll(response.Body)
	}
	network := "tcp"
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		network, address = "unix", path
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return io.ReadAll(conn)
}

var signals = map[string]syscall.Signal{"HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1,
	"USR2": syscall.SIGUSR2, "WINCH": syscall.SIGWINCH, "KILL": syscall.SIGKILL, "0": 0}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	pid, err := strconv.Atoi(string(bytes.TrimSpace([]byte(ts.ReadFile(args[1])))))
	ts.Check(err)
	err = syscall.Kill(pid, signals[args[0]])
	if neg {
		eventually(ts, func() error {
			if syscall.Kill(pid, signals[args[0]]) == nil && !zombie(pid) {
				return fmt.Errorf("process %d is still there", pid)
			}
			return nil
		})
		return
	}
	ts.Check(err)
}

func jsonLines(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if err := json.Unmarshal([]byte(line), new(map[string]any)); err != nil {
			ts.Fatalf("%v in %s", err, line)
		}
	}
}

func status(ts *testscript.TestScript, _ bool, args []string) {
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("exit status %d, want %s", got, want)
	}
}

// zombie tells of a process that has ended and that nobody has waited for: the first process of a container often does
// not.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return err == nil && bytes.HasPrefix(state, []byte("Z"))
}
