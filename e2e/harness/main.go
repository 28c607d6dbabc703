// Package harness has the shared parts of all packages of end-to-end tests: nodes, which are processes of the real
// binary, clusters of them, hosts of their own, and clients. Each of those packages is a test process with a network of
// its own.
package harness

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// Patience bounds every wait of these tests; a healthy run needs a small part of it even on a loaded machine.
const Patience = time.Minute

// atOnce is how many tests of a package run at once at least: they wait for most of their time. The default of go test
// is the number of processors.
const atOnce = 6

// Binary is the path of the starling that Main built for the tests of this package.
var Binary string

// Main builds starling, runs the tests of a package and ends the process: TestMain of each package calls it. Tests that
// are built with the race detector build starling with it, and its reports fail them.
func Main(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "starling-e2e-")
	if err != nil {
		return 0, err
	}
	Binary = filepath.Join(dir, "starling")
	build := exec.Command("go", "build", fmt.Sprintf("-race=%t", Raced), "-o", Binary, "starling")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("building starling: %w", err)
	}
	races := filepath.Join(dir, "races") // of programs that are no nodes
	options, err := reportTo(races)
	if err := errors.Join(err, os.Chmod(dir, 0o755)); err != nil { // a program of root becomes nobody
		return 0, err
	}
	if err := os.Setenv(raceOptions, options); err != nil {
		return 0, err
	}
	if err := flag.Set("test.parallel", strconv.Itoa(max(atOnce, runtime.GOMAXPROCS(0)))); err != nil {
		return 0, err
	}
	code = m.Run()
	text, err := reports(races)
	if text != "" {
		err = errors.Join(err, fmt.Errorf("the race detector reports:\n%s", text))
	}
	return code, errors.Join(err, os.RemoveAll(dir))
}
