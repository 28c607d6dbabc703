// Package harness has the shared parts of all packages of end-to-end tests: nodes, which are processes of the real
// binary, clusters of them, hosts of their own, and clients. Each of those packages is a test process with a network of
// its own.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Patience bounds every wait of these tests; a healthy run needs a small part of it even on a loaded machine.
const Patience = time.Minute

// Binary is the path of the starling that Main built for the tests of this package.
var Binary string

// Main builds starling, runs the tests of a package and ends the process: TestMain of each package calls it.
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
	build := exec.Command("go", "build", "-o", Binary, "starling")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("building starling: %w", err)
	}
	code = m.Run()
	return code, os.RemoveAll(dir)
}
